//! `opik-rs evals`: datasets, experiments, comparisons, gates and reports, out of band.
//!
//! The exit codes of this family are its own, because its first user scripts depend on them; they
//! are listed in its help.

mod baseline;
mod dataset;
mod describe;
mod diff;
mod failure;
mod findings;
mod gate;
mod inputs;
mod judges;
mod list;
mod metrics;
mod precision;
mod report;
mod run;
mod submit;
mod summary;
mod tone;
mod vyasa;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Failure, Outcome};

const AFTER_HELP: &str = "\
Examples:
  opik-rs evals tone blocks.jsonl -o tone.jsonl
  opik-rs evals tone runs/ --lexicon tone.yaml -o tone.jsonl
  opik-rs evals precision tables.jsonl -o precision.jsonl
  opik-rs evals dataset --traces --project shop -o shop.jsonl
  opik-rs evals run tone.jsonl -m Equals -- python task.py
  opik-rs evals diff runs/main.jsonl runs/tone.jsonl
  opik-rs evals gate gates.toml runs/tone.jsonl
  opik-rs evals report runs/tone.jsonl --report report.html

Exit codes of evals commands:
  0  done                          3  a record cannot be used, under --strict
  1  input missing or unreadable   4  sending to Opik failed
  2  nothing usable, no lexicon,   5  a quality gate failed
     or a wrong command line";

/// Arguments of `opik-rs evals`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Evals,
}

/// The commands of the family.
#[derive(Debug, Subcommand)]
enum Evals {
    /// Label blocks of text as sensational or neutral
    Tone(tone::Args),
    /// Label columns of tables with what is wrong with their numbers
    Precision(precision::Args),
    /// Bring a dataset into one form, from files or from recorded traces
    Dataset(dataset::Args),
    /// What a dataset holds
    Describe(describe::Args),
    /// Run an experiment: a program, answers that are there, or recorded traces, and its scores
    Run(Box<run::Args>),
    /// The metrics, judges and metrics of traces that `run` knows
    Metrics(list::Args),
    /// Compare two runs case by case, and say what could be chance
    Diff(diff::Args),
    /// Check thresholds; code 5 when one is not kept
    Gate(gate::Args),
    /// Show a run, or write it as HTML, Markdown, JUnit or JSON
    Report(report::Args),
    /// Send a run to Opik
    Submit(submit::Args),
}

/// Runs a command of the family.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let outcome = match &args.command {
        Evals::Tone(args) => tone::run(args, ctx),
        Evals::Precision(args) => precision::run(args, ctx),
        Evals::Dataset(args) => dataset::run(args, ctx),
        Evals::Describe(args) => describe::run(args, ctx),
        Evals::Run(args) => run::run(args, ctx),
        Evals::Metrics(args) => list::run(args, ctx),
        Evals::Diff(args) => diff::run(args, ctx),
        Evals::Gate(args) => gate::run(args, ctx),
        Evals::Report(args) => report::run(args, ctx),
        Evals::Submit(args) => submit::run(args, ctx),
    };
    outcome.map_err(Failure::of_evals)
}
