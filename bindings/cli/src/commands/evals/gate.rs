//! `opik-rs evals gate`: thresholds, and a code that a pipeline understands.

use std::path::PathBuf;

use opik_core::TraceSource;
use opik_core::query::{Entity, TraceQuery, oql};
use opik_core::source::PageRequest;
use opik_evals::gate::GateReport;
use opik_evals::report::{Report, gate_text};
use opik_store::Store;
use pollster::block_on;

use super::baseline::{self, Outputs};
use super::findings::{self, Traced};
use crate::commands::selection::Selection;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};

/// Most traces on each side.
const TRACES: usize = 1_000;

/// Arguments of `opik-rs evals gate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals gate gates.toml runs/pr.jsonl --baseline runs/main.jsonl
  opik-rs evals gate gates.toml runs/pr.jsonl --report gate.md
  opik-rs evals gate traces.toml --traces --project shop --since 24h \\
            --baseline-filter 'tags contains \"v41\"'

gates.toml:
  confidence = 0.95
  [metrics.equals_metric]
  min_pass_rate = 0.9
  sure = true
  max_drop = 0.02
  [cases]
  max_failed = 0
  max_cost = 0.01
  max_p95_ms = 2000
  [traces]
  max_new_error_origins = 0
  max_new_loops = 0
  max_critical_path_p95_ms = 1500
  max_cost = 0.05

Thresholds of traces are about the traces that the trials of a run recorded, if the store has \
them, or with --traces about those that are chosen; they are computed, no model is asked. A \
threshold that cannot be checked is not kept.

JSON: {\"passed\", \"checks\": [{\"name\", \"passed\", \"found\", \"limit\", \"detail\"}]}")]
pub(crate) struct Args {
    /// The thresholds, TOML or JSON
    #[arg(value_name = "GATES")]
    gates: PathBuf,

    /// The run that wants to pass
    #[arg(value_name = "RUN", required_unless_present = "traces")]
    run: Option<PathBuf>,

    /// Check recorded traces of the store
    #[arg(long)]
    traces: bool,

    #[command(flatten)]
    selection: Selection,

    /// Which traces of the same project they are held against, in Opik's query language
    #[arg(long, value_name = "OQL", requires = "traces")]
    baseline_filter: Option<String>,

    #[command(flatten)]
    outputs: Outputs,
}

/// Checks thresholds.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let gates = findings::gates(&args.gates)?;
    let before = args.outputs.baseline()?;
    let run = args.run.as_deref().map(baseline::read).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, "cannot read the traces").cause(error))?;
    let traced = if args.traces {
        chosen(args, ctx, &runtime)?
    } else {
        if !args.selection.is_empty() {
            return Err(
                Failure::new(Code::Usage, "a filter chooses recorded traces").hint("add --traces"),
            );
        }
        Traced::of_runs(&gates, run.as_ref(), before.as_ref(), ctx, &runtime)?
    };
    let gate = gates.check(traced.input(run.as_ref(), before.as_ref()));
    if let Some(run) = &run {
        let comparison = args.outputs.compare(before.as_ref(), run);
        let mut report = Report::new(run).gate(&gate);
        if let Some(comparison) = &comparison {
            report = report.comparison(comparison);
        }
        args.outputs.write(&args.outputs.dress(report, ctx)?)?;
    }
    show(&gate, ctx)?;
    if gate.passed {
        Ok(())
    } else {
        Err(findings::closed(&gate))
    }
}

fn show(gate: &GateReport, ctx: &Context) -> Outcome {
    if ctx.out.is_json() {
        return Ok(ctx.out.json(gate)?);
    }
    Ok(ctx.out.text(&gate_text(gate))?)
}

fn chosen(
    args: &Args,
    ctx: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<Traced, Failure> {
    let query = args.selection.query()?;
    let store = if query.text.is_some() {
        ctx.existing_store_with_text()?
    } else {
        ctx.existing_store()?
    };
    let now = ids(&store, query.clone())?;
    let before = match &args.baseline_filter {
        Some(text) => {
            let filters = oql::parse(Entity::Trace, text).map_err(|error| {
                Failure::new(Code::Usage, "the filter of the baseline cannot be read").cause(error)
            })?;
            let mut query = query;
            query.filters = filters;
            query.from = None;
            query.text = None;
            Some(ids(&store, query)?)
        }
        None => None,
    };
    Ok(Traced {
        now: Some(findings::look(&store, now, runtime)?),
        before: before
            .map(|ids| findings::look(&store, ids, runtime))
            .transpose()?,
    })
}

fn ids(store: &Store, mut query: TraceQuery) -> Result<Vec<opik_core::TraceId>, Failure> {
    query.page = PageRequest::first(TRACES);
    let page = block_on(store.search_traces(&query))?;
    Ok(page.items.into_iter().map(|trace| trace.id).collect())
}
