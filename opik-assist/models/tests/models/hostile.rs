//! Servers that do not keep to the protocol, in every format, beside the nineteen cases of `cases`:
//! recorded replies over a socket, answers with a less usual status, and what is no reply at all.

use std::error::Error as _;

use futures_util::StreamExt as _;
use opik_core::chat::ModelErrorKind;
use opik_core::{ChatModel, ChatRequest, Message, ModelError, Role};

use crate::fake::{Act, Fake, answer, stream_head};
use crate::fixture;
use crate::in_time;
use crate::wire::{CLIENTS, Client, Wire, http};

pub(crate) fn question() -> ChatRequest {
    ChatRequest::new(vec![Message::text(Role::User, "zq-question")])
}

/// Everything that comes of a question, as fixtures write it.
pub(crate) async fn ask(model: &dyn ChatModel) -> Vec<String> {
    let told =
        |error: &ModelError| fixture::error_line(error.kind(), &error.to_string(), error.source());
    let mut stream = match model.stream(&question()).await {
        Ok(stream) => stream,
        Err(error) => return vec![told(&error)],
    };
    let mut lines = Vec::new();
    while let Some(event) = stream.next().await {
        lines.push(match event {
            Ok(event) => fixture::line(&event),
            Err(error) => told(&error),
        });
    }
    lines
}

pub(crate) async fn refused(model: &dyn ChatModel) -> ModelError {
    match model.stream(&question()).await {
        Ok(_) => panic!("the question was answered"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_replies_give_their_events_over_a_socket_too() {
    for fixture in fixture::all() {
        let wires: &[Wire] = match fixture.format.as_str() {
            "openai" => &[Wire::OpenAi, Wire::Proxy],
            "anthropic" => &[Wire::Anthropic],
            _ => &[Wire::Gemini],
        };
        for (wire, piece) in wires
            .iter()
            .flat_map(|wire| [(wire, 11), (wire, usize::MAX)])
        {
            let kind = if fixture.whole {
                "application/json"
            } else {
                "text/event-stream"
            };
            let mut acts = vec![Act::Head(200, vec![("content-type", kind.to_owned())])];
            let pieces = fixture.body.chunks(piece.min(fixture.body.len()));
            acts.extend(pieces.map(|piece| Act::Send(piece.to_vec())));
            acts.push(Act::End);
            let fake = Fake::always(acts).await;
            let model = Client(*wire, fixture.whole).model(&http(), &fake.url);
            let events = in_time(ask(&*model)).await;
            assert_eq!(events, fixture.events, "{} {wire:?}", fixture.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_usual_statuses_keep_their_kind_in_every_format() {
    use ModelErrorKind as Kind;
    for client in CLIENTS {
        for (status, kind_of_body, body, kind) in [
            (413, "text/plain", "too large", Kind::ContextTooLong),
            (307, "text/plain", "", Kind::InvalidRequest),
            (
                529,
                "application/json",
                r#"{"type":"error","error":{"type":"overloaded_error"}}"#,
                Kind::Unavailable,
            ),
        ] {
            let fake = Fake::always(answer(status, kind_of_body, body)).await;
            let model = client.model(&http(), &fake.url);
            let error = in_time(refused(&*model)).await;
            assert_eq!(error.kind(), kind, "{client:?} {status} {body}");
            let text = error.to_string();
            assert!(text.contains(&format!("status {status}")), "{text}");
            assert!(
                text.starts_with(model.name()) && !text.contains("html"),
                "{text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_that_a_server_asks_for_is_told() {
    for client in CLIENTS {
        let head = Act::Head(429, vec![("retry-after", "17".to_owned())]);
        let fake = Fake::always(vec![head, Act::End]).await;
        let error = in_time(refused(&*client.model(&http(), &fake.url))).await;
        assert_eq!(
            error.retry_after().map(|wait| wait.as_secs()),
            Some(17),
            "{client:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_is_no_reply_and_nothing_is_none_either() {
    for client in CLIENTS {
        let fake = Fake::always(answer(
            200,
            "text/html; charset=utf-8",
            "<html>data: {}\n\n</html>",
        ))
        .await;
        let error = in_time(refused(&*client.model(&http(), &fake.url))).await;
        assert_eq!(error.kind(), ModelErrorKind::Protocol, "{client:?}");
        assert!(error.to_string().contains("check the base URL"), "{error}");

        for acts in [vec![stream_head(), Act::End], vec![stream_head(), Act::Cut]] {
            let fake = Fake::always(acts).await;
            let error = in_time(refused(&*client.model(&http(), &fake.url))).await;
            assert_eq!(error.kind(), ModelErrorKind::Truncated, "{client:?}");
        }
        // No head at all.
        let fake = Fake::always(vec![Act::Cut]).await;
        let error = in_time(refused(&*client.model(&http(), &fake.url))).await;
        assert_eq!(error.kind(), ModelErrorKind::Unavailable, "{client:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_the_reason_to_end_does_not_spoil_the_reply() {
    let frame =
        "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"},\"finish_reason\":\"stop\"}]}\n\n";
    let send = |text: &str| Act::Send(text.as_bytes().to_vec());
    for tail in [
        vec![Act::Cut],
        vec![send("data: {\"cho"), Act::Cut],
        vec![send(": ping\n\n"), Act::End],
    ] {
        let mut acts = vec![stream_head(), send(frame)];
        acts.extend(tail);
        let fake = Fake::always(acts).await;
        let model = Client(Wire::OpenAi, false).model(&http(), &fake.url);
        assert_eq!(in_time(ask(&*model)).await, ["text \"Yes\"", "finish Stop"]);
    }
}
