//! The body of a chat: one chunk per batch of events, and a comment when nothing happens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::StreamExt as _;
use opik_assist::assistant::{TurnEventKind, TurnEvents, TurnHandle};

use super::frame::Framer;
use super::metrics::{Listening as Counted, Metrics};

/// What keeps proxies from closing a connection in which nothing is said. Readers skip comments.
const HEARTBEAT: &str = ": still working\n\n";

struct Listening {
    // Counts as a listener as long as the body lives.
    _turn: TurnHandle,
    events: TurnEvents,
    framer: Framer,
    pause: Duration,
    metrics: Arc<Metrics>,
    _counted: Counted,
}

/// The events of a turn from a position on.
pub(crate) fn response(
    turn: TurnHandle,
    from: u64,
    framer: Framer,
    pause: Duration,
    metrics: &Arc<Metrics>,
) -> Response {
    let listening = Listening {
        events: turn.events(from),
        _turn: turn,
        framer,
        pause,
        metrics: Arc::clone(metrics),
        _counted: metrics.listening(),
    };
    let chunks = futures_util::stream::unfold(listening, |mut listening| async {
        let chunk = next_chunk(&mut listening).await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), listening))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// All events of a batch that a listener sees; `None` at the end of the turn.
async fn next_chunk(listening: &mut Listening) -> Option<String> {
    let mut chunk = String::new();
    loop {
        match tokio::time::timeout(listening.pause, listening.events.next()).await {
            Ok(Some(event)) => {
                if let TurnEventKind::Done(outcome) = &event.kind {
                    listening.metrics.seen(outcome);
                }
                listening.framer.push(&mut chunk, &event);
                if event.ends_batch && !chunk.is_empty() {
                    return Some(chunk);
                }
            }
            Ok(None) => return Some(chunk).filter(|chunk| !chunk.is_empty()),
            Err(_) if chunk.is_empty() => return Some(HEARTBEAT.to_owned()),
            Err(_) => return Some(chunk),
        }
    }
}
