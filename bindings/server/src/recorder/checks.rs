//! Constraints on what clients send, with the answers that Opik gives when they do not hold.

use axum::http::StatusCode;
use opik_core::{ExportReport, TraceId};

use crate::http::{ApiError, charge};

/// Most items of a batch.
pub(crate) const MOST_ITEMS: usize = 1_000;

/// A text that has to be there and not blank: 422 else. The field is named as Opik's checks do,
/// in camel case.
pub(crate) fn not_blank(field: &str, value: Option<String>) -> Result<String, ApiError> {
    value
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| ApiError::invalid(format!("{field} must not be blank")))
}

/// A value that has to be there: 422 else.
pub(crate) fn not_null<T>(field: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::invalid(format!("{field} must not be null")))
}

/// A text that may be absent but not blank.
pub(crate) fn absent_or_not_blank(field: &str, value: Option<&str>) -> Result<(), ApiError> {
    match value {
        Some(value) if value.trim().is_empty() => {
            Err(ApiError::invalid(format!("{field} must not be blank")))
        }
        _ => Ok(()),
    }
}

/// The items of a batch: from 1 to 1,000 of them, 422 else, and 429 where a rate limit does not
/// allow as many.
pub(crate) fn batch<T>(field: &str, items: Option<Vec<T>>) -> Result<Vec<T>, ApiError> {
    let items = items.unwrap_or_default();
    batch_size(field, items.len())?;
    Ok(items)
}

/// The checks of [`batch`] on the number of its items.
pub(crate) fn batch_size(field: &str, items: usize) -> Result<(), ApiError> {
    if (1..=MOST_ITEMS).contains(&items) {
        charge(items)
    } else {
        Err(ApiError::invalid(format!(
            "{field} size must be between 1 and {MOST_ITEMS}"
        )))
    }
}

/// 400 when the store could not take all records of a batch.
pub(crate) fn all_accepted(report: &ExportReport) -> Result<(), ApiError> {
    match report.rejected.first() {
        None => Ok(()),
        Some(first) => Err(ApiError::bad_request(format!(
            "{}: {}",
            first.record, first.reason
        ))),
    }
}

/// An identifier in a body, of version 7; `kind` is what it identifies, for example `Trace`.
pub(crate) fn id_v7(kind: &str, text: &str) -> Result<[u8; 16], ApiError> {
    v7(kind, text.parse().ok())
}

/// The same for an identifier that was read already; `None` is a text that is none.
pub(super) fn v7(kind: &str, id: Option<TraceId>) -> Result<[u8; 16], ApiError> {
    let id = id.ok_or_else(|| {
        ApiError::message(StatusCode::BAD_REQUEST, "Unable to process JSON")
            .details(format!("{kind} id is not a UUID"))
    })?;
    if id.is_v7() {
        Ok(*id.as_bytes())
    } else {
        Err(ApiError::bad_request(format!(
            "{kind} id must be a version 7 UUID"
        )))
    }
}
