//! Threads of traces.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use futures_util::stream;
use opik_core::query::{Entity, ProjectSelector};
use opik_core::{ProjectId, Thread, TraceId};
use opik_store::records::ThreadQuery;
use serde::Deserialize;
use serde_json::json;

use super::checks;
use super::search::{SearchBody, named_project, project_of, shape_of};
use super::views;
use crate::app::App;
use crate::http::{ApiError, JsonBody, PageReply, Params, PathId, ndjson, no_content};

const SORTABLE: &[&str] = &[
    "id",
    "start_time",
    "end_time",
    "duration",
    "number_of_messages",
    "last_updated_at",
    "created_by",
    "created_at",
    "usage.*",
    "total_estimated_cost",
    "feedback_scores.*",
    "status",
    "tags",
];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/traces/threads", get(list))
        .route("/traces/threads/search", post(search))
        .route("/traces/threads/retrieve", post(retrieve))
        .route("/traces/threads/stats", get(stats))
        .route("/traces/threads/close", put(close))
        .route("/traces/threads/open", put(open))
        .route("/traces/threads/delete", post(delete))
        .route("/traces/threads/batch", patch(change_many))
        .route("/traces/threads/{id}", patch(change))
}

/// Names threads of a project.
#[derive(Debug, Deserialize)]
struct ThreadsBody {
    project_name: Option<String>,
    project_id: Option<ProjectId>,
    thread_id: Option<String>,
    thread_ids: Option<Vec<String>>,
    truncate: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TagsBody {
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct ChangesBody {
    ids: Option<Vec<TraceId>>,
    update: Option<TagsBody>,
    merge_tags: Option<bool>,
}

impl ThreadsBody {
    fn selector(&self) -> Result<ProjectSelector, ApiError> {
        match (self.project_id, &self.project_name) {
            (Some(id), _) => Ok(ProjectSelector::Id(id)),
            (None, Some(name)) => Ok(ProjectSelector::Name(name.clone())),
            (None, None) => Err(crate::http::no_project()),
        }
    }

    fn ids(&mut self) -> Result<Vec<String>, ApiError> {
        let mut ids = self.thread_ids.take().unwrap_or_default();
        ids.extend(self.thread_id.take());
        ids.retain(|id| !id.trim().is_empty());
        if ids.is_empty() {
            return Err(ApiError::invalid("threadId must not be blank"));
        }
        checks::batch("threadIds", Some(ids))
    }
}

fn selected(project: &opik_core::Project) -> ProjectSelector {
    project.id.map_or(ProjectSelector::Any, ProjectSelector::Id)
}

async fn list(State(app): State<App>, params: Params) -> Result<PageReply<Thread>, ApiError> {
    let (page, size) = params.page(10)?;
    let shape = shape_of(&params)?;
    let mut query = ThreadQuery::new(selected(&project_of(&app, &params).await?));
    query.filters = params.filters(Entity::Thread)?;
    query.sort = params.sort(Entity::Thread)?;
    query.text = params.get("search").map(str::to_owned);
    query.skip = (page - 1).saturating_mul(size);
    query.take = size;
    let (threads, total) = app.store().threads(query).await?;
    let threads = threads.into_iter().map(|it| views::thread(it, &shape));
    Ok(PageReply::new(page, threads.collect(), total, SORTABLE))
}

async fn search(
    State(app): State<App>,
    JsonBody(body): JsonBody<SearchBody>,
) -> Result<Response, ApiError> {
    let shape = body.shape();
    let mut query = ThreadQuery::new(selected(&body.project(&app).await?));
    query.filters = body.filters(Entity::Thread)?;
    query.take = body.limit()?;
    // The official Python client sends the name of the thread here; that is no place to go on
    // from, and no error.
    query.below = match body.last_retrieved_thread_model_id.as_deref() {
        None => None,
        Some(text) => match text.parse::<TraceId>() {
            Ok(model) => Some(model),
            Err(_) => app
                .store()
                .thread(query.project.clone(), text.to_owned())
                .await?
                .and_then(|thread| thread.thread_model_id)
                .and_then(|model| model.parse().ok()),
        },
    };
    let (threads, _) = app.store().threads(query).await?;
    let threads: Vec<Thread> = threads
        .into_iter()
        .map(|it| views::thread(it, &shape))
        .collect();
    Ok(ndjson(stream::iter([Ok(threads)])))
}

async fn retrieve(
    State(app): State<App>,
    JsonBody(mut body): JsonBody<ThreadsBody>,
) -> Result<Json<Thread>, ApiError> {
    let id = checks::not_blank("threadId", body.thread_id.take())?;
    let thread = app.store().thread(body.selector()?, id.clone()).await?;
    let shape = views::Shape {
        truncate: body.truncate.unwrap_or(false),
        exclude: Vec::new(),
    };
    thread
        .map(|it| Json(views::thread(it, &shape)))
        .ok_or_else(|| ApiError::not_found(format!("Trace Thread id: {id} not found")))
}

async fn stats(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let mut query = ThreadQuery::new(selected(&project_of(&app, &params).await?));
    query.filters = params.filters(Entity::Thread)?;
    query.take = usize::MAX;
    let (threads, total) = app.store().threads(query).await?;
    let messages: u64 = threads
        .iter()
        .filter_map(|thread| thread.number_of_messages)
        .sum();
    let cost: f64 = threads
        .iter()
        .filter_map(|thread| thread.total_estimated_cost)
        .sum();
    let stats = json!({"stats": [
        {"name": "thread_count", "type": "COUNT", "value": total},
        {"name": "number_of_messages", "type": "COUNT", "value": messages},
        {"name": "total_estimated_cost_sum", "type": "AVG", "value": cost},
    ]});
    Ok(Json(stats).into_response())
}

async fn set_open(app: &App, mut body: ThreadsBody, open: bool) -> Result<Response, ApiError> {
    let ids = body.ids()?;
    // A name that belongs to no project belongs to no thread either.
    let project = named_project(app, body.project_id, body.project_name.as_deref()).await?;
    match app
        .store()
        .set_threads_open(selected(&project), ids, open)
        .await?
    {
        None => Ok(no_content()),
        Some(id) => Err(ApiError::message(
            StatusCode::NOT_FOUND,
            format!("Thread '[{id}]' not found:"),
        )),
    }
}

async fn close(
    State(app): State<App>,
    JsonBody(body): JsonBody<ThreadsBody>,
) -> Result<Response, ApiError> {
    set_open(&app, body, false).await
}

async fn open(
    State(app): State<App>,
    JsonBody(body): JsonBody<ThreadsBody>,
) -> Result<Response, ApiError> {
    set_open(&app, body, true).await
}

async fn delete(
    State(app): State<App>,
    JsonBody(mut body): JsonBody<ThreadsBody>,
) -> Result<Response, ApiError> {
    let ids = body.ids()?;
    app.store().delete_threads(body.selector()?, ids).await?;
    Ok(no_content())
}

async fn change(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    JsonBody(body): JsonBody<TagsBody>,
) -> Result<Response, ApiError> {
    let tags = body.tags.unwrap_or_default();
    if app.store().set_thread_tags(id, tags, false).await? {
        Ok(no_content())
    } else {
        Err(ApiError::not_found("Thread not found"))
    }
}

async fn change_many(
    State(app): State<App>,
    JsonBody(body): JsonBody<ChangesBody>,
) -> Result<Response, ApiError> {
    let update = checks::not_null("update", body.update)?;
    let tags = update.tags.unwrap_or_default();
    let merge = body.merge_tags.unwrap_or(false);
    for id in checks::batch("ids", body.ids)? {
        app.store().set_thread_tags(id, tags.clone(), merge).await?;
    }
    Ok(no_content())
}
