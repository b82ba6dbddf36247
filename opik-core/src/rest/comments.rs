//! Comments. They are read with what they are about.

use super::call::Call;
use super::client::OpikClient;
use super::error::RestError;
use crate::{SpanId, TraceId};

/// What a comment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommentTarget {
    /// A trace.
    Trace(TraceId),
    /// A span.
    Span(SpanId),
    /// A thread, by its `thread_model_id`.
    Thread(String),
}

impl OpikClient {
    /// Adds a comment and returns its identifier.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn add_comment(
        &self,
        target: &CommentTarget,
        text: &str,
    ) -> Result<String, RestError> {
        let call = match target {
            CommentTarget::Trace(id) => Call::post("traces").at(id),
            CommentTarget::Span(id) => Call::post("spans").at(id),
            CommentTarget::Thread(id) => Call::post("traces/threads").at(id),
        };
        let body = serde_json::json!({ "text": text });
        let answer = self.send(call.at("comments").once().json(&body)?).await?;
        answer.created_id()
    }
}
