//! Which tools were called, in which order, with what.

use opik_core::{Span, SpanType, TraceTree};
use serde_json::Value;

use super::TraceMetric;
use crate::{MetricError, MetricErrorKind, Score};

/// The calls of tools in the order of their starts.
fn calls(tree: &TraceTree) -> Vec<&Span> {
    let mut calls: Vec<_> = tree
        .nodes()
        .filter(|node| *tree.span(*node).kind() == SpanType::Tool)
        .map(|node| (tree.interval(node).start, node, tree.span(node)))
        .collect();
    calls.sort_by_key(|(start, node, _)| (*start, *node));
    calls.into_iter().map(|(_, _, span)| span).collect()
}

fn is_named(span: &Span, name: &str) -> bool {
    span.name.as_deref() == Some(name)
}

fn yes_or_no(name: &str, yes: bool, reason: String) -> Score {
    Score::new(name, f64::from(u8::from(yes))).because(reason)
}

/// 1 when a tool was called. Name of the score: `tool_used`.
#[derive(Debug, Clone)]
pub struct ToolUsed {
    name: String,
    tool: String,
    least: usize,
    most: usize,
}

impl ToolUsed {
    /// A tool that has to be called at least once.
    #[must_use]
    pub fn new(tool: impl Into<String>) -> Self {
        Self {
            name: "tool_used".to_owned(),
            tool: tool.into(),
            least: 1,
            most: usize::MAX,
        }
    }

    /// A tool that must not be called.
    #[must_use]
    pub fn never(tool: impl Into<String>) -> Self {
        Self::new(tool).times(0, 0)
    }

    /// At least and at most so many calls.
    #[must_use]
    pub fn times(mut self, least: usize, most: usize) -> Self {
        self.least = least;
        self.most = most;
        self
    }

    /// The same metric under another name, for several tools in one run.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl TraceMetric for ToolUsed {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, tree: &TraceTree) -> Result<Score, MetricError> {
        let count = calls(tree)
            .into_iter()
            .filter(|span| is_named(span, &self.tool))
            .count();
        Ok(yes_or_no(
            &self.name,
            (self.least..=self.most).contains(&count),
            format!("{} was called {count} times", self.tool),
        ))
    }
}

/// How the calls of tools are compared with the expected ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The same calls in the same order and no others: 0 or 1.
    Exact,
    /// In this order, with others between them: the share of the expected calls in the longest
    /// common subsequence.
    InOrder,
    /// In any order, with others: the share of the expected calls that were made.
    Any,
}

/// How far the calls of tools are the expected ones. Name of the score: `tool_sequence`.
///
/// A trace of more than 10,000 calls is too large for [`Order::InOrder`].
#[derive(Debug, Clone)]
pub struct ToolSequence {
    name: String,
    tools: Vec<String>,
    order: Order,
}

/// The most calls that are aligned.
const MOST_CALLS: usize = 10_000;

impl ToolSequence {
    /// Tools in the expected order, with others between them allowed.
    #[must_use]
    pub fn new<T: Into<String>>(tools: impl IntoIterator<Item = T>) -> Self {
        Self {
            name: "tool_sequence".to_owned(),
            tools: tools.into_iter().map(Into::into).collect(),
            order: Order::InOrder,
        }
    }

    /// How calls are compared. Default [`Order::InOrder`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same metric under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl TraceMetric for ToolSequence {
    fn name(&self) -> &str {
        &self.name
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of calls are far below 2^52"
    )]
    fn score(&self, tree: &TraceTree) -> Result<Score, MetricError> {
        let calls = calls(tree);
        let made: Vec<&str> = calls
            .iter()
            .filter_map(|span| span.name.as_deref())
            .collect();
        let expected: Vec<&str> = self.tools.iter().map(String::as_str).collect();
        let reason = format!("{} calls, {} expected", made.len(), expected.len());
        let matched = match self.order {
            Order::Exact => {
                return Ok(yes_or_no(&self.name, made == expected, reason));
            }
            Order::InOrder if made.len() > MOST_CALLS || expected.len() > MOST_CALLS => {
                return Err(MetricError::new(
                    MetricErrorKind::TooLarge,
                    "the trace has too many calls of tools to align them",
                ));
            }
            Order::InOrder => common(&expected, &made),
            Order::Any => {
                let mut left = made.clone();
                let mut taken = 0;
                for tool in &expected {
                    if let Some(at) = left.iter().position(|own| own == tool) {
                        left.swap_remove(at);
                        taken += 1;
                    }
                }
                taken
            }
        };
        let value = if expected.is_empty() {
            1.0
        } else {
            matched as f64 / expected.len() as f64
        };
        let reason = format!("{matched} of them matched; {reason}");
        Ok(Score::new(self.name.as_str(), value).because(reason))
    }
}

/// The length of the longest common subsequence.
fn common(a: &[&str], b: &[&str]) -> usize {
    let mut row = vec![0_usize; b.len() + 1];
    for left in a {
        let mut diagonal = 0;
        let mut before = 0;
        for (right, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            *cell = if left == right {
                diagonal + 1
            } else {
                above.max(before)
            };
            diagonal = above;
            before = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// 1 when a call of a tool had these arguments. Name of the score: `tool_arguments`.
#[derive(Clone)]
pub struct ToolArguments {
    name: String,
    tool: String,
    expected: Value,
    exact: bool,
}

impl ToolArguments {
    /// Arguments that a call has to have; it may have more. Of objects every expected field has to
    /// be there and fit, of lists every expected element has to be at its place.
    #[must_use]
    pub fn new(tool: impl Into<String>, expected: impl Into<Value>) -> Self {
        Self {
            name: "tool_arguments".to_owned(),
            tool: tool.into(),
            expected: expected.into(),
            exact: false,
        }
    }

    /// Whether a call may not have more. Default false.
    #[must_use]
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// The same metric under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl std::fmt::Debug for ToolArguments {
    /// Names, not what was asked for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolArguments")
            .field("name", &self.name)
            .field("tool", &self.tool)
            .field("exact", &self.exact)
            .finish_non_exhaustive()
    }
}

impl TraceMetric for ToolArguments {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, tree: &TraceTree) -> Result<Score, MetricError> {
        let calls = calls(tree);
        let mut count = 0;
        let mut fits = false;
        for span in calls.into_iter().filter(|span| is_named(span, &self.tool)) {
            count += 1;
            let input = span.input.as_ref().and_then(|input| input.to_value().ok());
            let input = input.unwrap_or(Value::Null);
            fits |= if self.exact {
                input == self.expected
            } else {
                contains(&input, &self.expected)
            };
        }
        let outcome = if fits { "one" } else { "none" };
        Ok(yes_or_no(
            &self.name,
            fits,
            format!("of {count} calls of {} {outcome} fits", self.tool),
        ))
    }
}

/// Whether a value has everything that is expected. Its depth is that of JSON that was read.
fn contains(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(fields), Value::Object(expected)) => expected
            .iter()
            .all(|(name, part)| fields.get(name).is_some_and(|value| contains(value, part))),
        (Value::Array(items), Value::Array(expected)) => {
            items.len() >= expected.len()
                && items
                    .iter()
                    .zip(expected)
                    .all(|(item, part)| contains(item, part))
        }
        // 1 and 1.0 are one number, however they were written.
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}
