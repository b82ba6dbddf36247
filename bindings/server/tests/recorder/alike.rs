//! The same run, written by Rust, by the official Python and TypeScript SDKs and by OpenTelemetry,
//! is answered about in the same words.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use opik_assist::{AnswerContext, analyse, answer as answer_about};
use opik_core::model::SpanType;
use opik_core::query::{ProjectSelector, SpanQuery, TraceQuery};
use opik_core::{
    Batch, Exporter as _, Json, PageRequest, Span, SpanId, Timestamp, Trace, TraceId,
    TraceSource as _, TraceTree, prices,
};
use opik_store::Store;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

const START: i64 = 1_795_170_314_000_000;

/// What is asked about the one trace of a project, with identifiers taken out of the answers.
async fn answers(store: &Store, project: &str) -> Vec<String> {
    let mut query = TraceQuery::default();
    query.project = ProjectSelector::Name(project.to_owned());
    query.page = PageRequest::first(10);
    let traces = store.search_traces(&query).await.unwrap().items;
    assert_eq!(traces.len(), 1, "{project}");
    let trace = store.trace(traces[0].id).await.unwrap().unwrap();
    let mut query = SpanQuery::default();
    query.trace = Some(trace.id);
    query.page = PageRequest::first(10);
    let spans = store.search_spans(&query).await.unwrap().items;
    let tree = TraceTree::build(trace, spans);
    let evidence = analyse(&tree);
    let context = AnswerContext::new(&tree, &evidence);
    let questions = ["why is it slow?", "Give a summary", "what did it cost?"];
    questions
        .iter()
        .map(|question| without_ids(&answer_about(question, &context).text))
        .collect()
}

/// Words that have a piece of an identifier in them become `#`.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| {
        let digits = |part: &str| part.len() >= 6 && part.chars().all(|it| it.is_ascii_hexdigit());
        word.split(|it: char| !it.is_ascii_alphanumeric())
            .any(digits)
    };
    let words = text.split_inclusive(char::is_whitespace);
    words
        .map(|word| if is_id(word) { "# " } else { word })
        .collect()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(START + millis * 1_000)
}

async fn written_by_rust(store: &Store) {
    let mut trace = Trace::new(TraceId::generate_at(at(0)), at(0));
    trace.project_name = Some("rust".to_owned());
    trace.name = Some("answer".to_owned());
    trace.end_time = Some(at(1_000));
    trace.input = Some(Json::parse(r#"{"q": "lamps?"}"#).unwrap());
    trace.output = Some(Json::parse(r#"{"a": "3"}"#).unwrap());
    let span = |parent: Option<SpanId>, name: &str, from, to| {
        let mut span = Span::new(SpanId::generate_at(at(from)), trace.id, at(from));
        span.project_name = Some("rust".to_owned());
        span.parent_span_id = parent;
        span.name = Some(name.to_owned());
        span.end_time = Some(at(to));
        span
    };
    let mut root = span(None, "answer", 0, 1_000);
    root.input.clone_from(&trace.input);
    root.output.clone_from(&trace.output);
    let mut tool = span(Some(root.id), "stock", 100, 700);
    tool.r#type = Some(SpanType::Tool);
    let mut model = span(Some(root.id), "chat", 750, 950);
    model.r#type = Some(SpanType::Llm);
    model.model = Some("gpt-4o-mini".to_owned());
    model.provider = Some("openai".to_owned());
    for (name, count) in [
        ("prompt_tokens", 100),
        ("completion_tokens", 20),
        ("total_tokens", 120),
    ] {
        model.usage.0.insert(name.to_owned(), count);
    }
    prices::estimate(&mut model);
    let batch = Batch::new(vec![trace.clone()], vec![root, tool, model]);
    let report = store.export(&batch).await.unwrap();
    assert!(report.rejected.is_empty());
}

async fn written_by_opentelemetry(server: &TestServer) {
    let nanos = |millis: i64| ((START + millis * 1_000) * 1_000).to_string();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number =
        |key: &str, value: i64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let span = |id: &str, parent: Option<&str>, name: &str, from, to, attributes: Value| {
        json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": id, "parentSpanId": parent.unwrap_or_default(), "name": name,
               "startTimeUnixNano": nanos(from), "endTimeUnixNano": nanos(to), "attributes": attributes})
    };
    let root = "eee19b7ec3c1b173";
    let spans = json!([
        span(
            root,
            None,
            "answer",
            0,
            1_000,
            json!([
                text("input.value", r#"{"q": "lamps?"}"#),
                text("output.value", r#"{"a": "3"}"#)
            ])
        ),
        span(
            "eee19b7ec3c1b174",
            Some(root),
            "stock",
            100,
            700,
            json!([text("openinference.span.kind", "TOOL")])
        ),
        span(
            "eee19b7ec3c1b175",
            Some(root),
            "chat",
            750,
            950,
            json!([
                text("gen_ai.operation.name", "chat"),
                text("gen_ai.request.model", "gpt-4o-mini"),
                text("gen_ai.system", "openai"),
                number("gen_ai.usage.input_tokens", 100),
                number("gen_ai.usage.output_tokens", 20)
            ])
        ),
    ]);
    let sent = server
        .request(Method::POST, "/otel/v1/traces")
        .header("projectName", "opentelemetry")
        .json(&json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}));
    assert_eq!(answer(sent).await, (StatusCode::OK, json!({})));
}

/// Runs a script that writes the run into the project that is named like its language.
async fn written_by_sdk(server: &TestServer, setting: &str, language: &str) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its SDKs are"
    )]
    let Ok(place) = std::env::var(setting) else {
        // Past the test harness, which hides what passing tests print.
        let line = format!("SKIPPED the part of {language} of this test: {setting} names no SDK\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return false;
    };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorder/sdk");
    let mut command = if language == "python" {
        let mut command = Command::new(place);
        command.arg(scripts.join("alike.py"));
        command
    } else {
        let mut command = Command::new("node");
        command
            .arg(scripts.join("alike.mjs"))
            .env("OPIK_TS_SDK", place);
        command
    };
    command
        .env("OPIK_URL_OVERRIDE", server.url("/api"))
        .env("NO_PROXY", "*");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failed}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_is_answered_about_alike_whoever_wrote_it() {
    let server = TestServer::start().await;
    written_by_rust(&server.store).await;
    let expected = answers(&server.store, "rust").await;
    assert!(expected[0].contains("stock"), "{}", expected[0]);
    written_by_opentelemetry(&server).await;
    assert_eq!(answers(&server.store, "opentelemetry").await, expected);
    for (setting, language) in [("OPIK_SDK_PYTHON", "python"), ("OPIK_TS_SDK", "typescript")] {
        if written_by_sdk(&server, setting, language).await {
            assert_eq!(
                answers(&server.store, language).await,
                expected,
                "{language}"
            );
        }
    }
}
