//! Where everything is served.
//!
//! The same routes at `/`, `/api` and `/opik/api`, and under the configured prefix: base URLs of
//! clients include one of them, or none.

use std::any::Any;
use std::collections::BTreeSet;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use opik_core::TraceId;
use tower_http::catch_panic::CatchPanicLayer;

use super::{ApiError, admission, caller, limits};
use crate::app::App;
use crate::recorder;

/// Paths before `/v1/private` in the base URLs of clients.
const BASES: [&str; 3] = ["", "/api", "/opik/api"];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that a server serves.
pub(crate) fn router(app: App) -> Router {
    let private = guarded(recorder::private_routes(), &app);
    let api = recorder::public_routes().nest("/v1/private", private);
    let mut all = Router::new();
    let own = BASES.map(|base| format!("{}{base}", app.config().prefix()));
    // A prefix may be one of the paths that are there anyway.
    let bases: BTreeSet<&str> = BASES
        .into_iter()
        .chain(own.iter().map(String::as_str))
        .collect();
    for base in bases {
        all = mount(all, base, &api);
    }
    if app.config().serves_vyasa() {
        all = all.merge(guarded(recorder::vyasa_routes(""), &app));
        if !app.config().prefix().is_empty() {
            let own = recorder::vyasa_routes(app.config().prefix());
            all = all.merge(guarded(own, &app));
        }
    }
    all.fallback(async || ApiError::no_such_path())
        .method_not_allowed_fallback(async || {
            ApiError::message(
                StatusCode::METHOD_NOT_ALLOWED,
                "HTTP 405 Method Not Allowed",
            )
        })
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn(request_id))
        .with_state(app)
}

/// Lets those in who may ask, as often as they may, while there is room.
fn guarded(routes: Router<App>, app: &App) -> Router<App> {
    routes
        .layer(middleware::from_fn_with_state(
            app.clone(),
            admission::admit,
        ))
        .layer(middleware::from_fn_with_state(app.clone(), limits::meter))
        .layer(middleware::from_fn_with_state(app.clone(), caller::check))
}

fn mount(all: Router<App>, base: &str, api: &Router<App>) -> Router<App> {
    if base.is_empty() {
        all.merge(api.clone())
    } else {
        all.nest(base, api.clone())
    }
}

/// Gives every request and its answer an identifier: the client's own, or a new one.
pub(crate) async fn request_id(request: Request, next: Next) -> Response {
    let own = request.headers().get(&REQUEST_ID).filter(|id| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    let id = match own {
        Some(id) => Some(id.clone()),
        None => HeaderValue::from_str(&TraceId::generate().to_string()).ok(),
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    tracing::debug!(target: "opik_server", %method, path, status = response.status().as_u16(), "answered");
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn after_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!(target: "opik_server", "a handler panicked; this is a defect");
    ApiError::message(
        StatusCode::INTERNAL_SERVER_ERROR,
        "There was an error processing your request. It has been logged.",
    )
    .into_response()
}
