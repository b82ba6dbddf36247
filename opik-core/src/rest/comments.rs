//! Comments. They are read with what they are about.

use super::call::Call;
use super::client::{MAX_ITEMS, OpikClient};
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

    /// Deletes comments on targets of the same kind as this one.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_comments(
        &self,
        target: &CommentTarget,
        ids: &[String],
    ) -> Result<(), RestError> {
        let path = match target {
            CommentTarget::Trace(_) => "traces/comments/delete",
            CommentTarget::Span(_) => "spans/comments/delete",
            CommentTarget::Thread(_) => "traces/threads/comments/delete",
        };
        for ids in ids.chunks(MAX_ITEMS) {
            let body = serde_json::json!({ "ids": ids });
            self.send(Call::post(path).json(&body)?).await?;
        }
        Ok(())
    }
}
