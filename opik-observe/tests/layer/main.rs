//! What the layer makes of tracing spans.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod fields;
mod nesting;
mod robustness;

use std::sync::Arc;
use std::time::Duration;

use opik_core::{Span, Trace};
use opik_observe::layer::OpikLayer;
use opik_observe::{Policy, Recorder, RecorderGuard, Statistics};
use opik_testkit::RecordingExporter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);

/// A recorder whose records can be looked at.
struct Recorded {
    recorder: Recorder,
    guard: RecorderGuard,
    seen: RecordingExporter,
}

struct Outcome {
    spans: Vec<Span>,
    traces: Vec<Trace>,
    statistics: Statistics,
}

impl Recorded {
    fn new(policy: Policy) -> Self {
        let seen = RecordingExporter::new();
        let (recorder, guard) = Recorder::builder()
            .branch("b", Arc::new(seen.clone()), policy)
            .start()
            .unwrap();
        Self {
            recorder,
            guard,
            seen,
        }
    }

    fn layer(&self) -> OpikLayer {
        OpikLayer::new(self.recorder.clone())
    }

    fn subscriber(&self) -> Layered<OpikLayer, Registry> {
        tracing_subscriber::registry().with(self.layer())
    }

    fn finish(self) -> Outcome {
        let report = self.guard.shutdown(LONG);
        assert!(report.complete);
        Outcome {
            spans: self.seen.spans(),
            traces: self.seen.traces(),
            statistics: report.statistics,
        }
    }
}

impl Outcome {
    #[track_caller]
    fn span(&self, name: &str) -> &Span {
        let mut named = self
            .spans
            .iter()
            .filter(|span| span.name.as_deref() == Some(name));
        let span = named.next().expect("the span is recorded");
        assert!(named.next().is_none(), "{name} is recorded once");
        span
    }

    /// The name of the span's parent.
    #[track_caller]
    fn parent(&self, name: &str) -> Option<&str> {
        let parent = self.span(name).parent_span_id?;
        let parent = self.spans.iter().find(|span| span.id == parent);
        parent.expect("the parent is recorded").name.as_deref()
    }

    #[track_caller]
    fn metadata(&self, name: &str) -> serde_json::Value {
        let metadata = self.span(name).metadata.as_ref();
        metadata.map_or(serde_json::Value::Null, |json| json.to_value().unwrap())
    }
}

/// Runs with everything kept.
fn record(work: impl FnOnce()) -> Outcome {
    let recorded = Recorded::new(Policy::full_content());
    tracing::subscriber::with_default(recorded.subscriber(), work);
    recorded.finish()
}
