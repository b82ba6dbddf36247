//! Annotation queues.

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::EntityId;
use opik_core::catalog::{AnnotationQueue, NewQueue, QueueCatalog as _, QueueQuery, QueueUpdate};
use serde::Deserialize;

use super::catalog::{Ids, conditions, order, page, reply};
use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, created, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/annotation-queues", get(list).post(create))
        .route("/annotation-queues/batch", post(create_many))
        .route("/annotation-queues/delete", post(delete))
        .route("/annotation-queues/{id}", get(find).patch(change))
        .route("/annotation-queues/{id}/items/add", post(add))
        .route("/annotation-queues/{id}/items/delete", post(take))
}

async fn list(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let mut query = QueueQuery::default();
    query.page = page(&params, 10)?;
    query.name = params.get("name").map(str::to_owned);
    query.conditions = conditions(&params, AnnotationQueue::FIELDS)?;
    query.order = order(&params, AnnotationQueue::FIELDS)?;
    let listing = app.store().queues(&query).await?;
    Ok(reply(query.page, listing, &[]).into_response())
}

async fn create(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    JsonBody(new): JsonBody<NewQueue>,
) -> Result<Response, ApiError> {
    let ids = app.store().create_queues(vec![new]).await?;
    let id = ids.into_iter().next().unwrap_or_else(EntityId::generate);
    Ok(created(&uri, id))
}

#[derive(Debug, Deserialize)]
struct Queues {
    annotation_queues: Option<Vec<NewQueue>>,
}

async fn create_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<Queues>,
) -> Result<Response, ApiError> {
    let new = checks::batch("annotationQueues", body.annotation_queues)?;
    app.store().create_queues(new).await?;
    Ok(no_content())
}

async fn delete(
    State(app): State<App>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().delete_queues(&ids.get()?).await?;
    Ok(no_content())
}

async fn find(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<AnnotationQueue>, ApiError> {
    let found = app.store().queue(id).await?;
    found
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("Not found annotation queue with id '{id}'")))
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(update): JsonBody<QueueUpdate>,
) -> Result<Response, ApiError> {
    app.store().update_queue(id, update).await?;
    Ok(no_content())
}

async fn add(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().add_to_queue(id, &ids.get()?).await?;
    Ok(no_content())
}

async fn take(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(ids): JsonBody<Ids>,
) -> Result<Response, ApiError> {
    app.store().take_from_queue(id, &ids.get()?).await?;
    Ok(no_content())
}
