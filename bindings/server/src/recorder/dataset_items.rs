//! Items of datasets.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use opik_core::catalog::{
    CompareQuery, DatasetCatalog as _, DatasetItem, DeleteItems, ExperimentCatalog as _,
    ItemBatchUpdate, ItemChanges, ItemQuery, ItemUpdate, Numbered, PutItems, columns_of,
};
use opik_core::{EntityId, Json as Content};
use serde::Deserialize;

use super::catalog::{
    WithColumns, conditions, created_with, filters, lines, order, page, reply, stream,
};
use super::stats::Stats;
use super::{checks, datasets, experiment_items};
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, charge, no_content};

/// How many items tell the columns of all.
const SAMPLED: usize = 200;
/// Pages that are larger are read by programs, which do not look at columns.
const LARGEST_SHOWN: usize = 1_000;

fn has_columns(params: &Params) -> Result<bool, ApiError> {
    Ok(params.page(10)?.1 <= LARGEST_SHOWN)
}

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/datasets/items", put(write))
        .route("/datasets/items/stream", post(read))
        .route("/datasets/items/delete", post(delete))
        .route("/datasets/items/batch", patch(change_many))
        .route("/datasets/items/{id}", get(find).patch(change_one))
        .route("/datasets/{id}/items", get(list))
        .route("/datasets/{id}/items/changes", post(change))
        .route("/datasets/{id}/items/experiments/items", get(compare))
        .route("/datasets/{id}/items/experiments/items/stats", get(stats))
        .route(
            "/datasets/{id}/items/experiments/items/output/columns",
            get(columns),
        )
}

/// Items come in batches of up to 1,000.
async fn write(
    State(app): State<App>,
    JsonBody(items): JsonBody<PutItems>,
) -> Result<Response, ApiError> {
    charge(items.items.len())?;
    app.store().put_items(items).await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
struct Stream {
    dataset_name: Option<String>,
    project_name: Option<String>,
    last_retrieved_id: Option<EntityId>,
    steam_limit: Option<i64>,
    dataset_version: Option<String>,
    filters: Option<Content>,
}

async fn read(
    State(app): State<App>,
    JsonBody(body): JsonBody<Stream>,
) -> Result<Response, ApiError> {
    let name = checks::not_blank("datasetName", body.dataset_name)?;
    let limit = lines(body.steam_limit, "steamLimit")?;
    let dataset = datasets::named(&app, &name, body.project_name.as_deref()).await?;
    let mut query = ItemQuery::of(dataset.record.id);
    query.version = body.dataset_version.filter(|text| !text.trim().is_empty());
    query.conditions = filters(body.filters.as_ref(), DatasetItem::FIELDS)?;
    query.after = body.last_retrieved_id;
    query.page = Numbered::new(1, limit);
    Ok(stream(app.store().items(&query).await?.items))
}

#[derive(Debug, Deserialize)]
struct Delete {
    item_ids: Option<Vec<EntityId>>,
    dataset_id: Option<EntityId>,
    filters: Option<Content>,
    batch_group_id: Option<EntityId>,
}

async fn delete(
    State(app): State<App>,
    JsonBody(body): JsonBody<Delete>,
) -> Result<Response, ApiError> {
    let mut what = DeleteItems::default();
    what.ids = body.item_ids.unwrap_or_default();
    what.dataset = body.dataset_id;
    what.conditions = filters(body.filters.as_ref(), DatasetItem::FIELDS)?;
    what.group = body.batch_group_id;
    app.store().delete_items(what).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<DatasetItem>, ApiError> {
    let item = app.store().item(id).await?;
    item.map(Json)
        .ok_or_else(|| ApiError::not_found("Dataset item not found"))
}

async fn change_one(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<ItemUpdate>,
) -> Result<Response, ApiError> {
    app.store().update_item(id, update).await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
struct ChangeMany {
    ids: Option<Vec<EntityId>>,
    dataset_id: Option<EntityId>,
    filters: Option<Content>,
    update: Option<ItemUpdate>,
    merge_tags: Option<bool>,
}

async fn change_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<ChangeMany>,
) -> Result<Response, ApiError> {
    let mut what = ItemBatchUpdate::default();
    what.ids = body.ids.unwrap_or_default();
    what.dataset = body.dataset_id;
    what.conditions = filters(body.filters.as_ref(), DatasetItem::FIELDS)?;
    what.update = checks::not_null("update", body.update)?;
    what.merge_tags = body.merge_tags.unwrap_or_default();
    app.store().update_items(what).await?;
    Ok(no_content())
}

async fn list(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Response, ApiError> {
    let mut query = ItemQuery::of(id);
    query.version = params.get("version").map(str::to_owned);
    query.conditions = conditions(&params, DatasetItem::FIELDS)?;
    query.page = page(&params, 10)?;
    let items = app.store().items(&query).await?;
    let mut columns = Vec::new();
    if has_columns(&params)? {
        // The newest items stand for all of the version, so that pages have the same columns.
        let mut newest = ItemQuery::of(id);
        newest.version = query.version;
        newest.page = Numbered::new(1, SAMPLED);
        let newest = app.store().items(&newest).await?.items;
        columns = columns_of("data", newest.iter().chain(&items.items).map(|it| &it.data));
    }
    Ok(WithColumns::new(reply(query.page, items, &[]), columns).into_response())
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
    JsonBody(changes): JsonBody<ItemChanges>,
) -> Result<Response, ApiError> {
    let forced = params.flag("override");
    let version = app.store().change_items(id, changes, forced).await?;
    Ok(created_with(version))
}

fn experiments(params: &Params) -> Result<Vec<EntityId>, ApiError> {
    let text = params.required("experiment_ids")?;
    let ids: Vec<EntityId> = serde_json::from_str(text).map_err(|_| {
        ApiError::bad_request(format!("Invalid query param experiment ids '{text}'"))
    })?;
    Ok(ids)
}

async fn compare(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut query = CompareQuery::of(id, experiments(&params)?);
    query.conditions = conditions(&params, CompareQuery::FIELDS)?;
    query.order = order(&params, CompareQuery::FIELDS)?;
    query.search = params.get("search").map(str::to_owned);
    query.page = page(&params, 10)?;
    let is_old = experiment_items::is_confused_by_new_fields(&headers);
    let items = app.store().compare(&query).await?.map(|mut row| {
        let runs = std::mem::take(&mut row.experiment_items).into_iter();
        let runs = runs.map(experiment_items::shown);
        row.experiment_items = if is_old {
            runs.map(experiment_items::without_new_fields).collect()
        } else {
            runs.collect()
        };
        row
    });
    let columns = if has_columns(&params)? {
        columns_of("data", items.items.iter().map(|row| &row.item.data))
    } else {
        Vec::new()
    };
    Ok(WithColumns::new(reply(query.page, items, &[]), columns).into_response())
}

/// What the runs of the newest items gave, and what their columns are.
async fn columns(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let mut query = CompareQuery::of(id, experiments(&params)?);
    query.page = Numbered::new(1, SAMPLED);
    let rows = app.store().compare(&query).await?.items;
    let runs = rows.iter().flat_map(|row| &row.experiment_items);
    let columns = columns_of("output", runs.filter_map(|run| run.output.as_ref()));
    Ok(Json(serde_json::json!({"columns": columns})))
}

/// Sums and means over the runs of experiments.
async fn stats(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    params: Params,
) -> Result<Json<serde_json::Value>, ApiError> {
    let mut query = CompareQuery::of(id, experiments(&params)?);
    query.conditions = conditions(&params, CompareQuery::FIELDS)?;
    query.page = Numbered::new(1, usize::MAX);
    let rows = app.store().compare(&query).await?.items;
    Ok(Json(Stats::of_runs(
        rows.iter().flat_map(|row| &row.experiment_items),
    )))
}
