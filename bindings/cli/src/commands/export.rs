//! `opik-rs export`: from the store to Opik JSONL.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use opik_core::source::{MAX_PAGE, PageRequest};
use opik_core::{Cursor, Span, TraceId, TraceSource};
use opik_formats::write_opik_jsonl;
use opik_store::Store;
use pollster::block_on;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::selection::Selection;
use super::words;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::reference;
use crate::render::numbers::things;
use crate::render::style::{GOOD, WARN};

/// Traces that cannot be read and are named; the others are counted.
const NAMED: u64 = 5;

/// Arguments of `opik-rs export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs export last -o run.jsonl               one trace
  opik-rs export --all -o backup.jsonl.gz        everything, compressed
  opik-rs export --error --since 7d > failed.jsonl
  opik-rs export -p shop -f 'span_count > 50' -o shop.jsonl
  opik-rs export --all | opik-rs --db copy.db import -

One trace with its spans per line, which opik-rs import reads back. A file appears when it \
is complete, or not at all; --force replaces one that exists. Traces that a damaged store \
cannot give back are left out and counted; the exit code is then 1. With --json and --output \
the result is {\"traces\", \"spans\", \"unreadable\", \"file\"}.")]
pub(crate) struct Args {
    /// Traces to write
    #[arg(value_name = "TRACE")]
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
    /// Traces that the store cannot give back.
    unreadable: u64,
    /// Whether the list of traces itself ended early.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_short: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

/// Writes traces.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    if args.traces.is_empty() && !args.all && args.selection.is_empty() {
        return Err(Failure::new(Code::Usage, "no trace is chosen")
            .hint("opik-rs export --all, or opik-rs export last, or an option such as --error"));
    }
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
        let tally = write_all(args, &store, &named, out, args.gzip, ctx)?;
        return tally.verdict();
    };
    let tally = to_file(args, &store, &named, path, ctx)?;
    if ctx.out.is_json() {
        ctx.out.json(&tally)?;
        return tally.verdict();
    }
    let (traces, spans) = (things(tally.traces, "trace"), things(tally.spans, "span"));
    let text = format!(
        "{GOOD}wrote{GOOD:#} {traces} with {spans} to {}\n",
        path.display()
    );
    ctx.out.text(&text)?;
    tally.verdict()
}

impl Tally {
    /// What is missing is a failure, though the rest was written.
    fn verdict(&self) -> Outcome {
        if self.unreadable == 0 && !self.cut_short {
            return Ok(());
        }
        let missing = match (self.unreadable, self.cut_short) {
            (0, _) => "the list of traces cannot be read to its end".to_owned(),
            (n, false) => format!("{} cannot be read", things(n, "trace")),
            (n, true) => format!(
                "{}, and the end of the list of traces, cannot be read",
                things(n, "trace")
            ),
        };
        let text = format!("{missing}; all that can be read was written");
        Err(Failure::new(Code::Failed, text)
            .hint("opik-rs import <FILE> --db new.db makes a store of what was written"))
    }
}

/// The file to write in the end: what a link points to, and nothing that is no regular file, since
/// a rename would put a file in its place.
fn destination(path: &Path, force: bool) -> Result<PathBuf, Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(path.to_owned());
    }
    let refused = |what: &str| {
        Failure::new(Code::Failed, format!("{} {what}", path.display()))
            .hint("name a regular file, or write to standard output and redirect it")
    };
    let found = path
        .metadata()
        .map_err(|error| refused("is a link that leads nowhere").cause(error))?;
    if !found.is_file() {
        return Err(refused("is not a regular file"));
    }
    if !force {
        return Err(exists(path));
    }
    path.canonicalize()
        .map_err(|error| refused("cannot be found").cause(error))
}

/// The error without the name of the temporary file, which says nothing to a reader.
fn nameless(error: &io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source());
    let inner = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    let error = inner.unwrap_or(error);
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Writes beside the file and renames, so that the file is whole or absent.
fn to_file(
    args: &Args,
    store: &Store,
    named: &[TraceId],
    name: &Path,
    ctx: &Context,
) -> Result<Tally, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Code::Failed, format!("cannot write {}", name.display()))
            .cause(nameless(&error))
    };
    let path = &destination(name, args.force)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = NamedTempFile::new_in(folder).map_err(failed)?;
    let gzip = args.gzip || name.extension().is_some_and(|end| end == "gz");
    let out = BufWriter::new(file.as_file());
    let mut tally = write_all(args, store, named, out, gzip, ctx)?;
    file.as_file().sync_all().map_err(failed)?;
    if args.force {
        file.persist(path).map_err(|error| failed(error.error))?;
    } else {
        file.persist_noclobber(path)
            .map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => exists(name),
                _ => failed(error.error),
            })?;
    }
    tally.file = Some(name.to_owned());
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
    ctx: &Context,
) -> Result<Tally, Failure> {
    if gzip {
        let mut out = GzEncoder::new(out, Compression::default());
        let tally = write_traces(args, store, named, &mut out, ctx)?;
        out.finish()?.flush()?;
        Ok(tally)
    } else {
        let mut out = out;
        let tally = write_traces(args, store, named, &mut out, ctx)?;
        out.flush()?;
        Ok(tally)
    }
}

fn write_traces(
    args: &Args,
    store: &Store,
    named: &[TraceId],
    out: &mut impl Write,
    ctx: &Context,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for &id in named {
        write_trace(store, id, out, &mut tally, ctx)?;
    }
    if !named.is_empty() {
        return Ok(tally);
    }
    let mut query = args.selection.query()?;
    if query.text.is_some() {
        words::wait(store)?;
        for trace in words::search(store, &query, None)?.traces {
            write_trace(store, trace.id, out, &mut tally, ctx)?;
        }
        return Ok(tally);
    }
    let (mut after, mut limit) = (None, MAX_PAGE);
    loop {
        query.page = match &after {
            None => PageRequest::first(limit),
            Some(cursor) => PageRequest::after(Cursor::clone(cursor), limit),
        };
        let page = match block_on(store.search_traces(&query)).map_err(Failure::from) {
            Ok(page) => page,
            // Fewer at a time reach what stands before the damage.
            Err(failure) if failure.code() == Code::Store && limit > 1 => {
                limit = 1.max(limit / 8);
                continue;
            }
            Err(failure) if failure.code() == Code::Store => {
                tally.cut_short = true;
                return Ok(tally);
            }
            Err(failure) => return Err(failure),
        };
        for trace in &page.items {
            write_trace(store, trace.id, out, &mut tally, ctx)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(tally);
        }
    }
}

/// Writes a trace, or says that it cannot be read.
fn write_trace(
    store: &Store,
    id: TraceId,
    out: &mut impl Write,
    tally: &mut Tally,
    ctx: &Context,
) -> Result<(), Failure> {
    let read = || -> Result<_, Failure> { Ok((block_on(store.trace(id))?, all_spans(store, id)?)) };
    let (trace, spans) = match read() {
        Ok(read) => read,
        Err(failure) if failure.code() == Code::Store => {
            tally.unreadable += 1;
            if !ctx.out.is_json() && tally.unreadable <= NAMED {
                let why = failure.causes().join(": ");
                let line = format!("{WARN}left out:{WARN:#} trace {id}: {why}\n");
                ctx.out.notice(&line);
            }
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
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
