//! Patches and rows that meet: see [`crate::records::patches`].

use opik_core::query::ProjectSelector;
use opik_core::{Batch, ProjectId, Span, SpanId, Timestamp, Trace, TraceId};
use rusqlite::{OptionalExtension, params};

use super::Work;
use super::spans::{body_of, is_dead};
use super::traces::Known;
use crate::codec::body::Body;
use crate::codec::trace::TraceRow;
use crate::codec::{prefix, span};
use crate::error::StoreError;
use crate::pack::{self, Packed, ProjectRef};
use crate::records::patches::{Overlay, RecordOutcome, SpanPatch, TracePatch};
use crate::records::projects;

/// Kinds of records, as in the table.
const TRACE: i64 = 0;
const SPAN: i64 = 1;
/// How long an overlay is kept after its record has had its row, in microseconds.
const KEPT: i64 = 3_600_000_000;

/// An overlay as it is stored.
struct Stored {
    overlay: Overlay,
    /// Whether the row of the record has come.
    based: bool,
}

/// A span as it is stored.
struct StoredSpan {
    span: Span,
    project: i64,
}

impl Work<'_> {
    /// Whether there is any overlay; mostly there is none.
    fn any_overlays(&mut self) -> Result<bool, StoreError> {
        if let Some(known) = self.overlays {
            return Ok(known);
        }
        let any = self
            .conn
            .prepare_cached("SELECT 1 FROM overlay LIMIT 1")?
            .exists([])?;
        self.overlays = Some(any);
        Ok(any)
    }

    fn overlay(&self, kind: i64, target: &[u8; 16]) -> Result<Option<Stored>, StoreError> {
        let row: Option<(bool, Vec<u8>)> = self
            .conn
            .prepare_cached("SELECT based, body FROM overlay WHERE kind = ?1 AND target = ?2")?
            .query_row(params![kind, target], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(based, body)| {
            Ok(Stored {
                based,
                overlay: Overlay::decode(&body)?,
            })
        })
        .transpose()
    }

    fn save_overlay(
        &mut self,
        kind: i64,
        target: &[u8; 16],
        overlay: &Overlay,
        based: bool,
        at: i64,
    ) -> Result<(), StoreError> {
        if overlay.is_empty() && based {
            self.conn
                .prepare_cached("DELETE FROM overlay WHERE kind = ?1 AND target = ?2")?
                .execute(params![kind, target])?;
            return Ok(());
        }
        self.overlays = Some(true);
        self.conn
            .prepare_cached(
                "INSERT INTO overlay(kind, target, based, at, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET based = excluded.based, at = excluded.at,
                     body = excluded.body",
            )?
            .execute(params![kind, target, based, at, overlay.encode()?])?;
        self.conn
            .prepare_cached("DELETE FROM overlay WHERE based = 1 AND at < ?1")?
            .execute([at - KEPT])?;
        Ok(())
    }

    /// The row of a known trace as a record, without totals.
    fn stored_trace(&self, id: TraceId, known: &Known) -> Result<Trace, StoreError> {
        let columns = TraceRow::decode(&known.head)?;
        let project = self.project_of(known.project)?;
        let mut trace = Trace::new(id, Timestamp::EPOCH);
        columns.fill(&mut trace, (project, ""), known.version(), known.arrived());
        trace.project_name = None;
        if known.body.len > 0 {
            let block = self.block_content(known.body.block)?;
            let bytes = block
                .get(known.body.at..known.body.at + known.body.len)
                .ok_or(StoreError::Damaged("a body lies outside its block"))?;
            Body::parse(bytes)?.fill_trace(&mut trace, true)?;
        }
        Ok(trace)
    }

    fn project_of(&self, key: i64) -> Result<ProjectId, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT id FROM project WHERE key = ?1")?
            .query_row([key], |row| row.get(0).map(ProjectId::from_bytes))?)
    }

    /// A live span of a trace.
    fn stored_span(
        &mut self,
        trace: TraceId,
        id: SpanId,
    ) -> Result<Option<StoredSpan>, StoreError> {
        let Some(known) = self.find(trace)? else {
            return Ok(None);
        };
        let parts: Vec<i64> = self
            .conn
            .prepare_cached("SELECT key FROM part WHERE trace = ?1 AND hi >= ?2 ORDER BY key")?
            .query_map(params![known.key, prefix(id.as_bytes())], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for key in parts {
            let part = self.stored_part(key)?;
            let rows = span::decode(&part.head)?;
            let found = rows
                .iter()
                .enumerate()
                .find(|(number, row)| row.id == id && !is_dead(&part.dead, *number));
            let Some((_, row)) = found else { continue };
            let project = self.project_of(part.project)?;
            let mut span = row.to_span(trace, (project, ""), part.arrived);
            span.project_name = None;
            if row.body_len > 0 {
                let place = body_of(part.bodies, row);
                let block = self.block_content(place.block)?;
                let bytes = block
                    .get(place.at..place.at + place.len)
                    .ok_or(StoreError::Damaged("a body lies outside its block"))?;
                Body::parse(bytes)?.fill_span(&mut span, true)?;
            }
            return Ok(Some(StoredSpan {
                span,
                project: part.project,
            }));
        }
        Ok(None)
    }

    /// The trace that a span is of, wherever it is.
    fn trace_of_span(&self, id: SpanId) -> Result<Option<TraceId>, StoreError> {
        crate::read::trace_of_span(self.conn, id)
    }

    /// Writes one record inside this transaction, as a batch would.
    fn put(&mut self, batch: &Batch, now: i64) -> Result<(), StoreError> {
        let (packed, compression) = pack::pack(batch, Timestamp::from_micros(now), &drop)?;
        compression.run()?;
        self.rows(&packed)
    }

    /// Puts overlays over the rows that a batch brought.
    pub(super) fn meet_overlays(&mut self, packed: &Packed) -> Result<(), StoreError> {
        if !self.any_overlays()? {
            return Ok(());
        }
        for trace in &packed.traces {
            if trace.row.is_some()
                && let Some(stored) = self.overlay(TRACE, trace.id.as_bytes())?
            {
                self.meet_trace(trace.id, stored, packed.arrived)?;
            }
            for part in &trace.parts {
                for (id, _) in &part.ids {
                    if let Some(stored) = self.overlay(SPAN, id.as_bytes())? {
                        self.meet_span(trace.id, *id, stored, packed.arrived)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn meet_trace(&mut self, id: TraceId, stored: Stored, now: i64) -> Result<(), StoreError> {
        let Some(known) = self.find(id)?.filter(|known| known.present) else {
            return Ok(());
        };
        let mut overlay = stored.overlay;
        let mut trace = self.stored_trace(id, &known)?;
        overlay.apply_to_trace(&mut trace, known.version(), false);
        self.put(&Batch::new(vec![trace], Vec::new()), now)?;
        self.save_overlay(TRACE, id.as_bytes(), &overlay, true, now)
    }

    fn meet_span(
        &mut self,
        trace: TraceId,
        id: SpanId,
        stored: Stored,
        now: i64,
    ) -> Result<(), StoreError> {
        let Some(StoredSpan { mut span, .. }) = self.stored_span(trace, id)? else {
            return Ok(());
        };
        let mut overlay = stored.overlay;
        let version = span.last_updated_at.map_or(0, Timestamp::as_micros);
        overlay.apply_to_span(&mut span, version, false);
        self.put(&Batch::new(Vec::new(), vec![span]), now)?;
        self.save_overlay(SPAN, id.as_bytes(), &overlay, true, now)
    }

    /// The key of the project that a patch names; `None` when it names one that does not exist.
    fn patched_project(
        &mut self,
        project: &ProjectRef,
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        match project.id {
            Some(id) => {
                Ok(projects::find(self.conn, &ProjectSelector::Id(id))?.map(|(key, _)| key))
            }
            None => self.project(project, now).map(Some),
        }
    }

    pub(crate) fn patch_trace(
        &mut self,
        id: TraceId,
        patch: &TracePatch,
    ) -> Result<RecordOutcome, StoreError> {
        let now = Timestamp::now().as_micros();
        let Some(project) = self.patched_project(&patch.fields.project(), now)? else {
            return Ok(RecordOutcome::UnknownProject);
        };
        let known = self.find(id)?.filter(|known| known.present);
        if known.as_ref().is_some_and(|known| known.project != project) {
            return Ok(RecordOutcome::OtherProject);
        }
        let stored = self.overlay(TRACE, id.as_bytes())?;
        let based = stored
            .as_ref()
            .map_or(known.is_some(), |stored| stored.based);
        let mut overlay = stored.map(|stored| stored.overlay).unwrap_or_default();
        let (mut trace, version) = match &known {
            Some(known) => (self.stored_trace(id, known)?, known.version()),
            None => {
                let mut trace = Trace::new(id, Timestamp::EPOCH);
                trace.project_id = Some(self.project_of(project)?);
                trace.last_updated_at = Some(Timestamp::EPOCH);
                (trace, 0)
            }
        };
        let at = now.max(version.saturating_add(1));
        overlay.take(&patch.fields, based.then_some(trace.tags.as_slice()), at);
        overlay.take_trace(patch, at);
        if based {
            overlay.apply_to_trace(&mut trace, version, false);
        } else {
            let mut shown = Overlay::default();
            shown.take(&patch.fields, Some(&trace.tags), at);
            shown.take_trace(patch, at);
            shown.apply_to_trace(&mut trace, version, true);
        }
        self.put(&Batch::new(vec![trace], Vec::new()), now)?;
        self.save_overlay(TRACE, id.as_bytes(), &overlay, based, now)?;
        Ok(RecordOutcome::Done)
    }

    pub(crate) fn patch_span(
        &mut self,
        id: SpanId,
        patch: &SpanPatch,
    ) -> Result<RecordOutcome, StoreError> {
        let now = Timestamp::now().as_micros();
        let Some(project) = self.patched_project(&patch.fields.project(), now)? else {
            return Ok(RecordOutcome::UnknownProject);
        };
        let known = self.stored_span(patch.trace_id, id)?;
        if known.is_none() && self.trace_of_span(id)?.is_some() {
            return Ok(RecordOutcome::OtherTrace);
        }
        if let Some(known) = &known {
            if known.project != project {
                return Ok(RecordOutcome::OtherProject);
            }
            if known.span.parent_span_id != patch.parent_span_id {
                return Ok(RecordOutcome::OtherParent);
            }
        }
        let stored = self.overlay(SPAN, id.as_bytes())?;
        let based = stored
            .as_ref()
            .map_or(known.is_some(), |stored| stored.based);
        let mut overlay = stored.map(|stored| stored.overlay).unwrap_or_default();
        let mut span = match known {
            Some(known) => known.span,
            None => {
                let mut span = Span::new(id, patch.trace_id, Timestamp::EPOCH);
                span.parent_span_id = patch.parent_span_id;
                span.project_id = Some(self.project_of(project)?);
                span.last_updated_at = Some(Timestamp::EPOCH);
                span
            }
        };
        let version = span.last_updated_at.map_or(0, Timestamp::as_micros);
        let at = now.max(version.saturating_add(1));
        overlay.take(&patch.fields, based.then_some(span.tags.as_slice()), at);
        overlay.take_span(patch, at);
        if based {
            overlay.apply_to_span(&mut span, version, false);
        } else {
            let mut shown = Overlay::default();
            shown.take(&patch.fields, Some(&span.tags), at);
            shown.take_span(patch, at);
            shown.apply_to_span(&mut span, version, true);
        }
        self.put(&Batch::new(Vec::new(), vec![span]), now)?;
        self.save_overlay(SPAN, id.as_bytes(), &overlay, based, now)?;
        Ok(RecordOutcome::Done)
    }

    pub(crate) fn create_trace(&mut self, mut trace: Trace) -> Result<RecordOutcome, StoreError> {
        let now = Timestamp::now().as_micros();
        let id = trace.id;
        let project = ProjectRef {
            name: trace.project_name.clone(),
            id: trace.project_id,
        };
        let project = self.project(&project, now)?;
        let version = trace.last_updated_at.map_or(now, Timestamp::as_micros);
        if let Some(known) = self.find(id)?.filter(|known| known.present) {
            if known.project != project {
                return Ok(RecordOutcome::OtherProject);
            }
            let stored = self.overlay(TRACE, id.as_bytes())?;
            let Some(stored) = stored.filter(|stored| !stored.based) else {
                return Ok(RecordOutcome::Exists);
            };
            let mut overlay = stored.overlay;
            trace.last_updated_at = Some(Timestamp::from_micros(version));
            overlay.apply_to_trace(&mut trace, version, true);
            self.save_overlay(TRACE, id.as_bytes(), &overlay, true, now)?;
        }
        self.put(&Batch::new(vec![trace], Vec::new()), now)?;
        Ok(RecordOutcome::Done)
    }

    pub(crate) fn create_span(&mut self, mut span: Span) -> Result<RecordOutcome, StoreError> {
        let now = Timestamp::now().as_micros();
        let id = span.id;
        let project = ProjectRef {
            name: span.project_name.clone(),
            id: span.project_id,
        };
        let project = self.project(&project, now)?;
        if let Some(known) = self.stored_span(span.trace_id, id)? {
            let stored = self.overlay(SPAN, id.as_bytes())?;
            let Some(stored) = stored.filter(|stored| !stored.based) else {
                return Ok(RecordOutcome::Exists);
            };
            if known.project != project {
                return Ok(RecordOutcome::OtherProject);
            }
            let version = span.last_updated_at.map_or(now, Timestamp::as_micros);
            let mut overlay = stored.overlay;
            span.last_updated_at = Some(Timestamp::from_micros(version));
            overlay.apply_to_span(&mut span, version, true);
            self.save_overlay(SPAN, id.as_bytes(), &overlay, true, now)?;
        } else if self.trace_of_span(id)?.is_some() {
            return Ok(RecordOutcome::Exists);
        }
        self.put(&Batch::new(Vec::new(), vec![span]), now)?;
        Ok(RecordOutcome::Done)
    }

    /// Forgets everything that hangs on a record.
    pub(super) fn forget_attached(
        &mut self,
        kind: i64,
        target: &[u8; 16],
    ) -> Result<(), StoreError> {
        if !self.anything_attached()? {
            return Ok(());
        }
        for sql in [
            "DELETE FROM overlay WHERE kind = ?1 AND target = ?2",
            "DELETE FROM comment WHERE kind = ?1 AND target = ?2",
            "DELETE FROM assertion WHERE kind = ?1 AND target = ?2",
            "DELETE FROM attachment_piece WHERE attachment IN
                 (SELECT key FROM attachment WHERE kind = ?1 AND target = ?2)",
            "DELETE FROM attachment WHERE kind = ?1 AND target = ?2",
        ] {
            self.conn
                .prepare_cached(sql)?
                .execute(params![kind, target])?;
        }
        if kind == TRACE {
            self.conn
                .prepare_cached("DELETE FROM guardrail WHERE trace = ?1")?
                .execute([target])?;
        }
        Ok(())
    }

    fn anything_attached(&mut self) -> Result<bool, StoreError> {
        if let Some(known) = self.attached {
            return Ok(known);
        }
        let any: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM overlay) OR EXISTS (SELECT 1 FROM comment)
                     OR EXISTS (SELECT 1 FROM assertion) OR EXISTS (SELECT 1 FROM guardrail)
                     OR EXISTS (SELECT 1 FROM attachment)",
            )?
            .query_row([], |row| row.get(0))?;
        self.attached = Some(any);
        Ok(any)
    }

    /// Notes that a thread has a turn.
    pub(super) fn touch_thread(&self, project: i64, thread: &str) -> Result<(), StoreError> {
        let now = Timestamp::now();
        self.conn
            .prepare_cached(
                "INSERT INTO thread(project, id, model, closed, tags, created, updated)
                 VALUES (?1, ?2, ?3, 0, '[]', ?4, ?4)
                 ON CONFLICT DO UPDATE SET updated = max(thread.updated, excluded.updated),
                     closed = CASE WHEN excluded.updated > thread.closed THEN 0
                              ELSE thread.closed END",
            )?
            .execute(params![
                project,
                thread,
                TraceId::generate_at(now).as_bytes(),
                now.as_micros()
            ])?;
        Ok(())
    }
}
