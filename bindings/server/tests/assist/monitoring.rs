//! Who is told about the assistant's work, and that nobody who listens badly holds it up.

use std::time::Duration;

use opik_core::query::SpanQuery;
use opik_core::{PageRequest, SpanType, TraceSource as _};
use opik_formats::{Item, ReadOptions, Reader};
use opik_server::{Server, ServerConfig};
use opik_store::Store;
use sentry_types::protocol::v7::{Context, Envelope, EnvelopeItem, Event, Transaction};

use crate::exchange::{Answer, exchange, request};
use crate::receiver::{Manner, Receiver, Told};
use crate::world::World;

const TRACE: &str = "0198ec6e-2222-7000-8000-000000000007";
const WORDS: &str = "an unspeakable question";
const LIMIT: Duration = Duration::from_secs(3);

async fn send(world: &World, method: &str, path: &str, body: &str) -> Answer {
    let headers = [("Cookie", "sessionToken=tok-1")];
    exchange(world.address(), &request(method, path, &headers, body)).await
}

async fn ask(world: &World, words: &str) -> Answer {
    let path = format!("/trace-analyzer/session/{TRACE}");
    let body = serde_json::json!({"message": words, "streaming": true}).to_string();
    send(world, "POST", &path, &body).await
}

/// The user that `tok-1` is.
const USER: &str = "65dcf16ea3dfa490";

fn envelopes(told: &[Told]) -> (Vec<Event<'static>>, Vec<Transaction<'static>>) {
    let (mut events, mut transactions) = (Vec::new(), Vec::new());
    for told in told {
        assert_eq!(told.path, "/api/7/envelope/");
        let auth = told.headers["x-sentry-auth"].to_str().unwrap();
        assert!(auth.contains("sentry_key=abc"), "{auth}");
        for item in Envelope::from_slice(told.body.as_bytes())
            .unwrap()
            .into_items()
        {
            match item {
                EnvelopeItem::Event(event) => events.push(*event),
                EnvelopeItem::Transaction(transaction) => transactions.push(*transaction),
                other => panic!("{other:?}"),
            }
        }
    }
    (events, transactions)
}

#[tokio::test]
async fn sentry_is_told_of_failures_and_turns_but_not_who_said_what() {
    let (receiver, address) = Receiver::start(Manner::Takes).await;
    let dsn = format!("http://abc@{address}/7");
    let variables = [
        ("SENTRY_DSN", dsn.as_str()),
        ("SENTRY_ENVIRONMENT", "staging"),
    ];
    let world = World::new(&variables).await;
    ask(&world, &format!("{WORDS} [[tool]]")).await;
    ask(&world, "[[err429]]").await;
    // An answer with an error of Opik's becomes ours.
    send(&world, "GET", "/trace-analyzer/session/t500-1", "").await;
    world.server.shutdown(LIMIT).await;
    let told = receiver.told();
    let (events, transactions) = envelopes(&told);
    let messages: Vec<_> = events
        .iter()
        .filter_map(|event| event.message.as_deref())
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages.contains(&"a turn failed: MODEL_RATE_LIMITED"));
    assert!(messages.contains(&"answered 502"), "{messages:?}");
    assert!(
        events
            .iter()
            .all(|event| event.user.is_none() && event.environment.as_deref() == Some("staging"))
    );
    let [with_tool, _] = transactions.as_slice() else {
        panic!("{} transactions", transactions.len());
    };
    assert_eq!(
        with_tool.name.as_deref(),
        Some("POST /trace-analyzer/session/{trace}")
    );
    let kinds: Vec<_> = with_tool
        .spans
        .iter()
        .filter_map(|span| span.op.as_deref())
        .collect();
    assert_eq!(kinds, ["general", "llm", "tool", "llm"]);
    assert!(
        with_tool
            .spans
            .iter()
            .all(|span| span.timestamp.unwrap() >= span.start_timestamp)
    );
    assert!(matches!(with_tool.contexts["trace"], Context::Trace(_)));
    for told in told {
        for secret in [WORDS, "tok-1", USER, TRACE, "healthy"] {
            assert!(!told.body.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn sentry_gets_the_share_and_the_users_that_are_asked_for() {
    let (receiver, address) = Receiver::start(Manner::Takes).await;
    let dsn = format!("http://abc@{address}/7");
    let variables = [
        ("SENTRY_DSN", dsn.as_str()),
        ("SENTRY_TRACES_SAMPLE_RATE", "0"),
        ("SENTRY_SEND_DEFAULT_PII", "true"),
    ];
    let world = World::new(&variables).await;
    ask(&world, WORDS).await;
    ask(&world, "[[err500]]").await;
    world.server.shutdown(LIMIT).await;
    let (events, transactions) = envelopes(&receiver.told());
    assert_eq!((events.len(), transactions.len()), (1, 0));
    assert_eq!(events[0].user.as_ref().unwrap().id.as_deref(), Some(USER));
}

#[tokio::test]
async fn segment_gets_the_three_events() {
    let (receiver, address) = Receiver::start(Manner::Takes).await;
    let host = format!("http://{address}");
    let variables = [
        ("SEGMENT_WRITE_KEY", "wk"),
        ("SEGMENT_HOST", host.as_str()),
        ("SEGMENT_ENVIRONMENT", "production"),
    ];
    let world = World::new(&variables).await;
    ask(&world, WORDS).await;
    let thumb = format!("/trace-analyzer/session/{TRACE}/feedback");
    send(&world, "PUT", &thumb, "{\"value\": 1}").await;
    send(&world, "PUT", &thumb, "{\"value\": 0}").await;
    send(&world, "DELETE", &thumb, "").await;
    ask(&world, "again").await;
    world.server.shutdown(LIMIT).await;
    let mut seen = Vec::new();
    for told in receiver.told() {
        assert_eq!(told.path, "/v1/batch");
        assert_eq!(told.headers["authorization"], "Basic d2s6");
        assert!(!told.body.contains(WORDS) && !told.body.contains("tok-1"));
        for event in told.json()["batch"].as_array().unwrap() {
            assert_eq!(
                (event["type"].as_str(), event["userId"].as_str()),
                (Some("track"), Some(USER))
            );
            let properties = &event["properties"];
            assert_eq!(properties["trace_id"], TRACE);
            assert_eq!(properties["workspace_name"], "default");
            assert_eq!(properties["environment"], "production");
            let name = event["event"].as_str().unwrap();
            let name = name
                .strip_prefix("opik-ai-trace-analyzer-")
                .unwrap()
                .to_owned();
            let detail = match name.as_str() {
                "conversation-resumed" => properties["message_count"].to_string(),
                "feedback-submitted" => format!(
                    "{} {}",
                    properties["feedback_value"], properties["feedback_action"]
                ),
                _ => properties["streaming"].to_string(),
            };
            seen.push(format!("{name} {detail}"));
        }
    }
    // Whether a conversation began is found out beside the turn.
    seen.sort();
    assert_eq!(
        seen,
        [
            "conversation-resumed 2",
            "conversation-started true",
            "feedback-submitted -1 \"deleted\"",
            "feedback-submitted 0 \"updated\"",
            "feedback-submitted 1 \"created\"",
        ]
    );
}

#[tokio::test]
async fn new_relic_and_a_collector_get_turns_as_traces() {
    let (collector, address) = Receiver::start(Manner::Takes).await;
    let (new_relic, other) = Receiver::start(Manner::Takes).await;
    let (endpoint, other) = (
        format!("http://{address}"),
        format!("http://{other}/v1/traces"),
    );
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=a%20b"),
        ("OTEL_SERVICE_NAME", "helper"),
        ("NEW_RELIC_LICENSE_KEY", "nr-key"),
        ("NEW_RELIC_OTLP_ENDPOINT", other.as_str()),
    ];
    let world = World::new(&variables).await;
    ask(&world, &format!("{WORDS} [[tool]]")).await;
    world.server.shutdown(LIMIT).await;
    for (receiver, header, value) in [
        (&collector, "x-team", "a b"),
        (&new_relic, "api-key", "nr-key"),
    ] {
        let told = receiver.told();
        assert_eq!(told.len(), 1);
        assert_eq!(
            (
                told[0].path.as_str(),
                told[0].headers[header].to_str().unwrap()
            ),
            ("/v1/traces", value)
        );
        assert!(told[0].body.contains("\"helper\""));
        assert!(!told[0].body.contains(WORDS) && !told[0].body.contains("healthy"));
        let mut spans = Vec::new();
        for item in Reader::new(told[0].body.as_bytes(), ReadOptions::default()) {
            match item.unwrap() {
                Item::Batch(batch) => spans.extend(batch.spans),
                Item::Problem(problem) => panic!("{problem}"),
            }
        }
        let names: Vec<_> = spans
            .iter()
            .filter_map(|span| span.name.as_deref())
            .collect();
        assert_eq!(
            names,
            [
                "answer a question",
                "load the trace",
                "ask the model",
                "get_span_details",
                "ask the model"
            ]
        );
        assert_eq!(spans[2].model.as_deref(), Some("openai/gpt-4.1"));
    }
}

/// A recorder server, and what it has recorded once the assistant has stopped.
async fn recorded(variables: &[(&str, &str)]) -> (Store, Vec<u16>) {
    let store = Store::open_in_memory().unwrap();
    let config = ServerConfig::default().port(0);
    let internal = Server::bind(config, store.clone()).await.unwrap();
    let url = format!("http://{}/api", internal.local_addr());
    let mut all = vec![("OPIK_INTERNAL_URL", url.as_str())];
    all.extend_from_slice(variables);
    let world = World::new(&all).await;
    let answers = vec![
        ask(&world, &format!("{WORDS} [[tool]]")).await.code(),
        ask(&world, "[[err401]]").await.code(),
    ];
    world.server.shutdown(LIMIT).await;
    assert!(internal.shutdown(LIMIT).await.is_clean());
    (store, answers)
}

#[tokio::test]
async fn own_turns_are_traces_of_the_internal_server_without_content() {
    let (store, answers) = recorded(&[]).await;
    assert_eq!(answers, [200, 200]);
    let mut query = opik_core::query::TraceQuery::default();
    query.project = opik_core::query::ProjectSelector::Name("opik-assist".to_owned());
    query.page = PageRequest::first(10);
    let mut traces = store.search_traces(&query).await.unwrap().items;
    traces.sort_by_key(|trace| trace.start_time);
    assert_eq!(traces.len(), 2);
    let thread = format!("opik-ai-trace-analyzer-{TRACE}");
    assert!(
        traces
            .iter()
            .all(|trace| trace.thread_id.as_deref() == Some(thread.as_str()))
    );
    let failed = traces[1].error_info.as_ref().unwrap();
    assert_eq!(failed.exception_type, "MODEL_UNAUTHORIZED");
    let mut query = SpanQuery::default();
    query.project = opik_core::query::ProjectSelector::Name("opik-assist".to_owned());
    query.page = PageRequest::first(20);
    let mut spans = store.search_spans(&query).await.unwrap().items;
    spans.retain(|span| span.trace_id == traces[0].id);
    spans.sort_by_key(|span| span.start_time);
    let kinds: Vec<_> = spans.iter().map(|span| span.kind().clone()).collect();
    assert_eq!(kinds, [SpanType::Llm, SpanType::Tool, SpanType::Llm]);
    assert_eq!(spans[0].model.as_deref(), Some("gpt-4.1"));
    assert_eq!(spans[1].name.as_deref(), Some("get_span_details"));
    let all = format!(
        "{} {}",
        serde_json::to_string(&traces).unwrap(),
        serde_json::to_string(&spans).unwrap()
    );
    for said in [WORDS, "healthy", "Checking", "tok-1"] {
        assert!(!all.contains(said), "{said}");
    }
}

#[tokio::test]
async fn defect_28_what_the_provider_counts_is_told() {
    let (receiver, address) = Receiver::start(Manner::Takes).await;
    let endpoint = format!("http://{address}");
    let world = World::new(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())]).await;
    ask(&world, "[[usage]]").await;
    world.server.shutdown(LIMIT).await;
    let body = receiver.told()[0].body.clone();
    for (name, count) in [("input", 70), ("output", 20)] {
        let value = format!("\"value\":{{\"intValue\":\"{count}\"}}");
        let key = format!("\"key\":\"gen_ai.usage.{name}_tokens\"");
        assert!(body.contains(&format!("{key},{value}")), "{body}");
    }
}

#[tokio::test]
async fn own_turns_have_content_where_that_is_asked_for() {
    let (store, _) = recorded(&[("ASSIST_RECORD_CONTENT", "true")]).await;
    let mut query = opik_core::query::TraceQuery::default();
    query.project = opik_core::query::ProjectSelector::Name("opik-assist".to_owned());
    let traces = store.search_traces(&query).await.unwrap().items;
    let all = serde_json::to_string(&traces).unwrap();
    assert!(all.contains(WORDS) && all.contains("healthy"), "{all}");
}

/// The counts of a receiver in `/metrics`, by result.
fn count(metrics: &str, receiver: &str, result: &str) -> u64 {
    let begin =
        format!("opik_assist_monitoring_total{{receiver=\"{receiver}\",result=\"{result}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap_or_else(|| panic!("{begin}: {metrics}"))
        .parse()
        .unwrap()
}

/// More turns than a queue has room for, at once so many.
async fn many(world: &World) {
    for _ in 0..19 {
        let turns = (0..16).map(|number| async move {
            let path = format!(
                "/trace-analyzer/session/many-{number}-{}",
                opik_core::TraceId::generate()
            );
            let body = "{\"message\": \"Why?\", \"streaming\": true}";
            let answer = send(world, "POST", &path, body).await;
            assert_eq!(answer.code(), 200);
            assert!(answer.body().contains("is healthy."));
        });
        futures_util::future::join_all(turns).await;
    }
}

async fn held_up_by(manner: Manner) -> String {
    let (_receiver, address) = Receiver::start(manner).await;
    let (dsn, url) = (
        format!("http://abc@{address}/7"),
        format!("http://{address}"),
    );
    let variables = [
        ("SENTRY_DSN", dsn.as_str()),
        ("SEGMENT_WRITE_KEY", "wk"),
        ("SEGMENT_HOST", url.as_str()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OPIK_INTERNAL_URL", url.as_str()),
        ("ASSIST_TURNS_PER_MINUTE", "100000"),
    ];
    let world = World::new(&variables).await;
    many(&world).await;
    assert_eq!(send(&world, "GET", "/healthz", "").await.code(), 200);
    let metrics = send(&world, "GET", "/metrics", "").await.body();
    // It ends although nobody takes what waits.
    let stopping = world.server.shutdown(Duration::from_secs(2));
    assert!(
        tokio::time::timeout(Duration::from_secs(30), stopping)
            .await
            .is_ok()
    );
    metrics
}

#[tokio::test]
async fn receivers_that_never_answer_hold_up_no_chat() {
    let metrics = held_up_by(Manner::Hangs).await;
    for receiver in ["sentry", "segment", "otlp"] {
        assert_eq!(count(&metrics, receiver, "sent"), 0);
    }
    assert!(count(&metrics, "sentry", "dropped") > 0);
}

#[tokio::test]
async fn receivers_that_refuse_fail_no_chat() {
    let metrics = held_up_by(Manner::Refuses(400)).await;
    assert!(count(&metrics, "sentry", "refused") > 0);
    assert_eq!(count(&metrics, "sentry", "sent"), 0);
    held_up_by(Manner::Refuses(503)).await;
}

#[tokio::test]
async fn receivers_that_are_not_there_fail_no_chat() {
    let variables = [
        ("SENTRY_DSN", "http://abc@127.0.0.1:1/7"),
        ("SEGMENT_WRITE_KEY", "wk"),
        ("SEGMENT_HOST", "http://127.0.0.1:1"),
        ("NEW_RELIC_LICENSE_KEY", "key"),
        ("NEW_RELIC_OTLP_ENDPOINT", "http://127.0.0.1:1/v1/traces"),
        ("OPIK_INTERNAL_URL", "http://127.0.0.1:1"),
    ];
    let world = World::new(&variables).await;
    assert!(ask(&world, WORDS).await.body().contains("is healthy."));
    let stopping = world.server.shutdown(Duration::from_secs(2));
    assert!(
        tokio::time::timeout(Duration::from_secs(30), stopping)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn nobody_is_told_unless_that_is_configured() {
    let world = World::new(&[]).await;
    ask(&world, WORDS).await;
    let metrics = send(&world, "GET", "/metrics", "").await.body();
    assert!(!metrics.contains("monitoring"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
}
