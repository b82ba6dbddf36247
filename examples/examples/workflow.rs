//! Traces a workflow like a LangGraph: functions that pass a state on, an edge that depends on it, a
//! call that fails and goes to another expert, and a validation that fails once.
//!
//! The local branch keeps everything; a second branch gets what may leave the machine: labels,
//! numbers and hashes. Run it with `cargo run -p opik-examples --example workflow`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opik_assist::{AnswerContext, analyse, answer};
use opik_core::source::load_tree;
use opik_core::{Exporter, TraceTree, Usage};
use opik_observe::prompts::{FetchedPrompt, PromptRegistry, PromptSource, PromptSourceError};
use opik_observe::workflow::{self, Counts, Job, Node};
use opik_observe::{Policy, Recorder};
use opik_store::Store;
use opik_testkit::RecordingExporter;
use serde_json::{Value, json};

/// What the nodes pass on.
#[derive(Debug, Default)]
struct State {
    text: String,
    claims: Vec<String>,
    draft: String,
    drafts: u32,
    cited: bool,
}

/// The nodes of the graph.
#[derive(Debug, Clone, Copy)]
enum Step {
    Extract,
    Draft,
    Validate,
    End,
}

/// A model server, as far as this example needs one.
#[derive(Debug, thiserror::Error)]
#[error("the expert did not answer in time")]
struct Timeout;

fn model(expert: &str, messages: &Value) -> Result<(String, Usage), Timeout> {
    let prompt = messages.to_string();
    match expert {
        "logician" => Err(Timeout),
        "generalist" => Ok((
            "rain falls; roads get wet".to_owned(),
            Usage::of_tokens(64, 9),
        )),
        _ if prompt.contains("cite") => Ok((
            "Roads get wet [1] because rain falls [2].".to_owned(),
            Usage::of_tokens(80, 14),
        )),
        _ => Ok((
            "Roads get wet because rain falls.".to_owned(),
            Usage::of_tokens(71, 10),
        )),
    }
}

/// Asks one expert after the other until one answers.
fn ask(node: &Node, experts: &[&'static str], messages: &Value) -> Result<String, Timeout> {
    let mut failed: Option<&str> = None;
    for (attempt, expert) in (1..).zip(experts) {
        let mut call = node.llm_call(*expert);
        call.model("qwen3-32b", "vllm")
            .attempt(attempt)
            .prompt(messages);
        match failed {
            None => call.path("primary"),
            Some(before) => call.path("fallback").fallback_from(before),
        };
        match model(expert, messages) {
            Ok((reply, usage)) => {
                call.reply(&reply).usage(&usage);
                return Ok(reply);
            }
            Err(error) => {
                call.error(&error);
                failed = Some(expert);
            }
        }
    }
    Err(Timeout)
}

fn extract(node: &mut Node, state: &mut State, prompts: &PromptRegistry) -> Result<Step, Timeout> {
    let prompt = prompts.get("extract", "production", "List the claims.");
    node.node_type("expert").prompt_text(&prompt);
    let messages = json!([
        {"role": "system", "content": prompt.text()},
        {"role": "user", "content": &state.text},
    ]);
    let reply = ask(node, &["logician", "generalist"], &messages)?;
    state.claims = reply.split("; ").map(str::to_owned).collect();
    node.counts(&Counts::new().claims(state.claims.len() as u64));
    Ok(Step::Draft)
}

fn draft(node: &mut Node, state: &mut State, prompts: &PromptRegistry) -> Result<Step, Timeout> {
    state.drafts += 1;
    let prompt = prompts.get("draft", "production", "Write one sentence.");
    node.node_type("expert")
        .attempt(state.drafts)
        .prompt_text(&prompt);
    let wish = if state.drafts > 1 {
        " Always cite."
    } else {
        ""
    };
    let messages = json!([
        {"role": "system", "content": format!("{}{wish}", prompt.text())},
        {"role": "user", "content": state.claims.join("\n")},
    ]);
    state.draft = ask(node, &["writer"], &messages)?;
    node.counts(&Counts::new().blocks(1));
    Ok(Step::Validate)
}

/// The edge that depends on the state: a draft without citations goes back, twice at most.
fn validate(node: &mut Node, state: &mut State) -> Step {
    node.node_type("router").attempt(state.drafts);
    let missing = state
        .claims
        .len()
        .saturating_sub(state.draft.matches('[').count());
    let mut validation = node.validation("citations");
    validation.findings(missing as u64);
    if missing == 0 {
        validation.passed();
        state.cited = true;
    } else {
        validation.failed();
    }
    if missing == 0 || state.drafts > 2 {
        Step::End
    } else {
        Step::Draft
    }
}

fn run(recorder: &Recorder, prompts: &PromptRegistry, text: &str) -> Result<State, Timeout> {
    let mut job = Job::begin(recorder, "synthesis", "job-17", "project-3");
    let mut state = State {
        text: text.to_owned(),
        ..State::default()
    };
    let mut step = Step::Extract;
    loop {
        let next = match step {
            Step::Extract => extract(&mut job.node("extract"), &mut state, prompts),
            Step::Draft => draft(&mut job.node("draft"), &mut state, prompts),
            Step::Validate => Ok(validate(&mut job.node("validate"), &mut state)),
            Step::End => break,
        };
        step = next.inspect_err(|error| {
            job.error(error);
        })?;
    }
    job.counts(&Counts::new().claims(state.claims.len() as u64).blocks(1));
    Ok(state)
}

/// A registry of prompts on this machine. With a server it is an `opik_core::rest::OpikClient`.
#[derive(Debug)]
struct Shelf;

#[async_trait]
impl PromptSource for Shelf {
    async fn fetch(
        &self,
        name: &str,
        _tag: &str,
    ) -> Result<Option<FetchedPrompt>, PromptSourceError> {
        let known = FetchedPrompt::new("List the claims, one after the other.").version("v4");
        Ok((name == "extract").then_some(known))
    }
}

fn print(tree: &TraceTree) {
    for node in tree.nodes() {
        let span = tree.span(node);
        let metadata = span.metadata.as_ref().and_then(|json| json.to_value().ok());
        let told: Vec<_> = [
            "path",
            "attempt",
            "fallback_from",
            "prompt_version",
            "validation_result",
        ]
        .into_iter()
        .filter_map(|key| Some(format!("{key}={}", metadata.as_ref()?.get(key)?)))
        .collect();
        let failed = span.error_info.as_ref().map_or("", |_| " failed");
        println!(
            "  {}{} {}{failed} {}",
            "  ".repeat(tree.depth(node)),
            span.kind(),
            span.name.as_deref().unwrap_or("-"),
            told.join(" "),
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(match std::env::args_os().nth(1) {
        Some(path) => Store::open(path, opik_store::StoreOptions::default())?,
        None => Store::open_in_memory()?,
    });
    let elsewhere = RecordingExporter::new();
    let local = Arc::clone(&store) as Arc<dyn Exporter>;
    let (recorder, guard) = Recorder::builder()
        .project("vyasa")
        .branch("local", local, Policy::full_content())
        .branch("remote", Arc::new(elsewhere.clone()), workflow::policy())
        .start()?;
    let prompts = PromptRegistry::builder(Arc::new(Shelf)).start()?;
    prompts.warm_up(
        &[("extract", "production"), ("draft", "production")],
        Duration::from_secs(2),
    );

    let state = run(&recorder, &prompts, "It rains, and the roads are wet.")?;
    println!("{} (drafts: {})\n", state.draft, state.drafts);
    let report = guard.shutdown(Duration::from_secs(3));
    println!(
        "recorded {} records, complete: {}",
        report.statistics.recorded, report.complete
    );

    let trace = elsewhere
        .traces()
        .into_iter()
        .next()
        .ok_or("the job is not there")?;
    let tree = pollster::block_on(load_tree(store.as_ref(), trace.id))?;
    let tree = tree.ok_or("the trace is not in the store")?;
    print(&tree);

    let evidence = analyse(&tree);
    let context = AnswerContext::new(&tree, &evidence);
    let question = "What caused the error?";
    println!("\n# {question}\n{}\n", answer(question, &context).text);

    let call = elsewhere
        .spans()
        .into_iter()
        .find(|span| span.model.is_some());
    let call = call.ok_or("no model call left the machine")?;
    println!(
        "what left the machine of a model call:\n{}",
        serde_json::to_string_pretty(&call)?
    );
    if !state.cited || tree.len() != 11 || call.input.is_some() {
        return Err("a draft was repeated once, and no text left the machine".into());
    }
    Ok(())
}
