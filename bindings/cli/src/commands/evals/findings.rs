//! Gates, with the analysis of `opik-assist` behind those that are about traces.

use std::collections::BTreeSet;
use std::path::Path;

use opik_assist::analyse;
use opik_assist::errors::Outcome as ErrorOutcome;
use opik_assist::repetition::RepetitionKind;
use opik_core::{TraceId, TraceTree};
use opik_evals::experiment::Run;
use opik_evals::gate::{GateFileError, GateInput, GateReport, Gates, TraceFacts, trace_facts};
use opik_store::Store;

use crate::context::Context;
use crate::exit::{Code, Failure, Verdict};

/// Reads thresholds.
pub(super) fn gates(path: &Path) -> Result<Gates, Failure> {
    Gates::read(path).map_err(|error| {
        let verdict = match &error {
            GateFileError::Io { .. } => Verdict::Input,
            _ => Verdict::Unusable,
        };
        let text = format!("the thresholds of {} cannot be used", path.display());
        Failure::new(Code::Evals(verdict), text)
            .cause(error)
            .hint("opik-rs evals gate --help shows what such a file looks like")
    })
}

/// A gate that did not open.
pub(super) fn closed(gate: &GateReport) -> Failure {
    let names: Vec<&str> = gate.failures().map(|check| check.name.as_str()).collect();
    let text = format!("the gate is closed: {}", names.join(", "));
    Failure::new(Code::Evals(Verdict::Gate), text)
}

/// What gates ask about one trace.
pub(super) fn facts(tree: &TraceTree) -> TraceFacts {
    let evidence = analyse(tree);
    let name = |node| {
        tree.span(node)
            .name
            .clone()
            .unwrap_or_else(|| "(no name)".to_owned())
    };
    let mut facts = TraceFacts::of(tree.id());
    let origins: BTreeSet<String> = evidence
        .errors
        .origins
        .iter()
        // What was made good by a later attempt is not what a release is stopped for.
        .filter(|origin| !matches!(origin.outcome, ErrorOutcome::Recovered { .. }))
        .map(|origin| {
            let kind = evidence.errors.of(origin.node).map(|error| error.exception_type.as_str());
            let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or("error");
            format!("{}: {kind}", name(origin.node))
        })
        .collect();
    let loops: BTreeSet<String> = evidence
        .repetitions
        .iter()
        .filter(|found| matches!(found.kind, RepetitionKind::Loop | RepetitionKind::NearLoop))
        .map(|found| {
            let names: BTreeSet<String> = found
                .nodes
                .iter()
                .take(found.period)
                .map(|node| name(*node))
                .collect();
            // Wherever in its round a loop is seen to begin, it is the same loop.
            names.into_iter().collect::<Vec<_>>().join(", ")
        })
        .collect();
    facts.error_origins = origins.into_iter().collect();
    facts.loops = loops.into_iter().collect();
    facts.critical_path_us = u64::try_from(evidence.critical_path.interval.micros()).ok();
    facts.cost = tree.trace().total_estimated_cost;
    facts
}

/// What is known about the traces on both sides.
#[derive(Debug, Default)]
pub(super) struct Traced {
    pub(super) now: Option<Vec<TraceFacts>>,
    pub(super) before: Option<Vec<TraceFacts>>,
}

impl Traced {
    /// The traces that the trials of two runs name, where thresholds ask for traces at all.
    pub(super) fn of_runs(
        gates: &Gates,
        run: Option<&Run>,
        before: Option<&Run>,
        ctx: &Context,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self, Failure> {
        if gates.traces.is_empty() {
            return Ok(Self::default());
        }
        let store = ctx.existing_store()?;
        let of = |run: Option<&Run>| {
            let traces = run.map(Run::traces).filter(|traces| !traces.is_empty());
            traces
                .map(|traces| look(&store, traces, runtime))
                .transpose()
        };
        Ok(Self {
            now: of(run)?,
            before: of(before)?,
        })
    }

    pub(super) fn input<'a>(
        &'a self,
        run: Option<&'a Run>,
        before: Option<&'a Run>,
    ) -> GateInput<'a> {
        let mut input = GateInput::new();
        if let Some(run) = run {
            input = input.run(run);
        }
        if let Some(before) = before {
            input = input.baseline(before);
        }
        if let Some(now) = &self.now {
            input = input.traces(now);
        }
        if let Some(before) = &self.before {
            input = input.baseline_traces(before);
        }
        input
    }
}

/// Analyses traces of the store.
pub(super) fn look(
    store: &Store,
    traces: impl IntoIterator<Item = TraceId>,
    runtime: &tokio::runtime::Runtime,
) -> Result<Vec<TraceFacts>, Failure> {
    Ok(runtime.block_on(trace_facts(store, traces, &facts))?)
}
