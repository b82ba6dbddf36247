//! Projects.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::query::{Direction, ProjectSelector};
use opik_core::{Project, ProjectId};
use opik_store::records::{ProjectChange, ProjectOutcome};
use serde::Deserialize;

use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, PageReply, Params, PathId, created, no_content};

const SORTABLE: &[&str] = &[
    "id",
    "name",
    "last_updated_at",
    "created_at",
    "last_updated_trace_at",
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/projects", get(list).post(create))
        .route("/projects/retrieve", post(retrieve))
        .route("/projects/delete", post(delete_many))
        .route("/projects/{id}", get(find).patch(change).delete(delete))
}

#[derive(Debug, Deserialize)]
struct ProjectBody {
    name: Option<String>,
    description: Option<String>,
    visibility: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Ids {
    ids: Option<Vec<ProjectId>>,
}

fn unknown() -> ApiError {
    ApiError::message(StatusCode::NOT_FOUND, "Project not found")
}

/// The projects that a list is asked for, in its order.
pub(super) async fn selected(app: &App, params: &Params) -> Result<Vec<Project>, ApiError> {
    let mut projects = app.store().all_projects().await?;
    if let Some(part) = params.get("name") {
        let part = part.to_lowercase();
        projects.retain(|project| project.name.to_lowercase().contains(&part));
    }
    if let Some((field, direction)) = params.sorting()? {
        match field.as_str() {
            "name" => projects.sort_by_key(|project| project.name.to_lowercase()),
            "created_at" | "id" => projects.sort_by_key(|project| project.created_at),
            "last_updated_at" | "last_updated_trace_at" => {
                projects.sort_by_key(|project| project.last_updated_at);
            }
            _ => projects.reverse(),
        }
        if direction == Direction::Descending {
            projects.reverse();
        }
    }
    Ok(projects)
}

async fn list(State(app): State<App>, params: Params) -> Result<PageReply<Project>, ApiError> {
    let projects = selected(&app, &params).await?;
    Ok(PageReply::of_all(projects, params.page(10)?, SORTABLE))
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(body): JsonBody<ProjectBody>,
) -> Result<Response, ApiError> {
    let name = checks::not_blank("name", body.name)?;
    let (project, is_new) = app.store().make_project(name).await?;
    let id = project.id.ok_or_else(unknown)?;
    if !is_new {
        return Err(ApiError::conflict("Project already exists"));
    }
    let mut change = ProjectChange::default();
    change.description = body.description;
    change.visibility = body.visibility.as_deref().map(Into::into);
    app.store().change_project(id, change).await?;
    Ok(created(&uri, id))
}

async fn retrieve(
    State(app): State<App>,
    JsonBody(body): JsonBody<ProjectBody>,
) -> Result<Json<Project>, ApiError> {
    let name = body
        .name
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| ApiError::bad_request("name must not be blank"))?;
    let project = app.store().project(ProjectSelector::Name(name)).await?;
    project.map(Json).ok_or_else(unknown)
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
) -> Result<Json<Project>, ApiError> {
    let project = app.store().project(ProjectSelector::Id(id)).await?;
    project
        .map(Json)
        .ok_or_else(|| ApiError::not_found("Project not found"))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    JsonBody(body): JsonBody<ProjectBody>,
) -> Result<Response, ApiError> {
    checks::absent_or_not_blank("name", body.name.as_deref())?;
    let mut change = ProjectChange::default();
    change.name = body.name;
    change.description = body.description;
    change.visibility = body.visibility.as_deref().map(Into::into);
    match app.store().change_project(id, change).await? {
        ProjectOutcome::NameTaken => Err(ApiError::conflict("Project already exists")),
        ProjectOutcome::Unknown => Err(ApiError::not_found("Project not found")),
        _ => Ok(no_content()),
    }
}

/// 204 also when there is none.
async fn delete(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
) -> Result<Response, ApiError> {
    app.store().forget_project(id).await?;
    Ok(no_content())
}

async fn delete_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    for id in checks::batch("ids", body.ids)? {
        app.store().forget_project(id).await?;
    }
    Ok(no_content())
}
