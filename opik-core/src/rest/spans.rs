//! Spans.
//!
//! Many spans are written through [`Exporter`](crate::Exporter), and searched through
//! [`TraceSource`](crate::TraceSource). Opik deletes spans with their trace only.

use super::added::without_added;
use super::call::Call;
use super::client::OpikClient;
use super::error::RestError;
use super::traces::row_text;
use crate::wire::encode;
use crate::{Span, SpanId, Timestamp};

impl OpikClient {
    /// Creates one span. A span that exists already stays as it is, without an error.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_span(&self, span: &Span) -> Result<(), RestError> {
        let project = span.project_name.as_deref().or(self.project_name());
        let row = row_text("span", |out| {
            encode::span(out, span, project, Timestamp::now())
        })?;
        self.create(Call::post("spans").json_text(row)).await
    }

    /// Reads one span, with the name of its project.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn find_span(&self, id: SpanId) -> Result<Option<Span>, RestError> {
        let found: Option<Span> = self.find(Call::get("spans").at(&id)).await?;
        Ok(found.map(written))
    }
}

/// A span without what the server adds on reading.
pub(super) fn written(mut span: Span) -> Span {
    if span.provider.is_some() {
        let metadata = span.metadata.take();
        span.metadata = metadata.and_then(|json| without_added(json, "provider"));
    }
    span
}
