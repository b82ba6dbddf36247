//! `opik-rs evals report`: a run, for people and for programs.

use std::path::PathBuf;

use opik_evals::report::Report;

use super::baseline::{self, Outputs};
use crate::context::Context;
use crate::exit::Outcome;

/// Arguments of `opik-rs evals report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals report runs/tone.jsonl
  opik-rs evals report runs/tone.jsonl --report report.html --report junit.xml
  opik-rs evals report runs/pr.jsonl --baseline runs/main.jsonl --report pr.md
  opik-rs evals report runs/48.jsonl --history runs/46.jsonl \\
            --history runs/47.jsonl --slice rigor_level --report report.html

The HTML page needs nothing else: no script, no network. Traces of the worst cases are drawn \
where the store has them. Reports quote items, answers and messages.

JSON: {\"summary\": {...}, \"confusion\", \"comparison\", \"history\", \"worst\": [...]}")]
pub(crate) struct Args {
    /// The run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Field of what is expected, for the matrix of labels [default: reference]
    #[arg(long, value_name = "FIELD", requires = "answered")]
    expected: Option<String>,

    /// Field of what was answered, for the matrix of labels [default: output]
    #[arg(long, value_name = "FIELD", requires = "expected")]
    answered: Option<String>,

    #[command(flatten)]
    outputs: Outputs,
}

/// Shows a run.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let before = args.outputs.baseline()?;
    let run = baseline::read(&args.run)?;
    let comparison = args.outputs.compare(before.as_ref(), &run);
    let mut report = Report::new(&run);
    if let Some(comparison) = &comparison {
        report = report.comparison(comparison);
    }
    if let (Some(expected), Some(answered)) = (&args.expected, &args.answered) {
        report = report.labels(expected, answered);
    }
    let report = args.outputs.dress(report, ctx)?;
    args.outputs.write(&report)?;
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&report.json())?);
    }
    Ok(ctx.out.text(&report.text())?)
}
