//! What a policy speaks of: fields, and kinds of records.

use std::fmt;
use std::ops::BitOr;

use opik_core::SpanType;

/// A field of a trace, span or score that a [`Policy`](crate::Policy) decides on.
///
/// Identifiers, times, durations and the values of scores are no fields: they always pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// What the program calls the trace or span.
    Name,
    /// What went in.
    Input,
    /// What came out.
    Output,
    /// Metadata under keys that are not allowed one by one.
    Metadata,
    /// Tags.
    Tags,
    /// The model that was called.
    Model,
    /// Who serves the model.
    Provider,
    /// Token counts.
    Usage,
    /// Cost.
    Cost,
    /// Kind of an error.
    ErrorType,
    /// Text of an error.
    ErrorMessage,
    /// The conversation that a trace, or a score, belongs to.
    ThreadId,
    /// Name of a score.
    ScoreName,
    /// Category of a score.
    ScoreCategory,
    /// Why a score was given.
    ScoreReason,
}

impl Field {
    pub(super) const COUNT: usize = 15;

    /// What stands for a hidden label, before the hash.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Input => "input",
            Self::Output => "output",
            Self::Metadata => "metadata",
            Self::Tags => "tag",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Usage => "usage",
            Self::Cost => "cost",
            Self::ErrorType => "error",
            Self::ErrorMessage => "message",
            Self::ThreadId => "thread",
            Self::ScoreName => "score",
            Self::ScoreCategory => "category",
            Self::ScoreReason => "reason",
        }
    }
}

/// A set of kinds of records: traces, and spans by their type.
///
/// Made of a [`SpanType`], of several, or of the constants, which `|` joins. A span of a type that
/// this library does not know counts as general.
///
/// ```
/// use opik_core::SpanType;
/// use opik_observe::Kinds;
///
/// let kinds = Kinds::from([SpanType::Tool, SpanType::Llm]) | Kinds::TRACE;
/// assert_ne!(kinds, Kinds::ALL);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// Traces.
    pub const TRACE: Self = Self(1);
    /// Spans of type `general`, and of types that this library does not know.
    pub const GENERAL: Self = Self(2);
    /// Spans of type `tool`.
    pub const TOOL: Self = Self(4);
    /// Spans of type `llm`.
    pub const LLM: Self = Self(8);
    /// Spans of type `guardrail`.
    pub const GUARDRAIL: Self = Self(16);
    /// All spans.
    pub const SPANS: Self = Self(2 | 4 | 8 | 16);
    /// Everything.
    pub const ALL: Self = Self(1 | 2 | 4 | 8 | 16);

    pub(super) const NONE: Self = Self(0);

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kind of a span, by the word for its type.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "llm" => Self::LLM,
            "tool" => Self::TOOL,
            "guardrail" => Self::GUARDRAIL,
            _ => Self::GENERAL,
        }
    }
}

impl BitOr for Kinds {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<SpanType> for Kinds {
    fn from(kind: SpanType) -> Self {
        Self::of_word(kind.as_str())
    }
}

impl<const N: usize> From<[SpanType; N]> for Kinds {
    fn from(kinds: [SpanType; N]) -> Self {
        kinds
            .into_iter()
            .fold(Self::NONE, |all, kind| all | Self::from(kind))
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (Self::TRACE, "trace"),
            (Self::GENERAL, "general"),
            (Self::TOOL, "tool"),
            (Self::LLM, "llm"),
            (Self::GUARDRAIL, "guardrail"),
        ];
        let names = named
            .into_iter()
            .filter_map(|(kind, name)| self.contains(kind).then_some(name));
        f.debug_set().entries(names).finish()
    }
}
