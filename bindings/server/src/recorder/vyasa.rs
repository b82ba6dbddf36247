//! The endpoints that Vyasa calls on what it takes for Opik: `/api/traces`, `/api/evals` and
//! `/api/prompts/{name}`. Served only where the configuration says so, since Opik has none of them.
//!
//! Events become traces and spans by the rules of [`opik_formats::VyasaPost`]. Records of an
//! evaluation become items of a dataset that is named after what they are; equal records are one
//! item, however often they are sent. Prompts are those of the catalogue.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use opik_core::catalog::{
    DatasetCatalog as _, NewDataset, NewItem, Numbered, ProjectChoice, PromptCatalog as _,
    PromptVersion, PromptVersionQuery, PutItems, VersionChoice,
};
use opik_core::query::SpanQuery;
use opik_core::{
    Batch, EntityId, Exporter as _, Json as Content, PageRequest, Span, Timestamp, TraceSource as _,
};
use opik_formats::{VyasaPost, VyasaStep};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::checks;
use crate::app::App;
use crate::http::{ApiError, JsonBody, Params, charge};

/// Spans of a job among which an event looks for its own: the newest.
const NEWEST: usize = 200;

/// Everything, with its whole path under `prefix`.
pub(crate) fn routes(prefix: &str) -> Router<App> {
    Router::new()
        .route(&format!("{prefix}/api/traces"), post(event))
        .route(&format!("{prefix}/api/evals"), post(evals))
        .route(&format!("{prefix}/api/prompts/{{name}}"), get(prompt))
}

async fn event(
    State(app): State<App>,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<Value>, ApiError> {
    let now = Timestamp::now();
    let post = VyasaPost::read(body, now).map_err(ApiError::invalid)?;
    charge(1)?;
    // Events of one job look at what the ones before wrote.
    let _turn = app.vyasa_turn().await;
    let anchor = match post.job_key() {
        Some(key) => {
            let starts = [(key.clone(), post.start())].into();
            let known = app.store().otlp_starts(starts).await?;
            known.get(&key).copied().unwrap_or(post.start())
        }
        None => post.start(),
    };
    let id = post.trace_id(anchor);
    let mut trace = post.trace(id, app.store().trace(id).await?);
    trace.last_updated_at = Some(now);
    let mut span = match post.step(id, &newest(&app, id).await?) {
        VyasaStep::New(span) => *span,
        VyasaStep::Change(known) => {
            let span = app.store().span(known).await?;
            let mut span = span.ok_or_else(|| ApiError::conflict("the span is being deleted"))?;
            post.apply(&mut span);
            span
        }
        _ => return Err(ApiError::invalid("run_type is not known")),
    };
    span.last_updated_at = Some(now);
    opik_core::prices::estimate(&mut span);
    let answer = json!({"trace_id": id, "span_id": span.id});
    let report = app
        .store()
        .export(&Batch::new(vec![trace], vec![span]))
        .await?;
    checks::all_accepted(&report)?;
    Ok(Json(answer))
}

async fn newest(app: &App, trace: opik_core::TraceId) -> Result<Vec<Span>, ApiError> {
    let mut query = SpanQuery::default();
    query.trace = Some(trace);
    query.without_content = true;
    query.page = PageRequest::first(NEWEST);
    Ok(app.store().search_spans(&query).await?.items)
}

#[derive(Debug, Deserialize)]
struct Evals {
    project: Option<String>,
    records: Option<Vec<Content>>,
}

async fn evals(
    State(app): State<App>,
    JsonBody(body): JsonBody<Evals>,
) -> Result<Json<Value>, ApiError> {
    let records = checks::not_null("records", body.records)?;
    charge(records.len())?;
    let project = body
        .project
        .as_deref()
        .filter(|name| !name.trim().is_empty());
    let name = name_of(records.first());
    let choice = ProjectChoice::named(project);
    let found = app.store().find_dataset(name, &choice).await?;
    let dataset = match found.filter(|found| !found.elsewhere) {
        Some(found) => found.record.id,
        None => {
            let mut new = NewDataset::new(name).in_project(project);
            new.tags = Some(vec!["vyasa".to_owned()]);
            app.store().create_dataset(new).await?
        }
    };
    let count = records.len();
    let mut new = Vec::new();
    for record in records {
        let item = item_of(dataset, record);
        if let Some(id) = item.id
            && app.store().item(id).await?.is_none()
        {
            new.push(item);
        }
    }
    let added = new.len();
    let group = EntityId::generate();
    while !new.is_empty() {
        let rest = new.split_off(new.len().min(checks::MOST_ITEMS));
        let put = PutItems::into_dataset(dataset, new).in_group(group);
        app.store().put_items(put).await?;
        new = rest;
    }
    Ok(Json(json!({
        "dataset_id": dataset, "dataset_name": name, "records": count, "added": added,
    })))
}

/// Vyasa's datasets have no name; their records tell what they are.
fn name_of(record: Option<&Content>) -> &'static str {
    #[derive(Deserialize)]
    struct Seen {
        table_id: Option<Content>,
        text: Option<Content>,
    }
    match record.and_then(|record| record.decode::<Seen>().ok()) {
        Some(Seen {
            table_id: Some(_), ..
        }) => "vyasa-precision",
        Some(Seen { text: Some(_), .. }) => "vyasa-tone",
        _ => "vyasa-evals",
    }
}

/// An item whose identifier follows from the dataset and the record.
fn item_of(dataset: EntityId, record: Content) -> NewItem {
    let is_object = record.as_str().trim_start().starts_with('{');
    let is_empty = is_object && record.to_value().is_ok_and(|value| value == json!({}));
    let data = if is_object && !is_empty {
        record
    } else {
        let value = record.to_value().unwrap_or(Value::Null);
        Content::from_value(&json!({"value": value}))
    };
    let hash = Sha256::new()
        .chain_update(dataset.as_bytes())
        .chain_update(data.as_str().as_bytes())
        .finalize();
    let random = hash
        .iter()
        .take(8)
        .fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
    let at = dataset.timestamp().unwrap_or_else(Timestamp::now);
    NewItem::new(data).with_id(EntityId::from_parts(at, random))
}

/// The version with the label, of that environment or with that commit. A prompt none of whose
/// versions has a label or an environment is not managed by them: its newest version is the one.
async fn prompt(
    State(app): State<App>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let unknown = || ApiError::not_found("Prompt not found");
    let found = app
        .store()
        .find_prompt(&name, &ProjectChoice::default(), &VersionChoice::default())
        .await?
        .ok_or_else(unknown)?;
    let mut query = PromptVersionQuery::of(found.record.id);
    query.page = Numbered::all();
    let versions = app.store().prompt_versions(&query).await?.items;
    let tag = params.get("tag");
    let version = chosen(&versions, tag).ok_or_else(|| {
        ApiError::not_found("Prompt has no version with this tag, environment or commit")
    })?;
    Ok(Json(json!({
        "name": found.record.name,
        "template": version.template,
        "type": version.version_type,
        "commit": version.commit,
        "version": version.version_number,
        "tag": tag,
    })))
}

/// Versions are given from the newest to the oldest.
fn chosen<'v>(versions: &'v [PromptVersion], tag: Option<&str>) -> Option<&'v PromptVersion> {
    let Some(tag) = tag else {
        return versions.first();
    };
    let is_managed = versions
        .iter()
        .any(|version| !version.tags.is_empty() || !version.environments.is_empty());
    let fits = |version: &&PromptVersion| {
        version.commit == tag
            || version.tags.iter().any(|known| known == tag)
            || version.environments.iter().any(|known| known == tag)
    };
    let fitting = versions.iter().find(fits);
    if is_managed {
        fitting
    } else {
        fitting.or(versions.first())
    }
}
