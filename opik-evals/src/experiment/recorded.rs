//! Traces that were recorded before, as the answers of a task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opik_core::query::TraceQuery;
use opik_core::source::{MAX_PAGE, PageRequest};
use opik_core::{SourceError, Trace, TraceId, TraceSource};
use serde_json::{Map, Value};

use super::{Call, Task, TaskError, TaskErrorKind, TaskOutput};
use crate::dataset::Item;

/// A task that takes its answers from recorded traces: the output of the trace that an item names
/// (in its field `trace_id`, else by its identifier), what it cost and how long it took. Nothing runs
/// again.
///
/// A trace with an error is a failed trial unless [`with_failed`](Self::with_failed) says otherwise,
/// and so is one that is gone.
pub struct RecordedTask {
    source: Arc<dyn TraceSource>,
    with_failed: bool,
}

impl RecordedTask {
    /// Answers from that source.
    #[must_use]
    pub fn new(source: Arc<dyn TraceSource>) -> Self {
        Self {
            source,
            with_failed: false,
        }
    }

    /// Whether traces that ended with an error are answers too, so that metrics of traces score them.
    #[must_use]
    pub fn with_failed(mut self, on: bool) -> Self {
        self.with_failed = on;
        self
    }
}

#[async_trait]
impl Task for RecordedTask {
    async fn run(&self, call: &Call) -> Result<TaskOutput, TaskError> {
        let id = trace_of(&call.item).ok_or_else(|| TaskError::new("the item names no trace"))?;
        let read = self.source.trace(id).await;
        let trace = read
            .map_err(|error| TaskError::of(TaskErrorKind::Source, error.to_string()))?
            .ok_or_else(|| {
                TaskError::of(TaskErrorKind::Source, format!("there is no trace {id}"))
            })?;
        if let Some(error) = trace.error_info.as_ref().filter(|_| !self.with_failed) {
            let kind = error.exception_type.as_str();
            return Err(TaskError::new(format!("the trace ended with {kind}")));
        }
        let mut output = TaskOutput {
            fields: fields(trace.output.as_ref(), "output")?,
            ..TaskOutput::default()
        };
        output.cost = trace.total_estimated_cost;
        output.tokens = trace
            .usage
            .total_tokens()
            .and_then(|n| u64::try_from(n).ok());
        output.trace_id = Some(id);
        Ok(match duration(&trace) {
            Some(duration) => output.took(duration),
            None => output,
        })
    }
}

impl fmt::Debug for RecordedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedTask")
            .field("source", &self.source)
            .field("with_failed", &self.with_failed)
            .finish()
    }
}

/// The traces that match, at most `limit`, as items: the fields of the input, or the input as
/// `input`. The identifier of an item is that of its trace.
///
/// # Errors
/// [`SourceError`] of the first read that fails.
pub async fn recorded_items(
    source: &dyn TraceSource,
    query: &TraceQuery,
    limit: usize,
) -> Result<Vec<Item>, SourceError> {
    let mut query = query.clone();
    query.without_content = false;
    query.page = PageRequest::first(limit.clamp(1, MAX_PAGE));
    let mut items = Vec::new();
    loop {
        let page = source.search_traces(&query).await?;
        for trace in page.items.iter().take(limit - items.len()) {
            let data = fields(trace.input.as_ref(), "input").unwrap_or_default();
            items.push(Item::new(data).with_id(trace.id.to_string()));
        }
        match page.next {
            Some(next) if items.len() < limit => {
                query.page = PageRequest::after(next, (limit - items.len()).min(MAX_PAGE));
            }
            _ => return Ok(items),
        }
    }
}

/// The trace that an item was made from: its field `trace_id`, else its identifier.
pub(crate) fn trace_of(item: &Item) -> Option<TraceId> {
    let stated = item.data().get("trace_id").and_then(Value::as_str);
    stated.unwrap_or(&item.id()).parse().ok()
}

fn fields(json: Option<&opik_core::Json>, name: &str) -> Result<Map<String, Value>, TaskError> {
    let unreadable = |_| TaskError::of(TaskErrorKind::Source, format!("the {name} cannot be read"));
    Ok(
        match json
            .map(opik_core::Json::to_value)
            .transpose()
            .map_err(unreadable)?
        {
            None => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(other) => std::iter::once((name.to_owned(), other)).collect(),
        },
    )
}

fn duration(trace: &Trace) -> Option<Duration> {
    let micros = trace.end_time?.micros_since(trace.start_time);
    u64::try_from(micros).ok().map(Duration::from_micros)
}
