//! Which other origins' pages may ask, answered as Starlette answers.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::config::Origins;
use super::state::Assist;

const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";

impl Origins {
    fn allow(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::These(list) => list
                .iter()
                .any(|known| known.as_bytes() == origin.as_bytes()),
        }
    }
}

/// Answers preflight requests, and adds what browsers look for to all other answers.
pub(super) async fn cors(State(assist): State<Assist>, request: Request, next: Next) -> Response {
    let origins = &assist.config().origins;
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let asks = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS
        && let Some(method) = asks
    {
        return preflight(origins, &origin, method, request.headers());
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    if origins.allow(&origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

fn preflight(
    origins: &Origins,
    origin: &HeaderValue,
    method: &HeaderValue,
    asked: &HeaderMap,
) -> Response {
    let mut wrong = Vec::new();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::VARY, "Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if origins.allow(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    } else {
        wrong.push("origin");
    }
    if !METHODS
        .split(", ")
        .any(|known| known.as_bytes() == method.as_bytes())
    {
        wrong.push("method");
    }
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    let (status, body) = if wrong.is_empty() {
        (StatusCode::OK, "OK".to_owned())
    } else {
        let body = format!("Disallowed CORS {}", wrong.join(", "));
        (StatusCode::BAD_REQUEST, body)
    };
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
