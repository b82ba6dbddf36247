//! The critical path: which span the trace was waiting for at each moment.

use opik_core::tree::NodeId;
use opik_core::{Timestamp, TraceTree};

/// A stretch of the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The span that the trace waited for; `None` where no span ran between several roots.
    pub node: Option<NodeId>,
    /// When the stretch begins.
    pub start: Timestamp,
    /// When it ends; later than its start.
    pub end: Timestamp,
}

/// The critical path of a trace.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CriticalPath {
    /// From the end of the root back to its start, without a gap or an overlap.
    pub segments: Vec<Segment>,
}

/// Computes the critical path.
#[must_use]
pub fn critical_path(_tree: &TraceTree) -> CriticalPath {
    CriticalPath::default()
}
