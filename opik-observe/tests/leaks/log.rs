//! Every event and span of this project's crates, as text.

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

static LOG: Mutex<String> = Mutex::new(String::new());

struct Everything;

/// Captures what is logged from now on, at every level.
pub(crate) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Everything).unwrap());
    take();
}

/// Waits until this was logged.
pub(crate) fn wait_for(text: &str, limit: Duration) {
    let deadline = Instant::now() + limit;
    while !LOG
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(text)
    {
        assert!(Instant::now() < deadline, "not logged: {text}");
        std::thread::yield_now();
    }
}

/// What was logged since the last call.
pub(crate) fn take() -> String {
    std::mem::take(&mut *LOG.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

fn add(metadata: &Metadata<'_>, write: impl FnOnce(&mut Text)) {
    let mut text = Text(format!("{} {} ", metadata.target(), metadata.name()));
    write(&mut text);
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_str(&text.0);
    log.push('\n');
}

impl Subscriber for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("opik")
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        add(attributes.metadata(), |text| attributes.record(text));
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&text.0);
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        add(event.metadata(), |text| event.record(text));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
