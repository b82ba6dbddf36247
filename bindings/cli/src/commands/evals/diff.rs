//! `opik-rs evals diff`: two runs.

use std::path::PathBuf;

use opik_evals::report::{Report, comparison_text};

use super::baseline::{self, Outputs};
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome, Verdict};

/// Arguments of `opik-rs evals diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals diff runs/main.jsonl runs/pr.jsonl
  opik-rs evals diff runs/main.jsonl runs/pr.jsonl --slice rigor_level
  opik-rs evals diff runs/main.jsonl runs/pr.jsonl --cluster job_id
  opik-rs evals diff runs/main.jsonl runs/pr.jsonl --report comment.md
  opik-rs evals diff runs/main.jsonl runs/pr.jsonl --fail-on-regression

Items are matched by identifier: each is better, worse, the same, new or gone. Intervals of the \
differences are paired bootstraps (10,000 draws), chances are sign flips for means and McNemar's \
exact test for who passes, corrected for the number of metrics (Holm). A difference that is not \
significant is not proof of none: the smallest that would have been seen is said.

JSON: {\"before\", \"after\", \"metrics\": [...], \"slices\": [...], \"cases\": [{\"item\", \
\"metric\", \"change\", \"before\", \"after\"}]}")]
pub(crate) struct Args {
    /// The earlier run
    #[arg(value_name = "BEFORE")]
    before: PathBuf,

    /// The later run
    #[arg(value_name = "AFTER")]
    after: PathBuf,

    /// The confidence of the intervals
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    confidence: f64,

    /// End with code 5 when a metric is worse beyond chance
    #[arg(long)]
    fail_on_regression: bool,

    #[command(flatten)]
    outputs: Outputs,
}

/// Compares two runs.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    if !(0.5..1.0).contains(&args.confidence) {
        return Err(Failure::new(
            Code::Usage,
            "the confidence has to be between 0.5 and 1",
        ));
    }
    if args.outputs.baseline()?.is_some() {
        return Err(Failure::new(
            Code::Usage,
            "the first of the two runs is the baseline",
        ));
    }
    let (before, after) = (baseline::read(&args.before)?, baseline::read(&args.after)?);
    let options = args.outputs.options().confidence(args.confidence);
    let comparison = opik_evals::compare::Comparison::of(&before, &after, &options);
    let report = Report::new(&after).comparison(&comparison);
    args.outputs.write(&args.outputs.dress(report, ctx)?)?;
    if ctx.out.is_json() {
        ctx.out.json(&comparison)?;
    } else {
        ctx.out.text(&comparison_text(&comparison))?;
    }
    if args.fail_on_regression && comparison.has_regressed() {
        return Err(Failure::new(
            Code::Evals(Verdict::Gate),
            "a metric is worse beyond chance",
        ));
    }
    Ok(())
}
