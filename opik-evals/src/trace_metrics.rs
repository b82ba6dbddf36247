//! Metrics of how an answer came about: they read the recorded trace, not the answer.
//!
//! | metric | value |
//! |---|---|
//! | [`ToolUsed`] | 1 when a tool was called (often enough, at most so often) |
//! | [`ToolSequence`] | how far the calls of tools are the expected ones |
//! | [`ToolArguments`] | 1 when a call of a tool had these arguments |
//! | [`TraceMeasure`] | steps, spans, seconds, spans with an error, dollars, tokens, loops, seconds of the critical path; or 1 when they are within a limit |
//!
//! [`TraceScorer`] makes each of them a [`Scorer`] for experiments: it reads the trace that a trial
//! recorded. A tool is a span of the kind `tool`, by its name; the order is that of their starts.
//!
//! ```
//! use opik_core::{Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree};
//! use opik_evals::trace_metrics::{ToolUsed, TraceMeasure, TraceMetric};
//!
//! let (id, at) = (TraceId::generate(), Timestamp::from_micros(0));
//! let mut search = Span::new(SpanId::generate(), id, at);
//! search.name = Some("search".to_owned());
//! search.r#type = Some(SpanType::Tool);
//! let tree = TraceTree::build(Trace::new(id, at), vec![search]);
//!
//! assert_eq!(ToolUsed::new("search").score(&tree)?.value(), 1.0);
//! assert_eq!(TraceMeasure::spans().score(&tree)?.value(), 1.0);
//! assert_eq!(TraceMeasure::steps().at_most(0.0).score(&tree)?.value(), 0.0);
//! # Ok::<(), opik_evals::MetricError>(())
//! ```

mod catalog;
mod measure;
mod scorer;
mod tools;

pub use catalog::{by_name, names};
pub use measure::TraceMeasure;
pub use scorer::TraceScorer;
pub use tools::{Order, ToolArguments, ToolSequence, ToolUsed};

use opik_core::TraceTree;

#[cfg(doc)]
use crate::experiment::Scorer;
use crate::{MetricError, Score};

/// A named, pure function from a trace to a score. Its promises are those of a
/// [`Metric`](crate::Metric).
pub trait TraceMetric: Send + Sync {
    /// The name under which scores are reported; never blank.
    fn name(&self) -> &str;

    /// Whether low scores are good. Runs note it, so that comparisons, gates and reports know.
    fn lower_is_better(&self) -> bool {
        false
    }

    /// Scores one trace.
    ///
    /// # Errors
    ///
    /// When the trace lacks what the metric reads.
    fn score(&self, tree: &TraceTree) -> Result<Score, MetricError>;
}

impl<M: TraceMetric + ?Sized> TraceMetric for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn lower_is_better(&self) -> bool {
        (**self).lower_is_better()
    }

    fn score(&self, tree: &TraceTree) -> Result<Score, MetricError> {
        (**self).score(tree)
    }
}
