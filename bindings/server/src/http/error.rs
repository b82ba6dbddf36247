//! The two shapes that Opik's errors have.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use opik_core::catalog::{CatalogError, CatalogErrorKind};
use opik_core::exporter::ExportErrorKind;
use opik_core::query::FilterError;
use opik_core::source::SourceErrorKind;
use opik_core::{ExportError, SourceError};
use opik_store::StoreError;
use serde::Serialize;

/// An answer that is an error.
///
/// Opik has two shapes: `{"errors": ["..."]}` where its own checks speak, and
/// `{"code": 404, "message": "..."}` where its web framework does.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Shape,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shape {
    Errors {
        errors: Vec<String>,
    },
    Message {
        code: u16,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<String>,
    },
}

impl ApiError {
    /// `{"errors": [text]}`
    pub(crate) fn errors(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            body: Shape::Errors {
                errors: vec![text.into()],
            },
            headers: Vec::new(),
        }
    }

    /// `{"code": status, "message": text}`
    pub(crate) fn message(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            body: Shape::Message {
                code: status.as_u16(),
                message: text.into(),
                details: None,
            },
            headers: Vec::new(),
        }
    }

    /// The same error with details; only shown in the shape with a message.
    #[must_use]
    pub(crate) fn details(mut self, text: impl Into<String>) -> Self {
        if let Shape::Message { details, .. } = &mut self.body {
            *details = Some(text.into());
        }
        self
    }

    /// The same error with a header.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// 404 as the web framework says it: no such path, or a path whose identifier is no UUID.
    pub(crate) fn no_such_path() -> Self {
        Self::message(StatusCode::NOT_FOUND, "HTTP 404 Not Found")
    }

    /// 422: a constraint on a field does not hold, for example `ids size must be between 1 and 1000`.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::errors(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// 404 with `{"errors": [...]}`.
    pub(crate) fn not_found(text: impl Into<String>) -> Self {
        Self::errors(StatusCode::NOT_FOUND, text)
    }

    /// 409 with `{"errors": [...]}`.
    pub(crate) fn conflict(text: impl Into<String>) -> Self {
        Self::errors(StatusCode::CONFLICT, text)
    }

    /// 400 with `{"errors": [...]}`.
    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::errors(StatusCode::BAD_REQUEST, text)
    }

    /// 429: come back in some seconds.
    pub(crate) fn too_many(text: &str, seconds: u64) -> Self {
        let value = HeaderValue::from(seconds);
        Self::message(StatusCode::TOO_MANY_REQUESTS, text)
            .header("ratelimit-reset", value.clone())
            .header("retry-after", value)
    }

    fn internal() -> Self {
        Self::message(
            StatusCode::INTERNAL_SERVER_ERROR,
            "There was an error processing your request. It has been logged.",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// What the store cannot do now may work in a moment, and clients know how to wait.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::UnknownProject => Self::message(StatusCode::NOT_FOUND, "Project not found"),
            StoreError::InvalidQuery(text) => Self::bad_request(*text),
            StoreError::Busy(_) => Self::too_many("the store is busy", 1),
            _ => {
                tracing::error!(target: "opik_server", error = &error as &dyn std::error::Error, "the store failed");
                Self::internal()
            }
        }
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        match error.kind() {
            SourceErrorKind::UnknownProject => {
                Self::message(StatusCode::NOT_FOUND, "Project not found")
            }
            SourceErrorKind::InvalidQuery => Self::bad_request(error.to_string()),
            _ => {
                tracing::error!(target: "opik_server", error = &error as &dyn std::error::Error, "the store cannot be read");
                Self::internal()
            }
        }
    }
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error.kind() {
            ExportErrorKind::Unavailable | ExportErrorKind::Timeout => {
                Self::too_many("the store is busy", 1)
            }
            _ => {
                tracing::error!(target: "opik_server", error = &error as &dyn std::error::Error, "the store cannot be written");
                Self::internal()
            }
        }
    }
}

/// Its texts are those of Opik's own checks.
impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let text = error.to_string();
        match error.kind() {
            CatalogErrorKind::NotFound => Self::not_found(text),
            CatalogErrorKind::Conflict => Self::conflict(text),
            CatalogErrorKind::Invalid => Self::bad_request(text),
            CatalogErrorKind::Unprocessable => Self::invalid(text),
            CatalogErrorKind::Unavailable => Self::too_many("the store is busy", 1),
            _ => {
                tracing::error!(target: "opik_server", error = &error as &dyn std::error::Error, "the catalogue failed");
                Self::internal()
            }
        }
    }
}

/// As in a body; in a query parameter, see [`Params`](super::Params).
impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        match &error {
            FilterError::InvalidOperator { .. } | FilterError::InvalidValue { .. } => {
                Self::bad_request(error.to_string())
            }
            _ => Self::message(
                StatusCode::BAD_REQUEST,
                format!("Unable to process JSON. {error}"),
            ),
        }
    }
}
