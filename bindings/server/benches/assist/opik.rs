//! A made-up Opik with its proxy to a model: traces of twelve or 20,000 spans, answers in eight pieces.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt as _, stream};
use opik_core::{Timestamp, TraceId};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::send;
use crate::measure::Times;

const SPANS: usize = 12;
const LARGE: usize = 20_000;
const PROJECT: &str = "0198ec6e-0000-7000-8000-00000000aaaa";

/// A trace that nobody asked about yet: `big` is a large one, others are as on a real Opik.
pub(crate) fn trace(kind: &str) -> String {
    match kind {
        "big" => format!("{kind}-{}", TraceId::generate()),
        _ => TraceId::generate().to_string(),
    }
}

fn at(millis: i64) -> String {
    Timestamp::from_micros((1_769_940_000_000 + millis) * 1_000).to_string()
}

fn span_id(number: usize) -> String {
    format!("0198ec6e-1111-7000-8000-{number:012}")
}

/// Starts the server; its address has no slash at the end.
pub(crate) async fn start() -> String {
    let app = Router::new()
        .route("/is-alive/ping", get(async || "{}"))
        .route("/v1/private/traces/{id}", get(one))
        .route("/v1/private/spans/search", post(spans))
        .route("/v1/private/chat/completions", post(chat));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn one(Path(id): Path<String>) -> Response {
    let document = json!({
        "id": id, "project_id": PROJECT, "project_name": "Default Project", "name": "agent_run",
        "start_time": at(0), "end_time": at(4_000), "input": {"q": "why"}, "output": {"a": "because"},
    });
    ([("content-type", "application/json")], document.to_string()).into_response()
}

fn span(number: usize, trace: &str) -> Value {
    let begin = i64::try_from(number).unwrap() * 120 % 100_000;
    let kind = if number.is_multiple_of(3) {
        "tool"
    } else {
        "llm"
    };
    let mut span = json!({
        "id": span_id(number), "project_id": PROJECT, "trace_id": trace,
        "name": format!("{kind}_call_{number}"), "type": if number == 0 { "general" } else { kind },
        "start_time": at(begin), "end_time": at(begin + 900),
        "input": {"messages": [{"role": "user", "content": "q".repeat(400)}]},
        "output": {"answer": "a".repeat(400)},
        "metadata": {"agent": "writer_agent", "step": number},
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    });
    if number > 0 {
        span["parent_span_id"] = Value::from(span_id(0));
    }
    span
}

async fn spans(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let trace = asked["trace_id"].as_str().unwrap();
    let count = if trace.starts_with("big-") {
        LARGE
    } else {
        SPANS
    };
    let cursor = asked["last_retrieved_id"].as_str();
    let limit = usize::try_from(asked["limit"].as_u64().unwrap()).unwrap();
    let lines: String = (0..count)
        .rev()
        .filter(|number| cursor.is_none_or(|cursor| span_id(*number).as_str() < cursor))
        .take(limit)
        .map(|number| format!("{}\r\n", span(number, trace)))
        .collect();
    ([("content-type", "application/octet-stream")], lines).into_response()
}

async fn chat(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let messages = asked["messages"].as_array().unwrap();
    let words = messages
        .iter()
        .rfind(|message| message["role"] == "user")
        .unwrap()["content"]
        .to_string();
    let after_tool = messages.last().unwrap()["role"] == "tool";
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        Bytes::from(format!(
            "data: {}\n\n",
            json!({"id": "c", "choices": [choice]})
        ))
    };
    let mut chunks = Vec::new();
    if words.contains("[[tool]]") && !after_tool {
        let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {
            "name": "get_span_details", "arguments": format!("{{\"span_id\": \"{}\"}}", span_id(1))}});
        chunks.push(chunk(json!({"content": "Looking. "}), Value::Null));
        chunks.push(chunk(json!({"tool_calls": [call]}), Value::Null));
        chunks.push(chunk(json!({}), json!("tool_calls")));
    } else {
        for number in 0..8 {
            chunks.push(chunk(
                json!({"content": format!("part{number} ")}),
                Value::Null,
            ));
        }
        chunks.push(chunk(json!({}), json!("stop")));
    }
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let hangs = words.contains("[[hang]]");
    let pause = if words.contains("[[slow]]") { 100 } else { 0 };
    if hangs {
        chunks.truncate(1);
    }
    let said = stream::iter(chunks).then(move |chunk| async move {
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok::<_, Infallible>(chunk)
    });
    let body = if hangs {
        Body::from_stream(said.chain(stream::pending()))
    } else {
        Body::from_stream(said)
    };
    ([("content-type", "text/event-stream")], body).into_response()
}

/// What the three calls of a chat take by themselves, to the first byte of the model's answer; each client
/// pauses before them.
pub(crate) async fn own(address: &str, chats: usize, at_once: usize, pause: Duration) -> Times {
    let address = address.trim_start_matches("http://").to_owned();
    let workers = (0..at_once).map(|_| {
        let address = address.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..chats / at_once {
                tokio::time::sleep(pause).await;
                let trace = trace("new");
                let begin = Instant::now();
                send(&address, "GET", &format!("/v1/private/traces/{trace}"), "").await;
                let body = json!({"trace_id": trace, "limit": 2000}).to_string();
                send(&address, "POST", "/v1/private/spans/search", &body).await;
                let before = begin.elapsed();
                let body = json!({"messages": [{"role": "user", "content": "Why?"}]}).to_string();
                let asked = send(&address, "POST", "/v1/private/chat/completions", &body).await;
                times.push(before + asked.first);
            }
            times
        })
    });
    let times = futures_util::future::join_all(workers).await;
    Times::of(times.into_iter().flat_map(|times| times.unwrap()).collect())
}
