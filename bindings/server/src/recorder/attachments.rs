//! Files of traces and spans.
//!
//! Opik hands out URLs to upload to; ours point back here, in the mode in which the whole file
//! goes to one URL and nothing has to be completed.

use axum::body::Bytes;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use opik_core::{ProjectId, SpanId, TraceId};
use opik_store::records::{AttachmentKey, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks;
use crate::app::App;
use crate::http::{ApiError, Caller, JsonBody, PageReply, Params, collect, no_content};

/// The identifier of an upload that tells clients to send the whole file to the first URL.
const WHOLE_FILE: &str = "BEMinIO";
const ANY_TYPE: &str = "application/octet-stream";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/attachment/upload-start", post(start))
        .route("/attachment/upload", put(upload))
        .route("/attachment/upload-complete", post(complete))
        .route("/attachment/list", get(list))
        .route("/attachment/download", get(download))
        .route("/attachment/delete", post(delete))
}

#[derive(Debug, Deserialize)]
struct StartBody {
    file_name: Option<String>,
    mime_type: Option<String>,
    project_name: Option<String>,
    entity_type: Option<String>,
    entity_id: Option<String>,
    path: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DeleteBody {
    file_names: Option<Vec<String>>,
    entity_type: Option<String>,
    entity_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    link: String,
    file_name: String,
    file_size: u64,
    mime_type: String,
}

fn target(kind: &str, id: &str) -> Result<Target, ApiError> {
    match kind {
        "trace" => id.parse::<TraceId>().map(Target::Trace).ok(),
        "span" => id.parse::<SpanId>().map(Target::Span).ok(),
        _ => return Err(ApiError::bad_request("entity_type must be trace or span")),
    }
    .ok_or_else(ApiError::no_such_path)
}

/// Base64 of either alphabet, with padding or without.
fn decoded(path: &str) -> Result<String, ApiError> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    // A plus sign that was not escaped arrives as a blank.
    let path = path.replace('-', "+").replace('_', "/").replace(' ', "+");
    let bytes = engine
        .decode(path)
        .map_err(|_| ApiError::bad_request("path is not base64"))?;
    let base = String::from_utf8(bytes).map_err(|_| ApiError::bad_request("path is not text"))?;
    Ok(base.trim_end_matches('/').to_owned())
}

/// A value of a query, with everything escaped that is not plain.
fn escaped(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

async fn start(JsonBody(body): JsonBody<StartBody>) -> Result<Json<Value>, ApiError> {
    let file_name = checks::not_blank("fileName", body.file_name)?;
    let kind = checks::not_null("entityType", body.entity_type)?;
    let id = checks::not_null("entityId", body.entity_id)?;
    target(&kind, &id)?;
    let base = decoded(&checks::not_blank("path", body.path)?)?;
    let mime = body.mime_type.unwrap_or_else(|| ANY_TYPE.to_owned());
    let mut url = format!(
        "{base}/v1/private/attachment/upload?file_name={}&mime_type={}&entity_type={kind}&entity_id={id}",
        escaped(&file_name),
        escaped(&mime)
    );
    if let Some(project) = &body.project_name {
        url.push_str("&project_name=");
        url.push_str(&escaped(project));
    }
    Ok(Json(
        json!({"upload_id": WHOLE_FILE, "pre_sign_urls": [url]}),
    ))
}

async fn upload(
    State(app): State<App>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let key = AttachmentKey {
        target: target(
            params.required("entity_type")?,
            params.required("entity_id")?,
        )?,
        file_name: params.required("file_name")?.to_owned(),
    };
    let project = params.get("project_name").map(str::to_owned);
    let mime = params.get("mime_type").unwrap_or(ANY_TYPE).to_owned();
    let content = collect(request.into_body(), app.config().largest_attachment()).await?;
    app.store()
        .put_attachment(key, project, mime, content.into())
        .await?;
    Ok(no_content())
}

/// Nothing is left to do; clients that upload in parts call this.
async fn complete(JsonBody(_): JsonBody<Value>) -> Response {
    no_content()
}

async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    params: Params,
) -> Result<PageReply<Listed>, ApiError> {
    let kind = params.required("entity_type")?;
    let id = params.required("entity_id")?;
    let on = target(kind, id)?;
    let base = decoded(params.required("path")?)?;
    let project: ProjectId = params
        .id("project_id")?
        .ok_or_else(|| ApiError::bad_request("query param project_id must not be null"))?;
    let files = app.store().attachments(on, project).await?;
    let listed = files.into_iter().map(|file| Listed {
        link: format!(
            "{base}/v1/private/attachment/download?workspace_name={}&container_id={project}\
             &file_name={}&mime_type={}&entity_type={kind}&entity_id={id}",
            escaped(&caller.workspace),
            escaped(&file.file_name),
            escaped(&file.mime_type)
        ),
        file_name: file.file_name,
        file_size: file.file_size,
        mime_type: file.mime_type,
    });
    Ok(PageReply::of_all(listed.collect(), params.page(100)?, &[]))
}

async fn download(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let key = AttachmentKey {
        target: target(
            params.required("entity_type")?,
            params.required("entity_id")?,
        )?,
        file_name: params.required("file_name")?.to_owned(),
    };
    let (file, content) = app
        .store()
        .attachment(key)
        .await?
        .ok_or_else(ApiError::no_such_path)?;
    let mut response = (StatusCode::OK, Bytes::from(content)).into_response();
    let headers = response.headers_mut();
    // Whatever a file says that it is, no browser runs it here.
    let mime = HeaderValue::from_str(&file.mime_type)
        .unwrap_or_else(|_| HeaderValue::from_static(ANY_TYPE));
    headers.insert(header::CONTENT_TYPE, mime);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let disposition = format!("attachment; filename*=UTF-8''{}", escaped(&file.file_name));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn delete(
    State(app): State<App>,
    JsonBody(body): JsonBody<DeleteBody>,
) -> Result<Response, ApiError> {
    let kind = checks::not_null("entityType", body.entity_type)?;
    let id = checks::not_null("entityId", body.entity_id)?;
    let on = target(&kind, &id)?;
    let keys = checks::batch("fileNames", body.file_names)?
        .into_iter()
        .map(|file_name| AttachmentKey {
            target: on,
            file_name,
        })
        .collect();
    app.store().delete_attachments(keys).await?;
    Ok(no_content())
}
