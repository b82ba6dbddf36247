//! `GET /healthz`: the process lives. `GET /ready`: what it depends on can be reached.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::detail::json_response;
use super::state::Assist;

/// How long each of the things that are depended on may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn healthz(State(assist): State<Assist>) -> Response {
    let kept = if assist.is_in_memory() {
        "in_memory"
    } else {
        "database"
    };
    let body = format!("{{\"status\":\"healthy\",\"session_service\":\"{kept}\"}}");
    json_response(StatusCode::OK, body)
}

pub(super) async fn ready(State(assist): State<Assist>) -> Response {
    let sessions = async {
        let listed = assist.sessions().list("ready", "ready");
        matches!(tokio::time::timeout(PATIENCE, listed).await, Ok(Ok(_)))
    };
    let backend = async {
        let ready = assist.backend().is_ready();
        matches!(tokio::time::timeout(PATIENCE, ready).await, Ok(true))
    };
    let (sessions, backend) = tokio::join!(sessions, backend);
    let word = |ready| if ready { "ready" } else { "unreachable" };
    let body = json!({
        "status": if sessions && backend { "ready" } else { "not ready" },
        "sessions": word(sessions),
        "backend": word(backend),
    });
    let status = if sessions && backend {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json_response(status, body.to_string())
}

/// What is served, for programs.
pub(super) async fn openapi(State(assist): State<Assist>) -> Response {
    let document = include_str!("openapi.json");
    let prefix = &assist.config().prefix;
    let served = match prefix.as_str() {
        "" => document.to_owned(),
        prefix => document.replacen(
            "\"paths\": {",
            &format!("\"servers\": [{{\"url\": \"{prefix}\"}}],\n  \"paths\": {{"),
            1,
        ),
    };
    json_response(StatusCode::OK, served)
}
