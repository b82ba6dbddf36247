//! Health, version, access and links of the user interface.

use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::response::{Html, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::http::{Caller, no_content};
use axum::extract::State;
use axum::response::IntoResponse as _;

/// The version of Opik whose contract this is. Clients compare it.
const OPIK_VERSION: &str = "2.2.122";

pub(super) fn private_routes() -> Router<App> {
    Router::new()
        .route("/auth", post(access))
        .route("/auth/workspace", get(workspace))
        .route("/toggles", get(toggles))
        .route("/workspace-permissions", get(permissions))
}

pub(super) fn public_routes() -> Router<App> {
    Router::new()
        .route("/is-alive/ping", get(ping))
        .route("/is-alive/ver", get(version))
        .route("/is-alive/ready", get(ready))
        .route("/v1/session/redirect/{kind}", get(redirect))
        .route("/v1/session/redirect/{kind}/", get(redirect))
}

/// Clients hold everything back while this is anything but 200.
async fn ping() -> Json<Value> {
    Json(json!({"message": "Healthy Server", "healthy": true}))
}

async fn version() -> Json<Value> {
    Json(json!({"version": OPIK_VERSION}))
}

/// Whether the store answers.
async fn ready(State(app): State<App>) -> Response {
    match app.store().is_readable().await {
        Ok(()) => Json(json!({"ready": true})).into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"ready": false, "problem": "the store does not answer"})),
        )
            .into_response(),
    }
}

/// The key was checked on the way here. The body is empty, whatever its type says.
async fn access() -> Response {
    no_content()
}

async fn workspace(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(json!({"workspace_name": caller.workspace}))
}

async fn toggles() -> Json<Value> {
    Json(json!({}))
}

async fn permissions(Extension(caller): Extension<Caller>) -> Json<Value> {
    Json(json!({
        "user_name": crate::http::USER,
        "workspace_name": caller.workspace,
        "permissions": []
    }))
}

/// Links that SDKs print. There is no page to send people to, so this says what to do instead.
async fn redirect(OriginalUri(uri): OriginalUri) -> Html<String> {
    let query = uri.query().unwrap_or_default();
    let trace = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("trace_id="))
        .filter(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        });
    let command = match trace {
        Some(id) => format!("opik-rs show {id}"),
        None => "opik-rs traces".to_owned(),
    };
    Html(format!(
        "<!doctype html><title>opik-rs</title><p>This recorder has no web page for it. \
         In a terminal on its machine: <code>{command}</code>"
    ))
}
