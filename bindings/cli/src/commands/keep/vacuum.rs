//! `opik-rs vacuum`: gives the space of what was deleted back.

use serde_json::json;

use super::failed;
use crate::context::Context;
use crate::exit::Outcome;
use crate::render::numbers::bytes;

/// Arguments of `opik-rs vacuum`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs vacuum            quick, while a server runs
  opik-rs vacuum --whole    write the file anew, in order

With --whole others wait with writing until it is done, about 10 seconds a gigabyte, and the disk
needs as much room again for a while.

JSON: {\"bytes_before\", \"bytes_after\"}")]
pub(crate) struct Args {
    /// Write the whole file anew
    #[arg(long)]
    whole: bool,
}

/// Gives space back.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let store = ctx.existing_store()?;
    let report = store
        .vacuum(args.whole)
        .map_err(|error| failed(error, "the space was not given back"))?;
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "bytes_before": report.bytes_before, "bytes_after": report.bytes_after,
        }))?;
    } else {
        ctx.out.text(&format!(
            "{} before, {} now\n",
            bytes(report.bytes_before),
            bytes(report.bytes_after)
        ))?;
    }
    Ok(())
}
