//! Errors in the words of the Python program's framework.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use serde_json::{Value, json};

/// An answer that is an error.
///
/// The body is `{"detail": ...}` as FastAPI has it. Where a person may read it, `message` stands
/// beside it, because that is where the page looks.
#[derive(Debug)]
pub(crate) struct Detail {
    status: StatusCode,
    body: String,
    allow: Option<&'static str>,
    retry_after: Option<u64>,
}

impl Detail {
    fn of(status: StatusCode, body: String) -> Self {
        Self {
            status,
            body,
            allow: None,
            retry_after: None,
        }
    }

    /// `{"detail": text}`
    pub(crate) fn text(status: StatusCode, text: &str) -> Self {
        Self::of(status, json!({"detail": text}).to_string())
    }

    /// `{"detail": {"error": ..., "message": ...}}` exactly as the Python program has it.
    pub(crate) fn pair(status: StatusCode, error: &str, message: &str) -> Self {
        let body = json!({"detail": {"error": error, "message": message}});
        Self::of(status, body.to_string())
    }

    /// The same with `message` at the top as well; for answers that the Python program has not.
    pub(crate) fn told(status: StatusCode, error: &str, message: &str) -> Self {
        let body = json!({"detail": {"error": error, "message": message}, "message": message});
        Self::of(status, body.to_string())
    }

    /// 422 with the problems of a body, each a JSON object.
    pub(crate) fn problems(problems: &[String]) -> Self {
        let body = format!("{{\"detail\":[{}]}}", problems.join(","));
        Self::of(StatusCode::UNPROCESSABLE_ENTITY, body)
    }

    pub(crate) fn no_such_path() -> Self {
        Self::text(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(crate) fn no_session() -> Self {
        Self::text(StatusCode::NOT_FOUND, "Session not found")
    }

    /// 405. The Python program names one method, whichever there are.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut detail = Self::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        detail.allow = Some(allow);
        detail
    }

    /// 429, to be tried again in some seconds.
    pub(crate) fn too_many(message: &str, seconds: u64) -> Self {
        let mut detail = Self::told(StatusCode::TOO_MANY_REQUESTS, "Too many requests", message);
        detail.retry_after = Some(seconds.max(1));
        detail
    }
}

impl IntoResponse for Detail {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, self.body);
        let headers = response.headers_mut();
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A JSON document that is ready.
pub(crate) fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        // The words of RFC 9110, which the Python program sends.
        let words = ReasonPhrase::from_static(b"Unprocessable Content");
        response.extensions_mut().insert(words);
    }
    response
}

/// A problem of a field, as pydantic words it.
pub(crate) fn problem(kind: &str, place: &Value, message: &str, input: &str) -> String {
    // The order of the fields is that of the Python program.
    format!(
        "{{\"type\":{},\"loc\":{place},\"msg\":{},\"input\":{input}}}",
        Value::from(kind),
        Value::from(message)
    )
}
