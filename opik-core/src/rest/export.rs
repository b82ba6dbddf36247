//! The client as an [`Exporter`].

use std::ops::Range;

use async_trait::async_trait;

use super::call::Call;
use super::client::{MAX_ITEMS, OpikClient};
use super::error::{RestError, RestErrorKind};
use crate::exporter::{ExportErrorKind, Rejection};
use crate::wire::{List, RowId, Rows, WireBatch, WireExporter};
use crate::{Batch, ExportError, ExportReport, Exporter, ProjectId, Timestamp};

/// Single refusals in a row, with nothing taken yet, after which a request is given up: then it is
/// not one bad record but all of them.
const HOPELESS: usize = 32;

/// Where rows go: method, path, and the field that encloses them.
fn route(list: List) -> (bool, &'static str, &'static str) {
    match list {
        List::Traces => (false, "traces/batch", "traces"),
        List::Spans => (false, "spans/batch", "spans"),
        List::TraceScores => (true, "traces/feedback-scores", "scores"),
        List::SpanScores => (true, "spans/feedback-scores", "scores"),
        List::ThreadScores => (true, "traces/threads/feedback-scores", "scores"),
    }
}

/// Sends complete rows, never a change to one, so that a repetition is harmless and order does not
/// matter.
///
/// - A record that Opik would refuse (identifier, times, project, usage, cost, range of a score) is
///   rejected before sending.
/// - Requests carry at most [`MAX_ITEMS`] records and about `max_request_bytes`.
/// - A request that is refused (400, 413, 422, and 409 at the first attempt) is halved until the bad
///   record is alone. After 32 refusals of single records with nothing taken, the rest of that
///   request is rejected too.
/// - 409 after a repetition, or for a record that "already exists", is success.
/// - A missing `last_updated_at` becomes now, a missing `source` becomes `sdk`.
/// - A row with a `project_id` and no name gets the name from the server, since rows can be written
///   by name only; a project that does not exist is a rejection.
/// - `input` and `output` other than objects, lists of objects and texts, and `metadata` other than
///   objects, are wrapped: `5` becomes `{"input": 5}`.
///
/// What was refused by the server is rejected with the status; its words are left out, because
/// they quote content. After an error a part of the batch may have arrived; exporting the whole
/// again is right.
#[async_trait]
impl Exporter for OpikClient {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let mut rejected = Vec::new();
        let mut rows = WireBatch::default();
        let mut now = Timestamp::now();
        for trace in &batch.traces {
            let named = (trace.project_name.as_deref(), trace.project_id);
            let kept = match self.project_of(named).await? {
                Ok(project) => rows.push_trace(trace, project.as_deref(), now),
                Err(reason) => Err(refused(RowId::Trace(trace.id), reason)),
            };
            rejected.extend(kept.err());
            // Rows of one record without a moment keep their order.
            now = now.plus_micros(1);
        }
        for span in &batch.spans {
            let named = (span.project_name.as_deref(), span.project_id);
            let kept = match self.project_of(named).await? {
                Ok(project) => rows.push_span(span, project.as_deref(), now),
                Err(reason) => Err(refused(RowId::Span(span.id), reason)),
            };
            rejected.extend(kept.err());
            now = now.plus_micros(1);
        }
        for score in &batch.scores {
            let named = (score.project_name.as_deref(), score.project_id);
            let kept = match self.project_of(named).await? {
                Ok(project) => rows.push_score(score, project.as_deref()),
                Err(reason) => Err(refused(RowId::of_score(&score.target), reason)),
            };
            rejected.extend(kept.err());
        }
        let mut report = self.export_rows(&rows).await?;
        report.rejected.splice(0..0, rejected);
        Ok(report)
    }

    /// Nothing is buffered here, and what the server acknowledged is stored there.
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }

    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

/// As [`Exporter`] does, with rows that are taken as they are: the server judges them.
#[async_trait]
impl WireExporter for OpikClient {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let mut report = ExportReport::default();
        for list in List::ALL {
            self.deliver(list, batch.rows(list), &mut report).await?;
        }
        Ok(report)
    }

    fn project_name(&self) -> Option<&str> {
        Self::project_name(self)
    }
}

fn refused(record: RowId, reason: &str) -> Rejection {
    Rejection {
        record: record.to_string(),
        reason: reason.to_owned(),
    }
}

impl OpikClient {
    /// Sends rows in requests of bounded size.
    async fn deliver(
        &self,
        list: List,
        rows: &Rows,
        report: &mut ExportReport,
    ) -> Result<(), ExportError> {
        for range in split(rows, self.inner.max_request) {
            self.deliver_range(list, rows, range, report).await?;
        }
        Ok(())
    }

    /// Sends one request's worth, in halves where it is refused.
    async fn deliver_range(
        &self,
        list: List,
        rows: &Rows,
        range: Range<usize>,
        report: &mut ExportReport,
    ) -> Result<(), ExportError> {
        let (mut taken, mut refused) = (0, 0);
        let mut pending = vec![range];
        while let Some(part) = pending.pop() {
            let error = match self.put_rows(list, rows.text_of(&part)).await {
                Ok(()) => {
                    taken += part.len();
                    report.accepted += part.len();
                    continue;
                }
                Err(error) => error,
            };
            if !error.refuses_content() {
                return Err(error.into());
            }
            let conflict = error.kind() == RestErrorKind::Conflict;
            let exists =
                conflict && (error.attempts() > 1 || error.body().mentions("already exist"));
            if exists {
                taken += part.len();
                report.accepted += part.len();
            } else if part.len() == 1 || (taken == 0 && refused >= HOPELESS) {
                refused += part.len();
                reject(rows, part, &error, report);
            } else {
                let middle = part.start + part.len() / 2;
                pending.push(middle..part.end);
                pending.push(part.start..middle);
            }
        }
        Ok(())
    }

    async fn put_rows(&self, list: List, rows: &[u8]) -> Result<(), RestError> {
        let (put, path, field) = route(list);
        let mut body = Vec::with_capacity(rows.len() + field.len() + 8);
        body.extend_from_slice(format!("{{\"{field}\":[").as_bytes());
        body.extend_from_slice(rows);
        body.extend_from_slice(b"]}");
        let call = if put {
            Call::put(path)
        } else {
            Call::post(path)
        };
        self.send(call.json_text(body)).await.map(drop)
    }

    /// The project that a record is written to, or why it is rejected.
    async fn project_of(
        &self,
        (name, id): (Option<&str>, Option<ProjectId>),
    ) -> Result<Result<Option<String>, &'static str>, ExportError> {
        if let Some(name) = name {
            return Ok(Ok(Some(name.to_owned())));
        }
        let Some(id) = id else {
            return Ok(Ok(self.inner.project_name.clone()));
        };
        Ok(match self.name_of_project(id).await? {
            Some(name) => Ok(Some(name)),
            None => Err("its project_id is unknown and it names no project"),
        })
    }

    /// The name of a project, asked for once.
    async fn name_of_project(&self, id: ProjectId) -> Result<Option<String>, ExportError> {
        let poisoned = |_| ExportError::new(ExportErrorKind::Internal, "project names are lost");
        let known = {
            let names = self.inner.project_names.lock().map_err(poisoned)?;
            names.get(&id).cloned()
        };
        if known.is_some() {
            return Ok(known);
        }
        // A project that is missing now may be made later, so only names are kept.
        let name = self.project(id).await?.map(|project| project.name);
        if let Some(name) = &name {
            let mut names = self.inner.project_names.lock().map_err(poisoned)?;
            names.insert(id, name.clone());
        }
        Ok(name)
    }
}

fn reject(rows: &Rows, part: Range<usize>, error: &RestError, report: &mut ExportReport) {
    let status = error.status().unwrap_or(0);
    for index in part {
        let Some(record) = rows.id(index) else {
            continue;
        };
        report.rejected.push(Rejection {
            record: record.to_string(),
            reason: if error.kind() == RestErrorKind::TooLarge {
                let size = rows.size(index);
                format!("{size} bytes are more than the server takes")
            } else {
                format!("the server refuses it with status {status}")
            },
        });
    }
}

/// Cuts a list into ranges of at most [`MAX_ITEMS`] items and `max` bytes; an item that is larger
/// than that is alone.
fn split(rows: &Rows, max: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut bytes) = (0_usize, 0_usize);
    for index in 0..rows.len() {
        let size = rows.size(index) + 1;
        let full = index - start >= MAX_ITEMS || bytes.saturating_add(size) > max;
        if full && index > start {
            ranges.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes = bytes.saturating_add(size);
    }
    if start < rows.len() {
        ranges.push(start..rows.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn splitting_keeps_every_item_once_and_both_bounds(
            sizes in proptest::collection::vec(0_usize..200, 0..3_000),
            max in 1_usize..10_000,
        ) {
            let mut rows = Rows::default();
            for size in &sizes {
                rows.push(RowId::ThreadScore, &vec![b'x'; *size]);
            }
            let ranges = split(&rows, max);
            let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
            for range in ranges {
                let bytes: usize = sizes[range.clone()].iter().map(|size| size + 1).sum();
                prop_assert!(!range.is_empty() && range.len() <= MAX_ITEMS);
                prop_assert!(bytes <= max || range.len() == 1);
            }
        }
    }
}
