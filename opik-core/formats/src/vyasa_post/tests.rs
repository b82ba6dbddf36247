use super::*;
use serde_json::json;

fn post(kind: &str, second: u32, more: Value) -> VyasaPost {
    let mut metadata = json!({
        "job_id": "j1", "project_id": "p1",
        "timestamp": format!("2026-01-01T00:00:{second:02}+00:00"),
    });
    if let Value::Object(more) = more {
        metadata.as_object_mut().unwrap().extend(more);
    }
    let body = json!({"project": "vyasa", "run_type": kind, "metadata": metadata});
    VyasaPost::read(body, Timestamp::from_micros(0)).unwrap()
}

/// Plays events as a recorder would.
fn play(posts: &[VyasaPost]) -> (Trace, Vec<Span>) {
    let id = posts[0].trace_id(posts[0].start());
    let (mut trace, mut spans) = (None, Vec::<Span>::new());
    for post in posts {
        assert_eq!(post.trace_id(posts[0].start()), id);
        trace = Some(post.trace(id, trace));
        match post.step(id, &spans) {
            VyasaStep::New(span) => spans.push(*span),
            VyasaStep::Change(id) => {
                post.apply(spans.iter_mut().find(|span| span.id == id).unwrap());
            }
        }
    }
    (trace.unwrap(), spans)
}

fn node(name: &str) -> Value {
    json!({"node_name": name})
}

#[test]
fn a_start_and_an_end_are_one_span_and_calls_are_inside() {
    let call = json!({"node_name": "critic", "model_id": "m", "duration_ms": 1500,
            "tokens": {"prompt": 10, "completion": 2, "total": 12}, "prompt_hash": "ab"});
    let end = json!({"node_name": "critic", "duration_ms": 4000, "success": true,
            "extracted_json": {"triples": [1]}, "counts": {"claims_count": 1}});
    let (trace, spans) = play(&[
        post(
            "node_start",
            0,
            json!({"node_name": "critic", "rigor_level": "conservative"}),
        ),
        post("llm_call", 3, call),
        post("node_end", 4, end),
    ]);
    let [node, call] = spans.as_slice() else {
        panic!("{spans:?}")
    };
    assert_eq!(
        node.end_time.unwrap().micros_since(node.start_time),
        4_000_000
    );
    assert_eq!(
        node.input.as_ref().unwrap().to_value().unwrap()["rigor_level"],
        "conservative"
    );
    let output = node.output.as_ref().unwrap().to_value().unwrap();
    assert_eq!(output["extracted_json"], json!({"triples": [1]}));
    assert!(!node.metadata.as_ref().unwrap().as_str().contains("triples"));
    assert_eq!(
        (call.parent_span_id, call.r#type.clone()),
        (Some(node.id), Some(SpanType::Llm))
    );
    assert_eq!(
        (call.model.as_deref(), call.usage.0["total_tokens"]),
        (Some("m"), 12)
    );
    assert_eq!(
        call.end_time.unwrap().micros_since(call.start_time),
        1_500_000
    );
    assert_eq!(
        trace.end_time.unwrap().micros_since(trace.start_time),
        4_000_000
    );
    assert!(trace.error_info.is_none());
}

#[test]
fn what_is_told_twice_is_one_run_and_a_retry_is_another() {
    let failed = json!({"node_name": "critic", "success": false, "error": "no luck"});
    let (trace, spans) = play(&[
        post("node_start", 0, node("critic")),
        post("node_start", 1, node("critic")),
        post("node_end", 5, failed),
        post("node_start", 6, node("critic")),
        post("node_end", 9, node("critic")),
        // From the other place, afterwards.
        post("node_start", 9, node("critic")),
        post("node_end", 10, node("critic")),
        post("node_start", 30, node("critic")),
    ]);
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert_eq!(
        spans[0].error_info.as_ref().unwrap().message.as_deref(),
        Some("no luck")
    );
    assert!(spans[1].error_info.is_none() && spans[2].end_time.is_none());
    assert!(trace.error_info.is_some());
}

#[test]
fn an_end_alone_has_its_duration_and_a_validation_its_result() {
    let (_, spans) = play(&[
        post(
            "node_end",
            8,
            json!({"node_name": "saver", "duration_ms": 3000}),
        ),
        post(
            "validation",
            9,
            json!({"validation_kind": "schema", "passed": false, "findings_count": 2}),
        ),
    ]);
    assert_eq!(
        spans[0].end_time.unwrap().micros_since(spans[0].start_time),
        3_000_000
    );
    assert_eq!(spans[1].name.as_deref(), Some("validation schema"));
    assert_eq!(spans[1].r#type, Some(SpanType::Guardrail));
    let output = spans[1].output.as_ref().unwrap().to_value().unwrap();
    assert_eq!(
        (&output["passed"], &output["findings_count"]),
        (&json!(false), &json!(2))
    );
    assert!(
        spans[1].error_info.is_none(),
        "a result is no error of the program"
    );
}

#[test]
fn a_call_without_a_job_is_a_trace_of_its_own() {
    let body = json!({"project": "vyasa", "run_type": "llm_call", "metadata": {"model_id": "m"}});
    let post = VyasaPost::read(body, Timestamp::from_micros(7)).unwrap();
    assert!(post.job_key().is_none());
    let trace = post.trace(post.trace_id(post.start()), None);
    assert_eq!(
        (trace.name.as_deref(), trace.start_time),
        (Some("llm_call"), Timestamp::from_micros(7))
    );
    for wrong in [
        json!([]),
        json!({}),
        json!({"run_type": "x", "metadata": 1}),
    ] {
        assert!(VyasaPost::read(wrong, Timestamp::from_micros(0)).is_err());
    }
}
