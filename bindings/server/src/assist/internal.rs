//! The Opik server that the assistant's own conversations are recorded to.
//!
//! Its threads are the conversations: a thumb is a score of the thread, in the project that they
//! are recorded in, whoever's trace was spoken about.

use std::time::Duration;

use opik_core::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::config;

/// The name of the score.
const SCORE: &str = "opikassist_user_feedback";

/// The server that conversations are recorded to.
#[derive(Debug)]
pub(crate) struct Internal {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    project: String,
    timeout: Duration,
}

/// Why a thumb did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    /// The server does not know the conversation.
    UnknownThread,
    /// Everything else.
    Failed,
}

impl Internal {
    /// `None` when there is none, or its address or key cannot be used.
    pub(crate) fn new(
        http: &reqwest::Client,
        config: &config::Internal,
        timeout: Duration,
    ) -> Option<Self> {
        let base = Url::parse(config.url.as_deref()?).ok()?;
        let mut headers = HeaderMap::new();
        let workspace = HeaderValue::from_str(&config.workspace).ok()?;
        headers.insert(HeaderName::from_static("comet-workspace"), workspace);
        if let Some(key) = config.api_key.as_ref().filter(|key| !key.is_empty()) {
            headers.insert(AUTHORIZATION, secret(key)?);
        }
        Some(Self {
            http: http.clone(),
            base,
            headers,
            project: config.project.clone(),
            timeout,
        })
    }

    /// Scores a conversation, or takes the score back.
    pub(crate) async fn feedback(&self, thread: &str, value: Option<f64>) -> Result<(), NotStored> {
        let Some(value) = value else {
            let body = json!({"project_name": self.project, "thread_id": thread, "names": [SCORE]});
            return self
                .call(&Method::POST, &["feedback-scores", "delete"], &body)
                .await;
        };
        // Opik scores closed threads only.
        let body = json!({"project_name": self.project, "thread_id": thread});
        self.call(&Method::PUT, &["close"], &body).await?;
        let score = json!({
            "project_name": self.project, "thread_id": thread, "name": SCORE,
            "value": value, "source": "ui",
        });
        let body = json!({"scores": [score]});
        self.call(&Method::PUT, &["feedback-scores"], &body).await
    }

    async fn call(&self, method: &Method, path: &[&str], body: &Value) -> Result<(), NotStored> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| NotStored::Failed)?
            .pop_if_empty()
            .extend(["v1", "private", "traces", "threads"])
            .extend(path);
        let sent = self
            .http
            .request(method.clone(), url)
            .headers(self.headers.clone())
            .header("content-type", "application/json")
            .timeout(self.timeout)
            .body(body.to_string())
            .send()
            .await;
        match sent.map(|response| response.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(StatusCode::NOT_FOUND) => Err(NotStored::UnknownThread),
            Ok(_) | Err(_) => Err(NotStored::Failed),
        }
    }
}

fn secret(key: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(key.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
