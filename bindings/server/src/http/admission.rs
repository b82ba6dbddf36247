//! Room for request bodies: beyond it clients are told to come back, instead of memory growing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{ApiError, refuse};
use crate::app::{App, WEIGHT_UNIT};

/// How long a request waits for room before its client is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a body counts whose size is not known, in bytes.
const UNKNOWN: usize = 4 << 20;
/// How many times its size a compressed body counts.
const COMPRESSED: usize = 8;

/// Holds the room of a body until its request is answered.
pub(super) async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::DELETE
    ) {
        return next.run(request).await;
    }
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    let limit = app
        .config()
        .largest_body()
        .max(app.config().largest_attachment());
    if length.is_some_and(|length| length > limit) {
        let error = ApiError::message(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is over the limit of {limit} bytes"),
        );
        return refuse(request, error).await;
    }
    let mut bytes = length.unwrap_or(UNKNOWN);
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        bytes = bytes.saturating_mul(COMPRESSED);
    }
    let most = app.config().memory_for_bodies() / WEIGHT_UNIT;
    let units = (bytes / WEIGHT_UNIT + 1).min(most.max(1));
    let units = u32::try_from(units).unwrap_or(u32::MAX);
    let room = Arc::clone(app.room()).acquire_many_owned(units);
    match tokio::time::timeout(PATIENCE, room).await {
        // What is not done by then may be done all the same; sending it again changes nothing.
        Ok(Ok(_held)) => {
            match tokio::time::timeout(app.config().longest_wait(), next.run(request)).await {
                Ok(response) => response,
                Err(_) => ApiError::too_many("the store is slow; send it again", 5).into_response(),
            }
        }
        _ => {
            let error = ApiError::too_many("the server has as many requests as it can hold", 2);
            refuse(request, error).await
        }
    }
}
