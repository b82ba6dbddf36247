//! Optimizations.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::catalog::{
    NewOptimization, Optimization, OptimizationCatalog as _, OptimizationQuery, OptimizationUpdate,
};
use opik_core::{EntityId, ProjectId};

use super::catalog::{Ids, conditions, page, reply};
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/optimizations", get(list).post(create).put(replace))
        .route("/optimizations/delete", post(delete))
        .route("/optimizations/{id}", get(find).put(change))
        .route("/projects/{id}/optimizations", get(list_of_project))
}

async fn list(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let project = params.id("project_id")?;
    listed(&app, &params, project).await
}

async fn list_of_project(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    params: Params,
) -> Result<Response, ApiError> {
    listed(&app, &params, Some(id)).await
}

async fn listed(
    app: &App,
    params: &Params,
    project: Option<ProjectId>,
) -> Result<Response, ApiError> {
    let mut query = OptimizationQuery::default();
    query.page = page(params, 10)?;
    query.dataset = params.id("dataset_id")?;
    query.dataset_name = params.get("dataset_name").map(str::to_owned);
    query.project = project;
    query.name = params.get("name").map(str::to_owned);
    query.conditions = conditions(params, Optimization::FIELDS)?;
    let listing = app.store().optimizations(&query).await?;
    Ok(reply(query.page, listing, &[]).into_response())
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewOptimization>,
) -> Result<Response, ApiError> {
    let id = app.store().create_optimization(new, false).await?;
    Ok(created(&uri, id))
}

async fn replace(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewOptimization>,
) -> Result<Response, ApiError> {
    let id = app.store().create_optimization(new, true).await?;
    Ok(created(&uri, id))
}

async fn delete(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_optimizations(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Optimization>, ApiError> {
    let found = app.store().optimization(id).await?;
    found
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("Not found optimization with id '{id}'")))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<OptimizationUpdate>,
) -> Result<Response, ApiError> {
    app.store().update_optimization(id, update).await?;
    Ok(no_content())
}
