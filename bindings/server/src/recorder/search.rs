//! What searches of traces, spans and threads have in common: the body, the project, the stream.

use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream;
use opik_core::query::{Entity, Filter, ProjectSelector};
use opik_core::{Json, Page, PageRequest, Project, ProjectId, Timestamp};
use serde::{Deserialize, Serialize};

use super::views::Shape;
use crate::app::App;
use crate::http::{ApiError, Params, ndjson, no_project};

/// Lines of a stream without a limit.
const DEFAULT_LIMIT: usize = 500;
/// Most lines of one answer.
const MOST_LINES: usize = 2_000;
/// Records that are in memory at once while a stream is written.
const AT_ONCE: usize = 100;

/// The body of a search.
#[derive(Debug, Deserialize)]
pub(super) struct SearchBody {
    project_name: Option<String>,
    project_id: Option<ProjectId>,
    filters: Option<Json>,
    pub(super) last_retrieved_id: Option<String>,
    pub(super) last_retrieved_thread_model_id: Option<String>,
    limit: Option<i64>,
    truncate: Option<bool>,
    strip_attachments: Option<bool>,
    exclude: Option<Vec<String>>,
    pub(super) from_time: Option<Timestamp>,
    pub(super) to_time: Option<Timestamp>,
    pub(super) trace_id: Option<String>,
    pub(super) r#type: Option<String>,
}

impl SearchBody {
    pub(super) fn filters(&self, entity: Entity) -> Result<Vec<Filter>, ApiError> {
        let text = self.filters.as_ref().map_or("", Json::as_str);
        Ok(Filter::parse_list(entity, text)?)
    }

    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let Some(limit) = self.limit else {
            return Ok(DEFAULT_LIMIT);
        };
        usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=MOST_LINES).contains(limit))
            .ok_or_else(|| ApiError::invalid(format!("limit must be between 1 and {MOST_LINES}")))
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            truncate: self.truncate.unwrap_or(false),
            exclude: self.exclude.clone().unwrap_or_default(),
        }
    }

    /// Whether contents are wanted with the files that were taken out of them.
    pub(super) fn has_files(&self) -> bool {
        !self.truncate.unwrap_or(false) && !self.strip_attachments.unwrap_or(false)
    }

    /// The project, which has to exist.
    pub(super) async fn project(&self, app: &App) -> Result<Project, ApiError> {
        named_project(app, self.project_id, self.project_name.as_deref()).await
    }
}

/// The project that an identifier or a name selects: 400 without either, 404 when there is none.
pub(super) async fn named_project(
    app: &App,
    id: Option<ProjectId>,
    name: Option<&str>,
) -> Result<Project, ApiError> {
    let (selector, text) = match (id, name.filter(|name| !name.trim().is_empty())) {
        (Some(id), _) => (
            ProjectSelector::Id(id),
            format!("Project id: {id} not found"),
        ),
        (None, Some(name)) => (
            ProjectSelector::Name(name.to_owned()),
            format!("Project name: {name} not found"),
        ),
        (None, None) => return Err(no_project()),
    };
    let project = app.store().project(selector).await?;
    project.ok_or_else(|| ApiError::message(StatusCode::NOT_FOUND, text))
}

/// The project that query parameters select.
pub(super) async fn project_of(app: &App, params: &Params) -> Result<Project, ApiError> {
    named_project(app, params.id("project_id")?, params.get("project_name")).await
}

/// What query parameters say about the records of a list.
pub(super) fn shape_of(params: &Params) -> Result<Shape, ApiError> {
    Ok(Shape {
        truncate: params.flag("truncate"),
        exclude: params.names("exclude")?,
    })
}

/// As [`SearchBody::has_files`], for a list.
pub(super) fn has_files(params: &Params) -> bool {
    !params.flag("truncate") && !params.flag("strip_attachments")
}

/// The records after a place, page by page, as a stream of at most `limit` lines.
pub(super) fn streamed<T, F, A>(first: &PageRequest, limit: usize, ask: F) -> Response
where
    T: Serialize + Send + 'static,
    F: Fn(PageRequest) -> A + Send + 'static,
    A: Future<Output = Result<Page<T>, ApiError>> + Send + 'static,
{
    let cursor = first.cursor().cloned();
    let pages = stream::unfold(Some((cursor, limit, ask)), |state| async move {
        let (cursor, left, ask) = state.filter(|(_, left, _)| *left > 0)?;
        let size = left.min(AT_ONCE);
        let request = match cursor {
            None => PageRequest::first(size),
            Some(cursor) => PageRequest::after(cursor, size),
        };
        match ask(request).await {
            Err(error) => Some((Err(error), None)),
            Ok(page) => {
                let left = left.saturating_sub(page.items.len());
                let next = page.next.map(|next| (Some(next), left, ask));
                Some((Ok(page.items), next))
            }
        }
    });
    ndjson(pages)
}
