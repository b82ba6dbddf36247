//! Traces.
//!
//! Many traces are written through [`Exporter`](crate::Exporter), and searched through
//! [`TraceSource`](crate::TraceSource).

use super::added::without_added;
use super::call::Call;
use super::client::{MAX_ITEMS, OpikClient};
use super::error::{RestError, RestErrorKind};
use crate::wire::encode;
use crate::{Timestamp, Trace, TraceId};

impl OpikClient {
    /// Creates one trace. Unlike a batch, this does not replace a trace that exists.
    ///
    /// # Errors
    /// [`RestError`], of kind [`Conflict`](RestErrorKind::Conflict) when it exists already (unless
    /// a repetition finds what the first attempt made).
    pub async fn create_trace(&self, trace: &Trace) -> Result<(), RestError> {
        let project = trace.project_name.as_deref().or(self.project_name());
        let row = row_text("trace", |out| {
            encode::trace(out, trace, project, Timestamp::now())
        })?;
        self.create(Call::post("traces").json_text(row)).await
    }

    /// Reads one trace with its totals; content that became attachments is put back in place.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn find_trace(&self, id: TraceId) -> Result<Option<Trace>, RestError> {
        let found: Option<Trace> = self.find(Call::get("traces").at(&id)).await?;
        Ok(found.map(written))
    }

    /// Deletes traces with their spans, scores, comments and attachments, a thousand in a request.
    ///
    /// # Errors
    /// [`RestError`] of the first request that fails; the ones before it are done.
    pub async fn delete_traces(&self, ids: &[TraceId]) -> Result<(), RestError> {
        for ids in ids.chunks(MAX_ITEMS) {
            let body = serde_json::json!({ "ids": ids });
            self.send(Call::post("traces/delete").json(&body)?).await?;
        }
        Ok(())
    }
}

pub(super) fn row_text(
    what: &str,
    write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Result<Vec<u8>, RestError> {
    let mut row = Vec::new();
    match write(&mut row) {
        Ok(()) => Ok(row),
        Err(error) => {
            let context = format!("the {what} has no JSON form");
            Err(RestError::new(RestErrorKind::InvalidRequest, context).with_source(error))
        }
    }
}

/// A trace without what the server adds on reading.
pub(super) fn written(mut trace: Trace) -> Trace {
    if !trace.providers.is_empty() {
        let metadata = trace.metadata.take();
        trace.metadata = metadata.and_then(|json| without_added(json, "providers"));
    }
    trace
}
