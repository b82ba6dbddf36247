//! Versions of datasets.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::EntityId;
use opik_core::catalog::{DatasetCatalog as _, DatasetVersion, VersionUpdate};
use serde::Deserialize;

use super::catalog::{page, reply};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/datasets/{id}/versions", get(list))
        .route("/datasets/{id}/versions/retrieve", post(retrieve))
        .route("/datasets/{id}/versions/restore", post(restore))
        .route("/datasets/{id}/versions/diff", get(diff))
        .route(
            "/datasets/{id}/versions/hash/{version}",
            get(find).patch(change),
        )
        .route("/datasets/{id}/versions/hash/{version}/tags", post(tag))
        .route(
            "/datasets/{id}/versions/{version}/tags/{tag}",
            axum::routing::delete(untag),
        )
}

/// The version that a path means: 404 when the identifier is none.
fn place((id, version): (String, String)) -> Result<(EntityId, String), ApiError> {
    let id = id.parse().map_err(|_| ApiError::no_such_path())?;
    Ok((id, version))
}

fn unknown(dataset: EntityId, reference: &str) -> ApiError {
    ApiError::not_found(format!(
        "Version '{reference}' not found for dataset '{dataset}'"
    ))
}

async fn list(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Response, ApiError> {
    let page = page(&params, 10)?;
    let versions = app.store().versions(id, page).await?;
    Ok(reply(page, versions, &[]).into_response())
}

#[derive(Debug, Deserialize)]
struct Named {
    version_name: Option<String>,
}

/// By its exact name only.
async fn retrieve(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(body): JsonBody<Named>,
) -> Result<Json<DatasetVersion>, ApiError> {
    let name = checks::not_blank("versionName", body.version_name)?;
    let version = app.store().version(id, &name).await?;
    version
        .filter(|version| version.version_name == name)
        .map(Json)
        .ok_or_else(|| unknown(id, &name))
}

#[derive(Debug, Deserialize)]
struct Restore {
    version_ref: Option<String>,
}

async fn restore(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(body): JsonBody<Restore>,
) -> Result<Json<DatasetVersion>, ApiError> {
    let reference = checks::not_blank("versionRef", body.version_ref)?;
    Ok(Json(app.store().restore_version(id, &reference).await?))
}

/// Every change is a version here, so a draft is always equal to the latest version.
async fn diff(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let latest = app.store().version(id, "latest").await?;
    let latest = latest.ok_or_else(|| unknown(id, "latest"))?;
    Ok(Json(serde_json::json!({
        "from_version": latest.version_hash,
        "to_version": "draft",
        "statistics": {
            "itemsAdded": 0,
            "itemsModified": 0,
            "itemsDeleted": 0,
            "itemsUnchanged": latest.items_total,
        },
    })))
}

async fn find(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
) -> Result<Json<DatasetVersion>, ApiError> {
    let (id, reference) = place(path)?;
    let version = app.store().version(id, &reference).await?;
    version.map(Json).ok_or_else(|| unknown(id, &reference))
}

async fn change(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    JsonBody(update): JsonBody<VersionUpdate>,
) -> Result<Json<DatasetVersion>, ApiError> {
    let (id, reference) = place(path)?;
    let version = app.store().update_version(id, &reference, update).await?;
    Ok(Json(version))
}

#[derive(Debug, Deserialize)]
struct Tag {
    tag: Option<String>,
}

async fn tag(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    JsonBody(body): JsonBody<Tag>,
) -> Result<Response, ApiError> {
    let (id, reference) = place(path)?;
    let mut update = VersionUpdate::default();
    update.tags_to_add = Some(vec![checks::not_blank("tag", body.tag)?]);
    app.store().update_version(id, &reference, update).await?;
    Ok(no_content())
}

async fn untag(
    State(app): State<App>,
    Path((id, version, tag)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let (id, reference) = place((id, version))?;
    let mut update = VersionUpdate::default();
    update.tags_to_remove = Some(vec![tag]);
    app.store().update_version(id, &reference, update).await?;
    Ok(no_content())
}
