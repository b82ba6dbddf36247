//! Where records go: the [`Exporter`] trait.
//!
//! An exporter takes a borrowed [`Batch`] and answers with a statement about every record in it.
//! Repeating is always safe: records have identifiers and moments, so a batch that arrives twice,
//! late or beside another one comes to the same as once and in order. That is what retries, spools
//! and several branches build on.

use std::fmt;
use std::time::Instant;

use async_trait::async_trait;

use crate::error::provider_error;
use crate::wire::WireExporter;
use crate::{ScoreRecord, Span, Trace};

/// Records on their way out, already redacted.
///
/// Rows are complete: a later row of the same record replaces an earlier one when its
/// `last_updated_at` is higher (equal: the later in the list), in whatever order they arrive.
///
/// ```
/// use opik_core::model::ScoreTarget;
/// use opik_core::{Batch, FeedbackScore, ScoreRecord, Timestamp, Trace, TraceId};
///
/// let trace = Trace::new(TraceId::generate(), Timestamp::now());
/// let target = ScoreTarget::Trace(trace.id);
/// let mut batch = Batch::new(vec![trace], vec![]);
/// batch.scores.push(ScoreRecord::new(target, FeedbackScore::new("relevance", 0.8)));
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Batch {
    /// Traces.
    pub traces: Vec<Trace>,
    /// Spans, in any order, also before their trace or without one.
    pub spans: Vec<Span>,
    /// Feedback scores, also before what they score.
    pub scores: Vec<ScoreRecord>,
}

impl Batch {
    /// A batch of traces and spans.
    #[must_use]
    pub fn new(traces: Vec<Trace>, spans: Vec<Span>) -> Self {
        Self {
            traces,
            spans,
            scores: Vec::new(),
        }
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.traces.len() + self.spans.len() + self.scores.len()
    }

    /// Whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.traces.clear();
        self.spans.clear();
        self.scores.clear();
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportReport {
    /// Records taken: durable, or acknowledged by the other side.
    pub accepted: usize,
    /// Records refused for good, with a reason each that quotes no content.
    pub rejected: Vec<Rejection>,
}

impl ExportReport {
    /// A report in which nothing was refused.
    #[must_use]
    pub fn accepted(count: usize) -> Self {
        Self {
            accepted: count,
            rejected: Vec::new(),
        }
    }
}

/// One refused record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rejection {
    /// Kind and identifier, for example `span 01a1…`.
    pub record: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Takes batches of redacted records to where they are kept.
///
/// Contract, checked by `opik_testkit::exporter_suite`:
/// - `Ok` means every record is either accepted (a reader of the same place sees it) or listed as
///   rejected; one bad record never costs the others.
/// - Exporting the same batch again changes nothing.
/// - Of several rows of one record the one with the highest `last_updated_at` stays, whole: fields
///   are not merged. Of equal ones the later stays; a row without one is of the moment of arrival.
/// - Spans are kept before their trace and without one, scores before what they score.
/// - A score is replaced by target, name and author; a newer row of the target leaves it.
/// - An `Err` with [`ExportError::is_retryable`] may be repeated with the same batch.
/// - An empty batch is `Ok` and does nothing.
/// - A cancelled call (dropped future) leaves a state that a repetition repairs.
#[async_trait]
pub trait Exporter: Send + Sync + fmt::Debug {
    /// Takes one batch.
    ///
    /// # Errors
    /// [`ExportError`] when no statement about the batch as a whole can be made.
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError>;

    /// Waits until what was accepted before is durable.
    ///
    /// # Errors
    /// [`ExportError`] when that cannot be promised.
    async fn flush(&self) -> Result<(), ExportError>;

    /// Says that the caller ends at that moment: answers that come later are given up, and what they
    /// would have said is lost. An exporter with a second way for a batch takes it in time.
    ///
    /// A hint, also for a call that is under way. It must return at once; it may come from another
    /// thread, more than once and never. An exporter before another one passes it on. Does nothing
    /// unless an exporter says otherwise.
    fn closing(&self, _deadline: Instant) {}

    /// This exporter as one that takes encoded rows, where it is one: that saves making values that
    /// would only be encoded again.
    fn wire(&self) -> Option<&dyn WireExporter> {
        None
    }
}

provider_error! {
    /// Why an [`Exporter`] failed.
    ExportError,
    /// Kinds of failure of an [`Exporter`].
    ExportErrorKind {
        /// The other side cannot be reached or failed (connection, 5xx, locked file).
        Unavailable,
        /// No answer within the time allowed.
        Timeout,
        /// Too many requests; see [`ExportError::retry_after`].
        RateLimited,
        /// Key or workspace not accepted.
        Unauthorized,
        /// The whole batch is unacceptable.
        Rejected,
        /// The batch is too large.
        TooLarge,
        /// No room, or not writable.
        Storage,
        /// The exporter was closed.
        Closed,
        /// A defect of the exporter.
        Internal,
    },
    retryable: Unavailable | Timeout | RateLimited | Storage
}
