//! The assistant in an axum service: a question begins a turn, its events are told as server-sent
//! events, and a client whose connection broke goes on where it stopped.
//!
//! Run it with `cargo run -p opik-examples --example assistant_service`; it calls itself.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt as _};
use opik_assist::assistant::{Ask, AskError, Assistant, TurnHandle};
use opik_core::{Batch, Exporter as _, TraceId};
use opik_sessions::MemorySessions;
use opik_testkit::{MemoryStore, ScriptedModel, records};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// Events of a turn from a position on, each with its position as its id.
fn stream(
    turn: &TurnHandle,
    from: u64,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let events = turn.events(from).map(|event| {
        let data = serde_json::to_string(&*event).unwrap_or_default();
        Ok(Event::default().id(event.position.to_string()).data(data))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// `POST /traces/{id}/ask` with the question as its body.
async fn ask(
    State(assistant): State<Assistant>,
    Path(trace): Path<TraceId>,
    question: String,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, (StatusCode, String)> {
    // A real service takes the user from its own sign-in.
    let session = assistant.session_key("ada", trace.to_string());
    let turn = assistant.ask(Ask::new(session, trace, question)).await;
    let turn = turn.map_err(|error| {
        let status = match &error {
            AskError::NoSuchTrace(_) => StatusCode::NOT_FOUND,
            AskError::Busy { .. } => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, error.to_string())
    })?;
    Ok(stream(&turn, 0))
}

/// `GET /turns/{id}` with the header `Last-Event-ID`.
async fn join(
    State(assistant): State<Assistant>,
    Path(turn): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    let turn = assistant.join(&turn).ok_or(StatusCode::NOT_FOUND)?;
    // A real service checks that `turn.session()` is the user's.
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    Ok(stream(&turn, last.map_or(0, |last| last + 1)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let traces = MemoryStore::new();
    let call = records::llm_span(1, 1, (1_200, 80), 0.012);
    traces
        .export(&Batch::new(vec![records::trace(1)], vec![call]))
        .await?;
    let assistant = Assistant::builder(Arc::new(MemorySessions::new()))
        .source(Arc::new(traces))
        .model(Arc::new(
            ScriptedModel::new("scripted/example").says("It is one model call [s1]."),
        ))
        .build();

    let app = Router::new()
        .route("/traces/{id}/ask", post(ask))
        .route("/turns/{id}", get(join))
        .with_state(assistant.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());

    let client = async {
        let path = format!("/traces/{}/ask", records::trace_id(1));
        let whole = call_service(address, "POST", &path, "", "What is it?").await?;
        println!("{whole}");
        let turn = whole
            .split_once(r#""turn":""#)
            .and_then(|(_, rest)| rest.split_once('"'));
        let (turn, _) = turn.ok_or("no turn in the answer")?;
        let path = format!("/turns/{turn}");
        let rest = call_service(address, "GET", &path, "Last-Event-ID: 1\r\n", "").await?;
        println!("After a break:\n{rest}");
        if rest.contains("id: 1\n") || !rest.contains("id: 2\n") {
            return Err("it does not go on where it stopped".into());
        }
        assistant.shutdown(Duration::from_secs(5)).await;
        stop.cancel();
        Ok::<(), Box<dyn Error>>(())
    };
    let (served, talked) = tokio::join!(server, client);
    served?;
    talked
}

/// A client of a few lines: the body of the answer.
async fn call_service(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<String, Box<dyn Error>> {
    let mut connection = tokio::net::TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(head.to_owned().into());
    }
    Ok(body.to_owned())
}
