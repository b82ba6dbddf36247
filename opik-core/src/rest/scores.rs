//! Feedback scores. They are written through [`Exporter`](crate::Exporter).

use super::call::Call;
use super::client::OpikClient;
use super::error::RestError;
use crate::model::ScoreTarget;
use crate::query::ProjectSelector;

impl OpikClient {
    /// Takes a score away; one that does not exist is taken away already. With `author`, only that
    /// author's part. The project counts for threads.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_score(
        &self,
        target: &ScoreTarget,
        project: &ProjectSelector,
        name: &str,
        author: Option<&str>,
    ) -> Result<(), RestError> {
        let of_record = serde_json::json!({ "name": name, "author": author });
        let call = match target {
            ScoreTarget::Trace(id) => Call::post("traces").at(id).json(&of_record)?,
            ScoreTarget::Span(id) => Call::post("spans").at(id).json(&of_record)?,
            ScoreTarget::Thread(thread) => {
                let body = serde_json::json!({
                    "project_name": self.name_of_selected(project).await?,
                    "thread_id": thread,
                    "names": [name],
                    "author": author,
                });
                Call::post("traces/threads").json(&body)?
            }
        };
        self.send(call.at("feedback-scores").at("delete"))
            .await
            .map(drop)
    }
}
