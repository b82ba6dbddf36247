//! Functions under `#[observe]`: what is recorded of them, and that nothing else changes.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod records;
mod shapes;
mod unchanged;

use std::sync::Arc;
use std::time::Duration;

use opik_core::{Span, SpanType};
use opik_observe::{EnterGuard, Policy, Recorder, RecorderGuard, SpanGuard};
use opik_testkit::RecordingExporter;

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);

/// A recorder whose span `top` the thread is in.
struct Place {
    recorder: Recorder,
    entered: EnterGuard,
    top: SpanGuard,
    guard: RecorderGuard,
    seen: RecordingExporter,
}

impl Place {
    fn new() -> Self {
        let seen = RecordingExporter::new();
        let (recorder, guard) = Recorder::builder()
            .branch("b", Arc::new(seen.clone()), Policy::full_content())
            .start()
            .unwrap();
        let top = recorder.span_in_context("top", SpanType::General);
        Self {
            entered: top.enter(),
            recorder,
            top,
            guard,
            seen,
        }
    }

    /// Every span below `top`, which is checked to be an ancestor of each.
    fn spans(self) -> Vec<Span> {
        drop(self.entered);
        drop(self.top);
        assert!(self.guard.shutdown(LONG).complete);
        let mut spans = self.seen.spans();
        let top = spans.iter().position(|span| name(span) == "top").unwrap();
        let top = spans.remove(top);
        for span in &spans {
            let known = |id| id == top.id || spans.iter().any(|other| other.id == id);
            assert!(span.parent_span_id.is_some_and(known), "{span:?}");
            assert_eq!(span.trace_id, top.trace_id);
        }
        spans
    }

    /// The only span below `top`.
    fn span(self) -> Span {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

fn name(span: &Span) -> &str {
    span.name.as_deref().unwrap_or_default()
}

/// Type and text of the error.
fn error(span: &Span) -> Option<(&str, &str)> {
    let error = span.error_info.as_ref()?;
    let text = error.message.as_deref().unwrap_or_default();
    Some((&error.exception_type, text))
}

fn json(content: Option<&opik_core::Json>) -> serde_json::Value {
    content
        .map(|json| json.to_value().unwrap())
        .unwrap_or_default()
}

/// Runs a future that has nothing to wait for.
fn run<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).expect("it waits")
}
