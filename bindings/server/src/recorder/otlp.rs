//! OTLP over HTTP: any program with OpenTelemetry records here.
//!
//! Protobuf or JSON, by `Content-Type`; the answer is of the same kind. Attributes of the GenAI and
//! OpenInference conventions become Opik's fields, by the table of `opik-formats`. A span that
//! cannot be used is counted in `partialSuccess` and costs only itself. The header `projectName`
//! names the project.
//!
//! A span with the attribute `opik.trace_id` belongs to that trace of the official SDK, below the
//! span `opik.parent_span_id`: programs hang a step of another service into a trace that way.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opik_core::query::matches;
use opik_core::{Batch, Exporter as _, Span, SpanId, TraceId, prices};
use opik_formats::{Format, Item, ReadOptions, Reader, otlp_from_protobuf, otlp_starts};
use serde_json::{Value, json};

use crate::app::App;
use crate::http::{ApiError, charge, collect, from_bytes, gunzip, is_gzip};

const PROTOBUF: &str = "application/x-protobuf";

pub(super) fn routes() -> Router<App> {
    Router::new().route("/otel/v1/traces", post(traces))
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with(PROTOBUF) || kind.starts_with("application/protobuf"))
}

fn unreadable(details: impl std::fmt::Display) -> ApiError {
    ApiError::message(StatusCode::BAD_REQUEST, "Unable to process OTLP request")
        .details(details.to_string())
}

async fn traces(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let limit = app.config().largest_body();
    let is_gzip = is_gzip(&request)?;
    let protobuf = is_protobuf(request.headers());
    let project = request
        .headers()
        .get("projectname")
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    let raw = collect(request.into_body(), limit).await?;
    let parse = move || -> Result<Value, ApiError> {
        let body = if is_gzip { gunzip(&raw, limit)? } else { raw };
        if protobuf {
            otlp_from_protobuf(&body).map_err(unreadable)
        } else {
            from_bytes(&body)
        }
    };
    let document = tokio::task::spawn_blocking(parse)
        .await
        .map_err(|_| unreadable("the body could not be read"))??;
    let mut rejected = 0_u64;
    let mut reason = None;
    if document
        .as_object()
        .is_some_and(|request| request.values().any(|groups| !groups.is_null()))
    {
        let starts = app.store().otlp_starts(otlp_starts(&document)).await?;
        let mut options = ReadOptions::default().format(Format::Otlp).starts(starts);
        if let Some(project) = project {
            options = options.project(project);
        }
        let text = document.to_string();
        for item in Reader::new(text.as_bytes(), options) {
            match item.map_err(unreadable)? {
                Item::Problem(problem) => {
                    rejected += 1;
                    reason.get_or_insert(problem.reason);
                }
                Item::Batch(mut batch) => {
                    attach(&mut batch);
                    charge(batch.spans.len())?;
                    for span in &mut batch.spans {
                        prices::estimate(span);
                    }
                    let report = app.store().export(&batch).await?;
                    if let Some(first) = report.rejected.first() {
                        reason.get_or_insert_with(|| first.reason.clone());
                    }
                    rejected += u64::try_from(report.rejected.len()).unwrap_or(0);
                }
            }
        }
    }
    Ok(answer(protobuf, rejected, reason.as_deref()))
}

/// Moves spans to the traces and below the spans that their attributes name, with everything else
/// of their OpenTelemetry trace.
fn attach(batch: &mut Batch) {
    let named = |span: &Span, name: &str| {
        let metadata = span.metadata.as_ref()?;
        matches::text_at(metadata.as_str(), name).map(|text| text.into_owned())
    };
    let mut traces: BTreeMap<TraceId, TraceId> = BTreeMap::new();
    let mut ids: BTreeMap<SpanId, SpanId> = BTreeMap::new();
    for span in &batch.spans {
        if let Some(trace) = named(span, "opik.trace_id").and_then(|it| it.parse().ok()) {
            traces.insert(span.trace_id, trace);
        }
        if let Some(id) = named(span, "opik.span_id").and_then(|it| it.parse().ok()) {
            ids.insert(span.id, id);
        }
    }
    if traces.is_empty() {
        return;
    }
    for span in &mut batch.spans {
        let Some(trace) = traces.get(&span.trace_id) else {
            continue;
        };
        let parent = named(span, "opik.parent_span_id").and_then(|it| it.parse().ok());
        let own = |id: SpanId| ids.get(&id).copied().unwrap_or(id);
        span.trace_id = *trace;
        span.parent_span_id = parent.or(span.parent_span_id.map(own));
        span.id = own(span.id);
    }
    batch.traces.retain(|trace| !traces.contains_key(&trace.id));
}

fn answer(protobuf: bool, rejected: u64, reason: Option<&str>) -> Response {
    if !protobuf {
        let body = match reason {
            None => json!({}),
            Some(reason) => json!({"partialSuccess": {
                // 64-bit numbers are texts in protobuf's JSON.
                "rejectedSpans": rejected.to_string(),
                "errorMessage": reason,
            }}),
        };
        return axum::Json(body).into_response();
    }
    let mut partial = Vec::new();
    if let Some(reason) = reason {
        partial.push(1 << 3);
        varint(&mut partial, rejected);
        partial.push((2 << 3) | 2);
        varint(&mut partial, u64::try_from(reason.len()).unwrap_or(0));
        partial.extend_from_slice(reason.as_bytes());
    }
    let mut body = Vec::new();
    if !partial.is_empty() {
        body.push((1 << 3) | 2);
        varint(&mut body, u64::try_from(partial.len()).unwrap_or(0));
        body.extend(partial);
    }
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}
