//! Comments on traces, spans and threads.

use axum::extract::{OriginalUri, RawPathParams, State};
use axum::response::Response;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use opik_core::{Comment, SpanId, TraceId};
use opik_store::records::Target;
use serde::Deserialize;

use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, PathId, USER, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/traces/{id}/comments", post(on_trace))
        .route("/spans/{id}/comments", post(on_span))
        .route("/traces/threads/{id}/comments", post(on_thread))
        .route("/traces/{id}/comments/{comment}", get(of_trace))
        .route("/spans/{id}/comments/{comment}", get(of_span))
        .route("/traces/threads/{id}/comments/{comment}", get(of_thread))
        .route("/traces/comments/{id}", patch(change))
        .route("/spans/comments/{id}", patch(change))
        .route("/traces/threads/comments/{id}", patch(change))
        .route("/traces/comments/delete", post(delete))
        .route("/spans/comments/delete", post(delete))
        .route("/traces/threads/comments/delete", post(delete))
}

#[derive(Debug, Deserialize)]
struct CommentBody {
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct IdsBody {
    ids: Option<Vec<TraceId>>,
}

async fn add(
    app: &App,
    uri: &axum::http::Uri,
    on: Target,
    body: CommentBody,
) -> Result<Response, ApiError> {
    let text = checks::not_blank("text", body.text)?;
    let id = app.store().add_comment(on, text, USER.to_owned()).await?;
    Ok(created(uri, id))
}

async fn on_trace(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    PathId(id): PathId<TraceId>,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<Response, ApiError> {
    add(&app, &uri, Target::Trace(id), body).await
}

async fn on_span(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    PathId(id): PathId<SpanId>,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<Response, ApiError> {
    add(&app, &uri, Target::Span(id), body).await
}

async fn on_thread(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    PathId(id): PathId<TraceId>,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<Response, ApiError> {
    if !app.store().has_thread(id).await? {
        return Err(ApiError::not_found("Thread not found"));
    }
    add(&app, &uri, Target::Thread(id), body).await
}

async fn find(app: &App, on: Target, params: &RawPathParams) -> Result<Json<Comment>, ApiError> {
    let id: TraceId = params
        .iter()
        .find(|(name, _)| *name == "comment")
        .and_then(|(_, value)| value.parse().ok())
        .ok_or_else(ApiError::no_such_path)?;
    let comment = app.store().comment(on, id).await?;
    comment
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("Comment id: {id} not found")))
}

async fn of_trace(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    params: RawPathParams,
) -> Result<Json<Comment>, ApiError> {
    find(&app, Target::Trace(id), &params).await
}

async fn of_span(
    State(app): State<App>,
    PathId(id): PathId<SpanId>,
    params: RawPathParams,
) -> Result<Json<Comment>, ApiError> {
    find(&app, Target::Span(id), &params).await
}

async fn of_thread(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    params: RawPathParams,
) -> Result<Json<Comment>, ApiError> {
    find(&app, Target::Thread(id), &params).await
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    JsonBody(body): JsonBody<CommentBody>,
) -> Result<Response, ApiError> {
    let text = checks::not_blank("text", body.text)?;
    if app.store().change_comment(id, text).await? {
        Ok(no_content())
    } else {
        Err(ApiError::not_found(format!("Comment id: {id} not found")))
    }
}

async fn delete(
    State(app): State<App>,
    JsonBody(body): JsonBody<IdsBody>,
) -> Result<Response, ApiError> {
    let ids = checks::batch("ids", body.ids)?;
    app.store().delete_comments(ids).await?;
    Ok(no_content())
}
