//! `opik-rs import`: from files to the store.
//!
//! Documents go into the store in batches, each in one transaction, so an interrupted import has
//! whole traces only, and repeating it changes nothing. With `--strict` everything is read once
//! before anything is written, so a bad line means that nothing was imported.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use opik_core::{Batch, Exporter, TraceId};
use opik_formats::{Format, Item, Problem, ReadError, ReadOptions, Reader};
use opik_store::Store;
use pollster::block_on;
use serde::Serialize;

use super::input::Input;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::{bytes, duration, things};
use crate::render::style::{DIM, GOOD, WARN};
use crate::render::text::{clean, short_id};

/// Records per transaction.
const BATCH: usize = 1_000;
/// Bad lines that are named; the others are counted.
const NAMED: usize = 5;

/// Arguments of `opik-rs import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs import traces.jsonl.gz                 Opik JSONL, a trace a line
  opik-rs import *.json --project shop           several files into one project
  curl -s http://localhost:16686/api/traces/ab12 | opik-rs import -
  opik-rs import export.jsonl --strict           all lines or none
  opik-rs import export.jsonl --dry-run          read and report, write nothing

Formats, seen by their content: opik (JSONL, also the bodies of Opik's batch requests), otlp \
(OTLP JSON), jaeger (Jaeger JSON), flat (lists of spans), vyasa (telemetry.jsonl). Gzip is \
seen by its content too. Importing the same file again changes nothing.

A bad line is left out, counted and named; the exit code is 4 when nothing was usable, or \
with --strict when anything was bad.

JSON: {\"traces\", \"spans\", \"new_traces\", \"new_spans\", \"problems\", \"first_problems\": [{\"file\", \"line\", \"reason\", \"problems\"}], \
\"rejected\", \"newest_trace\", \"files\", \"bytes\", \"dry_run\", \"store\"}")]
pub(crate) struct Args {
    /// Files to read; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Read every document as this format
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<Format>,

    /// Put everything into this project
    #[arg(long, short = 'p', value_name = "NAME")]
    project: Option<String>,

    /// Import nothing if any line is bad
    #[arg(long)]
    strict: bool,

    /// Read and report, but write nothing
    #[arg(long)]
    dry_run: bool,

    /// Show no progress
    #[arg(long, short = 'q')]
    quiet: bool,
}

fn parse_format(name: &str) -> Result<Format, String> {
    Format::find(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
        format!("there are {}", names.join(", "))
    })
}

/// What was read and written, also the result in JSON.
#[derive(Debug, Default, Serialize)]
struct Tally {
    /// Traces and spans that were read; a file may have some of them twice.
    traces: u64,
    spans: u64,
    /// Of those, how many the store did not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_traces: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_spans: Option<u64>,
    /// Lines of the input that something was left out of.
    problems: u64,
    first_problems: Vec<BadLine>,
    /// The line that is counted last.
    #[serde(skip)]
    last_line: Option<(String, u64)>,
    /// Records that the store refused.
    rejected: u64,
    /// Of the traces that were read, the one that was made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest_trace: Option<TraceId>,
    files: usize,
    /// Size of the input, before decompression.
    bytes: u64,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct BadLine {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// The first thing that is wrong.
    reason: String,
    /// How much is wrong with the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<u64>,
}

/// Imports files.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let began = Instant::now();
    let mut inputs = Vec::new();
    for path in &args.files {
        inputs.push(Input::open(path, args.strict)?);
    }
    let bar = progress(args, ctx, &inputs);
    if args.strict {
        let check = Pass::new(args, &bar).read(&mut inputs, None, ctx)?;
        if let Some(first) = check.first_problems.first() {
            bar.finish_and_clear();
            return Err(strict_failure(&check, first));
        }
        for input in &mut inputs {
            input.rewind()?;
        }
        bar.set_position(0);
    }
    let mut sink = Sink::default();
    let target = (!args.dry_run).then_some(&mut sink);
    let mut tally = Pass::new(args, &bar).read(&mut inputs, target, ctx)?;
    bar.finish_and_clear();
    tally.files = inputs.len();
    tally.dry_run = args.dry_run;
    if let Some(store) = &sink.store {
        block_on(store.flush())?;
        let after = count(store)?;
        tally.new_traces = Some(after.0.saturating_sub(sink.before.0));
        tally.new_spans = Some(after.1.saturating_sub(sink.before.1));
        tally.store = Some(ctx.store_path()?);
    }
    if tally.traces + tally.spans == 0 {
        return Err(nothing_usable(&tally, args));
    }
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&tally)?);
    }
    ctx.out.notice(&warnings(&tally));
    Ok(ctx.out.text(&summary(&tally, began.elapsed()))?)
}

/// The store, opened when the first batch is there, so that useless input leaves no trace.
#[derive(Debug, Default)]
struct Sink {
    store: Option<Store>,
    /// Traces and spans that it had.
    before: (u64, u64),
}

impl Sink {
    /// Writes a batch and says how many records were refused, with the first reason.
    fn write(&mut self, batch: &Batch, ctx: &Context) -> Result<Vec<BadLine>, Failure> {
        let store = match &mut self.store {
            Some(store) => store,
            empty => {
                let store = empty.insert(ctx.open_store()?);
                self.before = count(store)?;
                store
            }
        };
        let report = block_on(store.export(batch))?;
        let refused = report.rejected.into_iter().map(|rejection| BadLine {
            file: rejection.record,
            line: None,
            reason: rejection.reason,
            problems: None,
        });
        Ok(refused.collect())
    }
}

/// How many traces and spans there are.
fn count(store: &Store) -> Result<(u64, u64), Failure> {
    let stats = store.stats().map_err(|error| {
        Failure::new(Code::Store, "cannot count what is in the store")
            .cause(error)
            .hint("opik-rs doctor")
    })?;
    Ok((stats.traces, stats.spans))
}

/// One reading of all the input.
#[derive(Debug)]
struct Pass<'a> {
    args: &'a Args,
    bar: &'a ProgressBar,
    tally: Tally,
}

impl<'a> Pass<'a> {
    fn new(args: &'a Args, bar: &'a ProgressBar) -> Self {
        Self {
            args,
            bar,
            tally: Tally::default(),
        }
    }

    fn read(
        mut self,
        inputs: &mut [Input],
        mut sink: Option<&mut Sink>,
        ctx: &Context,
    ) -> Result<Tally, Failure> {
        let mut before = 0;
        for input in inputs {
            let name = input.name();
            let mut options = ReadOptions::default().batch_records(BATCH);
            if let Some(format) = self.args.format {
                options = options.format(format);
            }
            if let Some(project) = &self.args.project {
                options = options.project(project);
            }
            let mut reader = Reader::new(input.reader(), options);
            while let Some(item) = reader.next() {
                match item.map_err(|error| unreadable(&name, error))? {
                    Item::Batch(batch) => self.batch(&batch, sink.as_deref_mut(), ctx)?,
                    Item::Problem(problem) => self.problem(&name, problem),
                }
                self.bar.set_position(before + reader.bytes_consumed());
            }
            before += reader.bytes_consumed();
        }
        self.tally.bytes = before;
        Ok(self.tally)
    }

    fn batch(
        &mut self,
        batch: &Batch,
        sink: Option<&mut Sink>,
        ctx: &Context,
    ) -> Result<(), Failure> {
        self.tally.traces += batch.traces.len() as u64;
        self.tally.spans += batch.spans.len() as u64;
        let ids = batch.traces.iter().map(|trace| trace.id);
        let ids = ids.chain(batch.spans.iter().map(|span| span.trace_id));
        self.tally.newest_trace = self.tally.newest_trace.max(ids.max());
        self.bar.set_message(things(self.tally.spans, "span"));
        let Some(sink) = sink else { return Ok(()) };
        let refused = sink.write(batch, ctx)?;
        for line in refused {
            self.tally.rejected += 1;
            if line.file.starts_with("trace") {
                self.tally.traces = self.tally.traces.saturating_sub(1);
            } else {
                self.tally.spans = self.tally.spans.saturating_sub(1);
            }
            self.name(line);
        }
        Ok(())
    }

    fn problem(&mut self, file: &str, problem: Problem) {
        // The problems of a line follow each other.
        let place = (file.to_owned(), problem.line);
        if self.tally.last_line.as_ref() == Some(&place) {
            let last = self.tally.first_problems.last_mut();
            if let Some(last) = last.filter(|it| (&it.file, it.line) == (&place.0, Some(place.1))) {
                last.problems = Some(last.problems.unwrap_or(1) + 1);
            }
            return;
        }
        self.tally.last_line = Some(place);
        self.tally.problems += 1;
        self.name(BadLine {
            file: file.to_owned(),
            line: Some(problem.line),
            reason: problem.reason,
            problems: None,
        });
    }

    fn name(&mut self, line: BadLine) {
        if self.tally.first_problems.len() < NAMED {
            self.tally.first_problems.push(line);
        }
    }
}

fn unreadable(name: &str, error: ReadError) -> Failure {
    let text = format!("cannot read {name} to its end");
    Failure::new(Code::Input, text).cause(error)
}

fn progress(args: &Args, ctx: &Context, inputs: &[Input]) -> ProgressBar {
    let total: Option<u64> = inputs.iter().map(Input::size).sum();
    let hidden = args.quiet || ctx.out.is_json();
    let target = if hidden {
        ProgressDrawTarget::hidden()
    } else {
        // Draws on a terminal only.
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(total, target);
    let template = if total.is_some() {
        "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {msg}"
    } else {
        "{spinner} {bytes}  {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

fn strict_failure(tally: &Tally, first: &BadLine) -> Failure {
    let text = format!(
        "{}; nothing was imported",
        things(tally.problems, "bad line")
    );
    Failure::new(Code::Input, text)
        .cause(describe(first))
        .hint("without --strict the good lines are imported and the bad ones are named")
}

fn nothing_usable(tally: &Tally, args: &Args) -> Failure {
    let reasons: Vec<String> = tally.first_problems.iter().map(describe).collect();
    let failure = Failure::new(Code::Input, "there is nothing to import");
    let failure = if reasons.is_empty() {
        failure
    } else {
        failure.cause(reasons.join("\n"))
    };
    failure.hint(if args.format.is_some() {
        "without --format the format is seen by the content"
    } else {
        "opik-rs import --help lists the formats"
    })
}

fn describe(line: &BadLine) -> String {
    let file = clean(&line.file);
    let reason = match line.problems {
        Some(n) => format!("{n} problems, the first: {}", line.reason),
        None => line.reason.clone(),
    };
    match line.line {
        Some(number) => format!("{file}, line {number}: {}", clean(&reason)),
        None => format!("{file}: {}", clean(&line.reason)),
    }
}

fn warnings(tally: &Tally) -> String {
    let mut text = String::new();
    for line in &tally.first_problems {
        text.push_str(&format!("{WARN}left out:{WARN:#} {}\n", describe(line)));
    }
    let bad = tally.problems + tally.rejected;
    let named = tally.first_problems.len() as u64;
    if bad > named {
        text.push_str(&format!("{WARN}left out:{WARN:#} {} more\n", bad - named));
    }
    text
}

fn summary(tally: &Tally, took: Duration) -> String {
    let done = if tally.dry_run {
        "could import"
    } else {
        "imported"
    };
    let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
    let mut text = format!(
        "{GOOD}{done}{GOOD:#} {} with {} from {} ({}) in {}\n",
        things(tally.traces, "trace"),
        things(tally.spans, "span"),
        things(tally.files as u64, "file"),
        bytes(tally.bytes),
        duration(micros),
    );
    if let (Some(traces), Some(spans)) = (tally.new_traces, tally.new_spans)
        && (traces, spans) != (tally.traces, tally.spans)
    {
        let (traces, spans) = (things(traces, "trace"), things(spans, "span"));
        text.push_str(&format!(
            "new: {traces}, {spans}; the rest is there already or twice in the input\n"
        ));
    }
    if let Some(store) = &tally.store {
        text.push_str(&format!("{DIM}into {}{DIM:#}\n", store.display()));
    }
    if let Some(newest) = tally.newest_trace.filter(|_| !tally.dry_run) {
        let newest = short_id(newest);
        text.push_str(&format!("{DIM}try: opik-rs show {newest}{DIM:#}\n"));
    }
    text
}
