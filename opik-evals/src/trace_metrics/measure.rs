//! What a trace amounts to, as a number or against a limit.

use std::fmt;
use std::sync::Arc;

use opik_core::{SpanType, TraceTree};

use super::TraceMetric;
use crate::gate::TraceAnalysis;
use crate::{MetricError, Score};

/// A number that a trace amounts to. With a limit it is 1 within and 0 beyond, and the reason has the
/// number.
///
/// Loops and the critical path need an analysis, which whoever has one passes in.
#[derive(Clone)]
pub struct TraceMeasure {
    name: String,
    what: What,
    least: Option<f64>,
    most: Option<f64>,
}

#[derive(Clone)]
enum What {
    Steps,
    Spans,
    Seconds,
    Errors,
    Dollars,
    Tokens,
    Loops(Arc<dyn TraceAnalysis>),
    CriticalPath(Arc<dyn TraceAnalysis>),
}

impl TraceMeasure {
    fn new(name: &str, what: What) -> Self {
        Self {
            name: name.to_owned(),
            what,
            least: None,
            most: None,
        }
    }

    /// Calls of models and tools: `trace_steps`.
    #[must_use]
    pub fn steps() -> Self {
        Self::new("trace_steps", What::Steps)
    }

    /// Spans of any kind: `trace_spans`.
    #[must_use]
    pub fn spans() -> Self {
        Self::new("trace_spans", What::Spans)
    }

    /// Seconds from start to end: `trace_duration_seconds`.
    #[must_use]
    pub fn seconds() -> Self {
        Self::new("trace_duration_seconds", What::Seconds)
    }

    /// Spans with an error: `trace_error_spans`.
    #[must_use]
    pub fn errors() -> Self {
        Self::new("trace_error_spans", What::Errors)
    }

    /// US dollars as recorded, of the trace or else the sum of its spans: `trace_cost`. A trace
    /// without any recorded cost has no score.
    #[must_use]
    pub fn dollars() -> Self {
        Self::new("trace_cost", What::Dollars)
    }

    /// Tokens as recorded by its spans: `trace_tokens`. A trace without any has no score.
    #[must_use]
    pub fn tokens() -> Self {
        Self::new("trace_tokens", What::Tokens)
    }

    /// Kinds of loop that an analysis finds: `trace_loops`.
    #[must_use]
    pub fn loops(analysis: Arc<dyn TraceAnalysis>) -> Self {
        Self::new("trace_loops", What::Loops(analysis))
    }

    /// Seconds of the critical path that an analysis finds: `trace_critical_path_seconds`.
    #[must_use]
    pub fn critical_path(analysis: Arc<dyn TraceAnalysis>) -> Self {
        Self::new("trace_critical_path_seconds", What::CriticalPath(analysis))
    }

    /// 1 up to this number, 0 beyond.
    #[must_use]
    pub fn at_most(mut self, number: f64) -> Self {
        self.most = Some(number);
        self
    }

    /// 1 from this number on, 0 below.
    #[must_use]
    pub fn at_least(mut self, number: f64) -> Self {
        self.least = Some(number);
        self
    }

    /// The same measure under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts and microseconds below 2^53"
    )]
    fn measure(&self, tree: &TraceTree) -> Result<f64, MetricError> {
        let spans = || tree.nodes().map(|node| tree.span(node));
        let count = |test: fn(&SpanType) -> bool| spans().filter(|span| test(span.kind())).count();
        Ok(match &self.what {
            What::Steps => count(|kind| matches!(kind, SpanType::Llm | SpanType::Tool)) as f64,
            What::Spans => tree.len() as f64,
            What::Seconds => tree.wall().micros() as f64 / 1e6,
            What::Errors => spans().filter(|span| span.error_info.is_some()).count() as f64,
            What::Dollars => {
                let own = tree.trace().total_estimated_cost;
                let costs: Vec<f64> = spans()
                    .filter_map(|span| span.total_estimated_cost)
                    .collect();
                match own {
                    Some(cost) => cost,
                    None if costs.is_empty() => {
                        return Err(MetricError::input("the trace has no recorded cost"));
                    }
                    None => costs.iter().sum(),
                }
            }
            What::Tokens => {
                let tokens: Vec<i64> = spans()
                    .filter_map(|span| span.usage.total_tokens())
                    .collect();
                if tokens.is_empty() {
                    return Err(MetricError::input("the trace has no recorded tokens"));
                }
                tokens.iter().fold(0_i64, |a, b| a.saturating_add(*b)) as f64
            }
            What::Loops(analysis) => analysis.facts(tree).loops.len() as f64,
            What::CriticalPath(analysis) => {
                let micros = analysis.facts(tree).critical_path_us;
                let micros =
                    micros.ok_or_else(|| MetricError::input("the trace has no critical path"))?;
                micros as f64 / 1e6
            }
        })
    }
}

impl TraceMetric for TraceMeasure {
    fn name(&self) -> &str {
        &self.name
    }

    /// Less is better of everything that is measured, but being within a limit is good.
    fn lower_is_better(&self) -> bool {
        self.least.is_none() && self.most.is_none()
    }

    fn score(&self, tree: &TraceTree) -> Result<Score, MetricError> {
        let number = self.measure(tree)?;
        if self.least.is_none() && self.most.is_none() {
            return Ok(Score::new(self.name.as_str(), number));
        }
        let within = self.least.is_none_or(|least| number >= least)
            && self.most.is_none_or(|most| number <= most);
        let mut reason = format!("{number}");
        if let Some(least) = self.least {
            reason.push_str(&format!(", at least {least}"));
        }
        if let Some(most) = self.most {
            reason.push_str(&format!(", at most {most}"));
        }
        let value = f64::from(u8::from(within));
        Ok(Score::new(self.name.as_str(), value).because(reason))
    }
}

impl fmt::Debug for TraceMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceMeasure")
            .field("name", &self.name)
            .field("least", &self.least)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
