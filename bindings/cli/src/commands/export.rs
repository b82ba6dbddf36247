//! `opik-rs export`: from the store to Opik JSONL.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use opik_core::source::{MAX_PAGE, PageRequest};
use opik_core::{Span, TraceId, TraceSource};
use opik_formats::write_opik_jsonl;
use opik_store::Store;
use pollster::block_on;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::selection::Selection;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::reference;
use crate::render::numbers::things;
use crate::render::style::GOOD;

/// Arguments of `opik-rs export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs export last -o run.jsonl               one trace
  opik-rs export --all -o backup.jsonl.gz        everything, compressed
  opik-rs export --error --since 7d > failed.jsonl
  opik-rs export -p shop -f 'span_count > 50' -o shop.jsonl
  opik-rs export --all | opik-rs --db copy.db import -

One trace with its spans per line, which opik-rs import reads back. A file appears when it
is complete, or not at all; --force replaces one that exists. With --json and --output the
result is {\"traces\", \"spans\", \"file\"}.")]
pub(crate) struct Args {
    /// Traces to write
    #[arg(value_name = "TRACE", required_unless_present_any = ["all", "filter", "project", "text", "error", "since"])]
    traces: Vec<String>,

    /// Write every trace
    #[arg(long, conflicts_with = "traces")]
    all: bool,

    #[command(flatten)]
    selection: Selection,

    /// The file to write; standard output where there is none
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,

    /// Compress [default: when the file's name ends with .gz]
    #[arg(long)]
    gzip: bool,

    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

/// The result in JSON.
#[derive(Debug, Default, Serialize)]
struct Tally {
    traces: u64,
    spans: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

/// Writes traces.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let store = if args.selection.text.is_some() {
        ctx.existing_store_with_text()?
    } else {
        ctx.existing_store()?
    };
    if !args.traces.is_empty() && !args.selection.is_empty() {
        return Err(Failure::new(
            Code::Usage,
            "traces are named and filtered at the same time",
        )
        .hint("either name traces, or choose them by options"));
    }
    let mut named = Vec::new();
    for text in &args.traces {
        named.push(reference::trace(&store, text)?);
    }
    let Some(path) = &args.output else {
        let out = BufWriter::new(io::stdout().lock());
        write_all(args, &store, &named, out, args.gzip)?;
        return Ok(());
    };
    let tally = to_file(args, &store, &named, path)?;
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&tally)?);
    }
    let (traces, spans) = (things(tally.traces, "trace"), things(tally.spans, "span"));
    let text = format!(
        "{GOOD}wrote{GOOD:#} {traces} with {spans} to {}\n",
        path.display()
    );
    Ok(ctx.out.text(&text)?)
}

/// Writes beside the file and renames, so that the file is whole or absent.
fn to_file(args: &Args, store: &Store, named: &[TraceId], path: &Path) -> Result<Tally, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Code::Failed, format!("cannot write {}", path.display())).cause(error)
    };
    if path.exists() && !args.force {
        return Err(exists(path));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = NamedTempFile::new_in(folder).map_err(failed)?;
    let gzip = args.gzip || path.extension().is_some_and(|end| end == "gz");
    let out = BufWriter::new(file.as_file());
    let mut tally = write_all(args, store, named, out, gzip)?;
    file.as_file().sync_all().map_err(failed)?;
    if args.force {
        file.persist(path).map_err(|error| failed(error.error))?;
    } else {
        file.persist_noclobber(path)
            .map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => exists(path),
                _ => failed(error.error),
            })?;
    }
    tally.file = Some(path.to_owned());
    Ok(tally)
}

fn exists(path: &Path) -> Failure {
    Failure::new(Code::Failed, format!("{} exists already", path.display()))
        .hint("--force replaces it")
}

fn write_all(
    args: &Args,
    store: &Store,
    named: &[TraceId],
    out: impl Write,
    gzip: bool,
) -> Result<Tally, Failure> {
    if gzip {
        let mut out = GzEncoder::new(out, Compression::default());
        let tally = write_traces(args, store, named, &mut out)?;
        out.finish()?.flush()?;
        Ok(tally)
    } else {
        let mut out = out;
        let tally = write_traces(args, store, named, &mut out)?;
        out.flush()?;
        Ok(tally)
    }
}

fn write_traces(
    args: &Args,
    store: &Store,
    named: &[TraceId],
    out: &mut impl Write,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for &id in named {
        write_trace(store, id, out, &mut tally)?;
    }
    if named.is_empty() {
        let mut query = args.selection.query()?;
        query.page = PageRequest::first(MAX_PAGE);
        loop {
            let page = block_on(store.search_traces(&query))?;
            for trace in &page.items {
                write_trace(store, trace.id, out, &mut tally)?;
            }
            let Some(next) = page.next else { break };
            query.page = PageRequest::after(next, MAX_PAGE);
        }
    }
    Ok(tally)
}

fn write_trace(
    store: &Store,
    id: TraceId,
    out: &mut impl Write,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let trace = block_on(store.trace(id))?;
    let spans = all_spans(store, id)?;
    if trace.is_none() && spans.is_empty() {
        return Err(
            Failure::new(Code::NotFound, format!("there is no trace {id}"))
                .hint("opik-rs traces lists what there is"),
        );
    }
    write_opik_jsonl(&mut *out, trace.as_ref(), &spans)?;
    tally.traces += 1;
    tally.spans += spans.len() as u64;
    Ok(())
}

fn all_spans(store: &Store, id: TraceId) -> Result<Vec<Span>, Failure> {
    let mut spans = Vec::new();
    let mut page = PageRequest::first(MAX_PAGE);
    loop {
        let read = block_on(store.spans(id, &page))?;
        spans.extend(read.items);
        match read.next {
            Some(next) => page = PageRequest::after(next, MAX_PAGE),
            None => return Ok(spans),
        }
    }
}
