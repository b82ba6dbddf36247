//! Query parameters: pages, filters, sorting, times and projects.

use std::collections::HashMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use opik_core::Timestamp;
use opik_core::query::{Direction, Entity, Filter, FilterError, Sort};
use serde::Deserialize;

use super::ApiError;

/// The query parameters of a request; of several with one name the last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|Query(pairs)| Self(pairs.into_iter().collect()))
            .map_err(|_| ApiError::message(StatusCode::BAD_REQUEST, "invalid query parameters"))
    }
}

/// A single parameter of a query.
pub(super) fn value_of(query: &str, name: &str) -> Option<String> {
    let uri = axum::http::Uri::builder()
        .path_and_query(format!("/?{query}"))
        .build()
        .ok()?;
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).ok()?;
    pairs
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

#[derive(Deserialize)]
struct WireSort {
    field: String,
    #[serde(default)]
    direction: Option<String>,
}

impl Params {
    /// A parameter that is there and not blank.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.trim().is_empty())
    }

    /// A parameter that has to be there: 400 without it.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .ok_or_else(|| ApiError::bad_request(format!("query param {name} must not be null")))
    }

    /// Whether a parameter is `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// An identifier: 404 when it is none, as in a path.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        self.get(name)
            .map(|value| value.parse().map_err(|_| ApiError::no_such_path()))
            .transpose()
    }

    /// A moment, or milliseconds of the epoch.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let parse = |value: &str| {
            value.parse().map_err(|_| {
                ApiError::message(
                    StatusCode::NOT_FOUND,
                    format!("query param {name} is not an instant"),
                )
            })
        };
        self.get(name).map(parse).transpose()
    }

    fn number(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let number: i64 = value.parse().map_err(|_| ApiError::no_such_path())?;
        usize::try_from(number)
            .ok()
            .filter(|number| *number >= 1)
            .ok_or_else(|| {
                ApiError::bad_request(format!(
                    "query param {name} must be greater than or equal to 1"
                ))
            })
    }

    /// The number of the page, from 1, and its size.
    pub(crate) fn page(&self, default_size: usize) -> Result<(usize, usize), ApiError> {
        Ok((self.number("page", 1)?, self.number("size", default_size)?))
    }

    /// The conditions in `filters`.
    pub(crate) fn filters(&self, entity: Entity) -> Result<Vec<Filter>, ApiError> {
        let text = self.get("filters").unwrap_or_default();
        Filter::parse_list(entity, text).map_err(|error| match &error {
            FilterError::InvalidOperator { .. } | FilterError::InvalidValue { .. } => {
                ApiError::bad_request(error.to_string())
            }
            _ => ApiError::bad_request(format!("Invalid filters query parameter '{text}'")),
        })
    }

    /// The first order in `sorting` as a field and a direction. Fields are not looked at.
    pub(crate) fn sorting(&self) -> Result<Option<(String, Direction)>, ApiError> {
        let Some(text) = self.get("sorting") else {
            return Ok(None);
        };
        let orders: Vec<WireSort> = serde_json::from_str(text).map_err(|_| {
            ApiError::bad_request(format!("Invalid sorting query parameter '{text}'"))
        })?;
        Ok(orders.into_iter().next().map(|order| {
            let ascending = order
                .direction
                .is_none_or(|direction| direction.eq_ignore_ascii_case("asc"));
            let direction = if ascending {
                Direction::Ascending
            } else {
                Direction::Descending
            };
            (order.field, direction)
        }))
    }

    /// The order in `sorting`; none when the entity has no such field.
    pub(crate) fn sort(&self, entity: Entity) -> Result<Option<Sort>, ApiError> {
        Ok(self
            .sorting()?
            .and_then(|(field, direction)| Sort::by(entity, &field, direction)))
    }

    /// The names in a parameter that is a JSON list.
    pub(crate) fn names(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(Vec::new());
        };
        serde_json::from_str(text)
            .map_err(|_| ApiError::bad_request(format!("Invalid {name} query parameter '{text}'")))
    }
}

/// 400: neither `project_name` nor `project_id`.
pub(crate) fn no_project() -> ApiError {
    ApiError::message(
        StatusCode::BAD_REQUEST,
        "Either 'project_name' or 'project_id' query params must be provided",
    )
}
