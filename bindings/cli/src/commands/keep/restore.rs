//! `opik-rs restore`: brings a copy back.

use std::path::PathBuf;

use opik_store::{Store, StoreError};
use serde_json::json;

use super::failed;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::things;
use crate::render::style::DIM;

/// Arguments of `opik-rs restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs restore traces-monday.db --db other.db   where there is no store yet
  opik-rs restore traces-monday.db --replace       in place of the store

The copy is checked first. Nobody may use the store: stop the server before. The file that was
there stays beside it, with .before-restore at the end of its name.

JSON: {\"store\", \"traces\", \"kept\"}")]
pub(crate) struct Args {
    /// The copy that opik-rs backup made
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Put it in the place of the store that is there
    #[arg(long)]
    replace: bool,
}

/// Brings a copy back.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    if !args.file.exists() {
        let text = format!("there is no file {}", args.file.display());
        return Err(Failure::new(Code::NotFound, text));
    }
    let path = ctx.store_path()?;
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            let text = format!("cannot make the folder {}", folder.display());
            Failure::new(Code::Store, text).cause(error)
        })?;
    }
    let report = Store::restore(&args.file, &path, args.replace).map_err(|error| {
        let is_there = matches!(error, StoreError::Exists { .. });
        let failure = failed(error, "the copy was not brought back");
        if is_there {
            failure.hint("--replace puts it in the place of the store that is there")
        } else {
            failure
        }
    })?;
    let kept = report.kept.map(|path| path.display().to_string());
    if ctx.out.is_json() {
        ctx.out.json(&json!({
            "store": path.display().to_string(), "traces": report.traces, "kept": kept,
        }))?;
    } else {
        let kept = kept.map_or_else(String::new, |kept| {
            format!("{DIM}what was there is in {kept}{DIM:#}\n")
        });
        ctx.out.text(&format!(
            "{} in {}\n{kept}",
            things(report.traces, "trace"),
            path.display()
        ))?;
    }
    Ok(())
}
