//! Opik's REST API, one file per resource.
//!
//! # How to add a resource
//!
//! 1. Storage: typed functions of `opik_store::Store`, `async`, that return `StoreError`.
//! 2. A file here with `routes()` and one handler per method. Handlers read, call, map:
//!
//! ```ignore
//! pub(super) fn routes() -> Router<App> {
//!     Router::new()
//!         .route("/things", get(list).post(create))
//!         .route("/things/{id}", get(find))
//! }
//!
//! #[derive(Deserialize)]
//! struct NewThing {
//!     name: Option<String>,        // `null` is absent: every field is an Option
//! }
//!
//! async fn create(State(app): State<App>, uri: OriginalUri, JsonBody(new): JsonBody<NewThing>) -> Result<Response, ApiError> {
//!     let name = checks::not_blank("name", new.name)?;   // 422 with {"errors": [...]}
//!     let id = app.store().create_thing(name).await?;    // StoreError becomes the right status
//!     Ok(created(&uri, id))                              // 201 with Location, no body
//! }
//!
//! async fn find(State(app): State<App>, PathId(id): PathId<Uuid>) -> Result<Json<Thing>, ApiError> {
//!     let thing = app.store().thing(id).await?;
//!     Ok(Json(thing.ok_or_else(|| ApiError::not_found("Thing not found"))?))
//! }
//!
//! async fn list(State(app): State<App>, params: Params) -> Result<PageReply<Thing>, ApiError> {
//!     let (page, size) = params.page(10)?;
//!     let (things, total) = app.store().things(page, size).await?;
//!     Ok(PageReply::new(page, things, total, &["name", "created_at"]))
//! }
//! ```
//!
//! 3. A line in [`private_routes`]. The key and the workspace are checked there, for everything;
//!    a handler that wants to know the workspace takes `Extension<Caller>`.
//!
//! Rules of the contract: the parameter in a path is always called `{id}` (the router wants one
//! name per position); `null` and empty fields are left out of answers (`skip_serializing_if`);
//! a stream is `ndjson(...)`; the body extractor comes last among the arguments of a handler.

mod agent_configs;
mod annotation_queues;
mod attachments;
mod catalog;
mod checks;
mod comments;
mod dashboards;
mod dataset_files;
mod dataset_items;
mod dataset_versions;
mod datasets;
mod environments;
mod experiment_items;
mod experiments;
mod feedback;
mod feedback_definitions;
mod from_records;
mod guardrails;
mod openapi;
mod optimizations;
mod otlp;
mod project_metrics;
mod projects;
mod prompt_versions;
mod prompts;
mod queue_locks;
mod reinject;
mod row_list;
mod rows;
mod search;
mod spans;
mod stats;
mod system;
mod threads;
mod traces;
mod views;
mod vyasa;
mod walk;

pub(crate) use vyasa::routes as vyasa_routes;

use axum::Router;

use crate::app::App;

/// What is served under `/v1/private`, after the key and the workspace were checked.
pub(crate) fn private_routes() -> Router<App> {
    Router::new()
        .merge(agent_configs::routes())
        .merge(annotation_queues::routes())
        .merge(attachments::routes())
        .merge(comments::routes())
        .merge(dashboards::routes())
        .merge(dataset_items::routes())
        .merge(dataset_versions::routes())
        .merge(dataset_files::routes())
        .merge(datasets::routes())
        .merge(environments::routes())
        .merge(experiment_items::routes())
        .merge(experiments::routes())
        .merge(feedback::routes())
        .merge(feedback_definitions::routes())
        .merge(from_records::routes())
        .merge(guardrails::routes())
        .merge(optimizations::routes())
        .merge(otlp::routes())
        .merge(project_metrics::routes())
        .merge(projects::routes())
        .merge(prompt_versions::routes())
        .merge(prompts::routes())
        .merge(queue_locks::routes())
        .merge(spans::routes())
        .merge(threads::routes())
        .merge(traces::routes())
        .merge(system::private_routes())
}

/// What is served to anyone.
pub(crate) fn public_routes() -> Router<App> {
    system::public_routes().merge(openapi::routes())
}
