//! OTLP beyond the golden file: traces in pieces, messages in events, and the way out.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashSet;

use opik_core::model::{ErrorInfo, SpanType, Usage};
use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId};
use opik_formats::{Item, ReadOptions, Reader, write_otlp_json};
use serde_json::{Value, json};

fn read(text: &str) -> (Vec<Trace>, Vec<Span>) {
    let (mut traces, mut spans) = (Vec::new(), Vec::new());
    for item in Reader::new(text.as_bytes(), ReadOptions::default()) {
        match item.unwrap() {
            Item::Batch(batch) => {
                traces.extend(batch.traces);
                spans.extend(batch.spans);
            }
            Item::Problem(problem) => panic!("{problem}"),
        }
    }
    (traces, spans)
}

fn request(spans: &[Value]) -> String {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string()
}

fn span(id: &str, parent: &str, start: u64, end: u64) -> Value {
    json!({
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": id, "parentSpanId": parent,
        "name": id, "startTimeUnixNano": start * 1_000_000, "endTimeUnixNano": end * 1_000_000,
    })
}

#[test]
fn a_trace_that_is_spread_over_lines_has_one_identifier_and_its_last_row_is_complete() {
    let child = request(&[span("b7ad6b7169203331", "00f067aa0ba902b7", 2_000, 3_000)]);
    let root = request(&[span("00f067aa0ba902b7", "", 1_000, 4_000)]);
    let late = request(&[span("b7ad6b7169203332", "00f067aa0ba902b7", 1_500, 5_000)]);
    let (traces, spans) = read(&format!("{child}\n{root}\n{late}\n"));
    let ids: HashSet<_> = traces.iter().map(|trace| trace.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(traces.len(), 3);
    // The row that stays is the last of those with the highest version.
    let kept = traces
        .iter()
        .max_by_key(|trace| trace.last_updated_at)
        .unwrap();
    assert_eq!(kept.name.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!(kept.start_time, Timestamp::from_micros(1_000_000));
    assert_eq!(kept.end_time, Some(Timestamp::from_micros(5_000_000)));
    let root = spans.iter().find(|it| it.parent_span_id.is_none()).unwrap();
    let children = spans.iter().filter(|it| it.parent_span_id == Some(root.id));
    assert_eq!(children.count(), 2, "a parent is named before it is seen");
}

#[test]
fn messages_in_events_are_input_and_output() {
    let mut call = span("00f067aa0ba902b7", "", 1, 2);
    let text = |name: &str, text: &str| json!({"key": name, "value": {"stringValue": text}});
    call["attributes"] = json!([text("gen_ai.request.model", "m")]);
    call["events"] = json!([
        {"name": "gen_ai.system.message", "attributes": [text("content", "be kind")]},
        {"name": "gen_ai.user.message", "attributes": [text("content", "hi")]},
        {"name": "gen_ai.choice", "attributes": [text("finish_reason", "stop")]},
    ]);
    let (_, spans) = read(&request(&[call]));
    let span = spans.first().unwrap();
    assert_eq!(
        span.kind(),
        &SpanType::Llm,
        "a step with a model is a model call"
    );
    insta::assert_snapshot!(
        span.input.as_ref().unwrap().as_str(),
        @r#"{"messages":[{"content":"be kind","role":"system"},{"content":"hi","role":"user"}]}"#
    );
    insta::assert_snapshot!(
        span.output.as_ref().unwrap().as_str(),
        @r#"{"messages":[{"finish_reason":"stop"}]}"#
    );
}

#[test]
fn an_exception_without_a_status_is_an_error_and_one_that_was_handled_is_not() {
    let exception = json!([{"name": "exception", "attributes":
        [{"key": "exception.type", "value": {"stringValue": "E"}}]}]);
    let failed = |status: Value| {
        let mut it = span("00f067aa0ba902b7", "", 1, 2);
        it["events"] = exception.clone();
        it["status"] = status;
        let (_, spans) = read(&request(&[it]));
        spans.first().unwrap().error_info.is_some()
    };
    assert!(failed(json!({})));
    assert!(failed(json!({"code": 2})));
    assert!(!failed(json!({"code": 1})));
}

#[test]
fn kinds_of_the_conventions_are_types_of_opik() {
    for (name, word, expected) in [
        ("openinference.span.kind", "LLM", "llm"),
        ("openinference.span.kind", "TOOL", "tool"),
        ("openinference.span.kind", "RETRIEVER", "tool"),
        ("openinference.span.kind", "EMBEDDING", "llm"),
        ("openinference.span.kind", "GUARDRAIL", "guardrail"),
        ("openinference.span.kind", "AGENT", "general"),
        ("gen_ai.operation.name", "execute_tool", "tool"),
        ("gen_ai.operation.name", "generate_content", "llm"),
        ("gen_ai.operation.name", "invoke_agent", "general"),
        ("traceloop.span.kind", "workflow", "general"),
        ("gen_ai.tool.name", "search", "tool"),
        ("ai.toolCall.name", "search", "tool"),
        ("lk.function_tool.name", "search", "tool"),
    ] {
        let mut it = span("00f067aa0ba902b7", "", 1, 2);
        it["attributes"] = json!([{"key": name, "value": {"stringValue": word}}]);
        let (_, spans) = read(&request(&[it]));
        let span = spans.first().unwrap();
        assert_eq!(span.kind().as_str(), expected, "{name}={word}");
        let metadata = span.metadata.as_ref().unwrap().as_str();
        assert_eq!(
            metadata.contains("source_type"),
            expected == "general",
            "{metadata}"
        );
    }
}

/// As the AI SDK, LiveKit, Pydantic AI and older instrumentation for generative AI write them.
#[test]
fn words_of_libraries_are_input_and_output() {
    let messages = r#"[{"role":"user","content":"Why?"}]"#;
    for (attributes, input, output) in [
        (
            json!({"ai.prompt": r#"{"prompt":"Why?"}"#, "ai.response.text": "So", "ai.usage.inputTokens": 3}),
            r#"{"prompt":"Why?"}"#,
            r#""So""#,
        ),
        (
            json!({"ai.prompt.messages": messages, "ai.response.toolCalls": "[]"}),
            messages,
            "[]",
        ),
        (
            json!({"ai.toolCall.args": r#"{"a":1}"#, "ai.toolCall.result": "2"}),
            r#"{"a":1}"#,
            r#""2""#,
        ),
        (
            json!({"lk.user_input": "Hi", "lk.response.text": "Ho"}),
            r#""Hi""#,
            r#""Ho""#,
        ),
        // A step that calls tools answers with an empty text.
        (
            json!({"ai.prompt": "Hi", "ai.response.text": "", "ai.response.toolCalls": "[1]"}),
            r#""Hi""#,
            "[1]",
        ),
        (
            json!({"lk.user_input": "", "lk.input_text": "Hi", "lk.response.text": "", "lk.response.function_calls": "[2]"}),
            r#""Hi""#,
            "[2]",
        ),
        (
            json!({"pydantic_ai.all_messages": messages, "final_result": "done"}),
            messages,
            r#""done""#,
        ),
        (
            json!({"gen_ai.prompt": "Hi", "gen_ai.completion": "Ho"}),
            r#""Hi""#,
            r#""Ho""#,
        ),
    ] {
        let mut it = span("00f067aa0ba902b7", "", 1, 2);
        let pair = |(key, value): (&String, &Value)| match value {
            Value::String(text) => json!({"key": key, "value": {"stringValue": text}}),
            other => json!({"key": key, "value": {"intValue": other}}),
        };
        it["attributes"] = attributes.as_object().unwrap().iter().map(pair).collect();
        let (_, spans) = read(&request(&[it]));
        let span = spans.first().unwrap();
        let text = |json: &Option<Json>| json.as_ref().map(|it| it.as_str().to_owned());
        assert_eq!(text(&span.input).as_deref(), Some(input), "{attributes}");
        assert_eq!(text(&span.output).as_deref(), Some(output), "{attributes}");
        // A step that only wraps a call says its tokens once more.
        assert!(span.usage.0.is_empty(), "{attributes}");
    }
}

#[test]
fn what_is_written_as_otlp_is_read_back_but_for_identifiers() {
    let start = Timestamp::from_micros(1_700_000_000_000_000);
    let mut trace = Trace::new(TraceId::from_parts(start, 99), start);
    trace.thread_id = Some("thread".to_owned());
    let mut root = Span::new(SpanId::from_parts(start, 4), trace.id, start);
    root.name = Some("root".to_owned());
    root.error_info = Some(ErrorInfo::new("ValueError", "bad"));
    let mut call = Span::new(SpanId::from_parts(start, 8), trace.id, start.plus_micros(5));
    call.parent_span_id = Some(root.id);
    call.end_time = Some(start.plus_micros(1_234));
    call.r#type = Some(SpanType::Llm);
    call.model = Some("m".to_owned());
    call.provider = Some("p".to_owned());
    call.usage = Usage::of_tokens(3, 4);
    call.total_estimated_cost = Some(0.25);
    call.tags = vec!["a".to_owned()];
    call.input = Some(Json::parse(r#"{"z": 1, "a": [2]}"#).unwrap());
    call.output = Some(Json::string("done"));
    call.metadata = Some(Json::parse(r#"{"kind": "client", "n": {"x": [1, 2.5, null]}}"#).unwrap());
    let mut file = Vec::new();
    write_otlp_json(&mut file, &trace, &[root.clone(), call.clone()]).unwrap();
    let (traces, spans) = read(std::str::from_utf8(&file).unwrap());
    assert_eq!(traces.first().unwrap().thread_id, trace.thread_id);
    let [read_root, read_call] = spans.as_slice() else {
        panic!("{} spans", spans.len());
    };
    assert_eq!(read_root.error_info, root.error_info);
    assert_eq!(read_root.end_time, None);
    assert_eq!(read_call.parent_span_id, Some(read_root.id));
    assert_eq!(
        (
            read_call.start_time,
            read_call.end_time,
            &read_call.r#type,
            &read_call.model
        ),
        (call.start_time, call.end_time, &call.r#type, &call.model)
    );
    assert_eq!(
        (
            &read_call.provider,
            &read_call.usage,
            read_call.total_estimated_cost,
            &read_call.tags
        ),
        (
            &call.provider,
            &call.usage,
            call.total_estimated_cost,
            &call.tags
        )
    );
    assert_eq!(read_call.input, call.input);
    assert_eq!(read_call.output, call.output);
    let metadata = read_call.metadata.as_ref().unwrap().to_value().unwrap();
    assert_eq!(metadata["kind"], "client");
    assert_eq!(metadata["n"], json!({"x": [1, 2.5, null]}));
    assert_eq!(metadata["opik.id"], call.id.to_string());
}
