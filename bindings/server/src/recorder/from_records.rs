//! Items of datasets that are made from traces and spans.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use opik_core::catalog::{DatasetCatalog as _, NewItem, PutItems};
use opik_core::query::SpanQuery;
use opik_core::{Comment, FeedbackScore, Usage};
use opik_core::{EntityId, Json, Span, SpanId, Trace, TraceId, TraceSource as _};
use serde::{Deserialize, Serialize};

use super::checks;
use super::walk::each_span;
use crate::app::App;
use crate::http::{ApiError, JsonBody, PathId, no_content};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/datasets/{id}/items/from-traces", post(from_traces))
        .route("/datasets/{id}/items/from-spans", post(from_spans))
}

/// What an item takes over beside input and output. The names are in camel case on the wire.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the switches of Opik's request, one by one"
)]
struct Options {
    include_spans: bool,
    include_tags: bool,
    include_feedback_scores: bool,
    include_comments: bool,
    include_usage: bool,
    include_metadata: bool,
}

#[derive(Debug, Deserialize)]
struct Body {
    trace_ids: Option<Vec<TraceId>>,
    span_ids: Option<Vec<SpanId>>,
    enrichment_options: Option<Options>,
    evaluators: Option<Json>,
    execution_policy: Option<Json>,
}

/// The content of an item, in Opik's names.
#[derive(Debug, Default, Serialize)]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_output: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spans: Option<Vec<Span>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback_scores: Option<Vec<FeedbackScore>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comments: Option<Vec<Comment>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
}

impl Body {
    fn item(&self, source: &str, content: &Content) -> Result<NewItem, ApiError> {
        let data = Json::from_serialize(content)
            .map_err(|_| ApiError::bad_request("a record cannot be made an item"))?;
        let mut item = NewItem::new(data);
        item.source = Some(source.to_owned());
        item.evaluators.clone_from(&self.evaluators);
        item.execution_policy.clone_from(&self.execution_policy);
        Ok(item)
    }
}

fn of_trace(trace: Trace, spans: Vec<Span>, wanted: Options) -> Content {
    Content {
        input: trace.input,
        // An item without any content is none.
        expected_output: trace.output.or_else(|| Some(Json::null())),
        spans: wanted.include_spans.then_some(spans),
        tags: wanted.include_tags.then_some(trace.tags),
        feedback_scores: wanted
            .include_feedback_scores
            .then_some(trace.feedback_scores),
        comments: wanted.include_comments.then_some(trace.comments),
        usage: wanted.include_usage.then_some(trace.usage),
        metadata: trace.metadata.filter(|_| wanted.include_metadata),
    }
}

fn of_span(span: Span, wanted: Options) -> Content {
    Content {
        input: span.input,
        expected_output: span.output.or_else(|| Some(Json::null())),
        spans: None,
        tags: wanted.include_tags.then_some(span.tags),
        feedback_scores: wanted
            .include_feedback_scores
            .then_some(span.feedback_scores),
        comments: wanted.include_comments.then_some(span.comments),
        usage: wanted.include_usage.then_some(span.usage),
        metadata: span.metadata.filter(|_| wanted.include_metadata),
    }
}

async fn spans_of(app: &App, trace: TraceId) -> Result<Vec<Span>, ApiError> {
    let mut query = SpanQuery::default();
    query.trace = Some(trace);
    let mut spans = Vec::new();
    each_span(app, query, |span| spans.push(span)).await?;
    Ok(spans)
}

async fn put(app: &App, dataset: EntityId, items: Vec<NewItem>) -> Result<Response, ApiError> {
    if !items.is_empty() {
        let put = PutItems::into_dataset(dataset, items).in_group(EntityId::generate());
        app.store().put_items(put).await?;
    }
    Ok(no_content())
}

/// Traces that are not there are passed over.
async fn from_traces(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(mut body): JsonBody<Body>,
) -> Result<Response, ApiError> {
    let wanted = checks::not_null("enrichmentOptions", body.enrichment_options)?;
    let mut items = Vec::new();
    for trace_id in checks::batch("traceIds", body.trace_ids.take())? {
        let Some(trace) = app.store().trace(trace_id).await? else {
            continue;
        };
        let spans = if wanted.include_spans {
            spans_of(&app, trace_id).await?
        } else {
            Vec::new()
        };
        let mut item = body.item("trace", &of_trace(trace, spans, wanted))?;
        item.trace_id = Some(EntityId::from_bytes(*trace_id.as_bytes()));
        items.push(item);
    }
    put(&app, id, items).await
}

/// Spans that are not there are passed over.
async fn from_spans(
    State(app): State<App>,
    PathId(id): PathId<EntityId>,
    JsonBody(mut body): JsonBody<Body>,
) -> Result<Response, ApiError> {
    let wanted = checks::not_null("enrichmentOptions", body.enrichment_options)?;
    let mut items = Vec::new();
    for span_id in checks::batch("spanIds", body.span_ids.take())? {
        let Some(span) = app.store().span(span_id).await? else {
            continue;
        };
        let trace = EntityId::from_bytes(*span.trace_id.as_bytes());
        let mut item = body.item("span", &of_span(span, wanted))?;
        item.trace_id = Some(trace);
        item.span_id = Some(EntityId::from_bytes(*span_id.as_bytes()));
        items.push(item);
    }
    put(&app, id, items).await
}
