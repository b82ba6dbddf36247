//! The client as an [`Exporter`].

use async_trait::async_trait;

use super::client::OpikClient;
use super::{deliver, limited};
use crate::exporter::{ExportErrorKind, Rejection};
use crate::wire::{RowId, WireAttachment, WireBatch, WireExporter};
use crate::{Batch, ExportError, ExportReport, Exporter, ProjectId, Timestamp};

/// Sends complete rows, never a change to one, so that a repetition is harmless and order does not
/// matter.
///
/// - A record that Opik would refuse (identifier, times, project, usage, cost, range of a score) is
///   rejected before sending.
/// - Requests carry at most [`MAX_ITEMS`](super::MAX_ITEMS) records and about `max_request_bytes`.
/// - A request that is refused (400, 413, 422, and 409 at the first attempt) is halved until the bad
///   record is alone. After 32 refusals of single records with nothing taken, the rest of that
///   request is rejected too.
/// - 409 after a repetition, or for a record that "already exists", is success.
/// - A missing `last_updated_at` becomes now, a missing `source` becomes `sdk`.
/// - A row with a `project_id` and no name gets the name from the server, since rows can be written
///   by name only; a project that does not exist is a rejection.
/// - `input` and `output` other than objects, lists of objects and texts, and `metadata` other than
///   objects, are wrapped: `5` becomes `{"input": 5}`.
/// - Files inside of content are uploaded and content that is too long is left out, as the
///   [`FieldLimits`](crate::wire::FieldLimits) of the client say. A record whose file is refused
///   counts as rejected, although the rest of it is stored.
///
/// What was refused by the server is rejected with the status; its words are left out, because
/// they quote content. After an error a part of the batch may have arrived; exporting the whole
/// again is right.
#[async_trait]
impl Exporter for OpikClient {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let mut rejected = Vec::new();
        let mut rows = WireBatch::default();
        let mut files = Vec::new();
        let limits = &self.inner.limits;
        let mut now = Timestamp::now();
        for trace in &batch.traces {
            let named = (trace.project_name.as_deref(), trace.project_id);
            let kept = match self.project_of(named).await? {
                Ok(project) => {
                    let project = project.as_deref();
                    let trace = limited::trace(limits, trace, project, &mut files);
                    rows.push_trace(&trace, project, now)
                }
                Err(reason) => Err(refused(RowId::Trace(trace.id), reason)),
            };
            rejected.extend(kept.err());
            // Rows of one record without a moment keep their order.
            now = now.plus_micros(1);
        }
        for span in &batch.spans {
            let named = (span.project_name.as_deref(), span.project_id);
            let kept = match self.project_of(named).await? {
                Ok(project) => {
                    let project = project.as_deref();
                    let span = limited::span(limits, span, project, &mut files);
                    rows.push_span(&span, project, now)
                }
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
        let mut report = self.send_rows(&rows).await?;
        report.rejected.splice(0..0, rejected);
        self.upload_all(&files, &mut report).await?;
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

fn refused(record: RowId, reason: &str) -> Rejection {
    Rejection {
        record: record.to_string(),
        reason: reason.to_owned(),
    }
}

impl OpikClient {
    /// Sends the files of records, which are no records of their own.
    async fn upload_all(
        &self,
        files: &[WireAttachment],
        report: &mut ExportReport,
    ) -> Result<(), ExportError> {
        for file in files {
            let Err(reason) = self.upload(file, report).await? else {
                continue;
            };
            let rejection = refused(deliver::owner(file), &format!("a file of it: {reason}"));
            let mut told = report.rejected.iter();
            if !told.any(|other| other.record == rejection.record) {
                report.accepted = report.accepted.saturating_sub(1);
                report.rejected.push(rejection);
            }
        }
        self.inner.uploaded.forget(files);
        Ok(())
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
