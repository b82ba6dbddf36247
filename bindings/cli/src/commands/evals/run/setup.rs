//! From arguments to an experiment.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opik_evals::dataset::{Input, Item, ItemReader, ReadOptions};
use opik_evals::experiment::{
    Cache, CommandTask, Experiment, FieldTask, RecordedTask, Run, recorded_items,
};
use opik_store::Store;
use tokio::runtime::Runtime;

use super::super::judges::Judges;
use super::super::{baseline, failure, summary};
use super::Args;
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Most traces that are evaluated unless more are asked for.
const TRACES: usize = 1_000;

/// Most time for one trial, and for one score.
fn timeout(args: &Args) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(args.timeout).map_err(|error| {
        Failure::new(Code::Usage, "the timeout is no number of seconds").cause(error)
    })
}

/// The model of the judges, where there are any.
pub(super) fn judges(args: &Args) -> Result<Option<Judges>, Failure> {
    let judges = args.judges.find(timeout(args)?)?;
    if judges.is_some() && !args.metric.iter().any(|metric| metric.is_judge()) {
        return Err(
            Failure::new(Code::Usage, "--model is for judges, and no metric is one")
                .hint("-m Hallucination is one; --task-model says what the task uses"),
        );
    }
    Ok(judges)
}

/// The experiment that the arguments describe, and its file.
pub(super) fn experiment(
    args: &Args,
    judges: Option<&Judges>,
    ctx: &Context,
    runtime: &Runtime,
) -> Result<(Experiment, PathBuf), Failure> {
    let default_name = match args.files.first() {
        Some(file) if file.as_os_str() != "-" => stem(file),
        _ => "experiment".to_owned(),
    };
    let store = store(args, ctx)?;
    let items = match &store {
        Some(store) if args.traces => {
            let query = args.selection.query()?;
            let limit = args.limit.unwrap_or(TRACES);
            runtime.block_on(recorded_items(store.as_ref(), &query, limit))?
        }
        _ => read_items(args, ctx)?,
    };
    let name = args.name.clone().unwrap_or_else(|| default_name.clone());
    let mut experiment = Experiment::new(&name, items)
        .dataset_name(&default_name)
        .concurrency(args.concurrency)
        .repeats(args.repeats)
        .seed(args.seed)
        .retry_errors(args.retry_errors);
    // Of answers that are there, where they are from is the version of the task.
    let version;
    experiment = match (&store, &args.field, args.program.split_first()) {
        (Some(store), ..) if args.traces => {
            let which = if args.with_failed {
                "recorded traces, also failed ones"
            } else {
                "recorded traces"
            };
            version = Some(which.to_owned());
            let source: Arc<Store> = Arc::clone(store);
            experiment.task(RecordedTask::new(source).with_failed(args.with_failed))
        }
        (_, Some(field), _) => {
            version = Some(format!("the field {field}"));
            experiment.task(FieldTask::new(field))
        }
        (_, None, Some((program, arguments))) => {
            version = None;
            let task = CommandTask::new(program, arguments).workers(args.concurrency);
            experiment.task(task.show_stderr(true))
        }
        (_, None, None) => {
            return Err(Failure::new(Code::Usage, "nothing says what to evaluate")
                .hint("-- PROGRAM, --field FIELD for answers that are there, or --traces"));
        }
    };
    if let Some(version) = args.task_version.clone().or(version) {
        experiment = experiment.task_version(version);
    }
    for spec in &args.metric {
        experiment = experiment.shared_scorer(spec.scorer(judges, store.as_ref())?);
    }
    if let Some(judges) = judges {
        experiment = experiment.metadata("judge_model", judges.model().name());
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
    experiment = experiment.timeout(timeout(args)?);
    if let Some(rate) = args.rate {
        experiment = experiment.rate(rate);
    }
    if let Some(budget) = args.budget {
        experiment = experiment.budget(budget);
    }
    if let Some(model) = &args.task_model {
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

/// The store, where traces are evaluated or a metric reads them.
fn store(args: &Args, ctx: &Context) -> Result<Option<Arc<Store>>, Failure> {
    if !args.traces && !args.metric.iter().any(|metric| metric.reads_traces()) {
        return Ok(None);
    }
    let query = args.selection.query()?;
    let store = if query.text.is_some() {
        ctx.existing_store_with_text()?
    } else {
        ctx.existing_store()?
    };
    Ok(Some(Arc::new(store)))
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
        items.push(item.map_err(failure::failure)?);
    }
    ctx.out.notice(&summary::warnings(reader.skipped()));
    if items.is_empty() {
        return Err(summary::nothing(reader.skipped()));
    }
    Ok(items)
}
