//! Items of experiments.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use opik_core::EntityId;
use opik_core::catalog::{
    BulkUpload, ExperimentCatalog as _, ExperimentItem, NewExperimentItem, ProjectChoice,
    record_bulk,
};
use serde::Deserialize;

use super::catalog::{Ids, lines, stream};
use super::{checks, views};
use crate::app::App;
use crate::http::{ApiError, JsonBody, PathId, SmallBody, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/experiments/items", post(write))
        .route("/experiments/items/stream", post(read))
        .route("/experiments/items/bulk", put(write_with_traces))
        .route("/experiments/items/delete", post(delete))
        .route("/experiments/items/{id}", get(find))
}

#[derive(Debug, Deserialize)]
struct Items {
    experiment_items: Option<Vec<NewExperimentItem>>,
}

async fn write(
    State(app): State<App>,
    JsonBody(body): JsonBody<Items>,
) -> Result<Response, ApiError> {
    let items = checks::batch("experimentItems", body.experiment_items)?;
    app.store().put_experiment_items(items).await?;
    Ok(no_content())
}

/// A run as it is shown.
pub(super) fn shown(mut item: ExperimentItem) -> ExperimentItem {
    views::shown_scores(&mut item.feedback_scores);
    item
}

/// The version of the official Python client, as it says.
const CLIENT_VERSION: &str = "x-opik-debug-sdk-version";
/// The oldest 2.0 whose model of a run was seen to have every field; 2.0.10 still lacks two.
const FIRST_WITH_ALL_FIELDS: u32 = 15;

/// Whether a client has no place for a run's policy and for the metadata of its trace.
///
/// Such a client, once it meets a field that it does not know, looks for the results of
/// assertions among those fields only, and shows none.
pub(super) fn is_confused_by_new_fields(headers: &HeaderMap) -> bool {
    let version = headers.get(CLIENT_VERSION).and_then(|it| it.to_str().ok());
    let patch = version
        .and_then(|version| version.strip_prefix("2.0."))
        .and_then(|patch| patch.parse::<u32>().ok());
    patch.is_some_and(|patch| patch < FIRST_WITH_ALL_FIELDS)
}

/// A run without what such a client does not know.
pub(super) fn without_new_fields(mut item: ExperimentItem) -> ExperimentItem {
    item.execution_policy = None;
    item.trace_metadata = None;
    item
}

#[derive(Debug, Deserialize)]
struct Stream {
    experiment_name: Option<String>,
    limit: Option<i64>,
    last_retrieved_id: Option<EntityId>,
    project_name: Option<String>,
}

async fn read(
    State(app): State<App>,
    JsonBody(body): JsonBody<Stream>,
) -> Result<Response, ApiError> {
    let name = checks::not_blank("experimentName", body.experiment_name)?;
    let limit = lines(body.limit, "limit")?;
    let project = ProjectChoice::named(body.project_name.as_deref());
    let items = app
        .store()
        .experiment_items(&name, &project, body.last_retrieved_id, limit)
        .await?;
    Ok(stream(items.into_iter().map(shown).collect()))
}

/// At most 4 MiB, as in Opik: the official client halves what is larger.
async fn write_with_traces(
    State(app): State<App>,
    SmallBody(upload): SmallBody<BulkUpload, 4>,
) -> Result<Response, ApiError> {
    record_bulk(app.store(), app.store(), upload).await?;
    Ok(no_content())
}

async fn delete(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_experiment_items(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<ExperimentItem>, ApiError> {
    let item = app.store().experiment_item(id).await?;
    item.map(|item| Json(shown(item)))
        .ok_or_else(|| ApiError::not_found(format!("Not found experiment item with id '{id}'")))
}
