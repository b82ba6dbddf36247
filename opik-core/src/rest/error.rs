//! Why a call failed.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::exporter::ExportErrorKind;
use crate::source::SourceErrorKind;
use crate::{ExportError, SourceError};

/// What the server says, in lower case, when it does not know the workspace.
const NO_WORKSPACE: &str = "workspace not found";

/// Kinds of failure of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestErrorKind {
    /// The call could not be put together; nothing was sent.
    InvalidRequest,
    /// No connection: refused, not made in time, unknown host, TLS.
    Connect,
    /// No complete answer within the time allowed (or 408).
    Timeout,
    /// The connection broke before the answer was complete.
    Interrupted,
    /// 400: malformed, or an identifier that is not a version 7 UUID.
    BadRequest,
    /// 401: no key, or one that is not accepted.
    Unauthorized,
    /// 403: not allowed, or no workspace.
    Forbidden,
    /// 404: no such record, project or workspace, or no Opik at this address.
    NotFound,
    /// 409: exists already, or contradicts what exists.
    Conflict,
    /// 413: the body is too large.
    TooLarge,
    /// 422: a field breaks a rule.
    Unprocessable,
    /// 429: too many requests; see [`RestError::retry_after`].
    RateLimited,
    /// 5xx except 501, also inside a stream that began with 200.
    Server,
    /// 3xx: the server is elsewhere. Redirects are not followed, so that the key stays where it
    /// was meant to go.
    Redirect,
    /// Any other status.
    Status,
    /// A success that is not what Opik answers: another content type, or JSON of another shape.
    InvalidResponse,
}

/// What the server said about a failure, in either of Opik's two shapes.
///
/// The texts may quote what was sent, so `Debug` prints their number only and nothing in this
/// crate logs them.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorBody {
    /// No body.
    #[default]
    Empty,
    /// `{"errors": ["…"]}`: Opik's own.
    Errors(Vec<String>),
    /// `{"code": 404, "message": "…", "details": "…"}`: the web framework's.
    Message {
        /// The status, as the body repeats it.
        code: u16,
        /// What failed.
        message: String,
        /// More about it.
        details: Option<String>,
    },
    /// Something else, for example the page of a proxy.
    Other,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            errors: Option<Vec<String>>,
            code: Option<u16>,
            message: Option<String>,
            details: Option<String>,
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Self::Empty;
        }
        match serde_json::from_slice(body) {
            Ok(Wire {
                errors: Some(errors),
                ..
            }) => Self::Errors(errors),
            Ok(Wire {
                code: Some(code),
                message,
                details,
                ..
            }) => Self::Message {
                code,
                message: message.unwrap_or_default(),
                details,
            },
            _ => Self::Other,
        }
    }

    /// The server's texts.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        let (list, one): (&[String], _) = match self {
            Self::Errors(errors) => (errors, None),
            Self::Message {
                message, details, ..
            } => (&[], Some((message, details))),
            Self::Empty | Self::Other => (&[], None),
        };
        let single = one.into_iter().flat_map(|(message, details)| {
            std::iter::once(message.as_str()).chain(details.as_deref())
        });
        list.iter().map(String::as_str).chain(single)
    }

    /// Whether a text contains the phrase (given in lower case).
    pub(super) fn mentions(&self, phrase: &str) -> bool {
        self.messages()
            .any(|text| text.to_lowercase().contains(phrase))
    }
}

impl fmt::Debug for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Errors(errors) => write!(f, "Errors({})", errors.len()),
            Self::Message { code, .. } => write!(f, "Message({code})"),
            Self::Other => f.write_str("Other"),
        }
    }
}

/// Why a call failed.
///
/// ```no_run
/// use opik_core::rest::{BaseUrl, OpikClient, RestErrorKind};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// match opik.create_project("shop", None).await {
///     Err(error) if error.kind() == RestErrorKind::Conflict => println!("it is there already"),
///     other => other?,
/// }
/// # Ok(())
/// # }
/// ```
///
/// The text names the endpoint, the status and the number of attempts, for example
/// `POST v1/private/traces/batch: status 503 after 3 attempts`; never content, never the key. What
/// the server said is in [`body`](Self::body).
#[derive(Debug)]
pub struct RestError {
    kind: RestErrorKind,
    context: Box<str>,
    status: Option<u16>,
    attempts: u32,
    retry_after: Option<Duration>,
    body: ErrorBody,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl RestError {
    pub(super) fn new(kind: RestErrorKind, context: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            context: context.into(),
            status: None,
            attempts: 0,
            retry_after: None,
            body: ErrorBody::Empty,
            source: None,
        }
    }

    pub(super) fn of_status(context: &str, status: u16, body: ErrorBody) -> Self {
        let kind = match status {
            300..=399 => RestErrorKind::Redirect,
            400 => RestErrorKind::BadRequest,
            401 => RestErrorKind::Unauthorized,
            403 => RestErrorKind::Forbidden,
            404 => RestErrorKind::NotFound,
            408 => RestErrorKind::Timeout,
            409 => RestErrorKind::Conflict,
            413 => RestErrorKind::TooLarge,
            422 => RestErrorKind::Unprocessable,
            429 => RestErrorKind::RateLimited,
            500 | 502..=599 => RestErrorKind::Server,
            _ => RestErrorKind::Status,
        };
        Self {
            status: Some(status),
            body,
            ..Self::new(kind, format!("{context}: status {status}"))
        }
    }

    pub(super) fn of_transport(context: &str, error: reqwest::Error) -> Self {
        let (kind, what) = if error.is_connect() {
            (RestErrorKind::Connect, "no connection")
        } else if error.is_timeout() {
            (RestErrorKind::Timeout, "no answer in time")
        } else if error.is_builder() {
            (RestErrorKind::InvalidRequest, "the request cannot be built")
        } else {
            (RestErrorKind::Interrupted, "the connection broke")
        };
        // Queries hold names of projects and filters, so the cause must not repeat the URL.
        Self::new(kind, format!("{context}: {what}")).with_source(error.without_url())
    }

    pub(super) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    pub(super) fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> RestErrorKind {
        self.kind
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// How many times the call was tried; 0 when nothing was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            RestErrorKind::Connect
                | RestErrorKind::Timeout
                | RestErrorKind::Interrupted
                | RestErrorKind::RateLimited
                | RestErrorKind::Server
        )
    }

    /// How long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the server said. It may quote content: do not log it.
    #[must_use]
    pub fn body(&self) -> &ErrorBody {
        &self.body
    }

    /// Whether a smaller part of the same body might be taken.
    pub(super) fn refuses_content(&self) -> bool {
        matches!(
            self.kind,
            RestErrorKind::BadRequest
                | RestErrorKind::Conflict
                | RestErrorKind::TooLarge
                | RestErrorKind::Unprocessable
        )
    }

    /// A 404 from Opik about a record, not from something else or about the workspace.
    pub(super) fn is_missing_record(&self) -> bool {
        self.kind == RestErrorKind::NotFound
            && !self.body.mentions(NO_WORKSPACE)
            && !self.body.mentions("http 404 not found")
            && !matches!(self.body, ErrorBody::Other)
    }
}

impl fmt::Display for RestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        if self.attempts > 1 {
            write!(f, " after {} attempts", self.attempts)?;
        }
        Ok(())
    }
}

impl std::error::Error for RestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<RestError> for ExportError {
    /// A server that is not Opik (a redirect, a foreign answer, 404 for the address) counts as
    /// unavailable, so that records are kept until it is. An unknown workspace counts as not
    /// authorised.
    fn from(error: RestError) -> Self {
        let kind = match error.kind {
            RestErrorKind::Timeout => ExportErrorKind::Timeout,
            RestErrorKind::RateLimited => ExportErrorKind::RateLimited,
            RestErrorKind::Unauthorized | RestErrorKind::Forbidden => ExportErrorKind::Unauthorized,
            RestErrorKind::NotFound if error.body.mentions(NO_WORKSPACE) => {
                ExportErrorKind::Unauthorized
            }
            RestErrorKind::BadRequest | RestErrorKind::Unprocessable | RestErrorKind::Conflict => {
                ExportErrorKind::Rejected
            }
            RestErrorKind::TooLarge => ExportErrorKind::TooLarge,
            RestErrorKind::InvalidRequest => ExportErrorKind::Internal,
            RestErrorKind::NotFound
            | RestErrorKind::Connect
            | RestErrorKind::Interrupted
            | RestErrorKind::Server
            | RestErrorKind::Redirect
            | RestErrorKind::Status
            | RestErrorKind::InvalidResponse => ExportErrorKind::Unavailable,
        };
        let mut made = Self::new(kind, error.to_string());
        if let Some(wait) = error.retry_after {
            made = made.with_retry_after(wait);
        }
        match error.source {
            Some(source) => made.with_source(source),
            None => made,
        }
    }
}

impl From<RestError> for SourceError {
    fn from(error: RestError) -> Self {
        let kind = match error.kind {
            RestErrorKind::Timeout => SourceErrorKind::Timeout,
            RestErrorKind::RateLimited => SourceErrorKind::RateLimited,
            RestErrorKind::Unauthorized | RestErrorKind::Forbidden => SourceErrorKind::Unauthorized,
            RestErrorKind::NotFound if error.body.mentions(NO_WORKSPACE) => {
                SourceErrorKind::Unauthorized
            }
            RestErrorKind::NotFound if error.body.mentions("project") => {
                SourceErrorKind::UnknownProject
            }
            RestErrorKind::BadRequest | RestErrorKind::Unprocessable => {
                SourceErrorKind::InvalidQuery
            }
            RestErrorKind::InvalidResponse => SourceErrorKind::Corrupt,
            RestErrorKind::InvalidRequest => SourceErrorKind::Internal,
            RestErrorKind::NotFound
            | RestErrorKind::Conflict
            | RestErrorKind::TooLarge
            | RestErrorKind::Connect
            | RestErrorKind::Interrupted
            | RestErrorKind::Server
            | RestErrorKind::Redirect
            | RestErrorKind::Status => SourceErrorKind::Unavailable,
        };
        let mut made = Self::new(kind, error.to_string());
        if let Some(wait) = error.retry_after {
            made = made.with_retry_after(wait);
        }
        // What the server says about a query is about the caller's own words.
        let said = error.body.messages().next().map(str::to_owned);
        match (kind, said, error.source) {
            (SourceErrorKind::InvalidQuery, Some(said), _) => made.with_source(said),
            (_, _, Some(source)) => made.with_source(source),
            _ => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read_and_neither_is_printed() {
        let own = ErrorBody::parse(br#"{"errors": ["secret one", "two"]}"#);
        assert_eq!(own.messages().collect::<Vec<_>>(), ["secret one", "two"]);
        let jersey =
            ErrorBody::parse(br#"{"code": 400, "message": "Bad secret", "details": "more"}"#);
        assert_eq!(
            jersey.messages().collect::<Vec<_>>(),
            ["Bad secret", "more"]
        );
        assert_eq!(ErrorBody::parse(b"<html>secret"), ErrorBody::Other);
        assert_eq!(ErrorBody::parse(b" "), ErrorBody::Empty);
        for body in [own, jersey] {
            let error = RestError::of_status("GET x", 400, body);
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn kinds_follow_the_status() {
        let retryable: Vec<u16> = (300..600)
            .filter(|&status| RestError::of_status("x", status, ErrorBody::Empty).is_retryable())
            .collect();
        let expected: Vec<u16> = [408, 429, 500].into_iter().chain(502..600).collect();
        assert_eq!(retryable, expected);
    }
}
