//! All the evidence about one trace in one call.

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use crate::cacheable::{self, Cacheable, UnusedTools, cacheable_of, unused_tools_of};
use crate::claims;
use crate::context_growth::{ContextGrowth, context_growth};
use crate::critical_path::{CriticalPath, critical_path};
use crate::errors::{Errors, errors};
use crate::finding::{Finding, FindingId, FindingKind};
use crate::missing_output::{MissingOutput, missing_outputs};
use crate::outliers::{Outlier, outliers_with};
use crate::per_node::PerNode;
use crate::ping_pong::{PingPong, ping_pongs};
use crate::repetition::{Repetition, repetitions};
use crate::self_time::self_times;
use crate::signature::Signatures;
use crate::spend::{Spend, spend};
use crate::truncation::truncated;

/// What was computed about a trace: typed results, and the same as ranked findings.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Evidence {
    /// Which span the trace was waiting for at each moment.
    pub critical_path: CriticalPath,
    /// What each span did itself, in microseconds.
    pub self_times: PerNode<i64>,
    /// Where errors began, how far they went, and who stopped them.
    pub errors: Errors,
    /// Model calls whose reply was cut.
    pub truncated: Vec<NodeId>,
    /// Calls that ended without an error and gave nothing back.
    pub missing_outputs: Vec<MissingOutput>,
    /// Cost and tokens.
    pub spend: Spend,
    /// Prompts that grow from call to call.
    pub context_growth: Vec<ContextGrowth>,
    /// Prompts that begin like the one before, the most tokens first.
    pub cacheable: Vec<Cacheable>,
    /// Tools that are described and not used, the most tokens first.
    pub unused_tools: Vec<UnusedTools>,
    /// Retries, loops and other repeated work, the most wasteful first.
    pub repetitions: Vec<Repetition>,
    /// Two agents that hand over to each other again and again, the longest stretch first.
    pub ping_pongs: Vec<PingPong>,
    /// Spans that took much longer than others of their kind.
    pub outliers: Vec<Outlier>,
    /// The claims, the most important first, numbered from `F1`.
    pub findings: Vec<Finding>,
}

impl Evidence {
    /// The finding with this number.
    #[must_use]
    pub fn finding(&self, id: FindingId) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// Adds findings that were computed elsewhere, for example by a comparison with
    /// [peers](crate::peers), behind the others and numbered after them. Returns their numbers.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) -> Vec<FindingId> {
        let last = self.findings.last().map_or(0, |finding| finding.id.0);
        let numbered = findings.into_iter().zip(last + 1..);
        let numbered = numbered.map(|(mut finding, number)| {
            finding.id = FindingId(number);
            finding
        });
        let before = self.findings.len();
        self.findings.extend(numbered);
        let new = self.findings.get(before..).unwrap_or_default();
        new.iter().map(|finding| finding.id).collect()
    }

    /// The findings of a kind, the most important first.
    pub fn of_kind(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.kind == kind)
    }
}

/// Computes all the evidence about a trace: no IO, no clock, no model. Equal trees give equal
/// evidence. `O(n log n)` in the number of spans, and linear in the size of their content.
#[must_use]
pub fn analyse(tree: &TraceTree) -> Evidence {
    let errors = errors(tree);
    let spend = spend(tree);
    let repetitions = repetitions(tree, &errors, &spend, &Signatures::new(tree));
    let self_times = self_times(tree);
    let prompts = cacheable::groups(tree);
    let mut evidence = Evidence {
        critical_path: critical_path(tree),
        truncated: truncated(tree),
        missing_outputs: missing_outputs(tree),
        cacheable: cacheable_of(tree, &prompts),
        unused_tools: unused_tools_of(tree, &prompts),
        ping_pongs: ping_pongs(tree, &spend),
        context_growth: context_growth(tree),
        outliers: outliers_with(tree, &self_times),
        self_times,
        errors,
        spend,
        repetitions,
        findings: Vec::new(),
    };
    evidence.findings = claims::findings(tree, &evidence);
    evidence
}
