//! Traces.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::query::{Entity, ProjectSelector, TraceQuery};
use opik_core::{Batch, PageRequest, Trace, TraceId, TraceSource as _};
use opik_store::Store;
use opik_store::records::RecordOutcome;
use serde::Deserialize;
use serde_json::{Value, json};

use super::checks;
use super::reinject;
use super::row_list::{Row as _, RowList};
use super::rows::{TraceRow, Update};
use super::search::{SearchBody, has_files, project_of, shape_of, streamed};
use super::stats::Stats;
use super::views;
use super::walk::each_trace;
use crate::app::App;
use crate::http::{ApiError, JsonBody, PageReply, Params, PathId, created, no_content};

pub(super) const SORTABLE: &[&str] = &[
    "id",
    "name",
    "input",
    "output",
    "start_time",
    "end_time",
    "duration",
    "ttft",
    "metadata",
    "thread_id",
    "span_count",
    "llm_span_count",
    "usage.*",
    "total_estimated_cost",
    "tags",
    "error_info",
    "created_by",
    "feedback_scores.*",
    "experiment_id",
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/traces", get(list).post(create))
        .route("/traces/batch", post(create_many).patch(change_many))
        .route("/traces/search", post(search))
        .route("/traces/stats", get(stats))
        .route("/traces/exists", get(exists))
        .route("/traces/delete", post(delete_many))
        .route("/traces/{id}", get(find).patch(change).delete(delete))
}

#[derive(Debug, Deserialize)]
struct BatchBody {
    traces: Option<RowList<TraceRow>>,
}

#[derive(Debug, Deserialize)]
struct ChangesBody {
    ids: Option<Vec<TraceId>>,
    update: Option<Update>,
    merge_tags: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct IdsBody {
    ids: Option<Vec<TraceId>>,
}

fn outcome(outcome: RecordOutcome) -> Result<(), ApiError> {
    match outcome {
        RecordOutcome::Done => Ok(()),
        RecordOutcome::Exists => Err(ApiError::conflict("Trace already exists")),
        RecordOutcome::UnknownProject => Err(ApiError::not_found("Project not found")),
        _ => Err(ApiError::conflict(
            "Project name and workspace name do not match the existing trace",
        )),
    }
}

fn checked(id: TraceId) -> Result<TraceId, ApiError> {
    if id.is_v7() {
        Ok(id)
    } else {
        Err(ApiError::bad_request("Trace id must be a version 7 UUID"))
    }
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(row): JsonBody<TraceRow>,
) -> Result<Response, ApiError> {
    let trace = row.into_record()?;
    let id = trace.id;
    outcome(app.store().create_trace(trace).await?)?;
    Ok(created(&uri, id))
}

async fn create_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<BatchBody>,
) -> Result<Response, ApiError> {
    let traces = RowList::records("traces", body.traces)?;
    let report = app.store().take(Batch::new(traces, Vec::new())).await?;
    checks::all_accepted(&report)?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    params: Params,
) -> Result<Json<Trace>, ApiError> {
    let trace = app.store().trace(id).await?;
    let trace = trace.ok_or_else(|| ApiError::not_found(format!("Trace id: {id} not found")))?;
    let mut trace = views::trace(trace, &views::Shape::default());
    if !params.flag("strip_attachments") {
        reinject::into_trace(app.store(), &mut trace).await?;
    }
    Ok(Json(trace))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    JsonBody(update): JsonBody<Update>,
) -> Result<Response, ApiError> {
    let patch = update.into_trace_patch()?;
    outcome(app.store().patch_trace(checked(id)?, patch).await?)?;
    Ok(no_content())
}

/// Traces that are not there are passed over.
async fn change_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<ChangesBody>,
) -> Result<Response, ApiError> {
    let ids = checks::batch("ids", body.ids)?;
    let mut update = checks::not_null("update", body.update)?;
    if body.merge_tags.unwrap_or(false) {
        update.merge_tags();
    }
    for id in ids {
        if let Some(trace) = app.store().trace(id).await? {
            let patch = update.clone().into_patch_of_trace(&trace)?;
            outcome(app.store().patch_trace(id, patch).await?)?;
        }
    }
    Ok(no_content())
}

async fn delete(State(app): State<App>, PathId(id): PathId<TraceId>) -> Result<Response, ApiError> {
    app.store().remove_traces(vec![id]).await?;
    Ok(no_content())
}

async fn delete_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<IdsBody>,
) -> Result<Response, ApiError> {
    let ids = checks::batch("ids", body.ids)?;
    app.store().remove_traces(ids).await?;
    Ok(no_content())
}

async fn search(
    State(app): State<App>,
    JsonBody(body): JsonBody<SearchBody>,
) -> Result<Response, ApiError> {
    let limit = body.limit()?;
    let shape = body.shape();
    let has_files = body.has_files();
    let mut query = TraceQuery::default();
    query.filters = body.filters(Entity::Trace)?;
    query.project = selected(&body.project(&app).await?);
    query.from = body.from_time;
    query.to = body.to_time;
    let first = match body
        .last_retrieved_id
        .as_deref()
        .and_then(|id| id.parse().ok())
    {
        Some(id) => PageRequest::after(Store::traces_below(id), limit),
        None => PageRequest::first(limit),
    };
    let store = app.store().clone();
    Ok(streamed(&first, limit, move |page| {
        let (store, shape, mut query) = (store.clone(), shape.clone(), query.clone());
        query.page = page;
        async move {
            let mut page = store.search_traces(&query).await?;
            let items = std::mem::take(&mut page.items);
            page.items = items
                .into_iter()
                .map(|it| views::trace(it, &shape))
                .collect();
            if has_files {
                reinject::into_traces(&store, &mut page.items).await?;
            }
            Ok(page)
        }
    }))
}

fn selected(project: &opik_core::Project) -> ProjectSelector {
    project.id.map_or(ProjectSelector::Any, ProjectSelector::Id)
}

async fn query_of(app: &App, params: &Params) -> Result<TraceQuery, ApiError> {
    let mut query = TraceQuery::default();
    query.filters = params.filters(Entity::Trace)?;
    query.sort = params.sort(Entity::Trace)?;
    query.text = params.get("search").map(str::to_owned);
    query.from = params.time("from_time")?;
    query.to = params.time("to_time")?;
    query.project = selected(&project_of(app, params).await?);
    Ok(query)
}

async fn list(State(app): State<App>, params: Params) -> Result<PageReply<Trace>, ApiError> {
    let (page, size) = params.page(10)?;
    let shape = shape_of(&params)?;
    let query = query_of(&app, &params).await?;
    let skip = (page - 1).saturating_mul(size);
    let (traces, total) = app.store().list_traces(query, skip, size).await?;
    let traces = traces.into_iter().map(|it| views::trace(it, &shape));
    let mut traces: Vec<Trace> = traces.collect();
    if has_files(&params) {
        reinject::into_traces(app.store(), &mut traces).await?;
    }
    Ok(PageReply::new(page, traces, total, SORTABLE))
}

async fn stats(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let mut query = query_of(&app, &params).await?;
    query.sort = None;
    query.without_content = true;
    let mut stats = Stats::default();
    each_trace(&app, query, |trace| stats.count_trace(&trace)).await?;
    Ok(Json(stats.of_traces()).into_response())
}

async fn exists(State(app): State<App>, params: Params) -> Result<Json<Value>, ApiError> {
    let mut query = TraceQuery::default();
    query.project = selected(&project_of(&app, &params).await?);
    query.without_content = true;
    query.page = PageRequest::first(1);
    let page = app.store().search_traces(&query).await?;
    Ok(Json(json!({"exists": !page.items.is_empty()})))
}
