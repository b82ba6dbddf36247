//! The demo: a small agent run, recorded live, shown and explained.
//!
//! The agent is real where it matters: its tools work on real files in a scratch folder, the
//! retries wait for a real lock, the slow step reads a real archive. Only the chat model is
//! scripted, and the output says so. Every other run finds the exchange rates that the first one
//! missed, so that two runs are worth comparing.

mod agent;
mod model;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use opik_assist::{Answer, AnswerContext, Evidence, analyse, answer};
use opik_core::query::{ProjectSelector, TraceQuery};
use opik_core::source::SourceErrorKind;
use opik_core::tree::NodeId;
use opik_core::{Exporter, PageRequest, TraceId, TraceSource, TraceTree};
use opik_observe::{Policy, Recorder};
use opik_store::Store;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::reference;
use crate::render::critical::CriticalTimes;
use crate::render::style::{DIM, ID, STRONG};
use crate::render::text::{clean_lines, short_id, wrap};
use crate::render::waterfall::waterfall;
use agent::{Agent, StepListener};
use model::{ScriptedModel, ScriptedReply};
use tools::Workspace;

/// The project that the demo records into.
const PROJECT: &str = "demo";

/// Longest wait for the recorder to hand everything to the store.
const DRAIN: Duration = Duration::from_secs(10);

/// Arguments of `opik-rs demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs demo                         record a run, show it, ask questions
  opik-rs demo && opik-rs diff last~1 last
                                       compare: the rates are there this time
  opik-rs demo --rates missing         the run that fails

The tools of the agent are real and work on files in a scratch folder. Its chat model replays a \
script: no service is called and no key is needed.

JSON: {\"trace_id\", \"succeeded\", \"answers\": [{\"question\", \"answer\"}]}")]
pub(crate) struct Args {
    /// Whether the file with the exchange rates is there; where not given, every other run has it
    #[arg(long, value_enum, value_name = "WHERE")]
    rates: Option<Rates>,
}

/// Whether the agent finds the exchange rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rates {
    /// The run fails, and says why only to those who look.
    Missing,
    /// The run succeeds.
    Present,
}

/// One question with its answer.
#[derive(Debug, Serialize)]
struct Asked {
    question: &'static str,
    answer: Answer,
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Report {
    trace_id: TraceId,
    succeeded: bool,
    answers: Vec<Asked>,
}

/// Runs the demo.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let store = Arc::new(ctx.open_store()?);
    let rates = match args.rates {
        Some(rates) => rates,
        None => next_rates(&store)?,
    };
    introduce(rates, ctx)?;
    let (trace, succeeded) = record(&store, rates, ctx)?;
    let tree = reference::tree(store.as_ref(), trace)?;
    let evidence = analyse(&tree);
    let answers = ask(&tree, &evidence);
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&Report {
            trace_id: trace,
            succeeded,
            answers,
        })?);
    }
    show(&tree, &evidence, &answers, rates, ctx)
}

/// The other variant than the run before.
fn next_rates(store: &Store) -> Result<Rates, Failure> {
    let mut query = TraceQuery::default();
    query.project = ProjectSelector::Name(PROJECT.to_owned());
    query.page = PageRequest::first(1);
    query.without_content = true;
    let last = match pollster::block_on(store.search_traces(&query)) {
        Ok(page) => page.items.into_iter().next(),
        Err(error) if error.kind() == SourceErrorKind::UnknownProject => None,
        Err(error) => return Err(error.into()),
    };
    let failed = last.is_some_and(|trace| trace.error_info.is_some());
    Ok(if failed {
        Rates::Present
    } else {
        Rates::Missing
    })
}

fn introduce(rates: Rates, ctx: &Context) -> Result<(), Failure> {
    if ctx.out.is_json() {
        return Ok(());
    }
    let rates = match rates {
        Rates::Missing => "rates.json is missing in this run",
        Rates::Present => "rates.json is there in this run",
    };
    Ok(ctx.out.text(&format!(
        "{STRONG}An agent answers a question about a shop's files, and is recorded.{STRONG:#}\n\
         Its tools are real and work on real files ({rates}).\n\
         Its chat model replays a script: no service is called, no key is needed.\n\n"
    ))?)
}

/// Prints each step as it begins.
#[derive(Debug)]
struct Progress<'a>(&'a Context);

impl StepListener for Progress<'_> {
    fn step(&self, name: &str) {
        if !self.0.out.is_json() {
            // A terminal that is gone must not stop the agent; the next command will notice.
            drop(
                self.0
                    .out
                    .text(&format!("  {DIM}recording{DIM:#} {name}\n")),
            );
        }
    }
}

/// Runs the agent under the recorder and says which trace it made, and whether it succeeded.
fn record(store: &Arc<Store>, rates: Rates, ctx: &Context) -> Result<(TraceId, bool), Failure> {
    let cannot = |what: &str| Failure::new(Code::Failed, format!("cannot {what}"));
    let folder =
        tempfile::tempdir().map_err(|error| cannot("make a scratch folder").cause(error))?;
    let workspace = Workspace::prepare(folder.path(), rates == Rates::Present)
        .map_err(|error| cannot("fill the scratch folder").cause(error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| cannot("start the agent").cause(error))?;
    let (recorder, guard) = Recorder::builder()
        .project(PROJECT)
        .branch(
            "store",
            Arc::clone(store) as Arc<dyn Exporter>,
            Policy::full_content(),
        )
        .start()
        .map_err(|error| cannot("start the recorder").cause(error))?;

    let model = ScriptedModel::new(script(rates));
    let progress = Progress(ctx);
    let agent = Agent {
        recorder: &recorder,
        model: &model,
        workspace,
        on_step: &progress,
    };
    let run = runtime.block_on(agent.answer());

    let report = guard.shutdown(DRAIN);
    let trace = run
        .trace
        .ok_or_else(|| cannot("record: the recorder is off"))?;
    let lost = report
        .statistics
        .branch("store")
        .map_or(0, |branch| branch.dropped());
    if !report.complete || lost > 0 {
        return Err(cannot("record the run").hint(format!(
            "{lost} records did not reach the store; opik-rs doctor looks for the reason"
        )));
    }
    Ok((trace, run.result.is_ok()))
}

/// What the chat model replies in a run.
fn script(rates: Rates) -> [ScriptedReply; 2] {
    let plan = ScriptedReply {
        text: "List the files, read orders and returns, index the archive to see what was moved, \
               convert all amounts to euros, then write the report.",
        prompt_tokens: 412,
    };
    let draft = match rates {
        Rates::Missing => ScriptedReply {
            text: "# Returns\nlamp: 410 EUR, chair: 450 USD, together 860.\n\
                   The chair lost us the most money.",
            prompt_tokens: 1_638,
        },
        Rates::Present => ScriptedReply {
            text: "# Returns, in EUR\nlamp: 410.00, chair: 405.00, together 815.00.\n\
                   The lamp lost us the most money, five euros more than the chair.",
            prompt_tokens: 1_655,
        },
    };
    [plan, draft]
}

/// Asks the three questions.
fn ask(tree: &TraceTree, evidence: &Evidence) -> Vec<Asked> {
    let context = AnswerContext::new(tree, evidence);
    let attempts =
        lock_attempts(tree).map(|(first, last)| (tree.span(first).id, tree.span(last).id));
    let compared = attempts.map(|(first, last)| context.between(first, last));
    let questions = [
        ("What caused this error?", Some(context)),
        ("Why is this trace slow?", Some(context)),
        (
            "What is the difference between the first and the last try to take the lock?",
            compared,
        ),
    ];
    questions
        .into_iter()
        .filter_map(|(question, context)| {
            Some(Asked {
                question,
                answer: answer(question, &context?),
            })
        })
        .collect()
}

/// The first and the last attempt to take the lock: a pair of spans worth comparing.
fn lock_attempts(tree: &TraceTree) -> Option<(NodeId, NodeId)> {
    let mut attempts = tree
        .nodes()
        .filter(|&node| tree.span(node).name.as_deref() == Some("take_lock"));
    Some((attempts.next()?, attempts.next_back()?))
}

fn show(
    tree: &TraceTree,
    evidence: &Evidence,
    answers: &[Asked],
    rates: Rates,
    ctx: &Context,
) -> Outcome {
    let critical = CriticalTimes::of(tree, &evidence.critical_path.segments);
    let mut text = format!("\n{STRONG}What was recorded{STRONG:#}\n");
    text.push_str(&waterfall(tree, &critical, None, ctx.width, &ctx.glyphs));
    for asked in answers {
        text.push_str(&format!(
            "\n{STRONG}{}{STRONG:#}\n{}",
            asked.question,
            wrap(&clean_lines(asked.answer.text.trim_end()), ctx.width)
        ));
    }
    text.push_str(&next_steps(tree.id(), rates));
    Ok(ctx.out.text(&text)?)
}

fn next_steps(trace: TraceId, rates: Rates) -> String {
    let id = short_id(trace);
    let again = match rates {
        Rates::Missing => (
            "opik-rs demo",
            "run it again: this time rates.json is there",
        ),
        Rates::Present => (
            "opik-rs diff last~1 last",
            "what changed since the run before",
        ),
    };
    let steps = [
        (
            format!("opik-rs show {id} --span check_report"),
            "one span with its input and output",
        ),
        (
            format!("opik-rs ask {id} \"how can I reduce the cost?\""),
            "another question",
        ),
        (again.0.to_owned(), again.1),
        (
            "opik-rs import traces.jsonl".to_owned(),
            "look at traces of your own",
        ),
    ];
    let width = steps
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    let mut text = format!("\n{STRONG}Try next{STRONG:#}\n");
    for (command, what) in steps {
        text.push_str(&format!("  {ID}{command:<width$}{ID:#}  {what}\n"));
    }
    text
}
