//! Feedback definitions.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::EntityId;
use opik_core::catalog::{EntryCatalog as _, FeedbackDefinition, NewFeedbackDefinition};

use super::catalog::{Ids, page, reply};
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/feedback-definitions", get(list).post(create))
        .route("/feedback-definitions/delete", post(delete_many))
        .route(
            "/feedback-definitions/{id}",
            get(find).put(replace).delete(delete),
        )
}

async fn list(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let page = page(&params, 10)?;
    let listing = app
        .store()
        .feedback_definitions(page, params.get("name"), params.get("type"))
        .await?;
    Ok(reply(page, listing, &[]).into_response())
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewFeedbackDefinition>,
) -> Result<Response, ApiError> {
    let id = app.store().create_feedback_definition(new).await?;
    Ok(created(&uri, id))
}

async fn delete_many(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_feedback_definitions(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<FeedbackDefinition>, ApiError> {
    let found = app.store().feedback_definition(id).await?;
    found
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Feedback definition not found"))
}

async fn replace(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(new): JsonBody<NewFeedbackDefinition>,
) -> Result<Response, ApiError> {
    app.store().replace_feedback_definition(id, new).await?;
    Ok(no_content())
}

/// 204 also when there is none.
async fn delete(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    app.store().delete_feedback_definitions(&[id]).await?;
    Ok(no_content())
}
