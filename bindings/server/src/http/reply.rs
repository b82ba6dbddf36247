//! Answers that have a form of their own.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use futures_util::StreamExt as _;
use serde::Serialize;

use super::ApiError;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct PageReply<T> {
    page: usize,
    /// How many there are in this page.
    size: usize,
    /// How many there are in all pages.
    total: u64,
    content: Vec<T>,
    /// The only name in camel case, as Opik has it.
    #[serde(rename = "sortableBy")]
    sortable_by: &'static [&'static str],
}

impl<T> PageReply<T> {
    /// A page that was cut already.
    pub(crate) fn new(
        page: usize,
        content: Vec<T>,
        total: u64,
        sortable_by: &'static [&'static str],
    ) -> Self {
        Self {
            page,
            size: content.len(),
            total,
            content,
            sortable_by,
        }
    }

    /// Cuts a page out of everything there is.
    pub(crate) fn of_all(
        all: Vec<T>,
        (page, size): (usize, usize),
        sortable_by: &'static [&'static str],
    ) -> Self {
        let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
        let skip = (page - 1).saturating_mul(size);
        let content = all.into_iter().skip(skip).take(size).collect();
        Self::new(page, content, total, sortable_by)
    }
}

/// About what a record of a page takes. The text grows beyond it where it has to.
const OF_A_RECORD: usize = 1 << 10;
const MOST_RESERVED: usize = 1 << 20;

impl<T: Serialize> IntoResponse for PageReply<T> {
    fn into_response(self) -> Response {
        let about = self.content.len().saturating_add(1) * OF_A_RECORD;
        // A vector takes the many small pieces of a text faster than what `axum::Json` writes to.
        let mut text = Vec::with_capacity(about.min(MOST_RESERVED));
        match serde_json::to_writer(&mut text, &self) {
            Ok(()) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(_) => ApiError::message(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the answer could not be written",
            )
            .into_response(),
        }
    }
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 201 with the place of what was made, under the path of the request, and no body.
pub(crate) fn created(uri: &Uri, id: impl std::fmt::Display) -> Response {
    let place = format!("{}/{id}", uri.path().trim_end_matches('/'));
    let mut response = StatusCode::CREATED.into_response();
    if let Ok(value) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// A stream of JSON objects, one a line, each line ended by `\r\n`. A failure after the first
/// line becomes a last line with `code` and `message`, since the status has been sent.
pub(crate) fn ndjson<T: Serialize>(
    items: impl Stream<Item = Result<Vec<T>, ApiError>> + Send + 'static,
) -> Response {
    let lines = items.map(|items| {
        let mut text = Vec::new();
        let mut failed = items.is_err();
        for item in items.unwrap_or_default() {
            failed |= serde_json::to_writer(&mut text, &item).is_err();
            text.extend_from_slice(b"\r\n");
        }
        if failed {
            text.extend_from_slice(
                b"{\"code\":500,\"message\":\"Streaming operation failed\"}\r\n",
            );
        }
        Ok::<_, std::convert::Infallible>(Bytes::from(text))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    response
}
