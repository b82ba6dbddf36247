//! Identifiers in paths.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::ApiError;

/// The identifier in a path, whose name is `{id}` in the route; 404 when it is no identifier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::no_such_path())?;
        params
            .iter()
            .find(|(name, _)| *name == "id")
            .and_then(|(_, value)| value.parse().ok())
            .map(Self)
            .ok_or_else(ApiError::no_such_path)
    }
}

/// Two identifiers in a path, in the order in which they stand there; 404 when one is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathIds<T>(pub(crate) T, pub(crate) T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathIds<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::no_such_path())?;
        let mut ids = params.iter().map(|(_, value)| value.parse());
        match (ids.next(), ids.next()) {
            (Some(Ok(first)), Some(Ok(second))) => Ok(Self(first, second)),
            _ => Err(ApiError::no_such_path()),
        }
    }
}
