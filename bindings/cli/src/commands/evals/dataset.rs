//! `opik-rs evals dataset`: items, from files or from recorded traces.

use std::io::{self, Write};

use opik_evals::dataset::{DatasetError, Item, ItemBuilder, Skipped, TraceItems};
use pollster::block_on;

use super::failure::failure;
use super::inputs::Inputs;
use super::summary;
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// Arguments of `opik-rs evals dataset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals dataset questions.json -o questions.jsonl
  opik-rs evals dataset --traces --project shop --limit 500 -o shop.jsonl
  opik-rs evals dataset --traces --error --since 24h -o failed.jsonl.gz

An item is {\"id\", \"data\": {...}, \"expected_output\", \"tags\"}. Of what is read, `id`, \
`expected_output` and `tags` keep their meaning and everything else is data; an item without an id \
gets a hash of its content, so that the same item has the same id in every run. A trace becomes its \
input, output, name and metadata, and what it answered is what is expected.

JSON: {\"written\", \"output\", \"skipped\": {count, reasons, first}}")]
pub(crate) struct Args {
    #[command(flatten)]
    inputs: Inputs,

    /// Most traces to take, the newest first
    #[arg(long, short = 'n', value_name = "NUMBER", requires = "traces")]
    limit: Option<usize>,
}

/// Writes the items.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let inputs = &args.inputs;
    let files = (!inputs.traces).then(|| inputs.inputs()).transpose()?;
    let mut target = inputs.target(ctx, &[])?;
    let mut count = 0;
    let mut skipped = Skipped::default();
    if let Some(files) = files {
        let builder = ItemBuilder::new().options(inputs.options());
        let report = builder.build(files, target.writer()).map_err(failure)?;
        count = report.written();
        skipped = report.skipped().clone();
    } else {
        let (store, query) = inputs.recorded(ctx)?;
        let mut items = TraceItems::new(&store, query).limit(args.limit.unwrap_or(usize::MAX));
        while let Some(item) = block_on(items.next()).map_err(failure)? {
            write(target.writer(), &item)?;
            count += 1;
        }
    }
    summary::finish_items(inputs, target, count, &skipped, ctx)
}

fn write(output: &mut dyn Write, item: &Item) -> Result<(), Failure> {
    let written = serde_json::to_writer(&mut *output, item).map_err(io::Error::from);
    let written = written.and_then(|()| output.write_all(b"\n"));
    written.map_err(|source| {
        failure(DatasetError::Write {
            path: "the output".into(),
            source,
        })
    })
}
