//! The head of a trace: its own columns, without what is in its body and without totals.
//!
//! `version:u8 flags:varint start [end] [created]` and the fields that the flags name, in the
//! order of the flags. `updated` is a column of the table.

use opik_core::model::{ErrorInfo, RecordSource, VisibilityMode};
use opik_core::{ProjectId, Timestamp, Trace};

use super::body::trace_has_rest;
use super::bytes::{Reader, put_f64, put_i64, put_len, put_str, put_u64};
use super::span::duration;
use crate::error::StoreError;

const VERSION: u8 = 1;

const END: u64 = 1;
const CREATED: u64 = 1 << 1;
const NAME: u64 = 1 << 2;
const ERROR: u64 = 1 << 3;
const THREAD: u64 = 1 << 4;
const SOURCE: u64 = 1 << 5;
const ENVIRONMENT: u64 = 1 << 6;
const VISIBILITY: u64 = 1 << 7;
const CREATED_BY: u64 = 1 << 8;
const UPDATED_BY: u64 = 1 << 9;
const TAGS: u64 = 1 << 10;
const TTFT: u64 = 1 << 11;
const REST: u64 = 1 << 12;

/// The columns of one trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceRow<'a> {
    pub(crate) start: i64,
    end: Option<i64>,
    created: Option<i64>,
    pub(crate) name: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) thread: Option<&'a str>,
    source: Option<&'a str>,
    environment: Option<&'a str>,
    visibility: Option<&'a str>,
    created_by: Option<&'a str>,
    updated_by: Option<&'a str>,
    pub(crate) tags: Vec<&'a str>,
    ttft: Option<f64>,
    has_rest: bool,
}

impl<'a> TraceRow<'a> {
    pub(crate) fn of(trace: &'a Trace) -> Self {
        Self {
            start: trace.start_time.as_micros(),
            end: trace.end_time.map(Timestamp::as_micros),
            created: trace.created_at.map(Timestamp::as_micros),
            name: trace.name.as_deref(),
            error: trace
                .error_info
                .as_ref()
                .map(|error| error.exception_type.as_str()),
            thread: trace.thread_id.as_deref(),
            source: trace.source.as_ref().map(RecordSource::as_str),
            environment: trace.environment.as_deref(),
            visibility: trace.visibility_mode.as_ref().map(VisibilityMode::as_str),
            created_by: trace.created_by.as_deref(),
            updated_by: trace.last_updated_by.as_deref(),
            tags: trace.tags.iter().map(String::as_str).collect(),
            ttft: trace.ttft,
            has_rest: trace_has_rest(trace),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let texts = [
            (NAME, self.name),
            (ERROR, self.error),
            (THREAD, self.thread),
            (SOURCE, self.source),
            (ENVIRONMENT, self.environment),
            (VISIBILITY, self.visibility),
            (CREATED_BY, self.created_by),
            (UPDATED_BY, self.updated_by),
        ];
        let mut flags = 0;
        for (flag, text) in texts {
            flags |= if text.is_some() { flag } else { 0 };
        }
        for (flag, on) in [
            (END, self.end.is_some()),
            (CREATED, self.created.is_some()),
            (TAGS, !self.tags.is_empty()),
            (TTFT, self.ttft.is_some()),
            (REST, self.has_rest),
        ] {
            flags |= if on { flag } else { 0 };
        }
        let mut out = Vec::with_capacity(96);
        out.push(VERSION);
        put_u64(&mut out, flags);
        put_i64(&mut out, self.start);
        for at in self.end.into_iter().chain(self.created) {
            put_i64(&mut out, at.wrapping_sub(self.start));
        }
        for (_, text) in texts {
            if let Some(text) = text {
                put_str(&mut out, text);
            }
        }
        if !self.tags.is_empty() {
            put_len(&mut out, self.tags.len());
            for tag in &self.tags {
                put_str(&mut out, tag);
            }
        }
        if let Some(ttft) = self.ttft {
            put_f64(&mut out, ttft);
        }
        out
    }

    pub(crate) fn decode(head: &'a [u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(head);
        if reader.byte()? != VERSION {
            return Err(StoreError::Damaged("a trace has an unknown version"));
        }
        let flags = reader.u64()?;
        let has = |flag: u64| flags & flag != 0;
        let start = reader.i64()?;
        let mut moment = |flag| {
            if has(flag) {
                reader.i64().map(|gap| Some(gap.wrapping_add(start)))
            } else {
                Ok(None)
            }
        };
        let (end, created) = (moment(END)?, moment(CREATED)?);
        let mut text = |flag| {
            if has(flag) {
                reader.str().map(Some)
            } else {
                Ok(None)
            }
        };
        let name = text(NAME)?;
        let error = text(ERROR)?;
        let thread = text(THREAD)?;
        let source = text(SOURCE)?;
        let environment = text(ENVIRONMENT)?;
        let visibility = text(VISIBILITY)?;
        let created_by = text(CREATED_BY)?;
        let updated_by = text(UPDATED_BY)?;
        let mut tags = Vec::new();
        if has(TAGS) {
            for _ in 0..reader.len()? {
                tags.push(reader.str()?);
            }
        }
        let ttft = if has(TTFT) { Some(reader.f64()?) } else { None };
        Ok(Self {
            start,
            end,
            created,
            name,
            error,
            thread,
            source,
            environment,
            visibility,
            created_by,
            updated_by,
            tags,
            ttft,
            has_rest: has(REST),
        })
    }

    /// Writes these columns into a trace that has nothing but its identifier. A trace is large:
    /// nobody makes one here and hands it on.
    pub(crate) fn fill(
        &self,
        trace: &mut Trace,
        project: (ProjectId, &str),
        updated: i64,
        arrived: i64,
    ) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        trace.start_time = Timestamp::from_micros(self.start);
        trace.project_id = Some(project.0);
        trace.project_name = Some(project.1.to_owned());
        trace.end_time = self.end.map(Timestamp::from_micros);
        trace.created_at = Some(Timestamp::from_micros(self.created.unwrap_or(arrived)));
        trace.last_updated_at = Some(Timestamp::from_micros(updated));
        trace.name = owned(self.name);
        trace.error_info = self.error.map(ErrorInfo::of_type);
        trace.thread_id = owned(self.thread);
        trace.source = self.source.map(RecordSource::from);
        trace.environment = owned(self.environment);
        trace.visibility_mode = self.visibility.map(VisibilityMode::from);
        trace.created_by = owned(self.created_by);
        trace.last_updated_by = owned(self.updated_by);
        trace.tags = self.tags.iter().map(|&tag| tag.to_owned()).collect();
        trace.ttft = self.ttft;
        trace.duration = duration(self.start, self.end);
    }

    /// Whether the body holds something that is wanted even when content is not.
    pub(crate) fn needs_body(&self) -> bool {
        self.has_rest || self.error.is_some()
    }
}
