//! What the resources of the catalogue share.

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use opik_core::catalog::{Column, Condition, Fields, Found, Listing, Numbered, Order, check_count};
use opik_core::{EntityId, Json};
use serde::{Deserialize, Serialize};

use crate::http::{ApiError, PageReply, Params};

/// `{"ids": [...]}`
#[derive(Debug, Deserialize)]
pub(super) struct Ids {
    ids: Option<Vec<EntityId>>,
}

impl Ids {
    /// 1 to 1,000 of them: 422 else.
    pub(super) fn get(self) -> Result<Vec<EntityId>, ApiError> {
        let ids = self.ids.unwrap_or_default();
        check_count(ids.len(), "ids")?;
        Ok(ids)
    }
}

/// The page that a list is asked for.
pub(super) fn page(params: &Params, default_size: usize) -> Result<Numbered, ApiError> {
    let (page, size) = params.page(default_size)?;
    Ok(Numbered::new(page, size))
}

/// The conditions that a list is asked for.
pub(super) fn conditions(params: &Params, fields: Fields) -> Result<Vec<Condition>, ApiError> {
    let text = params.get("filters").unwrap_or_default();
    Ok(Condition::parse_list(fields, text)?)
}

/// The order that a list is asked for.
pub(super) fn order(params: &Params, fields: Fields) -> Result<Option<Order>, ApiError> {
    let text = params.get("sorting").unwrap_or_default();
    Order::parse(fields, text)
        .map_err(|_| ApiError::bad_request(format!("Invalid sorting query parameter '{text}'")))
}

/// Filters in a body: a list, or a text with one inside.
pub(super) fn filters(json: Option<&Json>, fields: Fields) -> Result<Vec<Condition>, ApiError> {
    let Some(json) = json else {
        return Ok(Vec::new());
    };
    let inside: Option<String> = json.decode().ok();
    let text = inside.as_deref().unwrap_or(json.as_str());
    Ok(Condition::parse_list(fields, text)?)
}

/// A page as an answer.
pub(super) fn reply<T>(
    page: Numbered,
    listing: Listing<T>,
    sortable_by: &'static [&'static str],
) -> PageReply<T> {
    let total = u64::try_from(listing.total).unwrap_or(u64::MAX);
    PageReply::new(page.page(), listing.items, total, sortable_by)
}

/// A page of what has columns.
#[derive(Debug, Serialize)]
pub(super) struct WithColumns<T> {
    #[serde(flatten)]
    page: PageReply<T>,
    columns: Vec<Column>,
}

impl<T> WithColumns<T> {
    pub(super) fn new(page: PageReply<T>, columns: Vec<Column>) -> Self {
        Self { page, columns }
    }
}

impl<T: Serialize> IntoResponse for WithColumns<T> {
    fn into_response(self) -> Response {
        axum::Json(self).into_response()
    }
}

/// What a look-up by name found, with a warning for clients when it is not the project's own.
pub(super) fn found<T, U: Serialize>(
    kind: &str,
    name: &str,
    found: Found<T>,
    show: impl FnOnce(T) -> U,
) -> Response {
    let mut response = axum::Json(show(found.record)).into_response();
    if found.elsewhere {
        let text = format!(
            "{kind} '{name}' was found via workspace-wide search. \
             Name the project that it belongs to."
        );
        // A name that does not go into a header goes without.
        let value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("true"));
        response.headers_mut().insert("x-opik-deprecation", value);
    }
    response
}

/// 201 with the record.
pub(super) fn created_with<T: Serialize>(record: T) -> Response {
    (StatusCode::CREATED, axum::Json(record)).into_response()
}

/// How many lines of a stream are wanted: 500 where nothing is said, 422 beyond 2,000.
pub(super) fn lines(limit: Option<i64>, field: &str) -> Result<usize, ApiError> {
    match limit {
        None => Ok(500),
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=2_000).contains(limit))
            .ok_or_else(|| ApiError::invalid(format!("{field} must be between 1 and 2000"))),
    }
}

/// One page as a stream of lines.
pub(super) fn stream<T: Serialize + Send + 'static>(items: Vec<T>) -> Response {
    crate::http::ndjson(futures_util::stream::once(async move { Ok(items) }))
}
