//! Environments.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::EntityId;
use opik_core::catalog::{
    EntryCatalog as _, Environment, EnvironmentUpdate, NewEnvironment, Numbered,
};

use super::catalog::{Ids, reply};
use crate::app::App;
use crate::http::{ApiError, JsonBody, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/environments", get(list).post(create))
        .route("/environments/delete", post(delete))
        .route("/environments/{id}", get(find).patch(change))
}

/// All of them on one page.
async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let all = Numbered::all().of(app.store().environments().await?);
    Ok(reply(Numbered::all(), all, &[]).into_response())
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewEnvironment>,
) -> Result<Response, ApiError> {
    let id = app.store().create_environment(new).await?;
    Ok(created(&uri, id))
}

async fn delete(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_environments(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Environment>, ApiError> {
    let found = app.store().environment(id).await?;
    found
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Environment not found"))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<EnvironmentUpdate>,
) -> Result<Response, ApiError> {
    app.store().update_environment(id, update).await?;
    Ok(no_content())
}
