//! The rows as exporters see them.

use opik_core::model::ScoreTarget;
use opik_core::{Span, SpanType, Trace, Usage};
use opik_observe::Recorder;
use opik_testkit::RecordingExporter;
use serde_json::{Value, json};

use super::{LONG, recorder};

/// Records with a full-content branch and returns what came out.
fn recorded(work: impl FnOnce(&Recorder)) -> (Vec<Trace>, Vec<Span>, RecordingExporter) {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    work(&recorder);
    assert!(guard.shutdown(LONG).complete);
    (seen.traces(), seen.spans(), seen)
}

fn parsed(json: Option<&opik_core::Json>) -> Value {
    json.unwrap().to_value().unwrap()
}

#[test]
fn a_full_content_branch_gets_everything_in_opiks_shape() {
    let (traces, spans, seen) = recorded(|recorder| {
        let mut trace = recorder.trace("answer");
        trace
            .input(&json!({"question": "why?"}))
            .thread_id("chat-7")
            .tag("prod")
            .tag("eu");
        trace.score("helpful", 1.0);
        let mut span = trace.span("chat", SpanType::Llm);
        span.model("gpt-5-mini", "openai")
            .usage(&Usage::of_tokens(3, 4))
            .cost(0.25);
        span.input(&json!([{"role": "user", "content": "why?"}]))
            .output("because")
            .first_token();
        span.metadata("attempt", 1)
            .metadata("attempt", 2_u64)
            .metadata("hot", true);
        span.metadata("temperature", 0.5)
            .metadata("note", "a \"quoted\"\ntext");
        span.fail("Timeout", "after 3 s");
        let child = span.child("lookup", SpanType::Tool);
        child.score("found", 0.0);
        drop((child, span));
        trace.output(&[1, 2]);
    });
    let (trace, chat) = (
        &traces[0],
        spans.iter().find(|s| s.model.is_some()).unwrap(),
    );
    let lookup = spans.iter().find(|s| s.model.is_none()).unwrap();

    assert_eq!(parsed(trace.input.as_ref()), json!({"question": "why?"}));
    assert_eq!(parsed(trace.output.as_ref()), json!({"output": [1, 2]}));
    assert_eq!(
        (trace.thread_id.as_deref(), trace.tags.join(",")),
        (Some("chat-7"), "prod,eu".into())
    );
    assert!(trace.id.is_v7() && chat.id.is_v7() && lookup.id.is_v7());
    assert_eq!(trace.source.as_ref().unwrap().as_str(), "sdk");

    assert_eq!((chat.trace_id, chat.parent_span_id), (trace.id, None));
    assert_eq!(
        (lookup.trace_id, lookup.parent_span_id),
        (trace.id, Some(chat.id))
    );
    assert_eq!(
        (chat.kind(), lookup.kind()),
        (&SpanType::Llm, &SpanType::Tool)
    );
    assert_eq!(
        parsed(chat.input.as_ref()),
        json!([{"role": "user", "content": "why?"}])
    );
    assert_eq!(parsed(chat.output.as_ref()), json!({"output": "because"}));
    let metadata = parsed(chat.metadata.as_ref());
    assert_eq!(metadata["attempt"], 2);
    assert_eq!(metadata["note"], "a \"quoted\"\ntext");
    assert_eq!(
        (&metadata["hot"], &metadata["temperature"]),
        (&json!(true), &json!(0.5))
    );
    assert!(metadata["prompt_hash"].as_str().unwrap().starts_with("v2:"));
    let error = chat.error_info.as_ref().unwrap();
    assert_eq!(
        (&*error.exception_type, error.message.as_deref()),
        ("Timeout", Some("after 3 s"))
    );
    assert_eq!(
        (chat.total_estimated_cost, chat.usage.total_tokens()),
        (Some(0.25), Some(7))
    );
    let took = chat.end_time.unwrap().micros_since(chat.start_time);
    let took = f64::from(u32::try_from(took).unwrap()) / 1_000.0;
    assert!((0.0..=took).contains(&chat.ttft.unwrap()), "milliseconds");

    for (start, end, version) in spans
        .iter()
        .map(|s| (s.start_time, s.end_time, s.last_updated_at))
        .chain([(trace.start_time, trace.end_time, trace.last_updated_at)])
    {
        assert!(start >= trace.start_time && end.unwrap() <= trace.end_time.unwrap());
        assert!(version.unwrap() > start);
    }
    let scores: Vec<_> = seen
        .scores()
        .into_iter()
        .map(|s| (s.target, s.score.value))
        .collect();
    assert_eq!(
        scores,
        [
            (ScoreTarget::Trace(trace.id), 1.0),
            (ScoreTarget::Span(lookup.id), 0.0)
        ]
    );
}

#[test]
fn values_that_are_no_objects_are_wrapped() {
    for (given, kept) in [
        (json!("text"), json!({"input": "text"})),
        (json!(7), json!({"input": 7})),
        (json!(null), json!({"input": null})),
        (json!([]), json!({"input": []})),
        (json!([{"a": 1}, 2]), json!({"input": [{"a": 1}, 2]})),
        (json!([{"a": 1}]), json!([{"a": 1}])),
        (json!({"a": 1}), json!({"a": 1})),
    ] {
        let (traces, ..) = recorded(|recorder| {
            recorder.trace("t").input(&given);
        });
        assert_eq!(parsed(traces[0].input.as_ref()), kept);
    }
}

#[test]
fn a_value_that_cannot_be_written_is_left_out_and_its_record_goes_on() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    recorder.trace("t").input(&no_json).output("fine");
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!((statistics.fields_lost, statistics.recorded), (1, 1));
    assert_eq!(seen.traces()[0].input, None);
    assert_eq!(
        parsed(seen.traces()[0].output.as_ref()),
        json!({"output": "fine"})
    );
}

#[test]
fn what_is_too_deep_or_too_long_is_kept_as_a_text() {
    let mut deep = json!(1);
    for _ in 0..126 {
        deep = json!([deep]);
    }
    let (traces, ..) = recorded(|recorder| {
        recorder
            .trace("t")
            .input(&deep)
            .output(&"x".repeat(5 << 20));
    });
    assert!(parsed(traces[0].input.as_ref())["input"].is_array());
    let output = parsed(traces[0].output.as_ref());
    let text = output["output"].as_str().unwrap();
    assert!(text.len() <= (4 << 20) + 4 && text.ends_with("x…"));
    assert_eq!(output["opik_truncated"], true);
}

#[test]
fn a_span_that_ends_by_a_panic_has_it_as_its_error() {
    let (traces, spans, _) = recorded(|recorder| {
        let recorder = recorder.clone();
        let worker = std::thread::Builder::new()
            .name("panics".into())
            .spawn(move || {
                let trace = recorder.trace("t");
                let mut failed = trace.span("has its own error", SpanType::General);
                failed.fail("Timeout", "");
                let _span = trace.span("unwinds", SpanType::General);
                panic!("the program's own");
            });
        assert!(worker.unwrap().join().is_err());
    });
    let errors: Vec<_> = spans
        .iter()
        .map(|span| span.error_info.as_ref().unwrap().exception_type.clone())
        .collect();
    assert_eq!(errors, ["panic", "Timeout"]);
    assert_eq!(
        traces[0].error_info.as_ref().unwrap().exception_type,
        "panic"
    );
}

/// Records while the thread unwinds.
struct RecordsInDrop<'a>(&'a Recorder);
impl Drop for RecordsInDrop<'_> {
    fn drop(&mut self) {
        self.0.trace("while unwinding").end();
    }
}

#[test]
fn a_record_takes_nothing_over_from_the_one_before_it_on_its_thread() {
    let (traces, spans, _) = recorded(|recorder| {
        let unwinds = |name: Option<&'static str>| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _trace = name.map(|name| recorder.trace(name));
                let _inner = name.is_none().then(|| RecordsInDrop(recorder));
                panic!("the program's own");
            }));
            let result: Result<(), _> = result;
            assert!(result.is_err());
        };
        recorder.span_in_context("alone", SpanType::Tool).end();
        recorder.trace("without a span").end();
        recorder.trace("failed").fail("Timeout", "");
        unwinds(Some("after a failed one"));
        unwinds(None);
        unwinds(Some("after one while unwinding"));
    });
    let outcomes: Vec<_> = traces
        .iter()
        .map(|trace| {
            let error = trace.error_info.as_ref();
            let error = error.map(|error| error.exception_type.as_str());
            (trace.name.as_deref().unwrap(), error)
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            ("alone", None),
            ("without a span", None),
            ("failed", Some("Timeout")),
            ("after a failed one", Some("panic")),
            ("while unwinding", None),
            ("after one while unwinding", Some("panic")),
        ]
    );
    assert_eq!(spans.len(), 1);
}

#[test]
fn the_text_of_an_error_names_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the menu")]
    struct Menu(#[source] std::num::ParseIntError);
    let (traces, ..) = recorded(|recorder| {
        let error = Menu("x".parse::<u8>().unwrap_err());
        recorder.trace("t").error(&error);
    });
    let error = traces[0].error_info.as_ref().unwrap();
    assert_eq!(error.exception_type, "Menu");
    assert_eq!(
        error.message.as_deref(),
        Some("cannot read the menu: invalid digit found in string")
    );
}
