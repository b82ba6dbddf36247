//! What the analysis hands out: claims with numbers, span ids and the way they were computed.
//!
//! A [`Finding`] can be checked by anyone who has the trace: its claim is a plain sentence, its
//! numbers carry units, it names the spans that it speaks of, and its method says which rule
//! produced it. The text of a claim never contains control characters, and quotes of recorded
//! content are short.

use std::borrow::Cow;
use std::fmt;

use opik_core::SpanId;
use serde::{Serialize, Serializer};

/// The number of a finding in its evidence; prints as `F1`, `F2` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingId(pub u32);

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{}", self.0)
    }
}

impl Serialize for FindingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// Where an error began, and how far it went.
    ErrorOrigin,
    /// An error that no caller reported.
    SwallowedError,
    /// An error that a later attempt made good.
    RecoveredError,
    /// The model call that produced the failing action.
    Culprit,
    /// A known kind of failure: rate limit, timeout, context overflow, cut or missing output.
    TypedFailure,
    /// The spans that the duration of the trace consists of.
    CriticalPath,
    /// How much faster the trace would be if one span were.
    WhatIf,
    /// Time that no span explains.
    Uninstrumented,
    /// Work that went on after its parent, or the trace, had ended.
    AsyncTail,
    /// Work beside the critical path.
    Parallel,
    /// The same call again after it had failed.
    Retry,
    /// A sequence of calls that repeats exactly.
    Loop,
    /// A sequence of calls that repeats but for numbers.
    NearLoop,
    /// Many small calls in a row that one call could replace.
    ManySmallCalls,
    /// Equal calls at different places, which a cache would save.
    DuplicateCall,
    /// Replies of a model that say nearly the same again.
    SimilarReplies,
    /// A call below itself with the same input.
    Recursion,
    /// Two agents that hand over to each other again and again.
    PingPong,
    /// Where the money goes.
    CostHotSpot,
    /// Where the tokens go.
    TokenHotSpot,
    /// Prompts that grow from call to call.
    ContextGrowth,
    /// Prompts that begin like the one before, which a prompt cache would save.
    CacheablePrompt,
    /// Descriptions of tools that are sent and never used.
    UnusedTools,
    /// Cost that was spent after the first error that nothing made good.
    CostAfterError,
    /// A span that differs much from others of its name.
    Outlier,
    /// A defect of the recorded data.
    DataQuality,
    /// How two spans or traces differ.
    Difference,
    /// How long the trace or a span took beside those of other traces of its name.
    SlowAgainstPeers,
    /// Spans that other traces of its name have more or less often.
    StructureAgainstPeers,
    /// What bad traces of its name have more often than good ones.
    OverRepresented,
    /// What the trace is, in numbers.
    Overview,
}

/// The unit of a [`Quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Parts of a hundred.
    #[serde(rename = "%")]
    Percent,
    /// Tokens.
    #[serde(rename = "tokens")]
    Tokens,
    /// US dollars.
    #[serde(rename = "usd")]
    Dollars,
    /// A number of things.
    #[serde(rename = "count")]
    Count,
    /// A number without a unit: a ratio or a score.
    #[serde(rename = "ratio")]
    Ratio,
}

impl Unit {
    /// The unit as it is written behind a number; empty for counts and ratios.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Percent => "%",
            Self::Tokens => "tokens",
            Self::Dollars => "USD",
            Self::Count | Self::Ratio => "",
        }
    }
}

/// A number of a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Quantity {
    /// What is measured, in `snake_case`.
    pub name: Cow<'static, str>,
    /// How much; always finite.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// How much a finding can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Confidence {
    /// A guess that is often right.
    Low,
    /// A rule that is right most of the time.
    Medium,
    /// A rule with few exceptions.
    High,
    /// Arithmetic over what was recorded.
    Exact,
}

impl Confidence {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Exact => "exact",
        }
    }
}

/// One claim about a trace, with everything that is needed to check it.
///
/// ```
/// use opik_assist::finding::{Confidence, Finding, FindingKind, Unit};
///
/// let finding = Finding::new(FindingKind::Retry, "the call was made 3 times")
///     .number("attempts", 3.0, Unit::Count)
///     .confidence(Confidence::High)
///     .method("equal name, type and input; all but the last failed");
/// assert_eq!(finding.numbers[0].value, 3.0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its number; given by the evidence that it is a part of, `F0` until then.
    pub id: FindingId,
    /// What it is about.
    pub kind: FindingKind,
    /// A plain sentence with the numbers that matter.
    pub claim: String,
    /// All the numbers.
    pub numbers: Vec<Quantity>,
    /// The spans that it speaks of, the most important first.
    pub spans: Vec<SpanId>,
    /// How much it can be relied on.
    pub confidence: Confidence,
    /// How it was computed, for someone who wants to do it again.
    pub method: Cow<'static, str>,
}

impl Finding {
    /// A finding with a claim, without numbers and spans, of medium confidence.
    #[must_use]
    pub fn new(kind: FindingKind, claim: impl Into<String>) -> Self {
        Self {
            id: FindingId(0),
            kind,
            claim: claim.into(),
            numbers: Vec::new(),
            spans: Vec::new(),
            confidence: Confidence::Medium,
            method: Cow::Borrowed(""),
        }
    }

    /// Adds a number; one that is not finite is left out.
    #[must_use]
    pub fn number(mut self, name: impl Into<Cow<'static, str>>, value: f64, unit: Unit) -> Self {
        if value.is_finite() {
            self.numbers.push(Quantity {
                name: name.into(),
                value,
                unit,
            });
        }
        self
    }

    /// Adds a span.
    #[must_use]
    pub fn span(mut self, span: SpanId) -> Self {
        self.spans.push(span);
        self
    }

    /// Adds spans.
    #[must_use]
    pub fn spans(mut self, spans: impl IntoIterator<Item = SpanId>) -> Self {
        self.spans.extend(spans);
        self
    }

    /// Sets the confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// Sets the description of how it was computed.
    #[must_use]
    pub fn method(mut self, method: impl Into<Cow<'static, str>>) -> Self {
        self.method = method.into();
        self
    }

    /// The number with this name.
    #[must_use]
    pub fn quantity(&self, name: &str) -> Option<f64> {
        self.numbers
            .iter()
            .find(|number| number.name == name)
            .map(|number| number.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind, with the words by which the guide introduces it.
    fn in_the_guide(kind: FindingKind) -> &'static str {
        use FindingKind as Kind;
        match kind {
            Kind::ErrorOrigin => "| error origin |",
            Kind::SwallowedError => "| swallowed error |",
            Kind::RecoveredError => "| recovered error |",
            Kind::Culprit => "| culprit |",
            Kind::TypedFailure => "| typed failure |",
            Kind::CriticalPath => "**The critical path** is",
            Kind::WhatIf => "**What if** says",
            Kind::Uninstrumented => "**Uninstrumented** is",
            Kind::AsyncTail => "**Async tail** is",
            Kind::Parallel => "**Beside the path** lists",
            Kind::Retry => "| retry |",
            Kind::Loop => "| loop |",
            Kind::NearLoop => "| near loop |",
            Kind::ManySmallCalls => "| many small calls |",
            Kind::DuplicateCall => "| duplicate calls |",
            Kind::SimilarReplies => "| similar replies |",
            Kind::Recursion => "| recursion |",
            Kind::PingPong => "| ping-pong |",
            Kind::CostHotSpot | Kind::TokenHotSpot => "**Hot spots** are",
            Kind::ContextGrowth => "**Context growth** means",
            Kind::CacheablePrompt => "**Cacheable prompts.**",
            Kind::UnusedTools => "**Unused tools** are",
            Kind::CostAfterError => "**Cost after the first error** is",
            Kind::Outlier => "**Outliers** are",
            Kind::DataQuality => "## Data quality",
            Kind::Difference => "## Differences",
            Kind::SlowAgainstPeers => "| slow against peers |",
            Kind::StructureAgainstPeers => "| structure against peers |",
            Kind::OverRepresented => "| over-represented |",
            Kind::Overview => "**Overview** is",
        }
    }

    #[test]
    fn the_guide_explains_every_kind_and_says_where_each_can_be_wrong() {
        use FindingKind as Kind;
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/analysis.md");
        let guide = std::fs::read_to_string(path).unwrap();
        let guide: String = guide.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = [
            Kind::ErrorOrigin,
            Kind::SwallowedError,
            Kind::RecoveredError,
            Kind::Culprit,
            Kind::TypedFailure,
            Kind::CriticalPath,
            Kind::WhatIf,
            Kind::Uninstrumented,
            Kind::AsyncTail,
            Kind::Parallel,
            Kind::Retry,
            Kind::Loop,
            Kind::NearLoop,
            Kind::ManySmallCalls,
            Kind::DuplicateCall,
            Kind::SimilarReplies,
            Kind::Recursion,
            Kind::PingPong,
            Kind::CostHotSpot,
            Kind::TokenHotSpot,
            Kind::ContextGrowth,
            Kind::CacheablePrompt,
            Kind::UnusedTools,
            Kind::CostAfterError,
            Kind::Outlier,
            Kind::DataQuality,
            Kind::Difference,
            Kind::SlowAgainstPeers,
            Kind::StructureAgainstPeers,
            Kind::OverRepresented,
            Kind::Overview,
        ];
        for kind in all {
            let words = in_the_guide(kind);
            let (_, after) = guide
                .split_once(words)
                .unwrap_or_else(|| panic!("{kind:?}"));
            // Within the same part of the guide.
            let part = after.trim_start_matches('#');
            let wrong = part.find("*Where it can be wrong.*").unwrap();
            let next = part.find(" ## ").unwrap_or(part.len());
            assert!(wrong < next, "{kind:?}");
        }
    }

    #[test]
    fn a_finding_is_json_with_units() {
        let finding = Finding::new(FindingKind::SwallowedError, "one error")
            .number("lost", 2.5, Unit::Milliseconds)
            .number("nothing", f64::NAN, Unit::Ratio)
            .span(SpanId::from_bytes([0; 16]))
            .confidence(Confidence::Exact)
            .method("counted");
        insta::assert_snapshot!(serde_json::to_string(&finding).unwrap(), @r#"{"id":"F0","kind":"swallowed_error","claim":"one error","numbers":[{"name":"lost","value":2.5,"unit":"ms"}],"spans":["00000000-0000-0000-0000-000000000000"],"confidence":"exact","method":"counted"}"#);
    }
}
