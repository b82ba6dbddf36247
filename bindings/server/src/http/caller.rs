//! Who asks: the key and the workspace.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{ApiError, refuse};
use crate::app::App;

/// The only workspace there is, unless the configuration says otherwise.
pub(crate) const DEFAULT_WORKSPACE: &str = "default";
/// The name of every user.
pub(crate) const USER: &str = "admin";

/// Who asks. Every handler under `/v1/private` can take it as an `Extension`.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The workspace, as the client spells it.
    pub(crate) workspace: String,
}

/// Lets a request through whose key and workspace are right.
pub(super) async fn check(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match caller(&app, request.headers(), request.uri().query()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refuse(request, error).await,
    }
}

fn caller(app: &App, headers: &HeaderMap, query: Option<&str>) -> Result<Caller, ApiError> {
    if let Some(key) = app.config().key() {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.strip_prefix("Bearer ").unwrap_or(value).trim())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                ApiError::message(StatusCode::UNAUTHORIZED, "API key should be provided")
            })?;
        if !same(given.as_bytes(), key.expose().as_bytes()) {
            return Err(ApiError::message(
                StatusCode::UNAUTHORIZED,
                "User not allowed to access workspace",
            ));
        }
    }
    let header = headers
        .get("comet-workspace")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let workspace = header
        .or_else(|| super::params::value_of(query.unwrap_or_default(), "workspace_name"))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| DEFAULT_WORKSPACE.to_owned());
    if !workspace.eq_ignore_ascii_case(DEFAULT_WORKSPACE) && !app.config().takes_any_workspace() {
        return Err(ApiError::message(
            StatusCode::NOT_FOUND,
            "Workspace not found",
        ));
    }
    Ok(Caller { workspace })
}

/// Compares in a time that does not depend on where the first difference is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .fold(0, |all, (left, right)| all | (left ^ right))
            == 0
}
