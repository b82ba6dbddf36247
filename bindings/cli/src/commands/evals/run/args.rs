//! What `opik-rs evals run` takes.

use std::path::PathBuf;

use serde_json::Value;

use super::super::baseline::Outputs;
use super::super::judges::JudgeArgs;
use super::super::metrics::{self, MetricSpec, pair, setting};
use super::super::submit::Target;
use crate::commands::selection::Selection;

/// Arguments of `opik-rs evals run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs evals run tone.jsonl -m Equals -- python task.py
  opik-rs evals run tone.jsonl -m Equals --field prediction
  opik-rs evals run qa.jsonl -m Equals -m 'ROUGE={\"rouge_type\":\"rougeL\"}' \\
            --task-version 7 --cache cache --repeats 3 -- ./answer
  opik-rs evals run --traces --project shop -m IsJson --gate gates.toml
  opik-rs evals run --traces --since 24h -m 'ToolUsed={\"tool\":\"search\"}' \\
            -m TraceErrors -m TraceLoops --with-failed
  opik-rs evals run qa.jsonl --field answer --map input=question -m AnswerRelevance \\
            --model openai/gpt-4.1-mini --judge-budget 0.50
  opik-rs evals run tone.jsonl -m Equals --field label \\
            --baseline runs/main.jsonl --report report.html --report junit.xml

`opik-rs evals metrics` lists what -m takes: metrics of the answer, metrics of the recorded trace, \
and judges, which ask --model.

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
    pub(super) files: Vec<PathBuf>,

    /// The file of the run [default: runs/NAME.jsonl]
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// Run nothing if any record of the dataset cannot be used
    #[arg(long)]
    pub(super) strict: bool,

    /// Evaluate the recorded traces of the store: their outputs are the answers
    #[arg(long, conflicts_with = "files")]
    pub(super) traces: bool,

    /// Traces that ended with an error are answers too, for metrics of traces, and no failed trials
    #[arg(long, requires = "traces")]
    pub(super) with_failed: bool,

    #[command(flatten)]
    pub(super) selection: Selection,

    /// Name of the experiment [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,

    /// A metric, with parameters as JSON after `=` (give it several times)
    #[arg(long, short = 'm', value_name = "METRIC[={...}]")]
    pub(super) metric: Vec<MetricSpec>,

    /// The answer is this field of the item: for predictions that are there already
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["traces", "program"])]
    pub(super) field: Option<String>,

    /// The program that answers, with its arguments
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "traces")]
    pub(super) program: Vec<String>,

    /// Lets metrics read a field under another name, such as reference=expected
    #[arg(long, value_name = "NAME=FIELD", value_parser = pair)]
    pub(super) map: Vec<(String, String)>,

    /// Low scores of this metric are good
    #[arg(long, value_name = "METRIC")]
    pub(super) lower_is_better: Vec<String>,

    /// The score that passes a metric
    #[arg(long, value_name = "METRIC=SCORE", value_parser = metrics::score)]
    pub(super) pass_at: Vec<(String, f64)>,

    /// Most trials at once
    #[arg(long, short = 'j', value_name = "NUMBER", default_value_t = 8)]
    pub(super) concurrency: usize,

    /// Most trials that begin in a second
    #[arg(long, value_name = "NUMBER")]
    pub(super) rate: Option<f64>,

    /// How many times each item is run
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) repeats: u32,

    /// Most seconds for one trial
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    pub(super) timeout: f64,

    /// Begin no trial after this many US dollars
    #[arg(long, value_name = "DOLLARS")]
    pub(super) budget: Option<f64>,

    /// The seed that the seeds of trials are made of
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(super) seed: u64,

    /// Keep answers and scores in this folder and use them again; with a program this needs
    /// --task-version
    #[arg(long, value_name = "FOLDER")]
    pub(super) cache: Option<PathBuf>,

    /// Which version of the task it is, such as a commit
    #[arg(long, value_name = "VERSION")]
    pub(super) task_version: Option<String>,

    /// The model that the task uses, to be kept with the results
    #[arg(long, value_name = "NAME")]
    pub(super) task_model: Option<String>,

    /// Run again what failed when the same run was made before, and score again what a metric could
    /// not score
    #[arg(long)]
    pub(super) retry_errors: bool,

    /// Throw away what an earlier run left in --output
    #[arg(long)]
    pub(super) fresh: bool,

    /// Most traces to take, the newest first [default: 1000]
    #[arg(long, short = 'n', value_name = "NUMBER", requires = "traces")]
    pub(super) limit: Option<usize>,

    /// Something to keep with the results, such as temperature=0.1
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(super) set: Vec<(String, Value)>,

    /// A label of the run
    #[arg(long, value_name = "LABEL")]
    pub(super) tag: Vec<String>,

    /// Thresholds that the run has to keep; code 5 when it does not
    #[arg(long, value_name = "FILE")]
    pub(super) gate: Option<PathBuf>,

    #[command(flatten)]
    pub(super) judges: JudgeArgs,

    #[command(flatten)]
    pub(super) outputs: Outputs,

    #[command(flatten)]
    pub(super) target: Target,

    /// Keep the results on this machine, whatever is configured
    #[arg(long, conflicts_with = "best_effort")]
    pub(super) no_submit: bool,
}
