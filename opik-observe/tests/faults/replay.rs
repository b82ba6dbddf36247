//! A whole run against the stub of Opik's server: record, outage, replay. What the stub holds in the
//! end is what was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_core::rest::{OpikClient, RetryPolicy};
use opik_core::{SpanType, TraceSource, Usage};
use opik_observe::spool::{Spool, SpoolOptions};
use opik_observe::{Policy, Recorder, StartRows};
use opik_testkit::{RecordingExporter, StubServer};
use serde_json::{Value, json};

use crate::server::LIMIT;

fn run(recorder: &Recorder, from: usize, to: usize) {
    for number in from..to {
        let mut trace = recorder.trace("answer");
        trace
            .input(&json!({ "number": number }))
            .thread_id("thread")
            .score("helpful", 0.5);
        let mut call = trace.span("chat", SpanType::Llm);
        call.model("m", "p")
            .usage(&Usage::of_tokens(3, 4))
            .output("a reply");
        let mut tool = call.child("search", SpanType::Tool);
        tool.fail("Timeout", "no answer");
    }
}

/// Without what the server alone knows, and without what it cannot: moments of its own and names of projects.
fn plain<T: serde::Serialize>(record: &T) -> Value {
    let mut value = serde_json::to_value(record).unwrap();
    let fields = value.as_object_mut().unwrap();
    for server_side in [
        "project_id",
        "project_name",
        "created_at",
        "created_by",
        "last_updated_at",
        "last_updated_by",
        "feedback_scores",
        "usage",
        "duration",
        "span_count",
        "llm_span_count",
        "has_tool_spans",
        "providers",
        "visibility_mode",
    ] {
        fields.remove(server_side);
    }
    value
}

fn by_id(records: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let keyed = |record: Value| (record.get("id").unwrap().to_string(), record);
    records.into_iter().map(keyed).collect()
}

#[test]
fn after_an_outage_the_server_holds_exactly_what_was_recorded() {
    let test = "after_an_outage_the_server_holds_exactly_what_was_recorded";
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let moment = Duration::from_millis(5);
    let client = OpikClient::builder(stub.base_url())
        .retry(RetryPolicy::default().waits(moment, moment))
        .proxies(false)
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions::new().waits(moment, 4 * moment);
    let spool = Spool::open(folder.path(), Arc::new(client.clone()), options).unwrap();
    let spool = Arc::new(spool);
    let kept = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .project("outage")
        .batch_delay(moment)
        .branch("opik", Arc::clone(&spool) as _, Policy::full_content())
        .branch("kept", Arc::new(kept.clone()), Policy::full_content())
        .start()
        .unwrap();

    run(&recorder, 0, 20);
    assert!(recorder.flush(LIMIT).complete);
    stub.fault(&json!({ "path": ".*", "drop": true, "times": 1_000_000 }))
        .unwrap();
    run(&recorder, 20, 60);
    assert!(recorder.flush(LIMIT).complete);
    let out = spool.statistics();
    assert!(out.pending_records > 0, "{out:?}");
    stub.clear_faults().unwrap();
    run(&recorder, 60, 80);
    assert!(guard.shutdown(LIMIT).complete);
    let deadline = Instant::now() + LIMIT;
    while spool.statistics().pending_records > 0 {
        assert!(Instant::now() < deadline, "{:?}", spool.statistics());
        std::thread::park_timeout(moment);
    }
    let spool = spool.statistics();
    assert_eq!((spool.lost(), spool.rejected), (0, 0), "{spool:?}");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (traces, spans) = runtime.block_on(async {
        let (mut traces, mut spans) = (Vec::new(), Vec::new());
        for trace in kept.traces() {
            let found = client.trace(trace.id).await.unwrap().unwrap();
            assert_eq!(found.feedback_scores.len(), 1);
            assert_eq!(found.span_count, Some(2));
            traces.push(plain(&found));
            spans.extend(all_spans(&client, &trace).await);
        }
        (traces, spans)
    });
    assert_eq!(traces.len(), 80);
    assert_eq!(by_id(traces), by_id(kept.traces().iter().map(plain)));
    assert_eq!(by_id(spans), by_id(kept.spans().iter().map(plain)));
}

async fn all_spans(client: &OpikClient, trace: &opik_core::Trace) -> Vec<Value> {
    let page = client
        .spans(trace.id, &opik_core::PageRequest::default())
        .await
        .unwrap();
    page.items.iter().map(plain).collect()
}

#[test]
fn a_crash_leaves_the_open_span_visible() {
    let test = "a_crash_leaves_the_open_span_visible";
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let client = OpikClient::builder(stub.base_url())
        .proxies(false)
        .build()
        .unwrap();
    let moment = Duration::from_millis(5);
    let branch = opik_observe::Branch::new("opik", Arc::new(client), Policy::metadata_only());
    let (recorder, _guard) = Recorder::builder()
        .project("crash")
        .batch_delay(moment)
        .add_branch(branch.start_rows(StartRows::After(moment)))
        .start()
        .unwrap();
    let trace = recorder.trace("long");
    let span = trace.span("never ends", SpanType::General);
    // What the server has while both are open is what it has after a crash now.
    let deadline = Instant::now() + LIMIT;
    while stub.state().unwrap()["spans"] != 1 || stub.state().unwrap()["traces"] != 1 {
        assert!(Instant::now() < deadline, "{}", stub.state().unwrap());
        std::thread::park_timeout(moment);
    }
    drop(span);
}
