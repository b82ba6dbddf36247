//! The recorder of the whole program, for code that nobody hands one to.

use std::sync::OnceLock;

use crate::recorder::Recorder;

static DEFAULT: OnceLock<Recorder> = OnceLock::new();
static OFF: Recorder = Recorder::disabled();

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
    DEFAULT.set(recorder)
}

/// The recorder of the program: the one given to [`set_default`], otherwise a disabled one.
#[must_use]
pub fn default_recorder() -> &'static Recorder {
    DEFAULT.get().unwrap_or(&OFF)
}
