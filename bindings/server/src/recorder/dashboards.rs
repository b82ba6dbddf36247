//! Dashboards.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::catalog::{Dashboard, DashboardUpdate, EntryCatalog as _, NewDashboard};
use opik_core::{EntityId, ProjectId};

use super::catalog::{Ids, created_with, page, reply};
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/dashboards", get(list).post(create))
        .route("/dashboards/delete-batch", post(delete_many))
        .route("/dashboards/{id}", get(find).patch(change).delete(delete))
        .route("/projects/{id}/dashboards", get(list_of_project))
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
    let page = page(params, 10)?;
    let name = params.get("name");
    let listing = app.store().dashboards(page, name, project).await?;
    Ok(reply(page, listing, &[]).into_response())
}

/// 201 with the dashboard, unlike everything else.
async fn create(
    State(app): State<App>,
    JsonBody(new): JsonBody<NewDashboard>,
) -> Result<Response, ApiError> {
    Ok(created_with(app.store().create_dashboard(new).await?))
}

async fn delete_many(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_dashboards(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Dashboard>, ApiError> {
    let found = app.store().dashboard(id).await?;
    found
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Dashboard not found"))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<DashboardUpdate>,
) -> Result<Json<Dashboard>, ApiError> {
    Ok(Json(app.store().update_dashboard(id, update).await?))
}

/// 204 also when there is none.
async fn delete(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    app.store().delete_dashboards(&[id]).await?;
    Ok(no_content())
}
