//! Files of traces and spans on their way.

use std::fmt;

use crate::{SpanId, TraceId};

/// A file that belongs to a trace or span. `Debug` prints names and sizes only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireAttachment {
    /// The trace that it belongs to, or whose span it belongs to.
    pub trace: TraceId,
    /// The span that it belongs to; the trace itself where absent.
    pub span: Option<SpanId>,
    /// The project of the trace; that of the exporter where absent.
    pub project_name: Option<String>,
    /// Its name, unique within the trace or span.
    pub file_name: String,
    /// Its type, for example `image/png`.
    pub mime_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl WireAttachment {
    /// A file of a trace.
    #[must_use]
    pub fn new(
        trace: TraceId,
        file_name: impl Into<String>,
        mime_type: impl Into<String>,
        bytes: Vec<u8>,
    ) -> Self {
        Self {
            trace,
            span: None,
            project_name: None,
            file_name: file_name.into(),
            mime_type: mime_type.into(),
            bytes,
        }
    }
}

impl fmt::Debug for WireAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireAttachment")
            .field("trace", &self.trace)
            .field("span", &self.span)
            .field("mime_type", &self.mime_type)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
