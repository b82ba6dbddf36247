//! A real Opik, asked with the cookie and workspace of whoever asks us.
//!
//! The trace is read once, when it is opened; its spans are read page by page, all of them. What is
//! put into a path is encoded, so an identifier can never become a path or a query.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opik_core::query::{ProjectSelector, SpanQuery, TraceQuery};
use opik_core::source::SourceErrorKind;
use opik_core::{
    Cursor, Page, PageRequest, ProjectId, SourceError, Span, Trace, TraceId, TraceSource,
};
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Backend, Opened, Refusal};
use crate::assist::caller::Caller;

/// Most bytes of one answer.
const LARGEST: usize = 256 << 20;
/// Spans that are asked for at once; Opik gives at most as many.
const PAGE: usize = 2_000;

/// How Opik is talked to.
#[derive(Debug, Clone)]
pub(crate) struct OpikSettings {
    pub(crate) url: String,
    pub(crate) timeout: Duration,
    pub(crate) retry_statuses: Vec<u16>,
    pub(crate) attempts: u32,
    pub(crate) backoff: Duration,
}

/// An Opik server.
#[derive(Debug, Clone)]
pub(crate) struct OpikBackend(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    base: Url,
    settings: OpikSettings,
}

impl OpikBackend {
    /// # Errors
    /// What of the address or of the system does not fit.
    pub(crate) fn new(
        http: reqwest::Client,
        settings: OpikSettings,
    ) -> Result<Self, url_error::NotAnAddress> {
        let base = Url::parse(&settings.url)
            .ok()
            .filter(|url| !url.cannot_be_a_base())
            .ok_or(url_error::NotAnAddress)?;
        Ok(Self(Arc::new(Shared {
            http,
            base,
            settings,
        })))
    }
}

pub(crate) mod url_error {
    //! The one way in which an address can be wrong.

    /// The text is no address.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
    #[error("it is not an address of a server")]
    pub(crate) struct NotAnAddress;
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Status(u16),
    Timeout,
    Unreachable,
    Nonsense,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Status(401 | 403) => Self::Unauthorized,
            Failure::Status(400 | 404) => Self::NotFound,
            Failure::Status(429) => Self::TooMany,
            Failure::Timeout => Self::Timeout,
            Failure::Status(_) | Failure::Unreachable | Failure::Nonsense => Self::Unavailable,
        }
    }
}

impl Failure {
    fn error(self, call: &str) -> SourceError {
        let (kind, what) = match self {
            Self::Status(401 | 403) => (SourceErrorKind::Unauthorized, "not allowed".to_owned()),
            Self::Status(429) => (SourceErrorKind::RateLimited, "too many requests".to_owned()),
            Self::Status(status) => (SourceErrorKind::Unavailable, format!("status {status}")),
            Self::Timeout => (SourceErrorKind::Timeout, "no answer in time".to_owned()),
            Self::Unreachable => (SourceErrorKind::Unavailable, "not reachable".to_owned()),
            Self::Nonsense => (
                SourceErrorKind::Corrupt,
                "an answer of another form".to_owned(),
            ),
        };
        SourceError::new(kind, format!("{call}: {what}"))
    }
}

impl Shared {
    fn url(&self, path: &[&str]) -> Option<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .extend(path.iter());
        // `.` and `..` are resolved even when they are encoded.
        (!path.iter().any(|part| matches!(*part, "." | ".." | ""))).then_some(url)
    }

    /// Asks, and again where that may help.
    async fn call(
        &self,
        method: &Method,
        path: &[&str],
        headers: &HeaderMap,
        body: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        let url = self.url(path).ok_or(Failure::Status(404))?;
        let mut pause = self.settings.backoff;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(method, &url, headers, body).await {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => failure,
            };
            let again = match failure {
                Failure::Status(status) => self.settings.retry_statuses.contains(&status),
                Failure::Unreachable => true,
                Failure::Timeout | Failure::Nonsense => false,
            };
            if !again || attempt >= self.settings.attempts {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        // Not `Request::new`: the builder makes a header of a name and password in the address.
        let mut request = self
            .http
            .request(method.clone(), url.clone())
            .headers(headers.clone())
            .timeout(self.settings.timeout);
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(failure)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status().as_u16()));
        }
        whole(response).await
    }
}

/// The whole body; where it comes in one piece, that piece.
async fn whole(mut response: Response) -> Result<Bytes, Failure> {
    let (mut first, mut bytes) = (Bytes::new(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if first.len().max(bytes.len()) + chunk.len() > LARGEST {
            return Err(Failure::Nonsense);
        }
        if first.is_empty() {
            first = chunk;
            continue;
        }
        if bytes.is_empty() {
            bytes.extend_from_slice(&first);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(if bytes.is_empty() {
        first
    } else {
        bytes.into()
    })
}

#[expect(clippy::needless_pass_by_value, reason = "map_err gives it away")]
fn failure(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::Unreachable
    }
}

fn headers(caller: &Caller) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    let accept = HeaderValue::from_static("application/json, application/octet-stream");
    headers.insert("accept", accept);
    if let Some(token) = &caller.token {
        let cookie = format!("sessionToken={}", token.expose());
        let mut cookie = HeaderValue::from_str(&cookie).map_err(|_| Refusal::Unauthorized)?;
        cookie.set_sensitive(true);
        headers.insert(COOKIE, cookie);
    }
    if let Some(workspace) = &caller.workspace {
        let workspace =
            HeaderValue::from_bytes(workspace.as_bytes()).map_err(|_| Refusal::NotFound)?;
        headers.insert("comet-workspace", workspace);
    }
    Ok(headers)
}

/// The identifier, or one that stands for a text that is none.
fn identifier(trace: &str) -> TraceId {
    trace.parse().unwrap_or_else(|_| {
        let digest = Sha256::digest(trace.as_bytes());
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = from;
        }
        TraceId::from_bytes(bytes)
    })
}

#[async_trait]
impl Backend for OpikBackend {
    async fn open(&self, caller: &Caller, trace: &str) -> Result<Opened, Refusal> {
        let headers = headers(caller)?;
        let path = ["v1", "private", "traces", trace];
        let bytes = self.0.call(&Method::GET, &path, &headers, None).await?;
        let id = identifier(trace);
        let is_own = id.to_string() == trace;
        let head: Head = serde_json::from_slice(&bytes).map_err(|_| Refusal::Unavailable)?;
        let row: Trace = if is_own {
            serde_json::from_slice(&bytes).map_err(|_| Refusal::Unavailable)?
        } else {
            let mut document = serde_json::from_slice(&bytes).map_err(|_| Refusal::Unavailable)?;
            named(&mut document, "id", id);
            serde_json::from_value(document).map_err(|_| Refusal::Unavailable)?
        };
        Ok(Opened {
            id,
            source: Arc::new(OpikTraces {
                shared: Arc::clone(&self.0),
                headers,
                id,
                name: trace.to_owned(),
                is_own,
                project: head.project_id,
                row,
            }),
        })
    }

    async fn is_ready(&self) -> bool {
        let (path, headers) = (["is-alive", "ping"], HeaderMap::new());
        self.0
            .call(&Method::GET, &path, &headers, None)
            .await
            .is_ok()
    }
}

fn named(document: &mut Value, field: &str, id: TraceId) {
    if let Some(value) = document.get_mut(field) {
        *value = Value::from(id.to_string());
    }
}

/// What of a trace is needed as it was written.
#[derive(Debug, serde::Deserialize)]
struct Head {
    #[serde(default)]
    project_id: Option<String>,
}

/// One trace, and what lies beside it in its project, as one caller may see it.
#[derive(Debug)]
struct OpikTraces {
    shared: Arc<Shared>,
    headers: HeaderMap,
    id: TraceId,
    /// The identifier as the path had it.
    name: String,
    /// Whether it is one, so that records need not be told another.
    is_own: bool,
    project: Option<String>,
    row: Trace,
}

impl OpikTraces {
    /// Records of a stream of JSON lines.
    async fn search<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<Vec<T>, SourceError> {
        let call = || path.join("/");
        let bytes = self
            .shared
            .call(&Method::POST, path, &self.headers, Some(body))
            .await
            .map_err(|failure| failure.error(&call()))?;
        let broken = || Failure::Nonsense.error(&call());
        let text = std::str::from_utf8(&bytes).map_err(|_| broken())?;
        let mut records = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if self.is_own
                && let Ok(record) = serde_json::from_str(line)
            {
                records.push(record);
                continue;
            }
            let mut record: Value = serde_json::from_str(line).map_err(|_| broken())?;
            // An error in the middle of a stream whose status was 200.
            if record.get("code").is_some() && record.get("message").is_some() {
                return Err(Failure::Status(500).error(&call()));
            }
            if record.get("trace_id").and_then(Value::as_str) == Some(self.name.as_str()) {
                named(&mut record, "trace_id", self.id);
            }
            records.push(serde_json::from_value(record).map_err(|_| broken())?);
        }
        Ok(records)
    }

    fn body(&self) -> serde_json::Map<String, Value> {
        let mut body = serde_json::Map::new();
        if let Some(project) = &self.project {
            body.insert("project_id".to_owned(), Value::from(project.as_str()));
        }
        body
    }

    /// Whether a query stays inside of the project of the trace.
    fn confined(&self, project: &ProjectSelector) -> bool {
        let own: Option<ProjectId> = self.project.as_deref().and_then(|id| id.parse().ok());
        match project {
            ProjectSelector::Id(id) => own == Some(*id),
            ProjectSelector::Name(name) => self.row.project_name.as_deref() == Some(name.as_str()),
            _ => false,
        }
    }
}

fn outside() -> SourceError {
    SourceError::new(
        SourceErrorKind::InvalidQuery,
        "only the project of the trace can be searched, newest first, without words",
    )
}

#[async_trait]
impl TraceSource for OpikTraces {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        if id == self.id {
            return Ok(Some(self.row.clone()));
        }
        let name = id.to_string();
        let path = ["v1", "private", "traces", name.as_str()];
        match self
            .shared
            .call(&Method::GET, &path, &self.headers, None)
            .await
        {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| Failure::Nonsense.error("traces")),
            Err(Failure::Status(404)) => Ok(None),
            Err(failure) => Err(failure.error("traces")),
        }
    }

    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        let mut body = self.body();
        let name = if trace == self.id {
            self.name.clone()
        } else {
            trace.to_string()
        };
        body.insert("trace_id".to_owned(), Value::from(name));
        body.insert("limit".to_owned(), json!(PAGE));
        body.insert("truncate".to_owned(), json!(false));
        if let Some(cursor) = page.cursor() {
            body.insert("last_retrieved_id".to_owned(), json!(cursor.as_str()));
        }
        let path = ["v1", "private", "spans", "search"];
        let found = self.search::<Span>(&path, &Value::Object(body)).await;
        let items = match found {
            Ok(items) => items,
            // As in the Python program, a conversation about the trace itself goes on.
            Err(error) if page.cursor().is_none() && !error_is_refusal(&error) => {
                tracing::warn!(target: "opik_server", error = &error as &dyn std::error::Error, "the spans of a trace cannot be read");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let last = items.last().map(|span| span.id.to_string());
        let next = last.filter(|last| {
            items.len() == PAGE && page.cursor().map(Cursor::as_str) != Some(last.as_str())
        });
        Ok(Page {
            items,
            next: next.map(Cursor::new),
        })
    }

    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        let plain = query.sort.is_none() && query.text.is_none() && query.filters.is_empty();
        if !plain || !self.confined(&query.project) {
            return Err(outside());
        }
        let mut body = self.body();
        body.insert("limit".to_owned(), json!(query.page.limit()));
        body.insert("truncate".to_owned(), json!(query.without_content));
        if let Some(cursor) = query.page.cursor() {
            body.insert("last_retrieved_id".to_owned(), json!(cursor.as_str()));
        }
        let path = ["v1", "private", "traces", "search"];
        let items: Vec<Trace> = self.search(&path, &Value::Object(body)).await?;
        let last = items.last().map(|trace| Cursor::new(trace.id.to_string()));
        let next = last.filter(|_| items.len() == query.page.limit());
        Ok(Page { items, next })
    }

    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        let plain = query.sort.is_none() && query.text.is_none() && query.filters.is_empty();
        if !plain || !self.confined(&query.project) {
            return Err(outside());
        }
        let mut body = self.body();
        body.insert("limit".to_owned(), json!(query.page.limit()));
        body.insert("truncate".to_owned(), json!(query.without_content));
        if let Some(cursor) = query.page.cursor() {
            body.insert("last_retrieved_id".to_owned(), json!(cursor.as_str()));
        }
        let path = ["v1", "private", "spans", "search"];
        let items: Vec<Span> = self.search(&path, &Value::Object(body)).await?;
        let last = items.last().map(|span| Cursor::new(span.id.to_string()));
        let next = last.filter(|_| items.len() == query.page.limit());
        Ok(Page { items, next })
    }
}

fn error_is_refusal(error: &SourceError) -> bool {
    matches!(
        error.kind(),
        SourceErrorKind::Unauthorized | SourceErrorKind::RateLimited
    )
}
