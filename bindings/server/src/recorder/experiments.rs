//! Experiments.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use opik_core::catalog::{
    Experiment, ExperimentCatalog as _, ExperimentGroup, ExperimentQuery, ExperimentUpdate,
    GroupBy, NewExperiment, Numbered, group_experiments,
};
use opik_core::{EntityId, ProjectId};
use serde::Deserialize;

use super::catalog::{Ids, conditions, lines, order, page, reply, stream};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/experiments", get(list).post(create))
        .route("/experiments/stream", post(read))
        .route("/experiments/delete", post(delete))
        .route("/experiments/finish", post(finish))
        .route("/experiments/batch", patch(change_many))
        .route("/experiments/groups", get(groups))
        .route("/experiments/groups/aggregations", get(totals))
        .route("/experiments/feedback-scores/names", get(score_names))
        .route("/experiments/{id}", get(find).patch(change))
        .route("/projects/{id}/experiments", get(list_of_project))
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

/// Identifiers in a parameter that is a JSON list.
fn ids(params: &Params, name: &str) -> Result<Option<Vec<EntityId>>, ApiError> {
    let Some(text) = params.get(name) else {
        return Ok(None);
    };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("Invalid query param {name} '{text}'")))
}

async fn listed(
    app: &App,
    params: &Params,
    project: Option<ProjectId>,
) -> Result<Response, ApiError> {
    let mut query = ExperimentQuery::default();
    query.page = page(params, 10)?;
    query.dataset = params.id("datasetId")?;
    query.optimization = params.id("optimization_id")?;
    query.prompt = params.id("prompt_id")?;
    query.project = project;
    query.name = params.get("name").map(str::to_owned);
    query.types = params.names("types")?;
    query.ids = ids(params, "experiment_ids")?;
    query.conditions = conditions(params, Experiment::FIELDS)?;
    query.order = order(params, Experiment::FIELDS)?;
    let listing = app.store().experiments(&query).await?;
    Ok(reply(query.page, listing, &[]).into_response())
}

/// The experiments that match, in groups of groups.
async fn grouped(
    app: &App,
    params: &Params,
    with_totals: bool,
) -> Result<(Vec<GroupBy>, BTreeMap<String, ExperimentGroup>), ApiError> {
    let by = GroupBy::parse_list(params.required("groups")?)?;
    let mut query = ExperimentQuery::default();
    query.page = Numbered::new(1, usize::MAX);
    query.project = params.id("project_id")?;
    query.name = params.get("name").map(str::to_owned);
    query.types = params.names("types")?;
    query.conditions = conditions(params, Experiment::FIELDS)?;
    let experiments = app.store().experiments(&query).await?.items;
    let groups = group_experiments(&experiments, &by, with_totals);
    Ok((by, groups))
}

async fn groups(
    State(app): State<App>,
    params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let (by, content) = grouped(&app, &params, false).await?;
    // The values of each level, in their order.
    let mut details = Vec::with_capacity(by.len());
    let mut level: Vec<_> = vec![&content];
    for _ in &by {
        let values: BTreeSet<&String> = level.iter().flat_map(|groups| groups.keys()).collect();
        details.push(serde_json::json!({"group_sorting": values}));
        let inner = level.iter().flat_map(|groups| groups.values());
        level = inner.map(|group| &group.groups).collect();
    }
    Ok(Json(serde_json::json!({
        "content": content,
        "details": {"groups_details": details},
    })))
}

async fn totals(
    State(app): State<App>,
    params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let (_, content) = grouped(&app, &params, true).await?;
    Ok(Json(serde_json::json!({"content": content})))
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewExperiment>,
) -> Result<Response, ApiError> {
    let id = app.store().create_experiment(new).await?;
    Ok(created(&uri, id))
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: Option<String>,
    limit: Option<i64>,
    last_retrieved_id: Option<EntityId>,
    project_name: Option<String>,
}

/// Those with the text in their name; the official client looks for the equal ones itself.
///
/// It names its own project where the program names none, so a project that has none of them is
/// no answer: then the whole workspace is looked through.
async fn read(
    State(app): State<App>,
    JsonBody(body): JsonBody<Stream>,
) -> Result<Response, ApiError> {
    let mut query = ExperimentQuery::default();
    query.page = Numbered::new(1, lines(body.limit, "limit")?);
    query.name = Some(checks::not_blank("name", body.name)?);
    query.project_name = body.project_name.filter(|name| !name.trim().is_empty());
    query.after = body.last_retrieved_id;
    let mut found = app.store().experiments(&query).await?.items;
    if found.is_empty() && query.project_name.is_some() {
        // Behind the last one there is nothing either, so ask whether there ever was one.
        let mut any = query.clone();
        any.after = None;
        any.page = Numbered::new(1, 1);
        if app.store().experiments(&any).await?.items.is_empty() {
            query.project_name = None;
            found = app.store().experiments(&query).await?.items;
        }
    }
    Ok(stream(found))
}

async fn delete(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_experiments(&ids.get()?).await?;
    Ok(no_content())
}

async fn finish(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().finish_experiments(&ids.get()?).await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
struct ChangeMany {
    ids: Option<Vec<EntityId>>,
    update: Option<ExperimentUpdate>,
    merge_tags: Option<bool>,
}

async fn change_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<ChangeMany>,
) -> Result<Response, ApiError> {
    let ids = checks::batch("ids", body.ids)?;
    let update = checks::not_null("update", body.update)?;
    let merge = body.merge_tags.unwrap_or_default();
    app.store().update_experiments(&ids, update, merge).await?;
    Ok(no_content())
}

async fn score_names(
    State(app): State<App>,
    params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let ids = ids(&params, "experiment_ids")?.unwrap_or_default();
    let names = app.store().experiment_score_names(&ids).await?;
    let scores: Vec<_> = names
        .into_iter()
        .map(|name| serde_json::json!({"name": name}))
        .collect();
    Ok(Json(serde_json::json!({"scores": scores})))
}

fn unknown(id: EntityId) -> ApiError {
    ApiError::not_found(format!("Not found experiment with id '{id}'"))
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Experiment>, ApiError> {
    let experiment = app.store().experiment(id).await?;
    experiment.map(Json).ok_or_else(|| unknown(id))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<ExperimentUpdate>,
) -> Result<Response, ApiError> {
    match app.store().update_experiments(&[id], update, false).await? {
        0 => Err(unknown(id)),
        _ => Ok(no_content()),
    }
}
