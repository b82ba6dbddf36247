//! Changes to single fields of traces and spans, apart from their rows.
//!
//! A record is a base row and an overlay. The base is the row with the highest `last_updated_at`;
//! the overlay holds fields that were changed by a patch, each with the moment of its change. What
//! is read is the base with the overlay over it: a field of the overlay wins when it is newer than
//! the base, or when the base does not have the field. So a patch may come before its record,
//! and a newer row replaces older patches.
//!
//! The store keeps the result as the row, and the overlay beside it for rows that are still to
//! come. An overlay of a record that has had its row is forgotten after an hour.

use std::collections::BTreeMap;

use opik_core::model::{RecordSource, SpanType};
use opik_core::{ErrorInfo, Json, ProjectId, Span, SpanId, Timestamp, Trace, TraceId, Usage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::pack::ProjectRef;
use crate::store::Store;

/// Fields that traces and spans have in common; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FieldsPatch {
    /// Project that the record has to be in, by name; the default project without either.
    pub project_name: Option<String>,
    /// Project that the record has to be in, by identifier.
    pub project_id: Option<ProjectId>,
    /// Name.
    pub name: Option<String>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// What went in.
    pub input: Option<Json>,
    /// What came out.
    pub output: Option<Json>,
    /// Anything else.
    pub metadata: Option<Json>,
    /// Labels, in place of those that are there.
    pub tags: Option<Vec<String>>,
    /// Labels to add.
    pub tags_to_add: Vec<String>,
    /// Labels to take away.
    pub tags_to_remove: Vec<String>,
    /// What went wrong.
    pub error_info: Option<ErrorInfo>,
    /// Time to the first token in milliseconds.
    pub ttft: Option<f64>,
    /// What produced it.
    pub source: Option<RecordSource>,
    /// Where it ran.
    pub environment: Option<String>,
}

/// A change to a trace.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TracePatch {
    /// Fields that spans have as well.
    pub fields: FieldsPatch,
    /// The thread that it is a turn of.
    pub thread_id: Option<String>,
}

/// A change to a span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanPatch {
    /// Fields that traces have as well.
    pub fields: FieldsPatch,
    /// The trace that the span has to be of.
    pub trace_id: TraceId,
    /// The parent that the span has to have.
    pub parent_span_id: Option<SpanId>,
    /// Kind.
    pub r#type: Option<SpanType>,
    /// The model that was called.
    pub model: Option<String>,
    /// Who serves the model.
    pub provider: Option<String>,
    /// Token counts.
    pub usage: Option<Usage>,
    /// Cost in US dollars.
    pub total_estimated_cost: Option<f64>,
}

impl SpanPatch {
    /// A change to nothing yet.
    #[must_use]
    pub fn new(trace_id: TraceId) -> Self {
        Self {
            fields: FieldsPatch::default(),
            trace_id,
            parent_span_id: None,
            r#type: None,
            model: None,
            provider: None,
            usage: None,
            total_estimated_cost: None,
        }
    }
}

/// What became of a change or a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// It is stored.
    Done,
    /// The record is there already; nothing was changed.
    Exists,
    /// The record is in another project.
    OtherProject,
    /// The project that was named by identifier does not exist.
    UnknownProject,
    /// The span is of another trace.
    OtherTrace,
    /// The span has another parent.
    OtherParent,
}

impl Store {
    /// Changes fields of a trace, which need not be there yet.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn patch_trace(
        &self,
        id: TraceId,
        patch: TracePatch,
    ) -> Result<RecordOutcome, StoreError> {
        self.change(move |writer| writer.transaction(|work| work.patch_trace(id, &patch)))
            .await
    }

    /// Changes fields of a span, which need not be there yet.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn patch_span(
        &self,
        id: SpanId,
        patch: SpanPatch,
    ) -> Result<RecordOutcome, StoreError> {
        self.change(move |writer| writer.transaction(|work| work.patch_span(id, &patch)))
            .await
    }

    /// Stores a trace that must not be there, except for patches that came before it: those win.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn create_trace(&self, trace: Trace) -> Result<RecordOutcome, StoreError> {
        self.change(move |writer| writer.transaction(|work| work.create_trace(trace)))
            .await
    }

    /// Stores a span that must not be there, except for patches that came before it: those win.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn create_span(&self, span: Span) -> Result<RecordOutcome, StoreError> {
        self.change(move |writer| writer.transaction(|work| work.create_span(span)))
            .await
    }
}

/// A field that was changed, and when, in microseconds.
#[derive(Serialize, Deserialize)]
struct Change {
    at: i64,
    value: Json,
}

/// Fields that were changed apart from their row.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Overlay {
    fields: BTreeMap<String, Change>,
    /// Tags to add to those of a row that has not come yet.
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

/// Size from which an overlay is compressed.
const LONG: usize = 512;

impl Overlay {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let internal = |error: serde_json::Error| StoreError::Internal(error.into());
        let text = serde_json::to_vec(self).map_err(internal)?;
        if text.len() < LONG {
            return Ok(text);
        }
        let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let mut out = size.to_be_bytes().to_vec();
        out.extend(crate::block::compress(&text)?);
        Ok(out)
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged("a change to a record is not JSON");
        if body.first() == Some(&b'{') {
            return serde_json::from_slice(body).map_err(damaged);
        }
        let (size, data) = body
            .split_first_chunk::<4>()
            .ok_or(StoreError::Damaged("a change to a record ends too early"))?;
        let size = usize::try_from(u32::from_be_bytes(*size)).unwrap_or(usize::MAX);
        serde_json::from_slice(&crate::block::decompress(data, size)?).map_err(damaged)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    fn put<T: Serialize>(&mut self, name: &str, value: Option<&T>, at: i64) {
        let json = value.and_then(|value| Json::from_serialize(value).ok());
        if let Some(value) = json {
            self.fields.insert(name.to_owned(), Change { at, value });
        }
    }

    /// Takes a patch in that was made at a moment. `tags` are those that the record has, if it
    /// has come.
    pub(crate) fn take(&mut self, patch: &FieldsPatch, tags: Option<&[String]>, at: i64) {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        self.put("name", text(&patch.name).as_ref(), at);
        self.put("end_time", patch.end_time.as_ref(), at);
        self.put("input", patch.input.as_ref(), at);
        self.put("output", patch.output.as_ref(), at);
        self.put("metadata", patch.metadata.as_ref(), at);
        self.put("error_info", patch.error_info.as_ref(), at);
        self.put("ttft", patch.ttft.as_ref(), at);
        self.put("source", patch.source.as_ref(), at);
        self.put("environment", text(&patch.environment).as_ref(), at);
        let own: Option<Vec<String>> = self
            .fields
            .get("tags")
            .and_then(|change| change.value.decode().ok());
        let known = patch
            .tags
            .clone()
            .or_else(|| tags.map(<[String]>::to_vec))
            .or(own);
        let edits = !(patch.tags_to_add.is_empty() && patch.tags_to_remove.is_empty());
        match known {
            Some(tags) if patch.tags.is_some() || edits => {
                let tags = edited(tags, &patch.tags_to_add, &patch.tags_to_remove);
                self.put("tags", Some(&tags), at);
                self.add.clear();
                self.remove.clear();
            }
            None if edits => {
                self.add.retain(|tag| !patch.tags_to_remove.contains(tag));
                self.add.extend(patch.tags_to_add.iter().cloned());
                self.remove.retain(|tag| !patch.tags_to_add.contains(tag));
                self.remove.extend(patch.tags_to_remove.iter().cloned());
            }
            _ => {}
        }
    }

    /// Takes in what only traces have.
    pub(crate) fn take_trace(&mut self, patch: &TracePatch, at: i64) {
        self.put("thread_id", patch.thread_id.as_ref(), at);
    }

    /// Takes in what only spans have.
    pub(crate) fn take_span(&mut self, patch: &SpanPatch, at: i64) {
        self.put("type", patch.r#type.as_ref(), at);
        self.put("model", patch.model.as_ref(), at);
        self.put("provider", patch.provider.as_ref(), at);
        self.put("usage", patch.usage.as_ref(), at);
        let cost = patch.total_estimated_cost.as_ref();
        self.put("total_estimated_cost", cost, at);
    }

    /// Puts the tags to rights that were edited before the row came.
    fn settle_tags(&mut self, tags: &[String], at: i64) {
        if self.add.is_empty() && self.remove.is_empty() {
            return;
        }
        let (add, remove) = (
            std::mem::take(&mut self.add),
            std::mem::take(&mut self.remove),
        );
        let tags = edited(tags.to_vec(), &add, &remove);
        self.put("tags", Some(&tags), at);
    }

    /// Puts the overlay over a trace that came as a row of this version, and forgets what lost.
    /// With `force` everything wins.
    pub(crate) fn apply_to_trace(&mut self, trace: &mut Trace, version: i64, force: bool) {
        self.settle_tags(&trace.tags, version.saturating_add(1));
        self.fields.retain(|name, change| {
            let slot = Slot {
                value: &change.value,
                wins: force || change.at > version,
            };
            match name.as_str() {
                "name" => slot.put(&mut trace.name),
                "end_time" => slot.put(&mut trace.end_time),
                "input" => slot.put(&mut trace.input),
                "output" => slot.put(&mut trace.output),
                "metadata" => slot.put(&mut trace.metadata),
                "error_info" => slot.put(&mut trace.error_info),
                "ttft" => slot.put(&mut trace.ttft),
                "source" => slot.put(&mut trace.source),
                "environment" => slot.put(&mut trace.environment),
                "thread_id" => slot.put(&mut trace.thread_id),
                "tags" => slot.put_list(&mut trace.tags),
                _ => true,
            }
        });
    }

    /// As [`apply_to_trace`](Self::apply_to_trace), for a span.
    pub(crate) fn apply_to_span(&mut self, span: &mut Span, version: i64, force: bool) {
        self.settle_tags(&span.tags, version.saturating_add(1));
        self.fields.retain(|name, change| {
            let slot = Slot {
                value: &change.value,
                wins: force || change.at > version,
            };
            match name.as_str() {
                "name" => slot.put(&mut span.name),
                "end_time" => slot.put(&mut span.end_time),
                "input" => slot.put(&mut span.input),
                "output" => slot.put(&mut span.output),
                "metadata" => slot.put(&mut span.metadata),
                "error_info" => slot.put(&mut span.error_info),
                "ttft" => slot.put(&mut span.ttft),
                "source" => slot.put(&mut span.source),
                "environment" => slot.put(&mut span.environment),
                "type" => slot.put(&mut span.r#type),
                "model" => slot.put(&mut span.model),
                "provider" => slot.put(&mut span.provider),
                "total_estimated_cost" => slot.put(&mut span.total_estimated_cost),
                "tags" => slot.put_list(&mut span.tags),
                "usage" => {
                    let wins = slot.wins || span.usage.is_empty();
                    if let (true, Ok(usage)) = (wins, slot.value.decode()) {
                        span.usage = usage;
                    }
                    wins
                }
                _ => true,
            }
        });
    }
}

fn edited(mut tags: Vec<String>, add: &[String], remove: &[String]) -> Vec<String> {
    tags.extend(add.iter().cloned());
    tags.retain(|tag| !remove.contains(tag));
    tags.sort();
    tags.dedup();
    tags
}

/// A field that may go over one of a record.
struct Slot<'c> {
    value: &'c Json,
    wins: bool,
}

impl Slot<'_> {
    /// Tells whether the field stays in the overlay.
    fn put<T: DeserializeOwned>(&self, to: &mut Option<T>) -> bool {
        let wins = self.wins || to.is_none();
        if let (true, Ok(value)) = (wins, self.value.decode()) {
            *to = Some(value);
        }
        wins
    }

    fn put_list<T: DeserializeOwned>(&self, to: &mut Vec<T>) -> bool {
        let wins = self.wins || to.is_empty();
        if let (true, Ok(value)) = (wins, self.value.decode()) {
            *to = value;
        }
        wins
    }
}

impl FieldsPatch {
    pub(crate) fn project(&self) -> ProjectRef {
        ProjectRef {
            name: self.project_name.clone(),
            id: self.project_id,
        }
    }
}
