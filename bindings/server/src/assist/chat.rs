//! `POST /trace-analyzer/session/{trace}`: a question. `GET .../events`: a turn that goes on.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use opik_assist::Ask;
use opik_assist::assistant::{AskError, TurnHandle};
use opik_core::session::State as Remembered;
use opik_core::source::SourceErrorKind;

use super::backend::Refusal;
use super::caller::Caller;
use super::detail::Detail;
use super::fields::Fields;
use super::frame::Framer;
use super::monitor::Asked;
use super::routes::trace_name;
use super::state::{Assist, WORKSPACE};
use super::stream;

/// Who speaks, as the page knows it.
pub(crate) const AGENT: &str = "data_analyzer";
/// What a question without words asks.
pub(super) const NO_WORDS: &str = "Give a summary of this trace.";
const LAST_EVENT: &str = "last-event-id";

/// Takes a question and answers with the events of its turn.
pub(super) async fn ask(
    State(assist): State<Assist>,
    caller: Caller,
    Path(trace): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Detail> {
    let trace = trace_name(&trace)?;
    let mut fields = Fields::of(&headers, &body)?;
    let message = fields.text("message");
    let streaming = fields.truth("streaming");
    fields.checked()?;
    assist.take_question(&caller).map_err(|seconds| {
        Detail::too_many("You are asking very fast. Try again in a moment.", seconds)
    })?;
    let opened = assist
        .backend()
        .open(&caller, trace)
        .await
        .map_err(|refusal| refused(refusal, "The trace"))?;
    assist.confirm(&caller, trace);
    let found = assist.found(&caller, trace).await.map_err(no_sessions)?;
    let (session, is_new) = (found.key, found.exists == Some(false));
    let question = if message.trim().is_empty() {
        NO_WORDS.to_owned()
    } else {
        message
    };
    let project = match assist.monitor().tells_conversations() {
        // It was read already.
        true => opened.source.trace(opened.id).await.ok().flatten(),
        false => None,
    };
    let watch = assist.monitor().begin(
        || Asked {
            session: session.clone(),
            workspace: caller.workspace().to_owned(),
            trace: trace.to_owned(),
            project: project.and_then(|trace| trace.project_name),
            streaming,
        },
        &question,
    );
    let mut state = Remembered::new();
    state.insert("trace_id".to_owned(), trace.into());
    state.insert(WORKSPACE.to_owned(), caller.workspace().into());
    let mut ask = Ask::new(session, opened.id, question)
        .streaming(streaming)
        .source(opened.source)
        .initial_state(state)
        .in_new_session(is_new)
        .grace(Some(assist.config().grace));
    ask = match assist.model(&caller) {
        Some(model) => ask.model(model),
        None => ask.without_model(),
    };
    if let Some(effort) = assist.config().effort {
        ask = ask.reasoning_effort(effort);
    }
    let turn = match assist.assistant().ask(ask).await {
        Ok(turn) => turn,
        Err(error) => {
            if let Some(watch) = watch {
                watch.not_taken();
            }
            return Err(not_taken(error));
        }
    };
    if let Some(watch) = watch {
        assist.monitor().follow(watch, &turn, assist.assistant());
    }
    Ok(listen(&assist, turn, 0, &headers))
}

/// Joins the running turn of a session, or goes on behind the event that `Last-Event-ID` names.
pub(super) async fn join(
    State(assist): State<Assist>,
    caller: Caller,
    Path(trace): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Detail> {
    let trace = trace_name(&trace)?;
    assist
        .check_right(&caller, trace)
        .await
        .map_err(|refusal| refused(refusal, "The trace"))?;
    let session = assist.session(&caller, trace).await.map_err(no_sessions)?;
    let last = headers
        .get(LAST_EVENT)
        .and_then(|value| value.to_str().ok());
    let (turn, from) = match last.and_then(|last| last.rsplit_once(':')) {
        Some((turn, position)) => {
            let position: u64 = position.parse().unwrap_or(0);
            (assist.assistant().join(turn), position.saturating_add(1))
        }
        None => (assist.assistant().running_turn(&session), 0),
    };
    let turn = turn
        .filter(|turn| *turn.session() == session)
        .ok_or_else(|| {
            Detail::told(
                StatusCode::NOT_FOUND,
                "Not found",
                "No answer is being written in this conversation.",
            )
        })?;
    Ok(listen(&assist, turn, from, &headers))
}

fn listen(assist: &Assist, turn: TurnHandle, from: u64, headers: &HeaderMap) -> Response {
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let framer = Framer {
        turn: turn.id().to_owned(),
        agent: AGENT.to_owned(),
        with_ids: accepts.contains("text/event-stream"),
    };
    let (pause, metrics) = (assist.config().heartbeat, assist.metrics());
    stream::response(turn, from, framer, pause, metrics)
}

/// What a caller is told when the backend does not give a trace.
pub(super) fn refused(refusal: Refusal, what: &str) -> Detail {
    match refusal {
        Refusal::NotFound => Detail::told(
            StatusCode::NOT_FOUND,
            "Not found",
            &format!("{what} does not exist, or not in this workspace."),
        ),
        Refusal::Unauthorized => Detail::told(
            StatusCode::UNAUTHORIZED,
            "Unauthorized",
            "The session is not valid. Sign in again.",
        ),
        Refusal::Unavailable => Detail::told(
            StatusCode::BAD_GATEWAY,
            "Bad gateway",
            "Opik cannot be reached. Try again later.",
        ),
        Refusal::Timeout => Detail::told(
            StatusCode::GATEWAY_TIMEOUT,
            "Gateway timeout",
            "Opik did not answer in time. Try again later.",
        ),
        Refusal::TooMany => Detail::too_many("Opik asks for fewer requests. Try again later.", 30),
    }
}

/// What a caller is told when conversations cannot be read or written.
#[expect(clippy::needless_pass_by_value, reason = "map_err gives it away")]
pub(super) fn no_sessions(error: opik_core::SessionError) -> Detail {
    tracing::error!(target: "opik_server", error = &error as &dyn std::error::Error, "conversations cannot be read or written");
    Detail::told(
        StatusCode::SERVICE_UNAVAILABLE,
        "Service unavailable",
        "Conversations cannot be read or written at the moment. Try again later.",
    )
}

fn not_taken(error: AskError) -> Detail {
    match error {
        AskError::NoSuchTrace(_) | AskError::NoSuchSpan(_) => {
            refused(Refusal::NotFound, "The trace")
        }
        AskError::Source(error) => match error.kind() {
            SourceErrorKind::Unauthorized => refused(Refusal::Unauthorized, "The trace"),
            SourceErrorKind::Timeout => refused(Refusal::Timeout, "The trace"),
            SourceErrorKind::RateLimited => refused(Refusal::TooMany, "The trace"),
            _ => refused(Refusal::Unavailable, "The trace"),
        },
        AskError::Sessions(error) => no_sessions(error),
        AskError::Busy { .. } => Detail::told(
            StatusCode::CONFLICT,
            "Conflict",
            "An answer is still being written in this conversation. Wait for it, or ask again afterwards.",
        ),
        AskError::TooMany { .. } => Detail::too_many(
            "Too many questions are being answered. Try again in a moment.",
            2,
        ),
        AskError::TooLong { limit } => Detail::told(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Too long",
            &format!("The question has more than {limit} characters."),
        ),
        other => {
            tracing::error!(target: "opik_server", error = &other as &dyn std::error::Error, "a question was not taken");
            Detail::told(
                StatusCode::SERVICE_UNAVAILABLE,
                "Service unavailable",
                "The question cannot be taken at the moment. Try again later.",
            )
        }
    }
}
