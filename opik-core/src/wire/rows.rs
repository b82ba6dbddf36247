//! Rows of one kind as one text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::model::ScoreTarget;
use crate::{SpanId, TraceId};

/// The lists of Opik's write API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum List {
    /// Traces.
    Traces,
    /// Spans.
    Spans,
    /// Feedback scores of traces.
    TraceScores,
    /// Feedback scores of spans.
    SpanScores,
    /// Feedback scores of threads.
    ThreadScores,
}

impl List {
    /// All lists, in the order in which they are sent.
    pub const ALL: [Self; 5] = [
        Self::Traces,
        Self::Spans,
        Self::TraceScores,
        Self::SpanScores,
        Self::ThreadScores,
    ];

    /// What a request with rows of this list begins with.
    fn opening(self) -> &'static [u8] {
        match self {
            Self::Traces => b"{\"traces\":[",
            Self::Spans => b"{\"spans\":[",
            Self::TraceScores | Self::SpanScores | Self::ThreadScores => b"{\"scores\":[",
        }
    }
}

/// What such a request ends with.
const CLOSING: &[u8] = b"]}";

/// What a row is of. `Display` names it in reports, for example `span 01a1…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RowId {
    /// A trace.
    Trace(TraceId),
    /// A span.
    Span(SpanId),
    /// A score of a trace.
    TraceScore(TraceId),
    /// A score of a span.
    SpanScore(SpanId),
    /// A score of a thread, whose name is content.
    ThreadScore,
}

impl RowId {
    /// What the row of a score of this target is of.
    #[must_use]
    pub fn of_score(target: &ScoreTarget) -> Self {
        match target {
            ScoreTarget::Trace(id) => Self::TraceScore(*id),
            ScoreTarget::Span(id) => Self::SpanScore(*id),
            ScoreTarget::Thread(_) => Self::ThreadScore,
        }
    }

    /// The list that the row belongs to.
    #[must_use]
    pub fn list(&self) -> List {
        match self {
            Self::Trace(_) => List::Traces,
            Self::Span(_) => List::Spans,
            Self::TraceScore(_) => List::TraceScores,
            Self::SpanScore(_) => List::SpanScores,
            Self::ThreadScore => List::ThreadScores,
        }
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trace(id) => write!(f, "trace {id}"),
            Self::Span(id) => write!(f, "span {id}"),
            Self::TraceScore(id) => write!(f, "score of trace {id}"),
            Self::SpanScore(id) => write!(f, "score of span {id}"),
            Self::ThreadScore => f.write_str("score of a thread"),
        }
    }
}

/// The rows of one list as the text of a request, which is sent as it lies here.
///
/// Any run of rows is a slice of that text. `Debug` prints sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Rows {
    list: List,
    /// Empty, or the request with all rows. Shared with those who send it.
    text: Arc<Vec<u8>>,
    ends: Vec<usize>,
    ids: Vec<RowId>,
}

impl Rows {
    /// No rows yet, of this list.
    #[must_use]
    pub fn of(list: List) -> Self {
        Self {
            list,
            text: Arc::default(),
            ends: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Appends a row that `write` writes behind what is there. When it fails, nothing of the row stays.
    ///
    /// # Errors
    /// What `write` returns.
    pub fn push_with<E>(
        &mut self,
        id: RowId,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let text = Arc::make_mut(&mut self.text);
        let before = match self.ends.last() {
            Some(end) => {
                text.truncate(*end);
                text.push(b',');
                *end
            }
            None => {
                text.clear();
                text.extend_from_slice(self.list.opening());
                0
            }
        };
        let written = write(text);
        if written.is_ok() {
            self.ends.push(text.len());
            self.ids.push(id);
        } else {
            text.truncate(before);
        }
        if !self.ends.is_empty() {
            text.extend_from_slice(CLOSING);
        }
        written
    }

    /// Appends a row.
    pub fn push(&mut self, id: RowId, row: &[u8]) {
        let write = |text: &mut Vec<u8>| {
            text.extend_from_slice(row);
            Ok::<(), std::convert::Infallible>(())
        };
        // Appending to a `Vec` does not fail.
        self.push_with(id, write).ok();
    }

    /// A request with all rows: `{"spans":[...]}`. Empty without rows.
    ///
    /// Not copied: rows that are appended while somebody still has it go into a copy.
    #[must_use]
    pub fn request(&self) -> Arc<Vec<u8>> {
        let end = self.ends.last().map_or(0, |end| end + CLOSING.len());
        if self.text.len() == end {
            return Arc::clone(&self.text);
        }
        // What wrote the last row panicked.
        let mut text = Vec::new();
        if !self.is_empty() {
            self.write_request(&(0..self.len()), &mut text);
        }
        Arc::new(text)
    }

    /// A request with some of the rows, written to the end of `out`.
    pub fn write_request(&self, range: &Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.list.opening());
        out.extend_from_slice(self.text_of(range));
        out.extend_from_slice(CLOSING);
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Size of a request with all rows in bytes; 0 without rows.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Forgets the rows and keeps the memory, unless a request still has it.
    pub fn clear(&mut self) {
        match Arc::get_mut(&mut self.text) {
            Some(text) => text.clear(),
            None => self.text = Arc::default(),
        }
        self.ends.clear();
        self.ids.clear();
    }

    /// What a row is of.
    #[must_use]
    pub fn id(&self, index: usize) -> Option<RowId> {
        self.ids.get(index).copied()
    }

    /// Size of a row in bytes; 0 where there is none.
    #[must_use]
    pub fn size(&self, index: usize) -> usize {
        self.text_of(&(index..index.saturating_add(1))).len()
    }

    /// The text of some rows, without the comma after them: the inside of a JSON list.
    #[must_use]
    pub fn text_of(&self, range: &Range<usize>) -> &[u8] {
        let end = range.end.min(self.len());
        if range.start >= end {
            return &[];
        }
        self.text
            .get(self.start(range.start)..self.start(end).saturating_sub(1))
            .unwrap_or_default()
    }

    /// Every row with what it is of.
    pub fn iter(&self) -> impl Iterator<Item = (RowId, &[u8])> {
        let row = |(index, id): (usize, &RowId)| (*id, self.text_of(&(index..index + 1)));
        self.ids.iter().enumerate().map(row)
    }

    /// Where a row begins; for the one after the last, where it would.
    fn start(&self, index: usize) -> usize {
        let before = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        before.map_or(self.list.opening().len(), |end| end + 1)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("rows", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
