//! What is wrong with recorded data.

use std::fmt;

use crate::SpanId;

/// A kind of defect in recorded spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum QualityKind {
    /// The parent is not in the trace; the shortest enclosing span was chosen, or the span is a
    /// root.
    Orphan,
    /// The span is a root, and not the first one.
    SeveralRoots,
    /// Spans are each other's ancestors; the link of this one was cut.
    Cycle,
    /// The identifier was recorded more than once; the newest row was kept.
    DuplicateId,
    /// The span belongs to another trace.
    ForeignTrace,
    /// No end was recorded; it was taken from the nearest finished span above or the trace, or
    /// from the descendants when they end later.
    Unfinished,
    /// The end is before the start; the duration was taken as zero.
    NegativeDuration,
    /// No start was recorded; it was taken from the descendants or the trace.
    UnknownStart,
    /// The clock differs from the caller's; the span was moved into its caller.
    ClockSkew,
    /// The span begins before its parent or ends after it.
    OutsideParent,
}

impl QualityKind {
    /// A short name in `snake_case`, for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::SeveralRoots => "several_roots",
            Self::Cycle => "cycle",
            Self::DuplicateId => "duplicate_id",
            Self::ForeignTrace => "foreign_trace",
            Self::Unfinished => "unfinished",
            Self::NegativeDuration => "negative_duration",
            Self::UnknownStart => "unknown_start",
            Self::ClockSkew => "clock_skew",
            Self::OutsideParent => "outside_parent",
        }
    }
}

impl fmt::Display for QualityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One defect of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QualityIssue {
    /// What is wrong.
    pub kind: QualityKind,
    /// With which span.
    pub span: SpanId,
    /// By how many microseconds, where that makes sense: the shift of a clock, the missing or
    /// excess time.
    pub micros: Option<i64>,
}
