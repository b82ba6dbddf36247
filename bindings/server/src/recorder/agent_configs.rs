//! Configurations of agents.

use axum::extract::{OriginalUri, Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::catalog::{
    AgentConfigCatalog as _, Blueprint, BlueprintChoice, BlueprintEnvironment, NewAgentConfig,
    RemoveKeys,
};
use opik_core::{EntityId, ProjectId};
use serde::Deserialize;

use super::catalog::{page, reply};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, PathIds, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/agent-configs/blueprints", post(create).patch(add))
        .route("/agent-configs/blueprints/{id}", get(find))
        .route("/agent-configs/blueprints/{id}/deltas", get(changes))
        .route("/agent-configs/blueprints/remove-keys", post(remove_keys))
        .route("/agent-configs/blueprints/environments", post(set_places))
        .route(
            "/agent-configs/blueprints/environments/{name}/projects/{project}",
            get(of_place).put(set_place).delete(delete_place),
        )
        .route(
            "/agent-configs/blueprints/latest/projects/{id}",
            get(newest),
        )
        .route("/agent-configs/blueprints/history/projects/{id}", get(list))
        .route(
            "/agent-configs/blueprints/projects/{id}/names/{name}",
            get(named),
        )
        .route(
            "/agent-configs/blueprints/projects/{id}/masks/{mask}",
            post(apply),
        )
}

/// 201 with the place of a version.
fn made(uri: &Uri, id: EntityId) -> Response {
    let path = uri.path();
    let end = path.find("/blueprints").unwrap_or(path.len());
    let base = path.get(..end).unwrap_or_default();
    let place = format!("{base}/blueprints").parse().unwrap_or_default();
    created(&place, id)
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewAgentConfig>,
) -> Result<Response, ApiError> {
    let id = app.store().create_agent_config(new).await?;
    Ok(made(&uri, id))
}

async fn add(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewAgentConfig>,
) -> Result<Response, ApiError> {
    let id = app.store().add_blueprint(new).await?;
    Ok(made(&uri, id))
}

/// The version that is meant, with the mask of the request over it.
async fn read(
    app: &App,
    choice: BlueprintChoice,
    params: &Params,
) -> Result<Json<Blueprint>, ApiError> {
    let mask = params.id("mask_id")?;
    Ok(Json(app.store().blueprint(&choice, mask).await?))
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Json<Blueprint>, ApiError> {
    read(&app, BlueprintChoice::Id(id), &params).await
}

async fn newest(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    params: Params,
) -> Result<Json<Blueprint>, ApiError> {
    read(&app, BlueprintChoice::Newest(id), &params).await
}

fn project(text: &str) -> Result<ProjectId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such_path())
}

async fn named(
    State(app): State<App>,
    Path((id, name)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Blueprint>, ApiError> {
    read(&app, BlueprintChoice::Name(project(&id)?, name), &params).await
}

async fn of_place(
    State(app): State<App>,
    Path((name, id)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Blueprint>, ApiError> {
    let choice = BlueprintChoice::Environment(project(&id)?, name);
    read(&app, choice, &params).await
}

async fn changes(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Blueprint>, ApiError> {
    Ok(Json(app.store().blueprint_changes(id).await?))
}

async fn list(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    params: Params,
) -> Result<Response, ApiError> {
    let page = page(&params, 10)?;
    let versions = app.store().blueprints(id, page).await?;
    Ok(reply(page, versions, &[]).into_response())
}

async fn apply(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    PathIds(project, mask): PathIds<EntityId>,
) -> Result<Response, ApiError> {
    let project = ProjectId::from_bytes(*project.as_bytes());
    let id = app.store().apply_mask(project, mask).await?;
    Ok(made(&uri, id))
}

/// 204 when there was nothing to take out.
async fn remove_keys(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(keys): JsonBody<RemoveKeys>,
) -> Result<Response, ApiError> {
    let next = app.store().remove_config_keys(keys).await?;
    Ok(next.map_or_else(no_content, |id| made(&uri, id)))
}

#[derive(Debug, Deserialize)]
struct Places {
    project_id: Option<ProjectId>,
    envs: Option<Vec<BlueprintEnvironment>>,
}

async fn set_places(
    State(app): State<App>,
    JsonBody(body): JsonBody<Places>,
) -> Result<Response, ApiError> {
    let project = checks::not_null("projectId", body.project_id)?;
    let envs = body.envs.unwrap_or_default();
    if !(1..=100).contains(&envs.len()) {
        return Err(ApiError::invalid("envs size must be between 1 and 100"));
    }
    app.store()
        .set_blueprint_environments(project, envs)
        .await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
struct ByName {
    blueprint_name: Option<String>,
}

async fn set_place(
    State(app): State<App>,
    Path((name, id)): Path<(String, String)>,
    JsonBody(body): JsonBody<ByName>,
) -> Result<Response, ApiError> {
    let project = project(&id)?;
    let version = checks::not_blank("blueprintName", body.blueprint_name)?;
    let choice = BlueprintChoice::Name(project, version);
    let version = app.store().blueprint(&choice, None).await?;
    let place = BlueprintEnvironment::new(name, version.id);
    app.store()
        .set_blueprint_environments(project, vec![place])
        .await?;
    Ok(no_content())
}

/// 204 also when there is none.
async fn delete_place(
    State(app): State<App>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let project = project(&id)?;
    app.store()
        .delete_blueprint_environment(project, &name)
        .await?;
    Ok(no_content())
}
