//! `opik-rs evals tone`: blocks of text, labelled.

use std::path::PathBuf;

use opik_evals::dataset::{Lexicon, ToneBuilder};
use pollster::block_on;

use super::failure::failure;
use super::inputs::{Inputs, manifests};
use super::summary;
use super::vyasa::{self, Compat, Script};
use crate::context::Context;
use crate::exit::Outcome;

/// Arguments of `opik-rs evals tone`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals tone blocks.jsonl -o tone.jsonl
  opik-rs evals tone artifacts/ --lexicon neutral_tone.yaml -o tone.jsonl.gz
  opik-rs evals tone blocks.jsonl --manifest artifacts/ -o tone.jsonl
  opik-rs evals tone --traces --since 7d --filter 'tags contains \"final\"'
  opik-rs evals tone --compat vyasa in.jsonl out.jsonl --lexicon neutral_tone.yaml

Reads JSON Lines, a JSON document, a list, or a folder of such files (*.json, *.jsonl, *.ndjson, \
also under gzip): blocks with `content` or `text`, or manifests with `blocks`, which pass on \
job_id, project_id and rigor_level. A block is sensational when a word of the lexicon that weighs \
heavily is in it.

A lexicon is YAML or JSON: `terms: [{word, severity: fail|warn, replacement, category}]`, or the \
lists `hard_ban` and `soft_ban` with `suggestions`, or both.

Writes {\"text\", \"label\", \"job_id\", \"block_id\", \"rigor_level\", \"project_id\", \"flags\": [{word, \
severity, start, end, suggestion, category}], \"recorded_flags\", \"expected_output\"}, offsets in \
code points.

--compat vyasa takes [INPUT] OUTPUT and does what build_tone_dataset.py of Vyasa does, to the byte; \
it only refuses to empty its own input and leaves no half of a file.

JSON: {\"written\", \"output\", \"labels\": [{label, rigor_level, count}], \"columns\", \"skipped\": \
{count, reasons, first: [{file, line, reason}]}, \"lexicon\": {name, terms, hash}}")]
pub(crate) struct Args {
    #[command(flatten)]
    inputs: Inputs,

    /// Words that make a text sensational [default: a short built-in list]
    #[arg(long, value_name = "FILE")]
    lexicon: Option<PathBuf>,

    /// Go on with a lexicon without a term: every text is neutral
    #[arg(long)]
    allow_empty_lexicon: bool,

    /// Manifests that know the job and the flags of blocks read from elsewhere
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
        return vyasa::run(Script::Tone, &inputs.files, args.lexicon.as_deref(), ctx);
    }
    let lexicon = match &args.lexicon {
        Some(path) => Lexicon::load(path).map_err(failure)?,
        None => Lexicon::builtin(),
    };
    let builder = if args.allow_empty_lexicon {
        ToneBuilder::allow_empty(lexicon.clone())
    } else {
        ToneBuilder::new(lexicon.clone())
    };
    let options = inputs.options();
    let builder = builder
        .map_err(failure)?
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
    summary::finish(inputs, target, &report, Some(&lexicon), ctx)
}
