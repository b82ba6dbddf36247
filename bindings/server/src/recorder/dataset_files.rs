//! Datasets from files and as files.
//!
//! An upload is done when it is answered with 202, and so is an export: a job is only a note of
//! which version is meant, which reads the same for ever. Jobs are in memory, the latest hundred.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use opik_core::catalog::{DatasetCatalog as _, ItemQuery, NewItem, Numbered, PutItems};
use opik_core::{EntityId, Timestamp};
use opik_formats::{TableFormat, read_table, write_csv};
use serde::Serialize;

use super::checks::MOST_ITEMS;
use crate::app::App;
use crate::http::{ApiError, PathId, USER, no_content};

/// How many exports are known at once.
const MOST_JOBS: usize = 100;
/// How long an export is kept, in microseconds.
const KEPT: i64 = 24 * 3_600 * 1_000_000;

/// An export of a dataset.
#[derive(Debug, Clone, Serialize)]
struct Job {
    id: EntityId,
    dataset_id: EntityId,
    dataset_name: String,
    status: &'static str,
    created_at: Timestamp,
    last_updated_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    viewed_at: Option<Timestamp>,
    created_by: &'static str,
    last_updated_by: &'static str,
    /// The version that it is of; none where the dataset was empty.
    #[serde(skip)]
    version: Option<String>,
}

type Jobs = Arc<Mutex<VecDeque<Job>>>;

pub(super) fn routes() -> Router<App> {
    let jobs = Jobs::default();
    Router::new()
        .route("/datasets/{id}/export", post(export))
        .route("/datasets/export-jobs", get(list))
        .route("/datasets/export-jobs/{id}", get(find))
        .route("/datasets/export-jobs/{id}/download", get(download))
        .route("/datasets/export-jobs/{id}/mark-viewed", put(view))
        .route("/datasets/items/from-csv", post(from_csv))
        .route("/datasets/items/from-json", post(from_json))
        .layer(Extension(jobs))
        // The configured limit counts, see `parts`.
        .layer(DefaultBodyLimit::disable())
}

/// The parts of an upload.
#[derive(Debug, Default)]
struct Upload {
    file: Option<Vec<u8>>,
    dataset: Option<EntityId>,
    format: Option<String>,
}

async fn parts(app: &App, request: Request) -> Result<Upload, ApiError> {
    let wrong = || ApiError::bad_request("the body is not a form with a file and a dataset_id");
    let mut form = Multipart::from_request(request, app)
        .await
        .map_err(|_| wrong())?;
    let limit = app.config().largest_body();
    let mut upload = Upload::default();
    let mut left = limit;
    while let Some(mut field) = form.next_field().await.map_err(|_| wrong())? {
        let name = field.name().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|_| wrong())? {
            left = left.checked_sub(chunk.len()).ok_or_else(|| {
                let text = format!("the request body is over the limit of {limit} bytes");
                ApiError::message(StatusCode::PAYLOAD_TOO_LARGE, text)
            })?;
            bytes.extend_from_slice(&chunk);
        }
        let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
        match name.as_str() {
            "dataset_id" => upload.dataset = Some(text().parse().map_err(|_| wrong())?),
            "format" => upload.format = Some(text()),
            "file" => upload.file = Some(bytes),
            _ => {}
        }
    }
    Ok(upload)
}

/// Writes the rows of a file as one version.
async fn write(app: &App, upload: Upload, format: TableFormat) -> Result<Response, ApiError> {
    let missing = |field: &str| ApiError::bad_request(format!("{field} must not be null"));
    let dataset = upload.dataset.ok_or_else(|| missing("dataset_id"))?;
    let file = upload.file.ok_or_else(|| missing("file"))?;
    if app.store().dataset(dataset).await?.is_none() {
        return Err(ApiError::not_found("Dataset not found"));
    }
    let rows = tokio::task::spawn_blocking(move || read_table(format, &file))
        .await
        .map_err(|_| ApiError::bad_request("the file could not be read"))?
        .map_err(|error| ApiError::bad_request(format!("the file could not be read: {error}")))?;
    let group = EntityId::generate();
    for rows in rows.chunks(MOST_ITEMS) {
        let items = rows.iter().map(|row| {
            let mut item = NewItem::new(row.clone());
            item.source = Some("manual".to_owned());
            item
        });
        let put = PutItems::into_dataset(dataset, items.collect()).in_group(group);
        app.store().put_items(put).await?;
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn from_csv(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let upload = parts(&app, request).await?;
    write(&app, upload, TableFormat::Csv).await
}

async fn from_json(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let upload = parts(&app, request).await?;
    let format = match upload.format.as_deref() {
        Some("json") => TableFormat::Json,
        Some("jsonl") => TableFormat::Jsonl,
        _ => return Err(ApiError::bad_request("format must be json or jsonl")),
    };
    write(&app, upload, format).await
}

async fn export(
    State(app): State<App>,
    Extension(jobs): Extension<Jobs>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    let dataset = app.store().dataset(id).await?;
    let dataset = dataset.ok_or_else(|| ApiError::not_found("Dataset not found"))?;
    let now = Timestamp::now();
    let job = Job {
        id: EntityId::generate_at(now),
        dataset_id: id,
        dataset_name: dataset.name,
        status: "COMPLETED",
        created_at: now,
        last_updated_at: now,
        expires_at: now.plus_micros(KEPT),
        viewed_at: None,
        created_by: USER,
        last_updated_by: USER,
        version: dataset.latest_version.map(|version| version.version_hash),
    };
    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.push_front(job.clone());
    jobs.truncate(MOST_JOBS);
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}

fn live(jobs: &Jobs) -> Vec<Job> {
    let now = Timestamp::now();
    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.retain(|job| job.expires_at > now);
    jobs.iter().cloned().collect()
}

fn known(jobs: &Jobs, id: EntityId) -> Result<Job, ApiError> {
    let job = live(jobs).into_iter().find(|job| job.id == id);
    job.ok_or_else(|| ApiError::not_found(format!("Export job not found: '{id}'")))
}

async fn list(Extension(jobs): Extension<Jobs>) -> Json<Vec<Job>> {
    Json(live(&jobs))
}

async fn find(
    Extension(jobs): Extension<Jobs>,
    PathId(id): PathId<EntityId>,
) -> Result<Json<Job>, ApiError> {
    known(&jobs, id).map(Json)
}

async fn view(
    Extension(jobs): Extension<Jobs>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    known(&jobs, id)?;
    let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
        job.viewed_at = Some(Timestamp::now());
    }
    Ok(no_content())
}

/// The items of the version as CSV.
async fn download(
    State(app): State<App>,
    Extension(jobs): Extension<Jobs>,
    PathId(id): PathId<EntityId>,
) -> Result<Response, ApiError> {
    let job = known(&jobs, id)?;
    let mut rows = Vec::new();
    if let Some(version) = job.version {
        let mut query = ItemQuery::of(job.dataset_id);
        query.version = Some(version);
        query.page = Numbered::new(1, usize::MAX);
        rows = app.store().items(&query).await?.items;
    }
    let write = move || write_csv(&rows.into_iter().map(|item| item.data).collect::<Vec<_>>());
    let csv = tokio::task::spawn_blocking(write)
        .await
        .map_err(|_| ApiError::bad_request("the export could not be written"))?;
    let mut response = csv.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    let name = format!("attachment; filename=\"dataset-{}.csv\"", job.dataset_id);
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
