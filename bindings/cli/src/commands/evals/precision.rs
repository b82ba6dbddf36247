//! `opik-rs evals precision`: columns of numbers, labelled.

use std::path::PathBuf;

use opik_evals::dataset::{PrecisionBuilder, PrecisionRule};
use pollster::block_on;

use super::failure::failure;
use super::inputs::{Inputs, manifests};
use super::summary;
use super::vyasa::{self, Compat, Script};
use crate::context::Context;
use crate::exit::Outcome;

/// Arguments of `opik-rs evals precision`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals precision tables.jsonl -o precision.jsonl
  opik-rs evals precision tables.jsonl --max-decimals 3 --max-sig-figs 4
  opik-rs evals precision artifacts/ -o precision.jsonl.gz --strict
  opik-rs evals precision --traces --project shop -o precision.jsonl
  opik-rs evals precision --compat vyasa in.jsonl out.jsonl

Reads what `evals tone` reads: tables with `rows`, or manifests with `tables`. Flags are taken from \
`precision_flags` or `flags`; where a table has none of these they are computed from its rows: \
EXCESSIVE_PRECISION (more decimals than allowed), INCONSISTENT_DECIMALS (different decimals in one \
column), SIGFIG_VIOLATION (more significant digits than allowed). A table without an issue is `clean`.

Writes {\"table_id\", \"column\", \"issue\", \"values\", \"rigor_level\", \"job_id\", \"project_id\", \"label\", \
\"count\", \"source\": recorded|computed, \"expected_output\"}, an issue of a column once.

--compat vyasa takes [INPUT] OUTPUT and does what build_precision_dataset.py of Vyasa does, to the \
byte; it only refuses to empty its own input and leaves no half of a file.

JSON: as `evals tone`, without lexicon.")]
pub(crate) struct Args {
    #[command(flatten)]
    inputs: Inputs,

    /// Most decimals, where a table says nothing of it
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    max_decimals: usize,

    /// Most significant digits, where a table says nothing of it
    #[arg(long, value_name = "NUMBER")]
    max_sig_figs: Option<usize>,

    /// Manifests that know the job and the flags of tables read from elsewhere
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,

    /// Do what the script of another system does
    #[arg(long, value_name = "SYSTEM")]
    compat: Option<Compat>,
}

/// Builds the dataset.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let inputs = &args.inputs;
    if args.compat.is_some() {
        return vyasa::run(Script::Precision, &inputs.files, None, ctx);
    }
    let options = inputs.options();
    let rule = PrecisionRule::new()
        .max_decimals(args.max_decimals)
        .max_sig_figs(args.max_sig_figs);
    let builder = PrecisionBuilder::new()
        .rule(rule)
        .options(options)
        .manifests(manifests(&args.manifest, options)?);
    let files = (!inputs.traces).then(|| inputs.inputs()).transpose()?;
    let mut target = inputs.target(ctx, &args.manifest)?;
    let report = match files {
        Some(files) => builder.build(files, target.writer()),
        None => {
            let (store, query) = inputs.recorded(ctx)?;
            block_on(builder.build_traces(&store, query, target.writer()))
        }
    };
    let report = report.map_err(failure)?;
    summary::finish(inputs, target, &report, None, ctx)
}
