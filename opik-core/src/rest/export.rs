//! The client as an [`Exporter`].

use std::ops::Range;

use async_trait::async_trait;

use super::call::Call;
use super::client::{MAX_ITEMS, OpikClient};
use super::error::{RestError, RestErrorKind};
use super::{rows, validate};
use crate::exporter::{ExportErrorKind, Rejection};
use crate::model::ScoreTarget;
use crate::{Batch, ExportError, ExportReport, Exporter, ProjectId, SpanId, Timestamp, TraceId};

/// Single refusals in a row, with nothing taken yet, after which a request is given up: then it is
/// not one bad record but all of them.
const HOPELESS: usize = 32;

/// What a row is of; it is spelled out only when the row is refused.
#[derive(Clone, Copy)]
enum Record {
    Trace(TraceId),
    Span(SpanId),
    TraceScore(TraceId),
    SpanScore(SpanId),
    ThreadScore,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Trace(id) => write!(f, "trace {id}"),
            Self::Span(id) => write!(f, "span {id}"),
            Self::TraceScore(id) => write!(f, "score of trace {id}"),
            Self::SpanScore(id) => write!(f, "score of span {id}"),
            Self::ThreadScore => f.write_str("score of a thread"),
        }
    }
}

/// Rows that are ready to be sent, with a comma between them: a request is a slice of the text.
#[derive(Default)]
struct Rows {
    text: Vec<u8>,
    ends: Vec<usize>,
    records: Vec<Record>,
}

impl Rows {
    fn push(
        &mut self,
        record: Record,
        write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), &'static str> {
        let before = self.text.len();
        if before > 0 {
            self.text.push(b',');
        }
        if write(&mut self.text).is_err() {
            self.text.truncate(before);
            return Err("it has no JSON form");
        }
        self.ends.push(self.text.len());
        self.records.push(record);
        Ok(())
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.records.clear();
    }

    /// Where a row begins; for the one after the last, where it would.
    fn start(&self, index: usize) -> usize {
        let before = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        before.map_or(0, |end| end + 1)
    }

    /// The text of some rows, without the comma after them.
    fn text_of(&self, range: &Range<usize>) -> &[u8] {
        let end = self.start(range.end).saturating_sub(1);
        self.text
            .get(self.start(range.start)..end)
            .unwrap_or_default()
    }

    fn sizes(&self) -> Vec<usize> {
        let size = |index| self.start(index + 1) - self.start(index);
        (0..self.ends.len()).map(size).collect()
    }
}

/// Where rows go and what encloses them.
#[derive(Clone, Copy)]
struct Route {
    path: &'static str,
    list: &'static str,
    put: bool,
}

const TRACES: Route = Route {
    path: "traces/batch",
    list: "traces",
    put: false,
};
const SPANS: Route = Route {
    path: "spans/batch",
    list: "spans",
    put: false,
};
const TRACE_SCORES: Route = Route {
    path: "traces/feedback-scores",
    list: "scores",
    put: true,
};
const SPAN_SCORES: Route = Route {
    path: "spans/feedback-scores",
    list: "scores",
    put: true,
};
const THREAD_SCORES: Route = Route {
    path: "traces/threads/feedback-scores",
    list: "scores",
    put: true,
};

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
        let mut report = ExportReport::default();
        let mut now = Timestamp::now();
        let mut rows = Rows::default();
        for trace in &batch.traces {
            let record = Record::Trace(trace.id);
            let named = (trace.project_name.as_deref(), trace.project_id);
            let kept = match self.project_of(named, validate::trace(trace)).await? {
                Ok(project) => rows.push(record, |out| {
                    rows::trace(out, trace, project.as_deref(), now)
                }),
                Err(reason) => Err(reason),
            };
            note(kept, record, &mut report);
            // Rows of one record without a moment keep their order.
            now = now.plus_micros(1);
        }
        self.deliver(TRACES, &rows, &mut report).await?;

        rows.clear();
        for span in &batch.spans {
            let record = Record::Span(span.id);
            let named = (span.project_name.as_deref(), span.project_id);
            let kept = match self.project_of(named, validate::span(span)).await? {
                Ok(project) => {
                    rows.push(record, |out| rows::span(out, span, project.as_deref(), now))
                }
                Err(reason) => Err(reason),
            };
            note(kept, record, &mut report);
            now = now.plus_micros(1);
        }
        self.deliver(SPANS, &rows, &mut report).await?;

        let (mut of_spans, mut of_threads) = (Rows::default(), Rows::default());
        rows.clear();
        for score in &batch.scores {
            let (list, record) = match &score.target {
                ScoreTarget::Trace(id) => (&mut rows, Record::TraceScore(*id)),
                ScoreTarget::Span(id) => (&mut of_spans, Record::SpanScore(*id)),
                ScoreTarget::Thread(_) => (&mut of_threads, Record::ThreadScore),
            };
            let named = (score.project_name.as_deref(), score.project_id);
            let kept = match self.project_of(named, validate::score(score)).await? {
                Ok(project) => list.push(record, |out| rows::score(out, score, project.as_deref())),
                Err(reason) => Err(reason),
            };
            note(kept, record, &mut report);
        }
        self.deliver(TRACE_SCORES, &rows, &mut report).await?;
        self.deliver(SPAN_SCORES, &of_spans, &mut report).await?;
        self.deliver(THREAD_SCORES, &of_threads, &mut report)
            .await?;
        Ok(report)
    }

    /// Nothing is buffered here, and what the server acknowledged is stored there.
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Lists a record that is not sent.
fn note(kept: Result<(), &'static str>, record: Record, report: &mut ExportReport) {
    if let Err(reason) = kept {
        report.rejected.push(Rejection {
            record: record.to_string(),
            reason: reason.to_owned(),
        });
    }
}

impl OpikClient {
    /// Sends rows in requests of bounded size.
    async fn deliver(
        &self,
        route: Route,
        rows: &Rows,
        report: &mut ExportReport,
    ) -> Result<(), ExportError> {
        for range in split(&rows.sizes(), self.inner.max_request) {
            self.deliver_range(route, rows, range, report).await?;
        }
        Ok(())
    }

    /// Sends one request's worth, in halves where it is refused.
    async fn deliver_range(
        &self,
        route: Route,
        rows: &Rows,
        range: Range<usize>,
        report: &mut ExportReport,
    ) -> Result<(), ExportError> {
        let (mut taken, mut refused) = (0, 0);
        let mut pending = vec![range];
        while let Some(part) = pending.pop() {
            let error = match self.put_rows(route, rows.text_of(&part)).await {
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

    async fn put_rows(&self, route: Route, rows: &[u8]) -> Result<(), RestError> {
        let mut body = Vec::with_capacity(rows.len() + route.list.len() + 8);
        body.extend_from_slice(format!("{{\"{}\":[", route.list).as_bytes());
        body.extend_from_slice(rows);
        body.extend_from_slice(b"]}");
        let call = if route.put {
            Call::put(route.path)
        } else {
            Call::post(route.path)
        };
        self.send(call.json_text(body)).await.map(drop)
    }

    /// The project that a valid record is written to, or why it is rejected.
    async fn project_of(
        &self,
        (name, id): (Option<&str>, Option<ProjectId>),
        valid: Result<(), &'static str>,
    ) -> Result<Result<Option<String>, &'static str>, ExportError> {
        if let Err(reason) = valid {
            return Ok(Err(reason));
        }
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
        let Some(record) = rows.records.get(index) else {
            continue;
        };
        report.rejected.push(Rejection {
            record: record.to_string(),
            reason: if error.kind() == RestErrorKind::TooLarge {
                let size = rows.start(index + 1) - rows.start(index) - 1;
                format!("{size} bytes are more than the server takes")
            } else {
                format!("the server refuses it with status {status}")
            },
        });
    }
}

/// Cuts a list into ranges of at most [`MAX_ITEMS`] items and `max` bytes; an item that is larger
/// than that is alone.
fn split(sizes: &[usize], max: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut bytes) = (0_usize, 0_usize);
    for (index, &size) in sizes.iter().enumerate() {
        let full = index - start >= MAX_ITEMS || bytes.saturating_add(size) > max;
        if full && index > start {
            ranges.push(start..index);
            (start, bytes) = (index, 0);
        }
        bytes = bytes.saturating_add(size);
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
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
            sizes in proptest::collection::vec(0_usize..2_000, 0..3_000),
            max in 1_usize..100_000,
        ) {
            let ranges = split(&sizes, max);
            let all: Vec<usize> = ranges.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>());
            for range in ranges {
                let bytes: usize = sizes[range.clone()].iter().sum();
                prop_assert!(!range.is_empty() && range.len() <= MAX_ITEMS);
                prop_assert!(bytes <= max || range.len() == 1);
            }
        }
    }
}
