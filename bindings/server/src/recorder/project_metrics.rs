//! What happened in a project over time, and in sum.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::query::{Entity, Filter, ProjectSelector, SpanQuery, TraceQuery, matches};
use opik_core::series::{Interval, Series};
use opik_core::{
    FeedbackScore, Json as Content, Project, ProjectId, Span, Thread, Timestamp, Trace,
};
use opik_store::records::ThreadQuery;
use serde::Deserialize;
use serde_json::{Value, json};

use super::checks;
use super::stats::Stats;
use super::walk::{each_span, each_trace};
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, PathId};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/projects/stats", get(stats))
        .route("/projects/{id}/metrics", post(metrics))
        .route("/projects/{id}/kpi-cards", post(cards))
        .route("/projects/{id}/token-usage/names", get(token_names))
}

async fn known(app: &App, id: ProjectId) -> Result<Project, ApiError> {
    let project = app.store().project(ProjectSelector::Id(id)).await?;
    project.ok_or_else(|| ApiError::not_found("Project not found"))
}

#[derive(Debug, Deserialize)]
struct MetricsBody {
    metric_type: Option<String>,
    interval: Option<String>,
    interval_start: Option<Timestamp>,
    interval_end: Option<Timestamp>,
    trace_filters: Option<Content>,
    span_filters: Option<Content>,
    thread_filters: Option<Content>,
    breakdown: Option<Breakdown>,
}

#[derive(Debug, Clone, Deserialize)]
struct Breakdown {
    field: Option<String>,
    metadata_key: Option<String>,
    sub_metric: Option<String>,
}

/// What becomes of the values of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gathered {
    Sum,
    Mean,
    Spread,
}

/// What a metric looks at, and how.
struct Metric {
    entity: Entity,
    what: &'static str,
    gathered: Gathered,
}

impl Metric {
    fn find(name: &str) -> Option<Self> {
        use Gathered::{Mean, Spread, Sum};
        let (entity, rest) = match name.split_once('_') {
            Some(("TRACE", rest)) => (Entity::Trace, rest),
            Some(("SPAN", rest)) => (Entity::Span, rest),
            Some(("THREAD", rest)) => (Entity::Thread, rest),
            _ => (Entity::Trace, name),
        };
        let (what, gathered) = match rest {
            "COUNT" => ("count", Sum),
            "DURATION" => ("duration", Spread),
            "AVERAGE_DURATION" => ("average_duration", Mean),
            "TOKEN_USAGE" => ("usage", Sum),
            "COST" => ("cost", Sum),
            "ERROR_RATE" => ("error_rate", Mean),
            "FEEDBACK_SCORES" => ("scores", Mean),
            "GUARDRAILS_FAILED_COUNT" => ("failed", Sum),
            _ => return None,
        };
        Some(Self {
            entity,
            what,
            gathered,
        })
    }

    fn counted(&self) -> &'static str {
        match self.entity {
            Entity::Span => "spans",
            Entity::Thread => "threads",
            _ => "traces",
        }
    }

    /// The values of a record, by the name of their line.
    fn values(&self, seen: &Seen<'_>) -> Vec<(String, f64)> {
        let one = |value: Option<f64>| {
            value
                .map(|value| vec![(self.what.to_owned(), value)])
                .unwrap_or_default()
        };
        match self.what {
            "count" => vec![(self.counted().to_owned(), 1.0)],
            "duration" | "average_duration" => one(seen.duration),
            "cost" => one(seen.cost),
            "error_rate" => one(Some(if seen.failed { 100.0 } else { 0.0 })),
            "failed" => one(Some(seen.failed_checks)),
            "usage" => {
                #[expect(clippy::cast_precision_loss, reason = "tokens are far below 2^53")]
                let tokens = |count: i64| count as f64;
                let usage = seen.usage.0.iter();
                usage
                    .map(|(name, count)| (name.clone(), tokens(*count)))
                    .collect()
            }
            _ => {
                let scores = seen.scores.iter();
                scores
                    .map(|score| (score.name.clone(), score.value))
                    .collect()
            }
        }
    }
}

/// What a metric needs of a record.
struct Seen<'r> {
    at: Option<Timestamp>,
    duration: Option<f64>,
    cost: Option<f64>,
    failed: bool,
    failed_checks: f64,
    usage: &'r opik_core::Usage,
    scores: &'r [FeedbackScore],
    groups: Vec<String>,
}

impl Breakdown {
    fn is_on(&self) -> bool {
        self.field.as_deref().is_some_and(|field| field != "none")
    }

    fn metadata(&self, metadata: Option<&Content>) -> Vec<String> {
        let key = self.metadata_key.as_deref().unwrap_or_default();
        let text = metadata.and_then(|json| matches::text_at(json.as_str(), key));
        vec![text.map(|text| text.into_owned()).unwrap_or_default()]
    }

    fn of_trace(&self, trace: &Trace) -> Vec<String> {
        match self.field.as_deref().unwrap_or_default() {
            "tags" => trace.tags.clone(),
            "metadata" => self.metadata(trace.metadata.as_ref()),
            "name" => vec![trace.name.clone().unwrap_or_default()],
            "error_info" | "error_type" => error_group(trace.error_info.as_ref()),
            "guardrail_name" => {
                let checks = trace
                    .guardrails_validations
                    .iter()
                    .flat_map(|it| &it.checks);
                checks.map(|check| check.name.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn of_span(&self, span: &Span) -> Vec<String> {
        match self.field.as_deref().unwrap_or_default() {
            "tags" => span.tags.clone(),
            "metadata" => self.metadata(span.metadata.as_ref()),
            "name" => vec![span.name.clone().unwrap_or_default()],
            "error_info" | "error_type" => error_group(span.error_info.as_ref()),
            "model" => vec![span.model.clone().unwrap_or_default()],
            "provider" => vec![span.provider.clone().unwrap_or_default()],
            "type" => vec![span.kind().as_str().to_owned()],
            _ => Vec::new(),
        }
    }
}

fn error_group(error: Option<&opik_core::ErrorInfo>) -> Vec<String> {
    vec![
        error
            .map(|it| it.exception_type.clone())
            .unwrap_or_default(),
    ]
}

fn seen_trace<'r>(trace: &'r Trace, breakdown: Option<&Breakdown>) -> Seen<'r> {
    let checks = trace
        .guardrails_validations
        .iter()
        .flat_map(|it| &it.checks);
    let failed = checks.filter(|check| check.result == "failed").count();
    Seen {
        at: trace.id.timestamp(),
        duration: trace.duration,
        cost: trace.total_estimated_cost,
        failed: trace.error_info.is_some(),
        failed_checks: f64::from(u32::try_from(failed).unwrap_or(u32::MAX)),
        usage: &trace.usage,
        scores: &trace.feedback_scores,
        groups: breakdown.map(|it| it.of_trace(trace)).unwrap_or_default(),
    }
}

fn seen_span<'r>(span: &'r Span, breakdown: Option<&Breakdown>) -> Seen<'r> {
    Seen {
        at: span.id.timestamp(),
        duration: span.duration,
        cost: span.total_estimated_cost,
        failed: span.error_info.is_some(),
        failed_checks: 0.0,
        usage: &span.usage,
        scores: &span.feedback_scores,
        groups: breakdown.map(|it| it.of_span(span)).unwrap_or_default(),
    }
}

fn seen_thread(thread: &Thread) -> Seen<'_> {
    Seen {
        at: thread.start_time,
        duration: thread.duration,
        cost: thread.total_estimated_cost,
        failed: false,
        failed_checks: 0.0,
        usage: &thread.usage,
        scores: &thread.feedback_scores,
        groups: Vec::new(),
    }
}

/// Gathers what a metric sees.
struct Gathering<'m> {
    metric: &'m Metric,
    breakdown: Option<&'m Breakdown>,
    from: Timestamp,
    to: Timestamp,
    series: Series,
}

impl Gathering<'_> {
    fn take(&mut self, seen: &Seen<'_>) {
        let Some(at) = seen.at.filter(|at| (self.from..self.to).contains(at)) else {
            return;
        };
        for (name, value) in self.metric.values(seen) {
            match self.breakdown {
                None => self.series.add(&name, at, value),
                Some(breakdown) => {
                    // A part of the metric, for example one score; everything without one.
                    let part = breakdown.sub_metric.as_deref();
                    if part.is_none_or(|part| part == name || part.starts_with(&format!("{name}.")))
                    {
                        for group in &seen.groups {
                            self.series.add(group, at, value);
                        }
                    }
                }
            }
        }
    }
}

async fn metrics(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    JsonBody(body): JsonBody<MetricsBody>,
) -> Result<Json<Value>, ApiError> {
    let name = checks::not_null("metricType", body.metric_type)?;
    let step = checks::not_null("interval", body.interval)?;
    let unknown = |field: &str| ApiError::bad_request(format!("{field} has an unknown value"));
    let metric = Metric::find(&name).ok_or_else(|| unknown("metric_type"))?;
    let interval = Interval::find(&step).ok_or_else(|| unknown("interval"))?;
    let from = checks::not_null("intervalStart", body.interval_start)?;
    let to = body.interval_end.unwrap_or_else(Timestamp::now);
    known(&app, id).await?;
    let series = Series::new(interval, from, to).ok_or_else(|| {
        ApiError::bad_request(
            "'interval_start' must be before 'interval_end', by at most 10000 steps",
        )
    })?;
    let filters = |filters: Option<&Content>, entity| {
        Filter::parse_list(entity, filters.map_or("", Content::as_str)).map_err(ApiError::from)
    };
    let breakdown = body.breakdown.as_ref().filter(|it| it.is_on());
    let with_content = breakdown.is_some_and(|it| it.field.as_deref() == Some("metadata"));
    let mut all = Gathering {
        metric: &metric,
        breakdown,
        from,
        to,
        series,
    };
    match metric.entity {
        Entity::Span => {
            let mut query = SpanQuery::default();
            query.without_content = !with_content;
            query.project = ProjectSelector::Id(id);
            query.filters = filters(body.span_filters.as_ref(), Entity::Span)?;
            (query.from, query.to) = (Some(from), Some(to));
            each_span(&app, query, |span| all.take(&seen_span(&span, breakdown))).await?;
        }
        Entity::Thread => {
            let mut query = ThreadQuery::new(ProjectSelector::Id(id));
            query.filters = filters(body.thread_filters.as_ref(), Entity::Thread)?;
            query.take = usize::MAX;
            let (threads, _) = app.store().threads(query).await?;
            threads
                .iter()
                .for_each(|thread| all.take(&seen_thread(thread)));
        }
        _ => {
            let mut query = TraceQuery::default();
            query.without_content = !with_content;
            query.project = ProjectSelector::Id(id);
            query.filters = filters(body.trace_filters.as_ref(), Entity::Trace)?;
            (query.from, query.to) = (Some(from), Some(to));
            each_trace(&app, query, |trace| {
                all.take(&seen_trace(&trace, breakdown));
            })
            .await?;
        }
    }
    let lines = match metric.gathered {
        Gathered::Sum => all.series.sums(),
        Gathered::Mean => all.series.means(),
        Gathered::Spread => all.series.spreads(),
    };
    Ok(Json(json!({
        "project_id": id,
        "metric_type": name,
        "interval": step,
        "results": lines,
    })))
}

#[derive(Debug, Deserialize)]
struct CardsBody {
    entity_type: Option<String>,
    filters: Option<Content>,
    interval_start: Option<Timestamp>,
    interval_end: Option<Timestamp>,
}

/// The four numbers of a card.
#[derive(Debug, Default, Clone, Copy)]
struct Card {
    count: f64,
    errors: f64,
    duration: f64,
    timed: f64,
    cost: f64,
}

impl Card {
    fn take(&mut self, seen: &Seen<'_>) {
        self.count += 1.0;
        self.errors += f64::from(u8::from(seen.failed));
        self.cost += seen.cost.unwrap_or(0.0);
        if let Some(duration) = seen.duration {
            self.duration += duration;
            self.timed += 1.0;
        }
    }

    fn average(&self) -> f64 {
        self.duration / self.timed.max(1.0)
    }
}

/// The interval, and the one of the same length before it.
async fn cards(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
    JsonBody(body): JsonBody<CardsBody>,
) -> Result<Json<Value>, ApiError> {
    let kind = checks::not_null("entityType", body.entity_type)?;
    let from = checks::not_null("intervalStart", body.interval_start)?;
    let to = body.interval_end.unwrap_or_else(Timestamp::now);
    if to <= from {
        return Err(ApiError::bad_request(
            "'interval_start' must be before 'interval_end'",
        ));
    }
    known(&app, id).await?;
    let before = from.plus_micros(-to.micros_since(from));
    let text: Option<String> = body.filters.as_ref().and_then(|json| json.decode().ok());
    let filters = |entity| {
        let own = body.filters.as_ref().map_or("", Content::as_str);
        Filter::parse_list(entity, text.as_deref().unwrap_or(own)).map_err(ApiError::from)
    };
    let (mut current, mut previous) = (Card::default(), Card::default());
    let mut take = |seen: &Seen<'_>| match seen.at {
        Some(at) if (from..to).contains(&at) => current.take(seen),
        Some(at) if (before..from).contains(&at) => previous.take(seen),
        _ => {}
    };
    match kind.as_str() {
        "traces" => {
            let mut query = TraceQuery::default();
            query.without_content = true;
            query.project = ProjectSelector::Id(id);
            query.filters = filters(Entity::Trace)?;
            (query.from, query.to) = (Some(before), Some(to));
            each_trace(&app, query, |trace| take(&seen_trace(&trace, None))).await?;
        }
        "spans" => {
            let mut query = SpanQuery::default();
            query.without_content = true;
            query.project = ProjectSelector::Id(id);
            query.filters = filters(Entity::Span)?;
            (query.from, query.to) = (Some(before), Some(to));
            each_span(&app, query, |span| take(&seen_span(&span, None))).await?;
        }
        "threads" => {
            let mut query = ThreadQuery::new(ProjectSelector::Id(id));
            query.filters = filters(Entity::Thread)?;
            query.take = usize::MAX;
            let (threads, _) = app.store().threads(query).await?;
            threads.iter().for_each(|thread| take(&seen_thread(thread)));
        }
        _ => return Err(ApiError::bad_request("entity_type has an unknown value")),
    }
    let card = |name: &str, of: fn(&Card) -> f64| json!({"type": name, "current_value": of(&current), "previous_value": of(&previous)});
    Ok(Json(json!({"stats": [
        card("count", |it| it.count),
        card("errors", |it| it.errors),
        card("avg_duration", Card::average),
        card("total_cost", |it| it.cost),
    ]})))
}

async fn token_names(
    State(app): State<App>,
    PathId(id): PathId<ProjectId>,
) -> Result<Json<Value>, ApiError> {
    known(&app, id).await?;
    let mut names = std::collections::BTreeSet::new();
    let mut query = TraceQuery::default();
    query.without_content = true;
    query.project = ProjectSelector::Id(id);
    each_trace(&app, query, |trace| names.extend(trace.usage.0.into_keys())).await?;
    Ok(Json(json!({"names": names})))
}

/// The statistics of a project.
pub(super) async fn of_project(app: &App, id: ProjectId) -> Result<Stats, ApiError> {
    let mut stats = Stats::default();
    let mut query = TraceQuery::default();
    query.without_content = true;
    query.project = ProjectSelector::Id(id);
    each_trace(app, query, |trace| stats.count_trace(&trace)).await?;
    Ok(stats)
}

/// The projects of a page of the list, with their sums.
async fn stats(State(app): State<App>, params: Params) -> Result<Json<Value>, ApiError> {
    let projects = super::projects::selected(&app, &params).await?;
    let (page, size) = params.page(10)?;
    let total = projects.len();
    let mut content = Vec::new();
    for project in projects
        .into_iter()
        .skip((page - 1).saturating_mul(size))
        .take(size)
    {
        if let Some(id) = project.id {
            content.push(of_project(&app, id).await?.of_project(id));
        }
    }
    Ok(Json(
        json!({"page": page, "size": content.len(), "total": total, "content": content}),
    ))
}
