//! Versions of prompts.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use opik_core::EntityId;
use opik_core::catalog::{
    Found, NewVersionOf, ProjectChoice, PromptCatalog as _, PromptVersion, PromptVersionQuery,
    VersionChoice, check_text,
};
use serde::Deserialize;

use super::catalog::{Ids, conditions, found, order, page, reply};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, PathIds, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/prompts/versions", post(create).patch(tag))
        .route("/prompts/versions/retrieve", post(retrieve))
        .route("/prompts/versions/retrieve-by-ids", post(by_ids))
        .route("/prompts/versions/{id}", get(find))
        .route("/prompts/versions/{id}/environments", patch(environments))
        .route("/prompts/{id}/versions", get(list))
        .route("/prompts/{id}/versions/by-number/{number}", get(by_number))
        .route("/prompts/{id}/versions/{version}/restore", post(restore))
}

fn unknown() -> ApiError {
    ApiError::not_found("Prompt version not found")
}

/// 200 with the version, and not 201.
async fn create(
    State(app): State<App>,
    JsonBody(new): JsonBody<NewVersionOf>,
) -> Result<Json<PromptVersion>, ApiError> {
    check_text(&new.name, "name")?;
    Ok(Json(app.store().create_prompt_version(new).await?))
}

#[derive(Debug, Deserialize)]
struct Tags {
    ids: Option<Vec<EntityId>>,
    update: Option<TagsUpdate>,
    merge_tags: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TagsUpdate {
    tags: Option<Vec<String>>,
}

async fn tag(State(app): State<App>, JsonBody(body): JsonBody<Tags>) -> Result<Response, ApiError> {
    let ids = checks::batch("ids", body.ids)?;
    let update = checks::not_null("update", body.update)?;
    let merge = body.merge_tags.unwrap_or_default();
    app.store()
        .tag_prompt_versions(&ids, update.tags, merge)
        .await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
struct Retrieve {
    name: Option<String>,
    commit: Option<String>,
    environment: Option<String>,
    version_number: Option<String>,
    project_name: Option<String>,
}

async fn retrieve(
    State(app): State<App>,
    JsonBody(body): JsonBody<Retrieve>,
) -> Result<Response, ApiError> {
    let name = checks::not_blank("name", body.name)?;
    let mut choice = VersionChoice::default();
    choice.commit = body.commit;
    choice.environment = body.environment;
    choice.number = body.version_number;
    let project = ProjectChoice::named(body.project_name.as_deref());
    let prompt = app.store().find_prompt(&name, &project, &choice).await?;
    let prompt = prompt.ok_or_else(|| ApiError::not_found("Prompt not found"))?;
    let elsewhere = prompt.elsewhere;
    let record = prompt.record.requested_version.ok_or_else(unknown)?;
    let version = Found { record, elsewhere };
    Ok(found("Prompt", &name, version, |version| version))
}

async fn by_ids(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Json<Vec<PromptVersion>>, ApiError> {
    Ok(Json(app.store().prompt_versions_by_id(&ids.get()?).await?))
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<PromptVersion>, ApiError> {
    let found = app.store().prompt_versions_by_id(&[id]).await?;
    found.into_iter().next().map(Json).ok_or_else(unknown)
}

#[derive(Debug, Deserialize)]
struct Environments {
    environments: Option<Vec<String>>,
}

async fn environments(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(body): JsonBody<Environments>,
) -> Result<Response, ApiError> {
    // `null` takes them all away.
    let names = body.environments.unwrap_or_default();
    app.store().set_prompt_environments(id, names).await?;
    Ok(no_content())
}

async fn list(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Response, ApiError> {
    let mut query = PromptVersionQuery::of(id);
    query.page = page(&params, 10)?;
    query.search = params.get("search").map(str::to_owned);
    query.conditions = conditions(&params, PromptVersion::FIELDS)?;
    query.order = order(&params, PromptVersion::FIELDS)?;
    let listing = app.store().prompt_versions(&query).await?;
    // Lists say what a version is, not what it asks for.
    let listing = listing.map(|mut version| {
        version.variables = None;
        version
    });
    Ok(reply(query.page, listing, &[]).into_response())
}

async fn by_number(
    State(app): State<App>,
    Path((id, number)): Path<(String, String)>,
) -> Result<Json<PromptVersion>, ApiError> {
    let id = id.parse().map_err(|_| ApiError::no_such_path())?;
    let mut query = PromptVersionQuery::of(id);
    query.page = opik_core::catalog::Numbered::all();
    let versions = app.store().prompt_versions(&query).await?;
    let is_meant = |it: &PromptVersion| it.version_number.as_deref() == Some(number.as_str());
    let version = versions.items.into_iter().find(is_meant);
    version.map(Json).ok_or_else(unknown)
}

async fn restore(
    State(app): State<App>,
    PathIds(prompt, version): PathIds<EntityId>,
) -> Result<Json<PromptVersion>, ApiError> {
    let restored = app.store().restore_prompt_version(prompt, version).await?;
    Ok(Json(restored))
}
