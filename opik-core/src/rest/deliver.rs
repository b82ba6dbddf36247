//! The client as a [`WireExporter`]: rows in requests of bounded size, then files.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::attachments::{AttachmentTarget, NewAttachment};
use super::call::Call;
use super::client::{MAX_ITEMS, OpikClient};
use super::error::{RestError, RestErrorKind};
use crate::exporter::Rejection;
use crate::wire::{List, RowId, Rows, WireAttachment, WireBatch, WireExporter};
use crate::{ExportError, ExportReport};

/// Single refusals in a row, with nothing taken yet, after which a request is given up: then it is
/// not one bad record but all of them.
const HOPELESS: usize = 32;

/// Bytes around the rows of a request, at most.
const ENCLOSING: usize = 16;

/// Where rows go: method and path.
fn route(list: List) -> Call {
    match list {
        List::Traces => Call::post("traces/batch"),
        List::Spans => Call::post("spans/batch"),
        List::TraceScores => Call::put("traces/feedback-scores"),
        List::SpanScores => Call::put("spans/feedback-scores"),
        List::ThreadScores => Call::put("traces/threads/feedback-scores"),
    }
}

/// A request that a batch has, too.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// As [`Exporter`](crate::Exporter) does, with rows that are taken as they are: nothing is checked
/// before sending, the server judges. The project is the one that a row names, else the server's
/// default: the project of the client is not written into rows. It is that of files without one.
///
/// Files go up after the rows, one after the other, each with the repetitions of the client's
/// [`RetryPolicy`](super::RetryPolicy). A file that the server or its store refuses, and one whose
/// row was refused, is a rejection and costs nothing else; a failure that may pass is an error for
/// the whole batch, which may then be sent again: files that arrived the first time are not sent
/// twice, so that every repetition gets further.
#[async_trait]
impl WireExporter for OpikClient {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let mut report = self.send_rows(batch).await?;
        for file in &batch.attachments {
            match self.upload(file, &report).await? {
                Ok(()) => report.accepted += 1,
                Err(reason) => report.rejected.push(Rejection {
                    record: format!("attachment of {}", owner(file)),
                    reason,
                }),
            }
        }
        self.inner.uploaded.forget(&batch.attachments);
        Ok(report)
    }

    fn project_name(&self) -> Option<&str> {
        Self::project_name(self)
    }
}

/// The row that a file belongs to.
pub(super) fn owner(file: &WireAttachment) -> RowId {
    file.span.map_or(RowId::Trace(file.trace), RowId::Span)
}

impl OpikClient {
    /// Sends the rows of a batch in requests of bounded size.
    pub(super) async fn send_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let mut report = ExportReport::default();
        for list in List::ALL {
            let rows = batch.rows(list);
            for range in split(rows, self.inner.max_request) {
                self.deliver_range(list, rows, range, &mut report).await?;
            }
        }
        Ok(report)
    }

    /// Sends a file whose rows were sent before; what is inside is why it was refused for good.
    pub(super) async fn upload(
        &self,
        file: &WireAttachment,
        rows: &ExportReport,
    ) -> Result<Result<(), String>, ExportError> {
        let owner = owner(file).to_string();
        if rows.rejected.iter().any(|row| row.record == owner) {
            return Ok(Err("what it belongs to is refused".to_owned()));
        }
        if self.inner.uploaded.has(file) {
            return Ok(Ok(()));
        }
        let target = match file.span {
            Some(span) => AttachmentTarget::Span(span),
            None => AttachmentTarget::Trace(file.trace),
        };
        let mut new = NewAttachment::new(target, &file.file_name, file.bytes.clone())
            .mime_type(&file.mime_type);
        if let Some(project) = &file.project_name {
            new = new.project_name(project);
        }
        match self.attach(&new).await {
            Ok(()) => {
                self.inner.uploaded.add(file);
                Ok(Ok(()))
            }
            // What was repeated had arrived before.
            Err(error) if error.kind() == RestErrorKind::Conflict && error.attempts() > 1 => {
                Ok(Ok(()))
            }
            Err(error) if error.is_retryable() => Err(error.into()),
            Err(error) => Ok(Err(match error.status() {
                Some(status) => format!("it is refused with status {status}"),
                None => "it cannot be uploaded: the server gives no usable address".to_owned(),
            })),
        }
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
            let error = match self.put_rows(list, rows, &part).await {
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

    async fn put_rows(
        &self,
        list: List,
        rows: &Rows,
        part: &Range<usize>,
    ) -> Result<(), RestError> {
        let body = if *part == (0..rows.len()) {
            Bytes::from_owner(Shared(rows.request()))
        } else {
            let size = rows.text_of(part).len() + ENCLOSING;
            let write = |body: &mut Vec<u8>| rows.write_request(part, body);
            self.inner.bodies.write(size, write)
        };
        self.send(route(list).json_text(body)).await.map(drop)
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
    if !rows.is_empty() && rows.len() <= MAX_ITEMS && rows.bytes() <= max {
        return std::iter::once(0..rows.len()).collect();
    }
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
            let mut rows = Rows::of(List::Spans);
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
