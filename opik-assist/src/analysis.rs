//! All the evidence about one trace in one call.

use opik_core::TraceTree;

use crate::PerNode;
use crate::critical_path::{CriticalPath, critical_path};
use crate::finding::{Finding, FindingId};
use crate::self_time::self_times;

/// What was computed about a trace: typed results, and the same as ranked findings.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Evidence {
    /// Which span the trace was waiting for at each moment.
    pub critical_path: CriticalPath,
    /// What each span did itself, in microseconds.
    pub self_times: PerNode<i64>,
    /// The claims, the most important first, numbered from `F1`.
    pub findings: Vec<Finding>,
}

impl Evidence {
    /// The finding with this number.
    #[must_use]
    pub fn finding(&self, id: FindingId) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }
}

/// Computes all the evidence about a trace: no IO, no clock, no model. Equal trees give equal
/// evidence.
#[must_use]
pub fn analyse(tree: &TraceTree) -> Evidence {
    Evidence {
        critical_path: critical_path(tree),
        self_times: self_times(tree),
        findings: Vec::new(),
    }
}
