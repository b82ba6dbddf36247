//! Spans.

use axum::extract::{OriginalUri, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::query::{Entity, Filter, Operator, ProjectSelector, SpanQuery};
use opik_core::{Batch, PageRequest, Span, SpanId, TraceId, TraceSource as _, prices};
use opik_store::Store;
use opik_store::records::{RecordOutcome, SpanPatch};
use serde::Deserialize;
use serde_json::{Value, json};

use super::checks;
use super::reinject;
use super::row_list::{Row as _, RowList};
use super::rows::{SpanRow, Update};
use super::search::{SearchBody, has_files, project_of, shape_of, streamed};
use super::stats::Stats;
use super::views;
use super::walk::each_span;
use crate::app::App;
use crate::http::{ApiError, JsonBody, PageReply, Params, PathId, created, no_content};

const SORTABLE: &[&str] = &[
    "id",
    "name",
    "input",
    "output",
    "start_time",
    "end_time",
    "duration",
    "ttft",
    "metadata",
    "usage.*",
    "total_estimated_cost",
    "tags",
    "error_info",
    "created_by",
    "feedback_scores.*",
    "type",
    "trace_id",
    "parent_span_id",
    "created_at",
    "last_updated_at",
    "model",
    "provider",
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/spans", get(list).post(create))
        .route("/spans/batch", post(create_many).patch(change_many))
        .route("/spans/search", post(search))
        .route("/spans/stats", get(stats))
        .route("/spans/exists", get(exists))
        .route("/spans/{id}", get(find).patch(change).delete(delete))
}

#[derive(Debug, Deserialize)]
struct BatchBody {
    spans: Option<RowList<SpanRow>>,
}

#[derive(Debug, Deserialize)]
struct ChangesBody {
    ids: Option<Vec<SpanId>>,
    update: Option<Update>,
    merge_tags: Option<bool>,
}

fn outcome(outcome: RecordOutcome) -> Result<(), ApiError> {
    let text = match outcome {
        // A span that is there already is no error, unlike a trace.
        RecordOutcome::Done | RecordOutcome::Exists => return Ok(()),
        RecordOutcome::UnknownProject => return Err(ApiError::not_found("Project not found")),
        RecordOutcome::OtherTrace => "trace_id does not match the existing span",
        RecordOutcome::OtherParent => "parent_span_id does not match the existing span",
        _ => "Project name and workspace name do not match the existing span",
    };
    Err(ApiError::conflict(text))
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(row): JsonBody<SpanRow>,
) -> Result<Response, ApiError> {
    let span = row.into_record()?;
    let id = span.id;
    outcome(app.store().create_span(span).await?)?;
    Ok(created(&uri, id))
}

async fn create_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<BatchBody>,
) -> Result<Response, ApiError> {
    let spans = RowList::records("spans", body.spans)?;
    let report = app.store().take(Batch::new(Vec::new(), spans)).await?;
    checks::all_accepted(&report)?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<SpanId>,
    params: Params,
) -> Result<Json<Span>, ApiError> {
    let span = app.store().span(id).await?;
    let span = span.ok_or_else(|| ApiError::not_found(format!("Span id: {id} not found")))?;
    let project = span.project_name.clone();
    let mut span = views::span(span, &views::Shape::default());
    span.project_name = project;
    if !params.flag("strip_attachments") {
        reinject::into_span(app.store(), &mut span).await?;
    }
    Ok(Json(span))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<SpanId>,
    JsonBody(update): JsonBody<Update>,
) -> Result<Response, ApiError> {
    if !id.is_v7() {
        return Err(ApiError::bad_request("Span id must be a version 7 UUID"));
    }
    let may_cost = update.touches_cost();
    let patch = update.into_span_patch()?;
    outcome(app.store().patch_span(id, patch).await?)?;
    if may_cost {
        price(&app, id).await?;
    }
    Ok(no_content())
}

/// Puts a cost on a span that has got a model or token counts.
async fn price(app: &App, id: SpanId) -> Result<(), ApiError> {
    let Some(mut span) = app.store().span(id).await? else {
        return Ok(());
    };
    if span.total_estimated_cost.is_some() || !prices::estimate(&mut span) {
        return Ok(());
    }
    let mut patch = SpanPatch::new(span.trace_id);
    patch.parent_span_id = span.parent_span_id;
    patch.fields.project_id = span.project_id;
    patch.total_estimated_cost = span.total_estimated_cost;
    app.store().patch_span(id, patch).await?;
    Ok(())
}

/// Spans that are not there are passed over.
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
        if let Some(span) = app.store().span(id).await? {
            let patch = update.clone().into_patch_of(&span)?;
            outcome(app.store().patch_span(id, patch).await?)?;
        }
    }
    Ok(no_content())
}

/// Opik does not delete single spans.
async fn delete(PathId(_): PathId<SpanId>) -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}

fn selected(project: &opik_core::Project) -> ProjectSelector {
    project.id.map_or(ProjectSelector::Any, ProjectSelector::Id)
}

fn of_type(kind: Option<&str>, filters: &mut Vec<Filter>) -> Result<(), ApiError> {
    if let Some(kind) = kind {
        filters.push(Filter::new(
            Entity::Span,
            "type",
            Operator::Equal,
            None,
            kind,
        )?);
    }
    Ok(())
}

async fn search(
    State(app): State<App>,
    JsonBody(body): JsonBody<SearchBody>,
) -> Result<Response, ApiError> {
    let limit = body.limit()?;
    let shape = body.shape();
    let has_files = body.has_files();
    let mut query = SpanQuery::default();
    query.filters = body.filters(Entity::Span)?;
    of_type(body.r#type.as_deref(), &mut query.filters)?;
    query.trace = body
        .trace_id
        .as_deref()
        .map(|id| checks::id_v7("Span trace", id).map(TraceId::from_bytes))
        .transpose()?;
    query.project = selected(&body.project(&app).await?);
    query.from = body.from_time;
    query.to = body.to_time;
    let first = match body
        .last_retrieved_id
        .as_deref()
        .and_then(|id| id.parse().ok())
    {
        Some(id) => PageRequest::after(Store::spans_below(id), limit),
        None => PageRequest::first(limit),
    };
    let store = app.store().clone();
    Ok(streamed(&first, limit, move |page| {
        let (store, shape, mut query) = (store.clone(), shape.clone(), query.clone());
        query.page = page;
        async move {
            let mut page = store.search_spans(&query).await?;
            let items = std::mem::take(&mut page.items);
            page.items = items
                .into_iter()
                .map(|it| views::span(it, &shape))
                .collect();
            if has_files {
                reinject::into_spans(&store, &mut page.items).await?;
            }
            Ok(page)
        }
    }))
}

async fn query_of(app: &App, params: &Params) -> Result<SpanQuery, ApiError> {
    let mut query = SpanQuery::default();
    query.filters = params.filters(Entity::Span)?;
    of_type(params.get("type"), &mut query.filters)?;
    query.sort = params.sort(Entity::Span)?;
    query.text = params.get("search").map(str::to_owned);
    query.trace = params.id("trace_id")?;
    query.from = params.time("from_time")?;
    query.to = params.time("to_time")?;
    query.project = selected(&project_of(app, params).await?);
    Ok(query)
}

async fn list(State(app): State<App>, params: Params) -> Result<PageReply<Span>, ApiError> {
    let (page, size) = params.page(10)?;
    let shape = shape_of(&params)?;
    let query = query_of(&app, &params).await?;
    let skip = (page - 1).saturating_mul(size);
    let (spans, total) = app.store().list_spans(query, skip, size).await?;
    let spans = spans.into_iter().map(|it| views::span(it, &shape));
    let mut spans: Vec<Span> = spans.collect();
    if has_files(&params) {
        reinject::into_spans(app.store(), &mut spans).await?;
    }
    Ok(PageReply::new(page, spans, total, SORTABLE))
}

async fn stats(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let mut query = query_of(&app, &params).await?;
    query.sort = None;
    query.without_content = true;
    let mut stats = Stats::default();
    each_span(&app, query, |span| stats.count_span(&span)).await?;
    Ok(Json(stats.of_spans()).into_response())
}

async fn exists(State(app): State<App>, params: Params) -> Result<Json<Value>, ApiError> {
    let mut query = SpanQuery::default();
    query.project = selected(&project_of(&app, &params).await?);
    query.without_content = true;
    query.page = PageRequest::first(1);
    let page = app.store().search_spans(&query).await?;
    Ok(Json(json!({"exists": !page.items.is_empty()})))
}
