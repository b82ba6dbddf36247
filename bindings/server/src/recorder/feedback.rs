//! Feedback scores on traces, spans and threads.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use opik_core::model::{ScoreSource, ScoreTarget};
use opik_core::query::ProjectSelector;
use opik_core::{Batch, Exporter as _, FeedbackScore, ProjectId, ScoreRecord, SpanId, TraceId};
use opik_store::records::{Assertion, ScoredKind, Target};
use serde::Deserialize;
use serde_json::{Value, json};

use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId, USER, no_content};

/// Largest value either way.
const LARGEST: f64 = 999_999_999.999_999_999;
/// Values are kept with nine decimals.
const DECIMALS: f64 = 1e9;
/// The category of scores that are results of assertions.
const ASSERTION: &str = "suite_assertion";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/traces/feedback-scores", put(score_traces))
        .route("/spans/feedback-scores", put(score_spans))
        .route("/traces/threads/feedback-scores", put(score_threads))
        .route("/traces/{id}/feedback-scores", put(score_trace))
        .route("/spans/{id}/feedback-scores", put(score_span))
        .route("/traces/{id}/feedback-scores/delete", post(unscore_trace))
        .route("/spans/{id}/feedback-scores/delete", post(unscore_span))
        .route(
            "/traces/threads/feedback-scores/delete",
            post(unscore_thread),
        )
        .route("/projects/feedback-scores/names", get(names_of_projects))
        .route("/traces/feedback-scores/names", get(trace_names))
        .route("/spans/feedback-scores/names", get(span_names))
        .route("/traces/threads/feedback-scores/names", get(thread_names))
}

#[derive(Debug, Deserialize)]
pub(super) struct ScoreBody {
    id: Option<String>,
    thread_id: Option<String>,
    project_name: Option<String>,
    project_id: Option<ProjectId>,
    name: Option<String>,
    category_name: Option<String>,
    value: Option<f64>,
    reason: Option<String>,
    source: Option<ScoreSource>,
    source_queue_id: Option<String>,
    author: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ScoresBody {
    scores: Option<Vec<ScoreBody>>,
}

#[derive(Debug, Deserialize)]
struct UnscoreBody {
    name: Option<String>,
    names: Option<Vec<String>>,
    author: Option<String>,
    project_name: Option<String>,
    project_id: Option<ProjectId>,
    thread_id: Option<String>,
}

fn other_author(author: Option<String>) -> Option<String> {
    author.filter(|author| !author.trim().is_empty() && author != USER)
}

impl ScoreBody {
    /// The score for a target, after the checks that Opik makes.
    pub(super) fn into_record(self, target: ScoreTarget) -> Result<ScoreRecord, ApiError> {
        checks::absent_or_not_blank("projectName", self.project_name.as_deref())?;
        let name = checks::not_blank("name", self.name)?;
        let value = checks::not_null("value", self.value)?;
        if !(-LARGEST..=LARGEST).contains(&value) {
            return Err(ApiError::invalid(format!(
                "value must be between -{LARGEST} and {LARGEST}"
            )));
        }
        let rounded = (value * DECIMALS).round() / DECIMALS;
        let mut score = FeedbackScore::new(name, rounded);
        score.source = checks::not_null("source", self.source)?;
        if let ScoreSource::Other(_) = score.source {
            return Err(ApiError::invalid("source has an unknown value"));
        }
        score.category_name = self.category_name;
        score.reason = self.reason;
        score.source_queue_id = self.source_queue_id;
        let mut record = ScoreRecord::new(target, score);
        record.project_name = self.project_name;
        record.project_id = self.project_id;
        record.author = other_author(self.author);
        Ok(record)
    }
}

/// Stores scores; those that are results of assertions are kept as such.
async fn store(app: &App, records: Vec<ScoreRecord>) -> Result<Response, ApiError> {
    let is_assertion =
        |record: &ScoreRecord| record.score.category_name.as_deref() == Some(ASSERTION);
    let (assertions, scores): (Vec<_>, Vec<_>) = records.into_iter().partition(is_assertion);
    if !scores.is_empty() {
        let mut batch = Batch::default();
        batch.scores = scores;
        let report = app.store().export(&batch).await?;
        checks::all_accepted(&report)?;
    }
    let assertions: Vec<Assertion> = assertions.into_iter().filter_map(assertion).collect();
    if !assertions.is_empty() {
        app.store().put_assertions(assertions).await?;
    }
    Ok(no_content())
}

fn assertion(record: ScoreRecord) -> Option<Assertion> {
    let target = match record.target {
        ScoreTarget::Trace(id) => Target::Trace(id),
        ScoreTarget::Span(id) => Target::Span(id),
        _ => return None,
    };
    Some(Assertion {
        target,
        name: record.score.name,
        passed: record.score.value >= 0.5,
        reason: record.score.reason,
        source: record.score.source.as_str().to_owned(),
    })
}

async fn score_traces(
    State(app): State<App>,
    JsonBody(body): JsonBody<ScoresBody>,
) -> Result<Response, ApiError> {
    let records = checks::batch("scores", body.scores)?
        .into_iter()
        .map(|mut score| {
            let id = checks::not_null("id", score.id.take())?;
            let id = TraceId::from_bytes(checks::id_v7("trace", &id)?);
            score.into_record(ScoreTarget::Trace(id))
        })
        .collect::<Result<_, ApiError>>()?;
    store(&app, records).await
}

async fn score_spans(
    State(app): State<App>,
    JsonBody(body): JsonBody<ScoresBody>,
) -> Result<Response, ApiError> {
    let records = checks::batch("scores", body.scores)?
        .into_iter()
        .map(|mut score| {
            let id = checks::not_null("id", score.id.take())?;
            let id = SpanId::from_bytes(checks::id_v7("span", &id)?);
            score.into_record(ScoreTarget::Span(id))
        })
        .collect::<Result<_, ApiError>>()?;
    store(&app, records).await
}

async fn score_threads(
    State(app): State<App>,
    JsonBody(body): JsonBody<ScoresBody>,
) -> Result<Response, ApiError> {
    let mut threads = Vec::new();
    let records = checks::batch("scores", body.scores)?
        .into_iter()
        .map(|mut score| {
            let id = checks::not_blank("threadId", score.thread_id.take())?;
            threads.push((score.project_name.clone(), score.project_id, id.clone()));
            score.into_record(ScoreTarget::Thread(id))
        })
        .collect::<Result<_, ApiError>>()?;
    app.store().make_threads(threads).await?;
    store(&app, records).await
}

async fn score_trace(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    JsonBody(body): JsonBody<ScoreBody>,
) -> Result<Response, ApiError> {
    store(&app, vec![body.into_record(ScoreTarget::Trace(id))?]).await
}

async fn score_span(
    State(app): State<App>,
    PathId(id): PathId<SpanId>,
    JsonBody(body): JsonBody<ScoreBody>,
) -> Result<Response, ApiError> {
    store(&app, vec![body.into_record(ScoreTarget::Span(id))?]).await
}

async fn unscore(app: &App, target: ScoreTarget, body: UnscoreBody) -> Result<Response, ApiError> {
    let name = checks::not_blank("name", body.name)?;
    let author = other_author(body.author);
    app.store()
        .delete_scores(target, ProjectSelector::Any, vec![name], author)
        .await?;
    Ok(no_content())
}

async fn unscore_trace(
    State(app): State<App>,
    PathId(id): PathId<TraceId>,
    JsonBody(body): JsonBody<UnscoreBody>,
) -> Result<Response, ApiError> {
    unscore(&app, ScoreTarget::Trace(id), body).await
}

async fn unscore_span(
    State(app): State<App>,
    PathId(id): PathId<SpanId>,
    JsonBody(body): JsonBody<UnscoreBody>,
) -> Result<Response, ApiError> {
    unscore(&app, ScoreTarget::Span(id), body).await
}

async fn unscore_thread(
    State(app): State<App>,
    JsonBody(body): JsonBody<UnscoreBody>,
) -> Result<Response, ApiError> {
    let id = checks::not_blank("threadId", body.thread_id)?;
    let project = match (body.project_id, body.project_name) {
        (Some(id), _) => ProjectSelector::Id(id),
        (None, name) => ProjectSelector::Name(checks::not_blank("projectName", name)?),
    };
    let names = checks::batch("names", body.names)?;
    app.store()
        .delete_scores(
            ScoreTarget::Thread(id),
            project,
            names,
            other_author(body.author),
        )
        .await?;
    Ok(no_content())
}

async fn names(app: &App, kind: ScoredKind, params: &Params) -> Result<Json<Value>, ApiError> {
    let names = app
        .store()
        .score_names(kind, params.id("project_id")?)
        .await?;
    let scores: Vec<Value> = names
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect();
    Ok(Json(json!({"scores": scores})))
}

async fn trace_names(State(app): State<App>, params: Params) -> Result<Json<Value>, ApiError> {
    names(&app, ScoredKind::Traces, &params).await
}

async fn span_names(State(app): State<App>, params: Params) -> Result<Json<Value>, ApiError> {
    names(&app, ScoredKind::Spans, &params).await
}

async fn thread_names(State(app): State<App>, params: Params) -> Result<Json<Value>, ApiError> {
    names(&app, ScoredKind::Threads, &params).await
}

/// The names of scores of traces in several projects, or in all.
async fn names_of_projects(
    State(app): State<App>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let projects = match params.get("project_ids") {
        None => vec![None],
        Some(text) => {
            let ids: Vec<ProjectId> = serde_json::from_str(text).map_err(|_| {
                ApiError::bad_request(format!("Invalid query param project_ids '{text}'"))
            })?;
            ids.into_iter().map(Some).collect()
        }
    };
    let mut names = BTreeSet::new();
    for project in projects {
        names.extend(app.store().score_names(ScoredKind::Traces, project).await?);
    }
    let scores: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    Ok(Json(json!({"scores": scores})))
}
