//! The served part of Opik's API as an OpenAPI document.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::app::App;

/// The document; a test holds it against the routes.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/openapi.json", get(document))
}

async fn document() -> Response {
    let mut response = DOCUMENT.into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
