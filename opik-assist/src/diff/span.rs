//! Difference of two spans.

use opik_core::tree::NodeId;
use opik_core::{Span, SpanId, TraceId, TraceTree};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::content::{ContentDiff, diff_contents};
use super::text::excerpt;

/// A number in two spans or traces. Serialises with the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Delta<T> {
    /// In the first.
    pub before: T,
    /// In the second.
    pub after: T,
}

impl<T: Copy + PartialEq> Delta<T> {
    /// The two numbers.
    #[must_use]
    pub const fn new(before: T, after: T) -> Self {
        Self { before, after }
    }

    /// Whether they are equal.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.before == self.after
    }
}

impl Delta<i64> {
    /// By how much the second is more than the first.
    #[must_use]
    pub const fn change(self) -> i64 {
        self.after.saturating_sub(self.before)
    }

    /// The change relative to the first: 0.5 is half as much again; `None` when that is 0.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn ratio(self) -> Option<f64> {
        (self.before != 0).then(|| self.change() as f64 / self.before as f64)
    }
}

impl Delta<f64> {
    /// By how much the second is more than the first.
    #[must_use]
    pub fn change(self) -> f64 {
        self.after - self.before
    }
}

impl<T: Copy + Serialize + std::ops::Sub<Output = T>> Serialize for Delta<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Delta", 3)?;
        out.serialize_field("before", &self.before)?;
        out.serialize_field("after", &self.after)?;
        out.serialize_field("change", &(self.after - self.before))?;
        out.end()
    }
}

/// Which span is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpanRef {
    /// Its trace.
    pub trace: TraceId,
    /// Its identifier.
    pub span: SpanId,
    /// Its name; empty when it has none.
    pub name: String,
    /// Its type: `llm`, `tool`, `guardrail` or `general`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl SpanRef {
    pub(super) fn of(span: &Span) -> Self {
        Self {
            trace: span.trace_id,
            span: span.id,
            name: span.name.clone().unwrap_or_default(),
            kind: span.kind().as_str().to_owned(),
        }
    }
}

/// A plain field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldChange {
    /// The name of the field on the wire.
    pub field: &'static str,
    /// In the first span.
    pub before: Option<String>,
    /// In the second span.
    pub after: Option<String>,
}

/// A token count that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CountChange {
    /// The name of the count, for example `prompt_tokens`.
    pub name: String,
    /// In the first span.
    pub before: Option<i64>,
    /// In the second span.
    pub after: Option<i64>,
}

/// The difference of two spans, of one trace or of two.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpanDiff {
    /// The first span.
    pub before: SpanRef,
    /// The second span.
    pub after: SpanRef,
    /// Duration in microseconds.
    pub duration_us: Delta<i64>,
    /// Duration without what the children cover, in microseconds.
    pub self_time_us: Delta<i64>,
    /// Time to the first token in milliseconds, where both have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<Delta<f64>>,
    /// Direct children.
    pub children: Delta<i64>,
    /// Name, type, model, provider, tags, environment and error, where they differ.
    pub fields: Vec<FieldChange>,
    /// Token counts that differ.
    pub usage: Vec<CountChange>,
    /// Cost in US dollars, where one of them has it; the other counts as 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Delta<f64>>,
    /// Whether a cost was recorded, in the first and in the second span.
    #[serde(skip)]
    pub cost_recorded: [bool; 2],
    /// What went in.
    pub input: ContentDiff,
    /// What came out.
    pub output: ContentDiff,
    /// Anything else; parameters of model calls are usually here.
    pub metadata: ContentDiff,
}

impl SpanDiff {
    /// Whether the spans are equal in everything but their identifiers and their place in time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.duration_us.is_zero()
            && self.self_time_us.is_zero()
            && self.children.is_zero()
            && self.ttft_ms.is_none_or(Delta::is_zero)
            && self.fields.is_empty()
            && self.usage.is_empty()
            && self.cost_usd.is_none_or(Delta::is_zero)
            && self.input.is_empty()
            && self.output.is_empty()
            && self.metadata.is_empty()
    }
}

/// Compares two spans.
///
/// # Panics
/// When a node belongs to a larger tree, as [`TraceTree::span`] does.
#[must_use]
pub fn diff_spans(
    before: &TraceTree,
    first: NodeId,
    after: &TraceTree,
    second: NodeId,
) -> SpanDiff {
    let (old, new) = (before.span(first), after.span(second));
    let count = |tree: &TraceTree, node| i64::try_from(tree.children(node).count()).unwrap_or(0);
    let cost = Delta::new(old.total_estimated_cost, new.total_estimated_cost);
    let has_cost = cost.before.is_some() || cost.after.is_some();
    SpanDiff {
        before: SpanRef::of(old),
        after: SpanRef::of(new),
        duration_us: Delta::new(
            before.interval(first).micros(),
            after.interval(second).micros(),
        ),
        self_time_us: Delta::new(own_micros(before, first), own_micros(after, second)),
        ttft_ms: old.ttft.zip(new.ttft).map(|(a, b)| Delta::new(a, b)),
        children: Delta::new(count(before, first), count(after, second)),
        fields: diff_fields(old, new),
        usage: diff_usage(old, new),
        cost_usd: has_cost
            .then(|| Delta::new(cost.before.unwrap_or(0.0), cost.after.unwrap_or(0.0))),
        cost_recorded: [cost.before.is_some(), cost.after.is_some()],
        input: diff_contents(old.input.as_ref(), new.input.as_ref()),
        output: diff_contents(old.output.as_ref(), new.output.as_ref()),
        metadata: diff_contents(old.metadata.as_ref(), new.metadata.as_ref()),
    }
}

/// Duration minus the union of the children, for one span: see [`crate::self_time`].
fn own_micros(tree: &TraceTree, node: NodeId) -> i64 {
    let own = tree.interval(node);
    let (mut reached, mut covered) = (own.start, 0);
    for child in tree.children(node) {
        let times = tree.interval(child);
        let (start, end) = (times.start.max(reached), times.end.min(own.end));
        if start < end {
            covered += end.micros_since(start);
            reached = end;
        }
    }
    own.micros() - covered
}

fn diff_fields(old: &Span, new: &Span) -> Vec<FieldChange> {
    let fields = |span: &Span| {
        let error = span.error_info.as_ref();
        [
            ("name", span.name.clone()),
            ("type", Some(span.kind().as_str().to_owned())),
            ("model", span.model.clone()),
            ("provider", span.provider.clone()),
            ("environment", span.environment.clone()),
            (
                "tags",
                (!span.tags.is_empty()).then(|| span.tags.join(", ")),
            ),
            (
                "error_type",
                error.map(|error| error.exception_type.clone()),
            ),
            (
                "error_message",
                error.and_then(|error| error.message.clone()),
            ),
        ]
    };
    let short = |text: Option<String>| text.map(|text| excerpt(&text));
    let pairs = fields(old).into_iter().zip(fields(new));
    pairs
        .filter(|((_, before), (_, after))| before != after)
        .map(|((field, before), (_, after))| FieldChange {
            field,
            before: short(before),
            after: short(after),
        })
        .collect()
}

fn diff_usage(old: &Span, new: &Span) -> Vec<CountChange> {
    let (old, new) = (&old.usage.0, &new.usage.0);
    let added = new.keys().filter(|name| !old.contains_key(*name));
    old.keys()
        .chain(added)
        .map(|name| CountChange {
            name: name.clone(),
            before: old.get(name).copied(),
            after: new.get(name).copied(),
        })
        .filter(|count| count.before != count.after)
        .collect()
}
