//! Writing what the reader reads back.

use std::io::{self, Write};

use opik_core::{Span, Trace};
use serde::Serialize;

/// Writes a trace and its spans as one line of Opik JSONL, `{"trace": ..., "spans": [...]}`.
/// [`Reader`](crate::Reader) reads back equal records, once they have a `last_updated_at`.
///
/// ```
/// use opik_core::{Timestamp, Trace, TraceId};
/// use opik_formats::write_opik_jsonl;
///
/// let trace = Trace::new(TraceId::generate(), Timestamp::now());
/// let mut file = Vec::new();
/// write_opik_jsonl(&mut file, Some(&trace), &[])?;
/// assert!(file.starts_with(b"{\"trace\":{\"id\":") && file.ends_with(b"\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_opik_jsonl(
    mut out: impl Write,
    trace: Option<&Trace>,
    spans: &[Span],
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'r> {
        #[serde(skip_serializing_if = "Option::is_none")]
        trace: Option<&'r Trace>,
        spans: &'r [Span],
    }
    let mut line = serde_json::to_vec(&Line { trace, spans })?;
    // Content keeps its spelling, and a pretty-printed one has line ends between its tokens;
    // inside strings they are escaped.
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    out.write_all(&line)
}
