//! A workflow is one trace, whose spans are linked, and nothing of its texts leaves by default.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opik_core::{Span, Trace, Usage};
use opik_observe::prompts::{FetchedPrompt, PromptRegistry, PromptSource, PromptSourceError};
use opik_observe::workflow::{self, Counts, Job, METADATA_KEYS, Steps};
use opik_observe::{FutureExt as _, Policy, Recorder, prompt_hash};
use opik_testkit::RecordingExporter;
use serde_json::{Value, json};

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);

struct Outcome {
    spans: Vec<Span>,
    traces: Vec<Trace>,
}

/// Runs a workflow and gives what a branch with this policy got.
fn record(policy: Policy, work: impl FnOnce(&Recorder)) -> Outcome {
    let seen = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(seen.clone()), policy)
        .start()
        .unwrap();
    work(&recorder);
    assert!(guard.shutdown(LONG).complete);
    Outcome {
        spans: seen.spans(),
        traces: seen.traces(),
    }
}

impl Outcome {
    /// Name and type of every span, indented by depth, in the order of their beginnings.
    fn tree(&self) -> String {
        let mut spans: Vec<_> = self.spans.iter().collect();
        spans.sort_by_key(|span| (span.start_time, span.id));
        let depth = |span: &Span| {
            let mut depth = 0;
            let mut parent = span.parent_span_id;
            while let Some(id) = parent {
                depth += 1;
                let above = self.spans.iter().find(|span| span.id == id);
                parent = above.expect("the parent is recorded").parent_span_id;
            }
            depth
        };
        let line = |span: &Span| {
            let indent = "  ".repeat(depth(span));
            format!(
                "{indent}{} {}\n",
                span.kind(),
                span.name.as_deref().unwrap()
            )
        };
        spans.into_iter().map(line).collect()
    }

    #[track_caller]
    fn span(&self, name: &str) -> &Span {
        let mut named = self
            .spans
            .iter()
            .filter(|span| span.name.as_deref() == Some(name));
        let span = named.next().expect("the span is recorded");
        assert!(named.next().is_none(), "{name} is recorded once");
        span
    }

    #[track_caller]
    fn metadata(&self, name: &str) -> Value {
        metadata(&self.span(name).metadata)
    }
}

fn metadata(field: &Option<opik_core::Json>) -> Value {
    field
        .as_ref()
        .map_or(Value::Null, |json| json.to_value().unwrap())
}

#[derive(Debug)]
struct Prompts;

#[async_trait]
impl PromptSource for Prompts {
    async fn fetch(&self, _: &str, _: &str) -> Result<Option<FetchedPrompt>, PromptSourceError> {
        Ok(Some(
            FetchedPrompt::new("secret prompt")
                .version("v3")
                .commit("1a2b3c4d"),
        ))
    }
}

const MESSAGES: &str =
    r#"[{"role":"system","content":"secret system"},{"role":"user","content":"secret question"}]"#;

/// Extraction fails, a fallback expert repeats it, and a validation fails once.
fn synthesis(recorder: &Recorder) {
    let prompts = PromptRegistry::builder(Arc::new(Prompts)).start().unwrap();
    prompts.warm_up(&[("extract", "production")], LONG);
    let messages: Value = serde_json::from_str(MESSAGES).unwrap();

    let mut job = Job::begin(recorder, "synthesis", "job-17", "project-3");
    job.rigor_level("conservative");
    {
        let mut node = job.node("extract");
        node.node_type("expert").attempt(1);
        let mut call = node.llm_call("logician");
        call.path("primary").attempt(1).model("qwen3-32b", "vllm");
        call.prompt(&messages);
        call.error(&io::Error::other("secret timeout"));
        call.end();
        let mut call = node.llm_call("generalist");
        call.path("fallback").attempt(2).fallback_from("logician");
        call.prompt_with_tools(&messages, &json!([{"name": "search"}]));
        call.prompt_text(&prompts.get("extract", "production", "secret default"));
        call.model("llama", "").usage(&Usage::of_tokens(100, 20));
        call.reply("secret reply");
        drop(call);
        node.validation("citations").failed().findings(2);
        node.counts(&Counts::new().claims(12).conflicts(1));
    }
    let mut draft = job.node("draft");
    draft
        .attempt(2)
        .prompt_text(&prompts.get("other", "", "secret default"));
    draft.node("section").end();
    draft.validation("tone").passed();
    draft.end();
    job.counts(&Counts::new().blocks(4).of("tables", 2));
}

#[test]
fn a_job_is_one_trace_with_a_span_for_every_step() {
    let outcome = record(Policy::full_content(), synthesis);
    assert_eq!(
        outcome.tree(),
        "general extract\n  llm logician\n  llm generalist\n  guardrail citations\n\
         general draft\n  general section\n  guardrail tone\n"
    );
    assert_eq!(outcome.traces.len(), 1);
    let trace = &outcome.traces[0];
    assert_eq!(trace.name.as_deref(), Some("synthesis"));
    assert!(outcome.spans.iter().all(|span| span.trace_id == trace.id));
    let ids: BTreeSet<_> = outcome.spans.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), outcome.spans.len());
    assert!(outcome.spans.iter().all(|span| span.end_time.is_some()));
    assert_eq!(
        metadata(&trace.metadata),
        json!({
            "job_id": "job-17", "project_id": "project-3", "rigor_level": "conservative",
            "counts": {"blocks": 4, "tables": 2},
        })
    );
}

#[test]
fn calls_nodes_and_validations_say_what_they_are_and_how_they_went() {
    let outcome = record(Policy::full_content(), synthesis);
    assert_eq!(
        outcome.metadata("extract"),
        json!({
            "node_name": "extract", "node_type": "expert", "attempt": 1,
            "counts": {"claims": 12, "conflicts": 1},
        })
    );
    let failed = outcome.span("logician");
    assert_eq!(failed.model.as_deref(), Some("qwen3-32b"));
    assert_eq!(failed.provider.as_deref(), Some("vllm"));
    assert_eq!(
        failed.error_info.as_ref().unwrap().exception_type,
        "io::Error"
    );
    assert!(failed.tags.is_empty());

    let again = outcome.span("generalist");
    assert_eq!(again.tags, ["retry"]);
    assert_eq!(again.usage, Usage::of_tokens(100, 20));
    let told = outcome.metadata("generalist");
    for (key, value) in [
        ("expert", json!("generalist")),
        ("path", json!("fallback")),
        ("attempt", json!(2)),
        ("fallback", json!(true)),
        ("fallback_from", json!("logician")),
        ("prompt_name", json!("extract")),
        ("prompt_tag", json!("production")),
        ("prompt_version", json!("v3")),
        ("prompt_commit", json!("1a2b3c4d")),
        ("prompt_origin", json!("cached")),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    let draft = outcome.metadata("draft");
    assert_eq!(draft["prompt_origin"], "default");
    assert!(draft.get("prompt_version").is_none() && draft.get("prompt_tag").is_none());

    assert_eq!(
        outcome.metadata("citations"),
        json!({"validation_kind": "citations", "validation_result": "failed", "findings": 2})
    );
    assert_eq!(outcome.metadata("tone")["validation_result"], "passed");
    assert!(outcome.span("citations").error_info.is_none());
}

#[test]
fn the_ready_made_policy_lets_labels_numbers_and_hashes_through_and_no_text() {
    let outcome = record(workflow::policy(), synthesis);
    let all = format!(
        "{}{}",
        serde_json::to_string(&outcome.spans).unwrap(),
        serde_json::to_string(&outcome.traces).unwrap()
    );
    assert!(!all.contains("secret"), "{all}");

    // Everything that the guards wrote is there, and nothing else.
    let full = record(Policy::full_content(), synthesis);
    let keys = |outcome: &Outcome| {
        let fields = outcome.spans.iter().map(|span| &span.metadata);
        let fields = fields.chain(outcome.traces.iter().map(|trace| &trace.metadata));
        let objects = fields.filter_map(|field| metadata(field).as_object().cloned());
        objects
            .flatten()
            .map(|(key, _)| key)
            .collect::<BTreeSet<_>>()
    };
    let hashes = |key: &String| key.starts_with("prompt_hash");
    let written: BTreeSet<_> = keys(&full).into_iter().filter(|key| !hashes(key)).collect();
    assert!(
        written.iter().map(String::as_str).eq(METADATA_KEYS),
        "{written:?}"
    );
    let sent: BTreeSet<_> = keys(&outcome)
        .into_iter()
        .filter(|key| !hashes(key))
        .collect();
    assert_eq!(sent, written);
    assert_eq!(outcome.tree(), full.tree());

    let input = format!(r#"{{"messages":{MESSAGES},"tools":[{{"name":"search"}}]}}"#);
    let told = outcome.metadata("generalist");
    assert_eq!(told["prompt_hash"], prompt_hash::v2(&input));
    let vyasa = prompt_hash::v1(&input).unwrap();
    assert_eq!(told["prompt_hash_v1"], vyasa);
    assert_eq!(outcome.span("generalist").usage, Usage::of_tokens(100, 20));
    assert_eq!(
        outcome.metadata("logician")["prompt_hash"],
        prompt_hash::v2(MESSAGES)
    );
}

#[test]
fn steps_go_along_to_threads_tasks_and_code_that_was_handed_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let outcome = record(Policy::full_content(), |recorder| {
        let job = Job::begin(recorder, "job", "j", "");
        let steps = job.steps();
        std::thread::scope(|scope| {
            for name in ["left", "right"] {
                let steps = steps.clone();
                scope.spawn(move || steps.node(name).llm_call("in a thread").end());
            }
        });
        let deep = recorder.clone();
        let work = async move {
            tokio::task::yield_now().await;
            Steps::in_context(&deep).llm_call("deep below").end();
        };
        let node = job.node("async");
        runtime.block_on(runtime.spawn(work.in_span(node))).unwrap();
        {
            let node = job.node("sync");
            let _here = node.enter();
            Steps::in_context(recorder)
                .validation("deep below too")
                .passed();
        }
        let cancelled = std::future::pending::<()>().in_span(job.node("cancelled"));
        drop(cancelled);
    });
    let parent = |span: &Span| {
        let parent = outcome
            .spans
            .iter()
            .find(|other| Some(other.id) == span.parent_span_id);
        parent.unwrap().name.clone().unwrap()
    };
    let threads = outcome
        .spans
        .iter()
        .filter(|it| it.name.as_deref() == Some("in a thread"));
    let mut parents: Vec<_> = threads.map(parent).collect();
    parents.sort();
    assert_eq!(parents, ["left", "right"]);
    assert_eq!(parent(outcome.span("deep below")), "async");
    assert_eq!(parent(outcome.span("deep below too")), "sync");
    assert_eq!(outcome.metadata("cancelled")["cancelled"], true);
    assert_eq!(outcome.traces.len(), 1);
    assert_eq!(
        metadata(&outcome.traces[0].metadata),
        json!({"job_id": "j"})
    );
}

#[test]
fn a_node_that_panics_has_failed_and_its_job_goes_on() {
    let outcome = record(workflow::policy(), |recorder| {
        let job = Job::begin(recorder, "job", "j", "p");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _node = job.node("breaks");
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        job.node("goes on").end();
    });
    let error = outcome.span("breaks").error_info.as_ref().unwrap();
    assert_eq!(error.exception_type, "panic");
    assert!(outcome.span("goes on").error_info.is_none());
    assert!(outcome.traces[0].error_info.is_none());
}

#[test]
fn labels_have_an_end() {
    let long = "ü".repeat(100);
    let outcome = record(workflow::policy(), |recorder| {
        let job = Job::begin(recorder, "job", &long, "p");
        let mut call = job.llm_call("expert");
        call.path(&long);
        call.fallback_from(&long);
    });
    let cut = "ü".repeat(64);
    let told = outcome.metadata("expert");
    assert_eq!(
        (&told["path"], &told["fallback_from"]),
        (&json!(cut), &json!(cut))
    );
    assert_eq!(metadata(&outcome.traces[0].metadata)["job_id"], json!(cut));
}

#[test]
fn nothing_is_recorded_by_a_recorder_that_is_off() {
    let recorder = Recorder::disabled();
    let mut job = Job::begin(&recorder, "job", "j", "p");
    let mut node = job.node("node");
    assert_eq!(node.llm_call("expert").span().id(), None);
    assert_eq!(node.span().id(), None);
    assert_eq!(job.trace().trace_id(), None);
    let call = Steps::in_context(&recorder).llm_call("expert");
    assert_eq!(call.steps().node("n").span().id(), None);
}
