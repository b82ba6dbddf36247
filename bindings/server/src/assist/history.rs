//! `GET` and `DELETE /trace-analyzer/session/{trace}`: a conversation as it is stored.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use opik_core::session::Part;
use opik_core::{Event, Role};
use serde::Serialize;

use super::backend::Refusal;
use super::caller::Caller;
use super::chat::{NO_WORDS, no_sessions, refused};
use super::detail::{Detail, json_response};
use super::routes::trace_name;
use super::state::Assist;

#[derive(Serialize)]
struct History<'e> {
    content: Vec<Said<'e>>,
}

#[derive(Serialize)]
struct Said<'e> {
    id: &'e str,
    role: &'static str,
    content: &'e str,
}

/// What was said in an event: its first part, where that is words.
fn said(event: &Event) -> Option<Said<'_>> {
    let message = event.message.as_ref()?;
    let role = match message.role {
        Role::User => "user",
        Role::Assistant => "assistant",
        _ => return None,
    };
    match message.parts.first()? {
        // What a question without words asks is ours, not the user's.
        Part::Text(text) if !text.is_empty() && text != NO_WORDS => Some(Said {
            id: &event.id,
            role,
            content: text,
        }),
        _ => None,
    }
}

/// Only a caller whom the backend lets read the trace sees what was said about it.
async fn check(assist: &Assist, caller: &Caller, trace: &str) -> Result<(), Detail> {
    match assist.check_right(caller, trace).await {
        Ok(()) => Ok(()),
        Err(Refusal::NotFound) => Err(Detail::no_session()),
        Err(refusal) => Err(refused(refusal, "The trace")),
    }
}

pub(super) async fn read(
    State(assist): State<Assist>,
    caller: Caller,
    Path(trace): Path<String>,
) -> Result<Response, Detail> {
    let trace = trace_name(&trace)?;
    check(&assist, &caller, trace).await?;
    let session = assist.session(&caller, trace).await.map_err(no_sessions)?;
    let events = assist
        .assistant()
        .history(&session)
        .await
        .map_err(no_sessions)?
        .ok_or_else(Detail::no_session)?;
    let history = History {
        content: events.iter().filter_map(said).collect(),
    };
    let body = serde_json::to_string(&history).map_err(|_| Detail::no_session())?;
    Ok(json_response(StatusCode::OK, body))
}

pub(super) async fn delete(
    State(assist): State<Assist>,
    caller: Caller,
    Path(trace): Path<String>,
) -> Result<Response, Detail> {
    let trace = trace_name(&trace)?;
    check(&assist, &caller, trace).await?;
    let session = assist.session(&caller, trace).await.map_err(no_sessions)?;
    assist
        .assistant()
        .delete(&session)
        .await
        .map_err(no_sessions)?;
    Ok(json_response(StatusCode::OK, "null".to_owned()))
}
