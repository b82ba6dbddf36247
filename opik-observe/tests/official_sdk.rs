//! What the recorder writes, the official Python SDK reads back, field by field.
//!
//! Needs a Python that has the package `opik`, named by `OPIK_SDK_PYTHON`; `.ci/run` sets one up.
#![cfg(feature = "rest")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use opik_core::model::ScoreTarget;
use opik_core::rest::{AttachmentTarget, NewAttachment, OpikClient};
use opik_core::{FeedbackScore, ScoreRecord, SpanType, Timestamp, Usage};
use opik_observe::{Policy, Recorder};
use opik_testkit::{RecordingExporter, StubServer};
use serde_json::{Value, json};

const PROJECT: &str = "read back";

/// A Python with the SDK, or a word about the test that is skipped.
fn python(test: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its Python is"
    )]
    let named = std::env::var("OPIK_SDK_PYTHON").ok();
    if named.is_none() {
        // Past the test harness, which hides what passing tests print.
        let line =
            format!("SKIPPED {test}: OPIK_SDK_PYTHON names no Python with the package opik\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    named
}

/// Everything a recorder can say, in one trace with all kinds of spans and in one that is bare.
fn record(recorder: &Recorder) {
    let mut trace = recorder.trace("answer");
    trace
        .input(&json!({ "question": "why is it late?", "nested": { "list": [1, 2.5, null, "é\u{1F980}\n"] } }))
        .output(&json!([{ "role": "assistant", "content": "it left today" }]))
        .metadata("channel", "chat")
        .metadata("attempt", 2)
        .metadata("share", 0.25)
        .metadata("beta", true)
        .tag("example")
        .tag("späte Lieferung")
        .thread_id("thread 7")
        .first_token();
    trace.score("helpful", 0.75);
    {
        let mut model = trace.span("chat", SpanType::Llm);
        model
            .model("gpt-5-mini", "openai")
            .usage(&Usage::of_tokens(120, 30))
            .cost(0.00125);
        model.input("a text alone").output(&42).first_token();
        model.score("faithful", 1.0);
        let mut tool = model.child("lookup", SpanType::Tool);
        tool.input(&json!({ "order": 4711 }));
        tool.fail("Timeout", "no answer from the warehouse");
        let mut guardrail = tool.child("pii", SpanType::Guardrail);
        guardrail.output(&json!({ "passed": true }));
    }
    recorder.trace("bare").end();
    let thread = ScoreTarget::Thread("thread 7".to_owned());
    recorder.score(&ScoreRecord::new(thread, FeedbackScore::new("solved", 1.0)));
}

#[test]
fn the_official_sdk_reads_every_field_that_was_recorded() {
    let test = "the_official_sdk_reads_every_field_that_was_recorded";
    let Some(python) = python(test) else { return };
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let client = OpikClient::builder(stub.base_url())
        .proxies(false)
        .build()
        .unwrap();
    let kept = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .project(PROJECT)
        .environment("staging")
        .branch("opik", Arc::new(client.clone()), Policy::full_content())
        .branch("kept", Arc::new(kept.clone()), Policy::full_content())
        .start()
        .unwrap();
    record(&recorder);
    let report = guard.shutdown(Duration::from_secs(30));
    assert!(report.complete, "{report:?}");
    let answer = kept
        .traces()
        .into_iter()
        .find(|trace| trace.thread_id.is_some());
    let picture = b"\x89PNG\r\n\x1a\nnot much of a picture".to_vec();
    let file = NewAttachment::new(
        AttachmentTarget::Trace(answer.unwrap().id),
        "chart.png",
        picture,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let file = file.mime_type("image/png").project_name(PROJECT);
    runtime.block_on(client.attach(&file)).unwrap();

    let read = read_back(&python, &stub);
    let traces = kept.traces().into_iter().map(|trace| value(&trace));
    let spans = kept.spans().into_iter().map(|span| value(&span));
    for (list, expected) in [
        ("traces", traces.clone().collect()),
        ("got_traces", traces.collect()),
        ("spans", spans.clone().collect()),
        ("got_spans", spans.collect::<Vec<_>>()),
    ] {
        assert_records(list, expected, &read);
    }
    assert_scores(&kept, &read);
    let files = read["attachments"].as_array().unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0]["name"], "chart.png");
    assert_eq!(files[0]["type"], "image/png");
    assert_eq!(
        files[0]["content"],
        "iVBORw0KGgpub3QgbXVjaCBvZiBhIHBpY3R1cmU="
    );
    assert_eq!(read["threads"][0]["id"], "thread 7");
}

fn value<T: serde::Serialize>(record: &T) -> Value {
    serde_json::to_value(record).unwrap()
}

fn read_back(python: &str, stub: &StubServer) -> Value {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../opik-core/testkit/sdk/read_back.py");
    let output = Command::new(python)
        .arg(script)
        .arg(PROJECT)
        .env("OPIK_URL_OVERRIDE", stub.base_url())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    // The SDK warns of records and fields that it drops.
    assert!(!complaint.contains("rror"), "{complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every field of every record is there with its value, and no record is missing or added.
fn assert_records(list: &str, expected: Vec<Value>, read: &Value) {
    let read = read[list].as_array().unwrap();
    let by_id: BTreeMap<&str, &Value> = read
        .iter()
        .map(|record| (record["id"].as_str().unwrap(), record))
        .collect();
    assert_eq!(
        (by_id.len(), read.len()),
        (expected.len(), expected.len()),
        "{list}"
    );
    for record in expected {
        let fields = record.as_object().unwrap();
        let found = by_id[fields["id"].as_str().unwrap()];
        for (name, value) in fields {
            // The server keeps the identifier of the project, and moments of its own.
            if matches!(name.as_str(), "project_name" | "last_updated_at") {
                continue;
            }
            let found = &found[name];
            let same = match name.as_str() {
                "start_time" | "end_time" => moment(found) == moment(value),
                "metadata" => without_added(found) == *value,
                "error_info" => {
                    found["exception_type"] == value["exception_type"]
                        && found["message"] == value["message"]
                }
                "tags" => sorted(found) == sorted(value),
                _ => found == value,
            };
            assert!(
                same,
                "{list}, field {name} of {}: wrote {value}, read {found}",
                fields["name"]
            );
        }
    }
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_default().parse().unwrap()
}

/// Without what the server puts first into metadata.
fn without_added(metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("providers");
        fields.remove("provider");
    }
    metadata
}

fn sorted(list: &Value) -> Vec<String> {
    let mut list: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    list.sort_unstable();
    list
}

fn assert_scores(kept: &RecordingExporter, read: &Value) {
    assert_eq!(kept.scores().len(), 3);
    for record in kept.scores() {
        let (list, id) = match &record.target {
            ScoreTarget::Trace(id) => ("traces", id.to_string()),
            ScoreTarget::Span(id) => ("spans", id.to_string()),
            ScoreTarget::Thread(id) => ("threads", id.clone()),
            other => panic!("{other:?}"),
        };
        let owner = read[list]
            .as_array()
            .unwrap()
            .iter()
            .find(|owner| owner["id"] == id.as_str());
        let scores = owner.unwrap()["feedback_scores"].as_array().unwrap();
        let found = scores
            .iter()
            .find(|score| score["name"] == record.score.name.as_str());
        assert_eq!(
            found.unwrap()["value"].as_f64(),
            Some(record.score.value),
            "{list}"
        );
    }
}
