//! The embedded store. Whoever may talk to the server may read all of it.

use std::sync::Arc;

use async_trait::async_trait;
use opik_core::TraceSource;
use opik_core::query::TraceQuery;

use super::{Backend, Opened, Refusal};
use crate::assist::caller::Caller;

/// The traces of a source in this process.
#[derive(Debug)]
pub(crate) struct LocalBackend(Arc<dyn TraceSource>);

impl LocalBackend {
    pub(crate) fn new(source: Arc<dyn TraceSource>) -> Self {
        Self(source)
    }
}

#[async_trait]
impl Backend for LocalBackend {
    async fn open(&self, _: &Caller, trace: &str) -> Result<Opened, Refusal> {
        let id = trace.parse().map_err(|_| Refusal::NotFound)?;
        let found = self.0.trace(id).await.map_err(|error| {
            tracing::warn!(target: "opik_server", error = &error as &dyn std::error::Error, "a trace cannot be read");
            Refusal::Unavailable
        })?;
        if found.is_none() {
            return Err(Refusal::NotFound);
        }
        Ok(Opened {
            id,
            source: Arc::clone(&self.0),
        })
    }

    async fn is_ready(&self) -> bool {
        let mut query = TraceQuery::default();
        query.page = opik_core::PageRequest::first(1);
        query.without_content = true;
        self.0.search_traces(&query).await.is_ok()
    }
}
