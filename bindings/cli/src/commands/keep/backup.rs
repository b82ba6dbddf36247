//! `opik-rs backup`: a copy of the store in one file, while others use it.

use std::path::PathBuf;

use serde_json::json;

use super::failed;
use crate::context::Context;
use crate::exit::Outcome;
use crate::render::numbers::{bytes, things};
use crate::render::style::DIM;

/// Arguments of `opik-rs backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs backup traces-monday.db
  opik-rs backup /mnt/backup/traces-$(date +%F).db --json

Servers and programs go on reading and writing meanwhile. The copy has everything that was
acknowledged before, is compact, and is a store itself: opik-rs --db FILE traces. The index of
words is not in it; it is built again. opik-rs restore FILE brings it back.

JSON: {\"path\", \"bytes\", \"traces\"}")]
pub(crate) struct Args {
    /// The file to make; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Makes a copy.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let store = ctx.existing_store()?;
    let report = store
        .backup(&args.file)
        .map_err(|error| failed(error, "the copy cannot be made"))?;
    let path = report.path.display().to_string();
    if ctx.out.is_json() {
        ctx.out
            .json(&json!({"path": path, "bytes": report.bytes, "traces": report.traces}))?;
    } else {
        ctx.out.text(&format!(
            "{} in {path}, {}\n{DIM}bring it back with: opik-rs restore {path}{DIM:#}\n",
            things(report.traces, "trace"),
            bytes(report.bytes),
        ))?;
    }
    Ok(())
}
