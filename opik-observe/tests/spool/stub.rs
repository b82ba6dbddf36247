//! Record, outage, replay, against a stub of Opik's server: in the end it has what was recorded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use opik_core::rest::{OpikClient, RetryPolicy};
use opik_core::source::PageRequest;
use opik_core::{Span, SpanId, SpanType, Trace, TraceSource as _, Usage};
use opik_observe::spool::{Durability, Spool, inspect};
use opik_observe::{Policy, Recorder};
use opik_testkit::{RecordingExporter, StubServer};
use serde_json::json;

use super::{LONG, quick};

fn client(stub: &StubServer) -> OpikClient {
    let client = OpikClient::builder(stub.base_url()).proxies(false);
    client.retry(RetryPolicy::none()).build().unwrap()
}

/// A program that records ten traces before and ten during an outage, and ends.
fn program(stub: &StubServer, directory: &Path, durability: Durability) -> RecordingExporter {
    let spool = Spool::open(directory, Arc::new(client(stub)), quick(durability)).unwrap();
    let kept = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .project("outage")
        .branch("opik", Arc::new(spool), Policy::full_content())
        .branch("kept", Arc::new(kept.clone()), Policy::full_content())
        .start()
        .unwrap();
    for number in 0..20 {
        if number == 10 {
            assert!(recorder.flush(LONG).complete);
            let writes =
                json!({ "path": "/v1/private/(traces|spans)", "status": 503, "times": -1 });
            stub.fault(&writes).unwrap();
        }
        let mut trace = recorder.trace(format!("job {number}"));
        trace.input(&json!({ "number": number })).tag("nightly");
        trace.score("useful", 0.5);
        let mut call = trace.span("chat", SpanType::Llm);
        call.model("gpt-5-mini", "openai")
            .usage(&Usage::of_tokens(number, 2));
        call.output(&json!({ "text": "é\n\u{1F980}" }));
    }
    let report = guard.shutdown(LONG);
    assert!(report.complete, "{report:?}");
    let branch = report.statistics.branch("opik").unwrap();
    assert_eq!((branch.exported, branch.dropped()), (60, 0));
    kept
}

type OfTrace = (
    Option<String>,
    Option<String>,
    i64,
    Option<i64>,
    Vec<String>,
);

fn of_trace(trace: &Trace) -> OfTrace {
    let input = trace.input.as_ref().map(|json| json.as_str().to_owned());
    let end = trace.end_time.map(|at| at.as_micros());
    let start = trace.start_time.as_micros();
    (trace.name.clone(), input, start, end, trace.tags.clone())
}

type OfSpan = (Option<String>, Option<String>, Usage, Option<i64>);

fn of_span(span: &Span) -> (SpanId, OfSpan) {
    let output = span.output.as_ref().map(|json| json.as_str().to_owned());
    let end = span.end_time.map(|at| at.as_micros());
    (
        span.id,
        (span.model.clone(), output, span.usage.clone(), end),
    )
}

fn records_arrive(durability: Durability) {
    let test = "what_was_recorded_in_an_outage_is_at_the_server_after_it";
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kept = program(&stub, directory.path(), durability);
    assert!(inspect(directory.path()).unwrap().records >= 30);

    stub.clear_faults().unwrap();
    // The next program on the same directory.
    let options = quick(Durability::SpoolOnFailure);
    let spool = Spool::open(directory.path(), Arc::new(client(&stub)), options).unwrap();
    let deadline = Instant::now() + LONG;
    while inspect(directory.path()).unwrap().segments > 0 {
        assert!(Instant::now() < deadline, "{:?}", spool.statistics());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(spool.statistics().lost() + spool.statistics().rejected, 0);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = client(&stub);
    let mut expected: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for span in kept.spans() {
        expected
            .entry(span.trace_id)
            .or_default()
            .push(of_span(&span));
    }
    assert_eq!(kept.traces().len(), 20);
    for trace in kept.traces() {
        let found = runtime.block_on(client.trace(trace.id)).unwrap().unwrap();
        assert_eq!(of_trace(&found), of_trace(&trace));
        assert_eq!(found.feedback_scores.len(), 1, "{found:?}");
        let page = PageRequest::first(100);
        let spans = runtime.block_on(client.spans(trace.id, &page)).unwrap();
        let found: Vec<_> = spans.items.iter().map(of_span).collect();
        assert_eq!(found, expected[&trace.id]);
    }
}

#[test]
fn what_was_recorded_in_an_outage_is_at_the_server_after_it() {
    records_arrive(Durability::SpoolOnFailure);
}

#[test]
fn with_write_ahead_too() {
    records_arrive(Durability::WriteAhead);
}
