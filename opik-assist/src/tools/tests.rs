use super::*;
use opik_core::{Batch, ErrorInfo, Exporter as _, SpanType};
use opik_testkit::{MemoryStore, records};

/// Ten traces of one name; the last one is slow, and is the one that is looked at.
async fn toolbox() -> Toolbox {
    let store = MemoryStore::new();
    let mut traces = Vec::new();
    let mut spans = Vec::new();
    for number in 1..=10 {
        let mut trace = records::trace(number);
        trace.name = Some("chat".to_owned());
        trace.thread_id = Some("thread 1".to_owned());
        let took = if number == 10 {
            5_000
        } else {
            400 + i64::from(number)
        };
        trace.end_time = Some(trace.start_time.plus_micros(took * 1_000));
        let mut call = records::llm_span(number, 1, (100, 10), 0.01);
        call.name = Some("plan".to_owned());
        call.end_time = Some(call.start_time.plus_micros(took * 1_000));
        call.input = Some(records::content(r#"{"q": "weather in Berlin"}"#));
        let mut tool = records::span(number, 2);
        tool.name = Some("lookup".to_owned());
        tool.r#type = Some(SpanType::Tool);
        tool.parent_span_id = Some(call.id);
        tool.error_info = Some(ErrorInfo::new("ValueError", "no such city"));
        traces.push(trace);
        spans.extend([call, tool]);
    }
    store.export(&Batch::new(traces, spans)).await.unwrap();
    let tree = opik_core::source::load_tree(&store, records::trace_id(10))
        .await
        .unwrap()
        .unwrap();
    let evidence = crate::analyse(&tree);
    Toolbox::new(
        Scene::new(Arc::new(tree), Arc::new(evidence), Arc::new(store)),
        16_000,
    )
}

async fn run(name: &str, arguments: Value) -> Value {
    let call = ToolCall {
        id: "1".to_owned(),
        name: name.to_owned(),
        arguments: Json::from_value(&arguments),
    };
    let result = toolbox().await.run(&call).await;
    assert!(!result.is_error, "{}", result.content.as_str());
    result.content.to_value().unwrap()
}

fn span(number: u32) -> String {
    records::span_id(10, number).to_string()
}

#[tokio::test]
async fn details_have_only_what_was_asked_for() {
    let id = span(1);
    let all = run(
        "get_span_details",
        json!({ "span_id": id, "include_input": true, "include_output": true }),
    )
    .await;
    assert_eq!(
        all,
        json!({ "span_id": id, "input": { "q": "weather in Berlin" }, "output": null })
    );
    assert_eq!(
        run("get_span_details", json!({ "span_id": "s1" })).await,
        json!({ "span_id": id })
    );
    let trace = run("get_trace_data", json!({})).await;
    assert_eq!(trace["trace"]["id"], records::trace_id(10).to_string());
    assert_eq!(trace["trace"]["span_count"], 2);
}

#[tokio::test]
async fn spans_are_found_by_words_kind_and_failure() {
    let found = run("search_spans", json!({ "query": "BERLIN weather" })).await;
    assert_eq!(found["found"], 1);
    assert_eq!(found["spans"][0]["label"], "s1");
    let failed = run(
        "search_spans",
        json!({ "errors_only": true, "type": "tool" }),
    )
    .await;
    assert_eq!(failed["spans"][0]["span_id"], span(2));
    assert_eq!(failed["spans"][0]["error"]["message"], "no such city");
    assert_eq!(
        run("search_spans", json!({ "query": "berlin paris" })).await["found"],
        0
    );
    assert_eq!(
        run("search_spans", json!({ "limit": 1, "offset": 1 })).await["spans"][0]["name"],
        "lookup"
    );
    assert_eq!(
        run("list_children", json!({ "span_id": span(1) })).await["spans"][0]["name"],
        "lookup"
    );
    assert_eq!(run("list_children", json!({})).await["count"], 1);
}

#[tokio::test]
async fn computed_evidence_is_told_with_spans() {
    let path = run("critical_path", json!({})).await;
    assert_eq!(path["duration_ms"], 5001.0);
    assert_eq!(path["spans"][0]["label"], "s1");
    let errors = run("error_chain", json!({})).await;
    assert_eq!(errors["chains"][0]["origin"]["name"], "lookup");
    assert_eq!(errors["chains"][0]["exception_type"], "ValueError");
    assert_eq!(
        run("error_chain", json!({ "span_id": "s1" })).await["origins"],
        0
    );
    let costs = run("cost_hotspots", json!({})).await;
    assert_eq!(costs["total_tokens"], 110);
    assert_eq!(costs["spans"][0]["cost_usd"], 0.01);
    assert_eq!(run("find_loops", json!({})).await["found"], 0);
    let differences = run(
        "compare_spans",
        json!({ "first_span_id": "s1", "second_span_id": "s2" }),
    )
    .await;
    assert_eq!(differences["equal"], false);
    assert!(!differences["differences"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn siblings_and_the_thread_are_read_from_the_source() {
    let siblings = run("compare_to_siblings", json!({})).await;
    assert_eq!(siblings["siblings"], 9);
    let duration = &siblings["figures"][0];
    assert_eq!(duration["figure"], "duration_ms");
    assert_eq!(duration["median_of_siblings"], 405.0 + 1.0);
    assert_eq!(duration["percent_of_siblings_below"], 100.0);
    let thread = run("get_thread", json!({ "limit": 50 })).await;
    assert_eq!(thread["turns"].as_array().unwrap().len(), 10);
    assert_eq!(thread["turns"][9]["is_this_trace"], true);
}

#[test]
fn what_does_not_fit_is_shortened_until_it_does() {
    let text = "ä".repeat(50_000);
    let deep = json!({ "a": text, "list": (0..1_000).map(|n| json!({ "n": n, "text": "x".repeat(300) })).collect::<Vec<_>>() });
    for most in [500, 2_000, 16_000] {
        let fitted = bound::fit(&deep, most).to_string();
        assert!(fitted.len() <= most + 64, "{} of {most}", fitted.len());
        assert!(fitted.contains("left out"));
    }
    let small = json!({ "a": "x\u{1b}[2J\u{202e}\ny" });
    assert_eq!(bound::fit(&small, 500), json!({ "a": "x[2J\ny" }));
    assert_eq!(
        bound::head_and_tail("abcdefghij", 6),
        "abcd [... 4 characters left out ...] ij"
    );
}

#[test]
fn schemas_are_objects_with_known_required_names() {
    for spec in specs() {
        let schema = spec.parameters.to_value().unwrap();
        assert_eq!(schema["type"], "object");
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(
                schema["properties"]
                    .get(required.as_str().unwrap())
                    .is_some()
            );
        }
    }
}
