//! The recorder of the whole program, for code that nobody hands one to.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::recorder::Recorder;

static DEFAULT: OnceLock<Recorder> = OnceLock::new();
static OFF: Recorder = Recorder::disabled();

/// Whether any span was ever entered, or a default recorder set: until then code that has no
/// recorder of its own need not look for one.
static IN_USE: AtomicBool = AtomicBool::new(false);

#[cfg(feature = "macros")]
#[inline]
pub(crate) fn is_in_use() -> bool {
    IN_USE.load(Ordering::Relaxed)
}

pub(crate) fn is_in_use_now() {
    // Written once, so that the threads share it unchanged ever after.
    if !IN_USE.load(Ordering::Relaxed) {
        IN_USE.store(true, Ordering::Relaxed);
    }
}

/// Makes this the recorder of code that has no other: of functions under `#[observe]` that run
/// outside of any span.
///
/// It is for programs, not for libraries, and never needed: code below an entered span records
/// where that span does, and everything else can be given a recorder. It stays for the rest of the
/// program; the [`RecorderGuard`](crate::RecorderGuard) closes it as any other.
///
/// ```
/// use opik_observe::{Recorder, default_recorder, set_default};
///
/// let recorder = Recorder::disabled();
/// assert!(set_default(recorder.clone()).is_ok());
/// assert!(set_default(recorder).is_err(), "there is one already");
/// assert!(!default_recorder().is_enabled());
/// ```
///
/// # Errors
/// The recorder itself when there is one already, which stays.
pub fn set_default(recorder: Recorder) -> Result<(), Recorder> {
    let enabled = recorder.is_enabled();
    DEFAULT.set(recorder)?;
    if enabled {
        is_in_use_now();
    }
    Ok(())
}

/// The recorder of the program: the one given to [`set_default`], otherwise a disabled one.
#[must_use]
pub fn default_recorder() -> &'static Recorder {
    DEFAULT.get().unwrap_or(&OFF)
}
