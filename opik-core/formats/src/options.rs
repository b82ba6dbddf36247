//! How to read.

use std::collections::BTreeMap;
use std::fmt;

use opik_core::Timestamp;

/// A format of trace files, seen by the members of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Opik's records: `{"trace", "spans"}`, `{"trace"}`, `{"span"}`, a bare trace or span (`id`
    /// and `start_time`, a span also has `trace_id`), the bodies of Opik's batch requests
    /// (`{"traces": []}`, `{"spans": []}`), or pages of its lists (`{"content": []}`).
    Opik,
    /// An OTLP request as JSON: `{"resourceSpans": []}`.
    Otlp,
    /// Jaeger's JSON: `{"data": []}`, a bare trace (`traceID` and `spans`), or `{"trace": {"traceID"}}`.
    Jaeger,
    /// Flat span lists: `{"trace_id", "spans": [{"id", "parent", "start_us", "end_us"}]}`.
    Flat,
    /// Vyasa's telemetry: one event a line, `{"event_type", "job_id"}`.
    Vyasa,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::Opik,
        Self::Otlp,
        Self::Jaeger,
        Self::Flat,
        Self::Vyasa,
    ];

    /// Its name for command lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opik => "opik",
            Self::Otlp => "otlp",
            Self::Jaeger => "jaeger",
            Self::Flat => "flat",
            Self::Vyasa => "vyasa",
        }
    }

    /// The format with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a [`Reader`](crate::Reader) reads. The default takes any format, leaves projects as they
/// are, goes on after problems, and yields a batch per document of at most 256 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    pub(crate) format: Option<Format>,
    pub(crate) project: Option<String>,
    pub(crate) strict: bool,
    pub(crate) max_document_bytes: usize,
    pub(crate) batch_records: usize,
    pub(crate) starts: BTreeMap<String, Timestamp>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            project: None,
            strict: false,
            max_document_bytes: 256 << 20,
            batch_records: 1,
            starts: BTreeMap::new(),
        }
    }
}

impl ReadOptions {
    /// Reads every document as this format, instead of looking at its members.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Puts every record into this project, whatever the file says.
    #[must_use]
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.project = Some(name.into());
        self
    }

    /// Makes the first problem an error.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Longest document in bytes, after decompression; a longer one is a problem and is skipped.
    #[must_use]
    pub fn max_document_bytes(mut self, bytes: usize) -> Self {
        self.max_document_bytes = bytes;
        self
    }

    /// Says when foreign traces started, by their identifier, so that records of one trace in
    /// several inputs get one identifier.
    #[must_use]
    pub fn starts(mut self, starts: BTreeMap<String, Timestamp>) -> Self {
        self.starts = starts;
        self
    }

    /// Joins documents until a batch has this many records (default 1: a batch per document).
    /// A document is never split.
    #[must_use]
    pub fn batch_records(mut self, records: usize) -> Self {
        self.batch_records = records.max(1);
        self
    }
}
