//! What the cases share: putting records in, reading all of them back, comparing what was written.

use std::collections::HashSet;

use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{
    Batch, ExportReport, Json, PageRequest, ScoreRecord, Span, SpanId, SpanType, Trace, TraceId,
};

use super::Place;
use crate::report::{Failure, check, check_eq};

impl Place {
    /// Exports and insists that every record was taken.
    pub(crate) async fn put(&self, batch: &Batch) -> Result<(), Failure> {
        let report = self.exporter.export(batch).await?;
        check!(
            report.rejected.is_empty(),
            "records were rejected: {:?}",
            report.rejected
        );
        check_eq!(report.accepted, batch.len(), "accepted records");
        Ok(())
    }

    pub(crate) async fn put_rows(
        &self,
        traces: Vec<Trace>,
        spans: Vec<Span>,
    ) -> Result<(), Failure> {
        self.put(&Batch::new(traces, spans)).await
    }

    pub(crate) async fn put_scores(&self, scores: Vec<ScoreRecord>) -> Result<(), Failure> {
        let mut batch = Batch::default();
        batch.scores = scores;
        self.put(&batch).await
    }

    /// One trace that has to be there.
    pub(crate) async fn read_trace(&self, id: TraceId) -> Result<Trace, Failure> {
        let found = self.source.trace(id).await?;
        let trace = found.ok_or_else(|| Failure::new(format!("trace {id} is not found")))?;
        check_eq!(trace.id, id, "identifier of the trace that was asked for");
        Ok(trace)
    }

    /// All spans of a trace.
    pub(crate) async fn read_spans(&self, trace: TraceId) -> Result<Vec<Span>, Failure> {
        let spans = self.page_spans(trace, 500).await?;
        for span in &spans {
            check_eq!(span.trace_id, trace, "trace of a span that was read");
        }
        Ok(spans)
    }

    /// One span that has to be there, once.
    pub(crate) async fn read_span(&self, trace: TraceId, id: SpanId) -> Result<Span, Failure> {
        let mut spans = self.read_spans(trace).await?;
        spans.retain(|span| span.id == id);
        let count = spans.len();
        check_eq!(count, 1, "how often span {id} is read");
        spans.pop().ok_or_else(|| Failure::new("no span"))
    }

    /// All spans of a trace in pages of a size.
    pub(crate) async fn page_spans(
        &self,
        trace: TraceId,
        size: usize,
    ) -> Result<Vec<Span>, Failure> {
        let mut all = Vec::new();
        let mut request = PageRequest::first(size);
        loop {
            let page = self.source.spans(trace, &request).await?;
            check_page(page.items.len(), size, page.next.is_some(), all.len())?;
            all.extend(page.items);
            let Some(next) = page.next else { break };
            request = PageRequest::after(next, size);
        }
        once_each(all.iter().map(|span| span.id))?;
        Ok(all)
    }

    /// All traces that match, in pages of a size.
    pub(crate) async fn search_traces(
        &self,
        mut query: TraceQuery,
        size: usize,
    ) -> Result<Vec<Trace>, Failure> {
        let mut all = Vec::new();
        query.page = PageRequest::first(size);
        loop {
            let page = self.source.search_traces(&query).await?;
            check_page(page.items.len(), size, page.next.is_some(), all.len())?;
            all.extend(page.items);
            let Some(next) = page.next else { break };
            query.page = PageRequest::after(next, size);
        }
        once_each(all.iter().map(|trace| trace.id))?;
        Ok(all)
    }

    /// All spans that match, in pages of a size.
    pub(crate) async fn search_spans(
        &self,
        mut query: SpanQuery,
        size: usize,
    ) -> Result<Vec<Span>, Failure> {
        let mut all = Vec::new();
        query.page = PageRequest::first(size);
        loop {
            let page = self.source.search_spans(&query).await?;
            check_page(page.items.len(), size, page.next.is_some(), all.len())?;
            all.extend(page.items);
            let Some(next) = page.next else { break };
            query.page = PageRequest::after(next, size);
        }
        once_each(all.iter().map(|span| span.id))?;
        Ok(all)
    }
}

/// More items than any case writes: pages that never end are stopped here.
const ENDLESS: usize = 20_000;

fn check_page(items: usize, limit: usize, more: bool, before: usize) -> Result<(), Failure> {
    check!(
        items <= limit,
        "a page of at most {limit} has {items} items"
    );
    check!(
        !more || items > 0,
        "an empty page says that another one follows"
    );
    check!(before < ENDLESS, "the pages do not end");
    Ok(())
}

fn once_each<T: Eq + std::hash::Hash + std::fmt::Display + Copy>(
    ids: impl Iterator<Item = T>,
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for id in ids {
        check!(seen.insert(id), "{id} is on the pages more than once");
    }
    Ok(())
}

/// That a report speaks of every record of a batch.
pub(crate) fn check_accounted(report: &ExportReport, batch: &Batch) -> Result<(), Failure> {
    let (accepted, rejected) = (report.accepted, report.rejected.len());
    check_eq!(
        accepted + rejected,
        batch.len(),
        "accepted and rejected records together"
    );
    Ok(())
}

/// The part of a trace that a program writes, with JSON by value: what has to be read back.
pub(crate) fn written_trace(trace: &Trace) -> serde_json::Value {
    serde_json::json!({
        "id": trace.id,
        "name": trace.name,
        "start_time": trace.start_time,
        "end_time": trace.end_time,
        "input": value(trace.input.as_ref()),
        "output": value(trace.output.as_ref()),
        "metadata": value_without(trace.metadata.as_ref(), "providers"),
        "tags": sorted(&trace.tags),
        "error_info": trace.error_info,
        "last_updated_at": trace.last_updated_at,
        "thread_id": trace.thread_id,
        "ttft": trace.ttft,
        "source": trace.source,
        "environment": trace.environment,
    })
}

/// The part of a span that a program writes; see [`written_trace`].
pub(crate) fn written_span(span: &Span) -> serde_json::Value {
    serde_json::json!({
        "id": span.id,
        "trace_id": span.trace_id,
        "parent_span_id": span.parent_span_id,
        "name": span.name,
        "type": span.r#type.as_ref().unwrap_or(&SpanType::General),
        "start_time": span.start_time,
        "end_time": span.end_time,
        "input": value(span.input.as_ref()),
        "output": value(span.output.as_ref()),
        "metadata": value_without(span.metadata.as_ref(), "provider"),
        "model": span.model,
        "provider": span.provider,
        "tags": sorted(&span.tags),
        "usage": span.usage,
        "error_info": span.error_info,
        "last_updated_at": span.last_updated_at,
        "total_estimated_cost": span.total_estimated_cost,
        "ttft": span.ttft,
        "source": span.source,
        "environment": span.environment,
    })
}

fn value(json: Option<&Json>) -> Option<serde_json::Value> {
    json.map(|json| json.to_value().unwrap_or_else(|_| "not JSON".into()))
}

/// Opik's server adds a key to metadata on reading, which nobody wrote.
fn value_without(json: Option<&Json>, added: &str) -> Option<serde_json::Value> {
    let mut value = value(json)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove(added);
        if fields.is_empty() {
            return None;
        }
    }
    Some(value)
}

fn sorted(tags: &[String]) -> Vec<&str> {
    let mut tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    tags.sort_unstable();
    tags
}

/// That two spans were written alike; says in which field they differ, not with what content.
pub(crate) fn check_same(
    found: &serde_json::Value,
    expected: &serde_json::Value,
    what: &str,
) -> Result<(), Failure> {
    let fields = expected.as_object().into_iter().flatten();
    for (name, expected) in fields {
        let found = found.get(name).unwrap_or(&serde_json::Value::Null);
        check!(
            found == expected,
            "{what}: field {name} is {found}, expected {expected}"
        );
    }
    Ok(())
}
