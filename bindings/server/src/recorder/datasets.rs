//! Datasets.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::catalog::{
    Dataset, DatasetCatalog as _, DatasetQuery, DatasetUpdate, Found, NewDataset, ProjectChoice,
};
use opik_core::{EntityId, ProjectId};
use serde::Deserialize;

use super::catalog::{Ids, conditions, found, order, page, reply};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/datasets", get(list).post(create))
        .route("/datasets/retrieve", post(retrieve))
        .route("/datasets/delete", post(delete_named))
        .route("/datasets/delete-batch", post(delete_many))
        .route("/datasets/{id}", get(find).put(change).delete(delete))
        .route("/projects/{id}/datasets", get(list_of_project))
}

#[derive(Debug, Deserialize)]
struct Named {
    dataset_name: Option<String>,
    project_name: Option<String>,
}

/// The dataset with this name: 404 where there is none.
pub(super) async fn named(
    app: &App,
    name: &str,
    project: Option<&str>,
) -> Result<Found<Dataset>, ApiError> {
    let choice = ProjectChoice::named(project);
    let found = app.store().find_dataset(name, &choice).await?;
    found.ok_or_else(|| ApiError::not_found("Dataset not found"))
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
    let mut query = DatasetQuery::default();
    query.page = page(params, 10)?;
    query.project = project;
    query.name = params.get("name").map(str::to_owned);
    query.with_experiments = params.flag("with_experiments_only");
    query.with_optimizations = params.flag("with_optimizations_only");
    query.conditions = conditions(params, Dataset::FIELDS)?;
    query.order = order(params, Dataset::FIELDS)?;
    let listing = app.store().datasets(&query).await?;
    Ok(reply(query.page, listing, &[]).into_response())
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewDataset>,
) -> Result<Response, ApiError> {
    let id = app.store().create_dataset(new).await?;
    Ok(created(&uri, id))
}

async fn retrieve(
    State(app): State<App>,
    JsonBody(body): JsonBody<Named>,
) -> Result<Response, ApiError> {
    let name = checks::not_blank("datasetName", body.dataset_name)?;
    let dataset = named(&app, &name, body.project_name.as_deref()).await?;
    Ok(found("Dataset", &name, dataset, |dataset| dataset))
}

async fn delete_named(
    State(app): State<App>,
    JsonBody(body): JsonBody<Named>,
) -> Result<Response, ApiError> {
    let name = checks::not_blank("datasetName", body.dataset_name)?;
    let dataset = named(&app, &name, body.project_name.as_deref()).await?;
    app.store().delete_datasets(&[dataset.record.id]).await?;
    Ok(no_content())
}

async fn delete_many(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_datasets(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Dataset>, ApiError> {
    let dataset = app.store().dataset(id).await?;
    dataset
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Dataset not found"))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<DatasetUpdate>,
) -> Result<Response, ApiError> {
    app.store().update_dataset(id, update).await?;
    Ok(no_content())
}

/// 204 also when there is none.
async fn delete(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    app.store().delete_datasets(&[id]).await?;
    Ok(no_content())
}
