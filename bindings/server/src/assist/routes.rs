//! Where the assistant's endpoints are.

use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, put};
use tower_http::catch_panic::CatchPanicLayer;

use super::cors::cors;
use super::detail::Detail;
use super::state::Assist;
use super::{chat, feedback, health, history, metrics};
use crate::http::request_id;

/// Longest identifier of a trace: with the prefix of sessions it has to fit 128 characters.
const LONGEST: usize = 100;
/// Largest body of a request.
const BODY: usize = 1 << 20;

/// An endpoint that names one method where another one is asked for, as the Python program does.
fn only<S: Clone + Send + Sync + 'static>(
    endpoint: MethodRouter<S>,
    allow: &'static str,
) -> MethodRouter<S> {
    endpoint.fallback(async move || Detail::method_not_allowed(allow))
}

fn endpoints() -> Router<Assist> {
    let head = async || Detail::method_not_allowed("GET");
    Router::new()
        .route("/healthz", only(get(health::healthz).head(head), "GET"))
        .route("/ready", only(get(health::ready).head(head), "GET"))
        .route("/metrics", only(get(metrics::metrics).head(head), "GET"))
        .route(
            "/openapi.json",
            only(get(health::openapi).head(head), "GET"),
        )
        .route(
            "/trace-analyzer/session/{trace}",
            only(
                get(history::read)
                    .head(head)
                    .post(chat::ask)
                    .delete(history::delete),
                "GET",
            ),
        )
        .route(
            "/trace-analyzer/session/{trace}/events",
            only(get(chat::join).head(head), "GET"),
        )
        .route(
            "/trace-analyzer/session/{trace}/feedback",
            only(put(feedback::put).delete(feedback::delete), "PUT"),
        )
        .layer(DefaultBodyLimit::max(BODY))
}

/// The assistant alone, beside a real Opik.
pub(super) fn alone(assist: Assist) -> Router {
    let prefix = assist.config().prefix.clone();
    let here = if prefix.is_empty() {
        endpoints()
    } else {
        Router::new().nest(&prefix, endpoints())
    };
    here.fallback(async move |request: Request| elsewhere(&prefix, &request))
        // Together: each layer by itself puts every route into another box. The first is the outermost.
        .layer((
            middleware::from_fn(request_id),
            middleware::from_fn_with_state(assist.clone(), noted),
            CatchPanicLayer::custom(after_panic),
            middleware::from_fn_with_state(assist.clone(), cors),
        ))
        .with_state(assist)
}

/// Counts an answer, and writes a line about it: no query, header or body.
async fn noted(State(assist): State<Assist>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begin = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    assist.metrics().answered(method.as_str(), status);
    assist.monitor().answered(method.as_str(), &path, status);
    let millis = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(target: "opik_server::access", %method, %path, status, millis, "answered");
    response
}

/// The assistant's endpoints for a router that serves more; under the prefix as well.
pub(crate) fn standalone(assist: Assist, prefix: &str) -> Router {
    let here = endpoints().layer((
        middleware::from_fn_with_state(assist.clone(), noted),
        middleware::from_fn_with_state(assist.clone(), cors),
    ));
    let all = match prefix {
        "" => here,
        prefix => here.clone().nest(prefix, here),
    };
    all.with_state(assist)
}

/// A path with a slash too many is told where it belongs; another one is not there.
fn elsewhere(prefix: &str, request: &Request) -> Response {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    let inner = trimmed.strip_prefix(prefix).unwrap_or("");
    let parts: Vec<&str> = inner.split('/').skip(1).collect();
    let is_known = matches!(
        parts.as_slice(),
        ["healthz" | "ready" | "metrics" | "openapi.json"]
            | ["trace-analyzer", "session", _]
            | ["trace-analyzer", "session", _, "feedback" | "events"]
    );
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if path.ends_with('/')
        && is_known
        && let Some(host) = host
    {
        return redirect(host, trimmed, request.uri());
    }
    Detail::no_such_path().into_response()
}

fn redirect(host: &str, path: &str, uri: &Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}"));
    let location = format!("http://{host}{path}{}", query.unwrap_or_default());
    let Ok(location) = HeaderValue::from_str(&location) else {
        return Detail::no_such_path().into_response();
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The identifier of a trace in a path.
///
/// # Errors
/// 404 where it contains a slash, 422 where it is too long for any store.
pub(super) fn trace_name(trace: &str) -> Result<&str, Detail> {
    if trace.contains('/') || trace.is_empty() || trace.chars().any(char::is_control) {
        return Err(Detail::no_such_path());
    }
    if trace.chars().count() > LONGEST {
        return Err(Detail::told(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Too long",
            &format!("The identifier of the trace has more than {LONGEST} characters."),
        ));
    }
    Ok(trace)
}

fn after_panic(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!(target: "opik_server", "a handler panicked; this is a defect");
    Detail::told(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal server error",
        "An internal error occurred. Try again.",
    )
    .into_response()
}
