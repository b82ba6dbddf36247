//! What providers say about failures, in every shape, and what kind of failure that is.
//!
//! | shape | who |
//! |---|---|
//! | `{"error": {"message", "type", "code"}}` | OpenAI and most compatible servers, Opik's proxy |
//! | `{"error": "..."}` | Ollama |
//! | `{"code": 500, "message": "..."}`, `{"errors": ["..."]}` | Opik |
//! | `{"object": "error", "message", "code"}` | older vLLM |
//! | `{"detail": "..."}` | servers in Python |
//! | `{"type": "error", "error": {"type", "message"}}` | Anthropic |
//! | `{"error": {"code", "message", "status", "details"}}`, also in a list | Google |
//!
//! The same shapes come with an error status and in the middle of a reply with status 200.

use std::sync::Arc;
use std::time::Duration;

use opik_core::chat::ModelErrorKind;
use opik_core::{ModelError, Secret};
use serde_json::Value;

use crate::ProviderMessage;

/// Longest code of a provider that an error names.
const LONGEST_CODE: usize = 64;

/// Whose failure it is, and what must not be seen.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) model: Arc<str>,
    pub(crate) secrets: Arc<[Secret]>,
}

/// A failure before it is told.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ModelErrorKind,
    /// What failed, in our words.
    pub(crate) what: String,
    /// What the provider says.
    words: Option<String>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(kind: ModelErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            words: None,
            retry_after: None,
            cause: None,
        }
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::new(ModelErrorKind::Protocol, what)
    }

    pub(crate) fn truncated() -> Self {
        Self::new(ModelErrorKind::Truncated, "the reply broke off")
    }

    pub(crate) fn with_cause(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.or(self.retry_after);
        self
    }

    /// An answer with an error status.
    pub(crate) fn of_status(status: u16, body: &[u8]) -> Self {
        let value = serde_json::from_slice::<Value>(body).ok();
        let said = value.as_ref().and_then(Said::find);
        let said = said.unwrap_or_default();
        let words = said.words.clone().or_else(|| plain_text(body));
        Self::of(Some(status), &said, words)
    }

    /// A failure that is told in a reply, if that is what this is.
    pub(crate) fn in_reply(value: &Value, named_error: bool) -> Option<Self> {
        let said = match Said::find(value) {
            Some(said) => said,
            None if named_error => Said::default(),
            None => return None,
        };
        let words = said.words.clone();
        Some(Self::of(None, &said, words))
    }

    fn of(status: Option<u16>, said: &Said, words: Option<String>) -> Self {
        let stated = status.or_else(|| said.codes.iter().find_map(|code| code.parse().ok()));
        let kind = kind(stated, &said.codes, words.as_deref().unwrap_or_default());
        let place = if status.is_some() {
            ""
        } else {
            " inside the reply"
        };
        let mut what = match stated {
            Some(stated) => format!("status {stated}{place}"),
            None => format!("failed{place}"),
        };
        if matches!(stated, Some(300..=399)) {
            what.push_str(", a redirection; check the base URL");
        }
        let code = said.codes.iter().find(|code| code.parse::<u16>().is_err());
        if let Some(code) = code.filter(|code| is_plain_code(code)) {
            what = format!("{what} ({code})");
        }
        Self {
            kind,
            what,
            words,
            retry_after: said.retry_after,
            cause: None,
        }
    }

    /// The error for callers.
    pub(crate) fn into_error(self, about: &About) -> ModelError {
        let mut what = self.what;
        for secret in about.secrets.iter() {
            if !secret.expose().trim().is_empty() && what.contains(secret.expose().trim()) {
                what = what.replace(secret.expose().trim(), "***");
            }
        }
        let mut error = ModelError::new(self.kind, format!("{}: {what}", about.model));
        if let Some(wait) = self.retry_after {
            error = error.with_retry_after(wait);
        }
        let words = self.words.as_deref();
        if let Some(words) = words.and_then(|words| ProviderMessage::new(words, &about.secrets)) {
            return error.with_source(words);
        }
        match self.cause {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

/// The parts of what a provider says about a failure.
#[derive(Debug, Default)]
struct Said {
    words: Option<String>,
    /// Codes and types, the most telling first.
    codes: Vec<String>,
    retry_after: Option<Duration>,
}

impl Said {
    fn find(value: &Value) -> Option<Self> {
        let value = match value {
            Value::Array(list) => list.first()?,
            value => value,
        };
        let object = value.as_object()?;
        match object.get("error") {
            Some(Value::String(words)) => return Some(Self::of_words(words)),
            Some(error @ Value::Object(_)) => return Some(Self::of_object(error)),
            _ => {}
        }
        let is_reply = ["choices", "candidates", "content"];
        if is_reply.iter().any(|key| object.contains_key(*key)) {
            return None;
        }
        if let Some(Value::Array(errors)) = object.get("errors") {
            let words: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
            let mut said = Self::of_object(value);
            said.words = Some(words.join("; "));
            return Some(said);
        }
        let told = object.get("message").is_some_and(Value::is_string);
        let is_error = object.get("object").and_then(Value::as_str) == Some("error");
        if told && (is_error || object.contains_key("code")) {
            return Some(Self::of_object(value));
        }
        match object.get("detail") {
            Some(Value::String(words)) => Some(Self::of_words(words)),
            Some(detail @ Value::Object(_)) => Some(Self::of_object(detail)),
            Some(Value::Array(_)) => Some(Self::default()),
            _ => None,
        }
    }

    fn of_words(words: &str) -> Self {
        Self {
            words: Some(words.to_owned()),
            ..Self::default()
        }
    }

    fn of_object(error: &Value) -> Self {
        let texts = |key: &str| match error.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let mut codes: Vec<String> = ["code", "status", "type"]
            .into_iter()
            .filter_map(texts)
            .collect();
        let details = error.get("details").and_then(Value::as_array);
        let mut retry_after = None;
        for detail in details.into_iter().flatten() {
            if let Some(reason) = detail.get("reason").and_then(Value::as_str) {
                codes.insert(0, reason.to_owned());
            }
            let delay = detail.get("retryDelay").and_then(Value::as_str);
            let delay = delay.and_then(|delay| delay.trim_end_matches('s').parse().ok());
            retry_after = delay
                .and_then(|delay| Duration::try_from_secs_f64(delay).ok())
                .or(retry_after);
        }
        Self {
            words: texts("message"),
            codes,
            retry_after,
        }
    }
}

/// A short body that is neither JSON nor markup.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let is_markup = text.starts_with('<') || text.starts_with('{') || text.starts_with('[');
    (!text.is_empty() && !is_markup).then(|| text.to_owned())
}

fn is_plain_code(code: &str) -> bool {
    code.len() <= LONGEST_CODE
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// What kind of failure a status, codes and words mean.
fn kind(status: Option<u16>, codes: &[String], words: &str) -> ModelErrorKind {
    let codes: Vec<String> = codes.iter().map(|code| code.to_ascii_lowercase()).collect();
    let has = |parts: &[&str]| {
        codes
            .iter()
            .any(|code| parts.iter().any(|part| code.contains(part)))
    };
    if has(&[
        "context_length_exceeded",
        "request_too_large",
        "context_window",
    ]) {
        return ModelErrorKind::ContextTooLong;
    }
    if has(&[
        "insufficient_quota",
        "billing",
        "invalid_api_key",
        "api_key_invalid",
    ]) {
        return ModelErrorKind::Unauthorized;
    }
    let kind = match status {
        Some(401..=403) => ModelErrorKind::Unauthorized,
        Some(408 | 504) => ModelErrorKind::Timeout,
        Some(413) => ModelErrorKind::ContextTooLong,
        Some(429) => ModelErrorKind::RateLimited,
        Some(501 | 505 | 300..=499) => ModelErrorKind::InvalidRequest,
        Some(500..=599) => ModelErrorKind::Unavailable,
        _ if has(&["rate_limit", "resource_exhausted", "too_many_requests"]) => {
            ModelErrorKind::RateLimited
        }
        _ if has(&["authentication", "unauthenticated", "permission"]) => {
            ModelErrorKind::Unauthorized
        }
        _ if has(&["timeout", "deadline_exceeded"]) => ModelErrorKind::Timeout,
        _ if has(&["invalid", "not_found", "failed_precondition", "badrequest"]) => {
            ModelErrorKind::InvalidRequest
        }
        _ => ModelErrorKind::Unavailable,
    };
    if kind == ModelErrorKind::InvalidRequest || status == Some(500) {
        let words = words.to_ascii_lowercase();
        let too_long = [
            "context length",
            "context window",
            "context size",
            "prompt is too long",
            "too many tokens",
            "input token count",
            "maximum number of tokens",
            "exceeds the maximum context",
        ];
        if too_long.iter().any(|phrase| words.contains(phrase)) {
            return ModelErrorKind::ContextTooLong;
        }
    }
    if kind == ModelErrorKind::InvalidRequest
        && words.to_ascii_lowercase().contains("api key not valid")
    {
        return ModelErrorKind::Unauthorized;
    }
    kind
}

#[cfg(test)]
mod tests;
