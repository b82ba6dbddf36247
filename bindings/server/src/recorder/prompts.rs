//! Prompts.

use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::catalog::{
    NewPrompt, Prompt, PromptCatalog as _, PromptQuery, PromptUpdate, PromptVersionQuery,
};
use opik_core::{EntityId, ProjectId};
use serde::Deserialize;

use super::catalog::{Ids, conditions, order, page, reply};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/prompts", get(list).post(create))
        .route("/prompts/delete", post(delete_many))
        .route("/prompts/by-commit/{commit}", get(by_commit))
        .route("/prompts/retrieve-by-commits", post(by_commits))
        .route("/prompts/{id}", get(find).put(change).delete(delete))
        .route("/projects/{id}/prompts", get(list_of_project))
}

fn unknown() -> ApiError {
    ApiError::not_found("Prompt not found")
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
    let mut query = PromptQuery::default();
    query.page = page(params, 10)?;
    query.project = project;
    query.name = params.get("name").map(str::to_owned);
    query.conditions = conditions(params, Prompt::FIELDS)?;
    query.order = order(params, Prompt::FIELDS)?;
    let listing = app.store().prompts(&query).await?;
    Ok(reply(query.page, listing, &[]).into_response())
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewPrompt>,
) -> Result<Response, ApiError> {
    let id = app.store().create_prompt(new).await?;
    Ok(created(&uri, id))
}

async fn delete_many(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_prompts(&ids.get()?).await?;
    Ok(no_content())
}

/// 409 when several prompts have a version with it.
async fn by_commit(
    State(app): State<App>,
    Path(commit): Path<String>,
) -> Result<Json<Prompt>, ApiError> {
    let mut found = app.store().prompts_by_commit(&[commit]).await?;
    match (found.pop(), found.is_empty()) {
        (Some(prompt), true) => Ok(Json(prompt)),
        (Some(_), false) => Err(ApiError::conflict("Several prompts have this commit")),
        (None, _) => Err(unknown()),
    }
}

#[derive(Debug, Deserialize)]
struct Commits {
    commits: Option<Vec<String>>,
}

async fn by_commits(
    State(app): State<App>,
    JsonBody(body): JsonBody<Commits>,
) -> Result<Json<Vec<serde_json::Value>>, ApiError> {
    let commits = checks::batch("commits", body.commits)?;
    let found = app.store().prompts_by_commit(&commits).await?;
    let links = found.into_iter().filter_map(|prompt| {
        let version = prompt.requested_version?;
        Some(serde_json::json!({
            "prompt_version_id": version.id,
            "commit": version.commit,
            "prompt_id": prompt.id,
            "prompt_name": prompt.name,
        }))
    });
    Ok(Json(links.collect()))
}

/// With the version that a mask or an environment names, where the request does.
async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Json<Prompt>, ApiError> {
    let mut prompt = app.store().prompt(id).await?.ok_or_else(unknown)?;
    if let Some(mask) = params.id::<EntityId>("mask_id")? {
        let versions = app.store().prompt_versions_by_id(&[mask]).await?;
        let own = versions.into_iter().find(|version| version.prompt_id == id);
        prompt.requested_version = Some(own.ok_or_else(unknown)?);
    } else if let Some(environment) = params.get("environment") {
        let mut query = PromptVersionQuery::of(id);
        query.page = opik_core::catalog::Numbered::all();
        let versions = app.store().prompt_versions(&query).await?;
        let own = versions.items.into_iter().find(|version| {
            let mut names = version.environments.iter();
            names.any(|name| name == environment)
        });
        prompt.requested_version = Some(own.ok_or_else(unknown)?);
    }
    Ok(Json(prompt))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<PromptUpdate>,
) -> Result<Response, ApiError> {
    app.store().update_prompt(id, update).await?;
    Ok(no_content())
}

/// 204 also when there is none.
async fn delete(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    app.store().delete_prompts(&[id]).await?;
    Ok(no_content())
}
