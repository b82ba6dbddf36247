//! `opik-rs evals`: datasets and, with them, evaluation out of band.
//!
//! The exit codes of this family are its own, because its first user scripts depend on them; they
//! are listed in its help.

mod dataset;
mod failure;
mod inputs;
mod precision;
mod summary;
mod tone;
mod vyasa;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Outcome;

const AFTER_HELP: &str = "\
Examples:
  opik-rs evals tone blocks.jsonl -o tone.jsonl
  opik-rs evals tone runs/ --lexicon tone.yaml -o tone.jsonl
  opik-rs evals precision tables.jsonl -o precision.jsonl
  opik-rs evals dataset --traces --project shop -o shop.jsonl

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
}

/// Runs a command of the family.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    match &args.command {
        Evals::Tone(args) => tone::run(args, ctx),
        Evals::Precision(args) => precision::run(args, ctx),
        Evals::Dataset(args) => dataset::run(args, ctx),
    }
}
