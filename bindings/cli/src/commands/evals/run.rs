//! `opik-rs evals run`: an experiment.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use opik_evals::dataset::{Input, Item, ItemReader, ReadOptions};
use opik_evals::experiment::{
    Cache, CommandTask, Experiment, ExperimentError, FieldTask, RecordedTask, Run, RunFileError,
    Stop, Stopped, recorded_items,
};
use opik_evals::gate::Gates;
use opik_evals::report::Report;
use serde_json::Value;

use super::baseline::{self, Outputs};
use super::findings::{self, Traced};
use super::metrics::{MetricSpec, pair, setting};
use super::submit::{self, Arrived, Target};
use crate::commands::selection::Selection;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome, Verdict};
use crate::render::numbers::{dollars, duration};
use crate::render::style::{DIM, GOOD, WARN};
use crate::render::text::clean;

/// Most traces that are evaluated unless more are asked for.
const TRACES: usize = 1_000;

/// Arguments of `opik-rs evals run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals run tone.jsonl -m Equals -- python task.py
  opik-rs evals run tone.jsonl -m Equals --field prediction
  opik-rs evals run qa.jsonl -m Equals -m 'ROUGE={\"rouge_type\":\"rougeL\"}' \\
            --task-version 7 --cache cache --repeats 3 -- ./answer
  opik-rs evals run --traces --project shop -m IsJson --gate gates.toml
  opik-rs evals run tone.jsonl -m Equals --field label \\
            --baseline runs/main.jsonl --report report.html --report junit.xml

The program is started once for each of --concurrency items at a time. It reads a line of JSON for \
each item, {\"id\", \"repeat\", \"seed\", \"data\"}, and answers with one: {\"output\": ...}, with \
\"cost\", \"tokens\", \"trace_id\" or \"error\" where it has them.

The run is written to --output as it goes: a run that was killed or stopped goes on with the same \
command. Results are sent to Opik when it is configured (OPIK_ENABLED and a server), and stay on \
this machine when it is not; a failure to send keeps them and ends with code 4.

JSON: {\"file\", \"summary\": {...}, \"worst\": [...], \"confusion\", \"comparison\", \"gate\", \
\"submission\": {state, ...}}")]
pub(crate) struct Args {
    /// The dataset: files or folders; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The file of the run [default: runs/NAME.jsonl]
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,

    /// Run nothing if any record of the dataset cannot be used
    #[arg(long)]
    strict: bool,

    /// Evaluate the recorded traces of the store: their outputs are the answers
    #[arg(long, conflicts_with = "files")]
    traces: bool,

    #[command(flatten)]
    selection: Selection,

    /// Name of the experiment [default: that of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// A metric, with parameters as JSON after `=` (give it several times)
    #[arg(long, short = 'm', value_name = "METRIC[={...}]")]
    metric: Vec<MetricSpec>,

    /// The answer is this field of the item: for predictions that are there already
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["traces", "program"])]
    field: Option<String>,

    /// The program that answers, with its arguments
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "traces")]
    program: Vec<String>,

    /// Lets metrics read a field under another name, such as reference=expected
    #[arg(long, value_name = "NAME=FIELD", value_parser = pair)]
    map: Vec<(String, String)>,

    /// Low scores of this metric are good
    #[arg(long, value_name = "METRIC")]
    lower_is_better: Vec<String>,

    /// The score that passes a metric
    #[arg(long, value_name = "METRIC=SCORE", value_parser = super::metrics::score)]
    pass_at: Vec<(String, f64)>,

    /// Most trials at once
    #[arg(long, short = 'j', value_name = "NUMBER", default_value_t = 8)]
    concurrency: usize,

    /// Most trials that begin in a second
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,

    /// How many times each item is run
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    repeats: u32,

    /// Most seconds for one trial
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    timeout: f64,

    /// Begin no trial after this many US dollars
    #[arg(long, value_name = "DOLLARS")]
    budget: Option<f64>,

    /// The seed that the seeds of trials are made of
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// Keep answers in this folder and use them again; needs --task-version
    #[arg(long, value_name = "FOLDER", requires = "task_version")]
    cache: Option<PathBuf>,

    /// Which version of the task it is, such as a commit
    #[arg(long, value_name = "VERSION")]
    task_version: Option<String>,

    /// The model that the task uses
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Run again what failed when the same run was made before
    #[arg(long)]
    retry_errors: bool,

    /// Throw away what an earlier run left in --output
    #[arg(long)]
    fresh: bool,

    /// Most traces to take, the newest first [default: 1000]
    #[arg(long, short = 'n', value_name = "NUMBER", requires = "traces")]
    limit: Option<usize>,

    /// Something to keep with the results, such as temperature=0.1
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,

    /// A label of the run
    #[arg(long, value_name = "LABEL")]
    tag: Vec<String>,

    /// Thresholds that the run has to keep; code 5 when it does not
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,

    #[command(flatten)]
    outputs: Outputs,

    #[command(flatten)]
    target: Target,

    /// Keep the results on this machine, whatever is configured
    #[arg(long, conflicts_with = "best_effort")]
    no_submit: bool,
}

/// Runs an experiment, and shows, checks and sends what comes of it.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    // Everything that can be wrong with files is, before anything is paid for.
    let gates = args.gate.as_deref().map(findings::gates).transpose()?;
    let before = args.outputs.baseline()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("opik-rs-evals")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, "cannot start threads").cause(error))?;
    let (experiment, file) = experiment(args, ctx, &runtime)?;
    let earlier = Run::read(&file).ok().map(|run| run.trials().len());
    let run = execute(experiment, &runtime, ctx)?;
    if earlier == Some(run.trials().len()) && run.not_run() == 0 {
        ctx.out.notice(&format!(
            "{DIM}nothing was left to run; --fresh runs everything again{DIM:#}\n"
        ));
    }
    let comparison = args.outputs.compare(before.as_ref(), &run);
    let gate = match &gates {
        Some(gates) => Some(check(gates, &run, before.as_ref(), ctx, &runtime)?),
        None => None,
    };
    let mut report = Report::new(&run);
    if let Some(comparison) = &comparison {
        report = report.comparison(comparison);
    }
    if let Some(gate) = &gate {
        report = report.gate(gate);
    }
    report = args.outputs.dress(report, ctx)?;
    args.outputs.write(&report)?;
    let sent = if args.no_submit {
        Ok(Arrived::Kept("--no-submit was given".to_owned()))
    } else {
        runtime.block_on(submit::if_configured(&args.target, &file))
    };
    if ctx.out.is_json() {
        let mut document = report.json();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("file".to_owned(), file.display().to_string().into());
            fields.insert("submission".to_owned(), submit::document(&sent));
        }
        ctx.out.json(&document)?;
    } else {
        let file = clean(&file.display().to_string());
        let text = format!("{}\n{DIM}run: {file}{DIM:#}\n", report.text());
        ctx.out.text(&text)?;
        if let Ok(arrived) = &sent {
            ctx.out.text(&arrived.text())?;
        }
    }
    if run.stopped() == Some(Stopped::Cancelled) {
        let text = format!("the run was stopped with {} trials left", run.not_run());
        return Err(Failure::new(Code::Failed, text).hint("the same command goes on"));
    }
    // A gate that does not open says more than a server that is down.
    if let Some(gate) = gate.filter(|gate| !gate.passed) {
        if let Err(failure) = &sent {
            crate::report::print(failure, ctx);
        }
        return Err(findings::closed(&gate));
    }
    submit::outcome(sent, args.target.best_effort, ctx)
}

fn check(
    gates: &Gates,
    run: &Run,
    before: Option<&Run>,
    ctx: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<opik_evals::gate::GateReport, Failure> {
    let traced = Traced::of_runs(gates, Some(run), before, ctx, runtime)?;
    Ok(gates.check(traced.input(Some(run), before)))
}

/// The experiment that the arguments describe, and its file.
fn experiment(
    args: &Args,
    ctx: &Context,
    runtime: &tokio::runtime::Runtime,
) -> Result<(Experiment, PathBuf), Failure> {
    let default_name = match args.files.first() {
        Some(file) if file.as_os_str() != "-" => stem(file),
        _ => "experiment".to_owned(),
    };
    let (items, source) = if args.traces {
        let query = args.selection.query()?;
        let store = if query.text.is_some() {
            ctx.existing_store_with_text()?
        } else {
            ctx.existing_store()?
        };
        let limit = args.limit.unwrap_or(TRACES);
        let items = runtime.block_on(recorded_items(&store, &query, limit))?;
        (items, Some(store))
    } else {
        (read_items(args, ctx)?, None)
    };
    let name = args.name.clone().unwrap_or_else(|| default_name.clone());
    let mut experiment = Experiment::new(&name, items)
        .dataset_name(&default_name)
        .concurrency(args.concurrency)
        .repeats(args.repeats)
        .seed(args.seed)
        .retry_errors(args.retry_errors);
    experiment = match (source, &args.field, args.program.split_first()) {
        (Some(store), ..) => experiment.task(RecordedTask::new(Arc::new(store))),
        (None, Some(field), _) => experiment.task(FieldTask::new(field)),
        (None, None, Some((program, arguments))) => {
            let task = CommandTask::new(program, arguments).workers(args.concurrency);
            experiment.task(task.show_stderr(true))
        }
        (None, None, None) => {
            return Err(Failure::new(Code::Usage, "nothing says what to evaluate")
                .hint("-- PROGRAM, --field FIELD for answers that are there, or --traces"));
        }
    };
    for spec in &args.metric {
        experiment = experiment.scorer(spec.scorer()?);
    }
    for (name, field) in &args.map {
        experiment = experiment.map(name, field);
    }
    for metric in &args.lower_is_better {
        experiment = experiment.lower_is_better(metric);
    }
    for (metric, score) in &args.pass_at {
        experiment = experiment.pass_at(metric, *score);
    }
    for (name, value) in &args.set {
        experiment = experiment.metadata(name, value.clone());
    }
    for tag in &args.tag {
        experiment = experiment.tag(tag);
    }
    let timeout = Duration::try_from_secs_f64(args.timeout);
    experiment = experiment.timeout(timeout.map_err(|error| {
        Failure::new(Code::Usage, "the timeout is no number of seconds").cause(error)
    })?);
    if let Some(rate) = args.rate {
        experiment = experiment.rate(rate);
    }
    if let Some(budget) = args.budget {
        experiment = experiment.budget(budget);
    }
    if let Some(version) = &args.task_version {
        experiment = experiment.task_version(version);
    }
    if let Some(model) = &args.model {
        experiment = experiment.model(model);
    }
    if let Some(folder) = &args.cache {
        experiment = experiment.cache(Cache::new(folder));
    }
    let file = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{}.jsonl", safe_name(&name))));
    if args.fresh {
        throw_away(&file)?;
    }
    Ok((experiment.file(&file), file))
}

/// Deletes the file of an earlier run, and nothing that is anything else.
fn throw_away(file: &Path) -> Result<(), Failure> {
    match Run::read(file) {
        Err(error) if error.is_missing() => return Ok(()),
        Ok(_) => {}
        Err(error) => return Err(baseline::unreadable(error)),
    }
    std::fs::remove_file(file).map_err(|error| {
        let text = format!("cannot delete {}", file.display());
        Failure::new(Code::Failed, text).cause(error)
    })
}

fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz");
    let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if name.is_empty() { "experiment" } else { name }.to_owned()
}

/// A name as the name of a file.
fn safe_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    name.chars().map(safe).collect()
}

fn read_items(args: &Args, ctx: &Context) -> Result<Vec<Item>, Failure> {
    if !args.selection.is_empty() {
        return Err(
            Failure::new(Code::Usage, "a filter chooses recorded traces").hint("add --traces"),
        );
    }
    if args.files.is_empty() {
        return Err(Failure::new(Code::Usage, "there is no dataset")
            .hint("name files or folders, - for standard input, or --traces"));
    }
    let files = args.files.iter().map(Input::path);
    let mut reader = ItemReader::new(files, ReadOptions::new().strict(args.strict));
    let mut items = Vec::new();
    for item in reader.by_ref() {
        items.push(item.map_err(super::failure::failure)?);
    }
    ctx.out.notice(&super::summary::warnings(reader.skipped()));
    if items.is_empty() {
        return Err(super::summary::nothing(reader.skipped()));
    }
    Ok(items)
}

/// Runs the trials, with a bar for people and an end for those who lose patience.
fn execute(
    experiment: Experiment,
    runtime: &tokio::runtime::Runtime,
    ctx: &Context,
) -> Result<Run, Failure> {
    let bar = if io::stderr().is_terminal() && !ctx.out.is_json() {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let stop = Stop::new();
    let experiment = experiment.stop(stop.clone()).on_progress(move |progress| {
        shown.set_length(progress.total as u64);
        shown.set_position(progress.done as u64);
        let mut parts = Vec::new();
        if progress.failed > 0 {
            parts.push(format!("{} failed", progress.failed));
        }
        if progress.cost > 0.0 {
            parts.push(dollars(progress.cost));
        }
        if let Some(left) = progress.left {
            let left = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
            parts.push(format!("{} left", duration(left)));
        }
        shown.set_message(parts.join(", "));
    });
    let ran = runtime.block_on(async {
        let run = experiment.run();
        tokio::pin!(run);
        tokio::select! {
            ran = &mut run => ran,
            _ = tokio::signal::ctrl_c() => {
                stop.stop();
                run.await
            }
        }
    });
    bar.finish_and_clear();
    ran.map_err(failed)
}

fn failed(error: ExperimentError) -> Failure {
    match error {
        ExperimentError::File(RunFileError::Different { .. }) => {
            Failure::new(Code::Usage, error.to_string())
                .hint("--output NAME writes another file, --fresh throws this one away")
        }
        ExperimentError::File(error) => baseline::unreadable(error),
        ExperimentError::NoItems => Failure::new(Code::Evals(Verdict::Unusable), error.to_string()),
        other => Failure::new(Code::Usage, other.to_string()),
    }
}

impl Arrived {
    /// What became of the submission, for people.
    fn text(&self) -> String {
        match self {
            Self::Kept(why) => format!("{WARN}not sent to Opik:{WARN:#} {}\n", clean(why)),
            Self::Sent(report) => format!(
                "{GOOD}sent to Opik:{GOOD:#} experiment {} on dataset {}, {} trials\n",
                clean(&report.experiment),
                clean(&report.dataset),
                report.trials + report.earlier,
            ),
        }
    }
}
