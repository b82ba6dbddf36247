//! `PUT` and `DELETE /trace-analyzer/session/{trace}/feedback`: a thumb for a conversation.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use opik_assist::assistant::Feedback;
use opik_core::SessionError;
use opik_core::session::SessionErrorKind;

use super::backend::Refusal;
use super::caller::Caller;
use super::chat::{no_sessions, refused};
use super::detail::{Detail, json_response};
use super::fields::Fields;
use super::internal::NotStored;
use super::monitor::Asked;
use super::routes::trace_name;
use super::state::Assist;

fn no_session(trace: &str) -> Detail {
    Detail::pair(
        StatusCode::NOT_FOUND,
        "Not found",
        &format!("Trace analyzer session not found for trace ID: {trace}"),
    )
}

/// Stores what the user thinks with the conversation.
async fn store(
    assist: &Assist,
    caller: &Caller,
    trace: &str,
    feedback: Option<Feedback>,
) -> Result<(), Detail> {
    match assist.check_right(caller, trace).await {
        Ok(()) => {}
        Err(Refusal::NotFound) => return Err(no_session(trace)),
        Err(refusal) => return Err(refused(refusal, "The trace")),
    }
    let session = assist.session(caller, trace).await.map_err(no_sessions)?;
    let value = feedback.as_ref().map(|feedback| feedback.value);
    let before = match assist.monitor().tells_conversations() {
        true => assist.sessions().session(&session).await.ok().flatten(),
        false => None,
    };
    let stored = assist
        .assistant()
        .feedback(&session, feedback.as_ref())
        .await;
    let is_missing = |error: &SessionError| error.kind() == SessionErrorKind::NotFound;
    if let (Ok(()), Some(before)) = (&stored, before) {
        let again = before
            .state
            .get("feedback")
            .is_some_and(|feedback| !feedback.is_null());
        let asked = || Asked {
            session: session.clone(),
            workspace: caller.workspace().to_owned(),
            trace: trace.to_owned(),
            project: None,
            streaming: false,
        };
        assist.monitor().feedback(asked, value, again);
    }
    match (stored, assist.internal()) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(internal)) => match internal.feedback(&session.id, value).await {
            Ok(()) => Ok(()),
            Err(NotStored::UnknownThread) => Err(no_session(trace)),
            Err(NotStored::Failed) => Err(Detail::pair(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal server error",
                if value.is_some() {
                    "Failed to submit feedback. Please try again later."
                } else {
                    "Failed to delete feedback. Please try again later."
                },
            )),
        },
        // As the Python program without a server for what it records.
        (Err(error), None) if is_missing(&error) => Ok(()),
        (Err(error), Some(_)) if is_missing(&error) => Err(no_session(trace)),
        (Err(error), _) => Err(no_sessions(error)),
    }
}

pub(super) async fn put(
    State(assist): State<Assist>,
    caller: Caller,
    Path(trace): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Detail> {
    let trace = trace_name(&trace)?;
    let mut fields = Fields::of(&headers, &body)?;
    let value = fields.whole_number("value");
    fields.checked()?;
    let value = match value {
        0 => 0.0,
        1 => 1.0,
        _ => {
            return Err(Detail::pair(
                StatusCode::BAD_REQUEST,
                "Invalid feedback value",
                "Feedback value must be 0 (thumbs down) or 1 (thumbs up)",
            ));
        }
    };
    store(&assist, &caller, trace, Some(Feedback::new(value))).await?;
    Ok(json_response(
        StatusCode::OK,
        r#"{"status":"ok"}"#.to_owned(),
    ))
}

pub(super) async fn delete(
    State(assist): State<Assist>,
    caller: Caller,
    Path(trace): Path<String>,
) -> Result<Response, Detail> {
    let trace = trace_name(&trace)?;
    store(&assist, &caller, trace, None).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let json = axum::http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(axum::http::header::CONTENT_TYPE, json);
    Ok(response)
}
