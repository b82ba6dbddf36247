//! Part heads: the columns of some spans of one trace and one project.
//!
//! ```text
//! version:u8  rows:varint  texts:varint (length bytes)*  row*
//! row = id:16 flags:varint [parent] start [end] updated [fields that the flags name] body:varint
//! ```
//!
//! Texts (names, models, tags, keys of usage) are written once per part and referred to by number,
//! so that a part can be read with nothing but itself. Times are differences: the start to that
//! of the row before, end and update to the start. `body` is the length of the row's body; bodies
//! lie one after the other in the order of the rows.

use opik_core::model::{ErrorInfo, RecordSource, SpanType, Usage};
use opik_core::{ProjectId, Span, SpanId, Timestamp, TraceId};

use super::body::span_has_rest;
use super::bytes::{Reader, put_f64, put_i64, put_len, put_str, put_u64};
use crate::error::StoreError;

const VERSION: u8 = 1;

const NAME: u64 = 1;
const KIND: u64 = 1 << 1;
const END: u64 = 1 << 2;
const MODEL: u64 = 1 << 3;
const PROVIDER: u64 = 1 << 4;
const TAGS: u64 = 1 << 5;
const USAGE: u64 = 1 << 6;
const ERROR: u64 = 1 << 7;
const PARENT: u64 = 1 << 8;
const PARENT_IN_PART: u64 = 1 << 9;
const COST: u64 = 1 << 10;
const TTFT: u64 = 1 << 11;
const CREATED: u64 = 1 << 12;
const SOURCE: u64 = 1 << 13;
const ENVIRONMENT: u64 = 1 << 14;
const CREATED_BY: u64 = 1 << 15;
const UPDATED_BY: u64 = 1 << 16;
const COST_VERSION: u64 = 1 << 17;
const REST: u64 = 1 << 18;

/// How many texts of a part are searched before one is written again.
const TEXT_WINDOW: usize = 48;

/// The columns of one span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpanRow<'a> {
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
    /// `last_updated_at`, or the moment of arrival of a row that has none.
    pub(crate) updated: i64,
    pub(crate) created: Option<i64>,
    pub(crate) name: Option<&'a str>,
    pub(crate) kind: Option<&'a str>,
    pub(crate) model: Option<&'a str>,
    pub(crate) provider: Option<&'a str>,
    pub(crate) source: Option<&'a str>,
    pub(crate) environment: Option<&'a str>,
    pub(crate) created_by: Option<&'a str>,
    pub(crate) updated_by: Option<&'a str>,
    pub(crate) cost_version: Option<&'a str>,
    /// Type of the error.
    pub(crate) error: Option<&'a str>,
    pub(crate) tags: Vec<&'a str>,
    pub(crate) usage: Vec<(&'a str, i64)>,
    pub(crate) cost: Option<f64>,
    pub(crate) ttft: Option<f64>,
    /// Whether the body has fields beside content and error.
    pub(crate) has_rest: bool,
    /// Where the body begins, from the beginning of the part's bodies.
    pub(crate) body_at: usize,
    /// Length of the body.
    pub(crate) body_len: usize,
}

impl<'a> SpanRow<'a> {
    /// The columns of a span that arrived at `now`; its body is set later.
    pub(crate) fn of(span: &'a Span, now: i64) -> Self {
        Self {
            id: span.id,
            parent: span.parent_span_id,
            start: span.start_time.as_micros(),
            end: span.end_time.map(Timestamp::as_micros),
            updated: span.last_updated_at.map_or(now, Timestamp::as_micros),
            created: span.created_at.map(Timestamp::as_micros),
            name: span.name.as_deref(),
            kind: span.r#type.as_ref().map(SpanType::as_str),
            model: span.model.as_deref(),
            provider: span.provider.as_deref(),
            source: span.source.as_ref().map(RecordSource::as_str),
            environment: span.environment.as_deref(),
            created_by: span.created_by.as_deref(),
            updated_by: span.last_updated_by.as_deref(),
            cost_version: span.total_estimated_cost_version.as_deref(),
            error: span
                .error_info
                .as_ref()
                .map(|error| error.exception_type.as_str()),
            tags: span.tags.iter().map(String::as_str).collect(),
            usage: span
                .usage
                .0
                .iter()
                .map(|(name, &count)| (name.as_str(), count))
                .collect(),
            cost: span.total_estimated_cost,
            ttft: span.ttft,
            has_rest: span_has_rest(span),
            body_at: 0,
            body_len: 0,
        }
    }

    /// The span that these columns are of, without what is in its body.
    pub(crate) fn to_span(&self, trace: TraceId, project: (ProjectId, &str), arrived: i64) -> Span {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let mut span = Span::new(self.id, trace, Timestamp::from_micros(self.start));
        span.project_id = Some(project.0);
        span.project_name = Some(project.1.to_owned());
        span.parent_span_id = self.parent;
        span.name = owned(self.name);
        span.r#type = self.kind.map(SpanType::from);
        span.end_time = self.end.map(Timestamp::from_micros);
        span.model = owned(self.model);
        span.provider = owned(self.provider);
        span.tags = self.tags.iter().map(|&tag| tag.to_owned()).collect();
        span.usage = Usage(
            self.usage
                .iter()
                .map(|&(name, n)| (name.to_owned(), n))
                .collect(),
        );
        span.error_info = self.error.map(ErrorInfo::of_type);
        span.created_at = Some(Timestamp::from_micros(self.created.unwrap_or(arrived)));
        span.last_updated_at = Some(Timestamp::from_micros(self.updated));
        span.created_by = owned(self.created_by);
        span.last_updated_by = owned(self.updated_by);
        span.total_estimated_cost = self.cost;
        span.total_estimated_cost_version = owned(self.cost_version);
        span.duration = duration(self.start, self.end);
        span.ttft = self.ttft;
        span.source = self.source.map(RecordSource::from);
        span.environment = owned(self.environment);
        span
    }

    /// Whether the body holds something that is wanted even when content is not.
    pub(crate) fn needs_body(&self) -> bool {
        self.has_rest || self.error.is_some()
    }

    fn flags(&self) -> u64 {
        let texts = [
            (NAME, self.name),
            (KIND, self.kind),
            (MODEL, self.model),
            (PROVIDER, self.provider),
            (ERROR, self.error),
            (SOURCE, self.source),
            (ENVIRONMENT, self.environment),
            (CREATED_BY, self.created_by),
            (UPDATED_BY, self.updated_by),
            (COST_VERSION, self.cost_version),
        ];
        let mut flags = 0;
        for (flag, text) in texts {
            flags |= if text.is_some() { flag } else { 0 };
        }
        for (flag, on) in [
            (END, self.end.is_some()),
            (TAGS, !self.tags.is_empty()),
            (USAGE, !self.usage.is_empty()),
            (COST, self.cost.is_some()),
            (TTFT, self.ttft.is_some()),
            (CREATED, self.created.is_some()),
            (REST, self.has_rest),
        ] {
            flags |= if on { flag } else { 0 };
        }
        flags
    }
}

/// Milliseconds from start to end; unknown while it runs and when the start is.
pub(crate) fn duration(start: i64, end: Option<i64>) -> Option<f64> {
    let end = end.filter(|_| start != 0)?;
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let micros = end.saturating_sub(start) as f64;
    Some(micros / 1_000.0)
}

/// The texts of a part, in the order of their first use.
#[derive(Default)]
struct Texts<'a>(Vec<&'a str>);

impl<'a> Texts<'a> {
    fn put(&mut self, out: &mut Vec<u8>, text: &'a str) {
        let known = self
            .0
            .iter()
            .take(TEXT_WINDOW)
            .position(|&known| known == text);
        let at = known.unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        });
        put_len(out, at);
    }
}

/// Writes the head of a part.
pub(crate) fn encode(rows: &[SpanRow<'_>]) -> Vec<u8> {
    let mut texts = Texts::default();
    let mut out = Vec::with_capacity(rows.len() * 80);
    let mut previous = 0;
    for row in rows {
        let near = row
            .parent
            .and_then(|parent| rows.binary_search_by(|other| other.id.cmp(&parent)).ok());
        let parent = match (row.parent, near) {
            (None, _) => 0,
            (Some(_), Some(_)) => PARENT | PARENT_IN_PART,
            (Some(_), None) => PARENT,
        };
        out.extend_from_slice(row.id.as_bytes());
        put_u64(&mut out, row.flags() | parent);
        match (row.parent, near) {
            (Some(_), Some(at)) => put_len(&mut out, at),
            (Some(id), None) => out.extend_from_slice(id.as_bytes()),
            (None, _) => {}
        }
        put_i64(&mut out, row.start.wrapping_sub(previous));
        previous = row.start;
        for at in row.end.into_iter().chain([row.updated]).chain(row.created) {
            put_i64(&mut out, at.wrapping_sub(row.start));
        }
        for text in [
            row.name,
            row.kind,
            row.model,
            row.provider,
            row.error,
            row.source,
            row.environment,
            row.created_by,
            row.updated_by,
            row.cost_version,
        ]
        .into_iter()
        .flatten()
        {
            texts.put(&mut out, text);
        }
        if !row.tags.is_empty() {
            put_len(&mut out, row.tags.len());
            for tag in &row.tags {
                texts.put(&mut out, tag);
            }
        }
        if !row.usage.is_empty() {
            put_len(&mut out, row.usage.len());
            for &(name, count) in &row.usage {
                texts.put(&mut out, name);
                put_i64(&mut out, count);
            }
        }
        for number in row.cost.into_iter().chain(row.ttft) {
            put_f64(&mut out, number);
        }
        put_len(&mut out, row.body_len);
    }
    let mut head = Vec::with_capacity(out.len() + 16 * texts.0.len() + 8);
    head.push(VERSION);
    put_len(&mut head, rows.len());
    put_len(&mut head, texts.0.len());
    for text in &texts.0 {
        put_str(&mut head, text);
    }
    head.extend_from_slice(&out);
    head
}

/// Reads the head of a part.
pub(crate) fn decode(head: &[u8]) -> Result<Vec<SpanRow<'_>>, StoreError> {
    let mut reader = Reader::new(head);
    if reader.byte()? != VERSION {
        return Err(StoreError::Damaged("a part has an unknown version"));
    }
    let count = reader.len()?;
    let texts = (0..reader.len()?)
        .map(|_| reader.str())
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<SpanRow<'_>> = Vec::with_capacity(count.min(head.len() / 16));
    let mut parents = Vec::new();
    let (mut previous, mut body_at) = (0, 0);
    for number in 0..count {
        let row = decode_row(&mut reader, &texts, &mut previous, &mut |at| {
            parents.push((number, at));
        })?;
        rows.push(SpanRow { body_at, ..row });
        body_at += rows.last().map_or(0, |row| row.body_len);
    }
    for (child, parent) in parents {
        let id = rows.get(parent).map(|row| row.id);
        if let (Some(row), Some(_)) = (rows.get_mut(child), id) {
            row.parent = id;
        }
    }
    Ok(rows)
}

fn decode_row<'a>(
    reader: &mut Reader<'a>,
    texts: &[&'a str],
    previous: &mut i64,
    parent_at: &mut dyn FnMut(usize),
) -> Result<SpanRow<'a>, StoreError> {
    let id = SpanId::from_bytes(reader.array()?);
    let flags = reader.u64()?;
    let has = |flag: u64| flags & flag != 0;
    let mut parent = None;
    if has(PARENT_IN_PART) {
        parent_at(reader.len()?);
    } else if has(PARENT) {
        parent = Some(SpanId::from_bytes(reader.array()?));
    }
    let start = reader.i64()?.wrapping_add(*previous);
    *previous = start;
    let moment = |reader: &mut Reader<'a>| reader.i64().map(|gap| gap.wrapping_add(start));
    let end = has(END).then(|| moment(reader)).transpose()?;
    let updated = moment(reader)?;
    let created = has(CREATED).then(|| moment(reader)).transpose()?;
    let text = |reader: &mut Reader<'a>| -> Result<&'a str, StoreError> {
        let at = reader.len()?;
        let Some(text) = texts.get(at).copied() else {
            return Err(StoreError::Damaged("a part refers to a text that it lacks"));
        };
        Ok(text)
    };
    let mut text_if = |flag| {
        if has(flag) {
            text(reader).map(Some)
        } else {
            Ok(None)
        }
    };
    let name = text_if(NAME)?;
    let kind = text_if(KIND)?;
    let model = text_if(MODEL)?;
    let provider = text_if(PROVIDER)?;
    let error = text_if(ERROR)?;
    let source = text_if(SOURCE)?;
    let environment = text_if(ENVIRONMENT)?;
    let created_by = text_if(CREATED_BY)?;
    let updated_by = text_if(UPDATED_BY)?;
    let cost_version = text_if(COST_VERSION)?;
    let mut tags = Vec::new();
    if has(TAGS) {
        for _ in 0..reader.len()? {
            tags.push(text(reader)?);
        }
    }
    let mut usage = Vec::new();
    if has(USAGE) {
        for _ in 0..reader.len()? {
            usage.push((text(reader)?, reader.i64()?));
        }
    }
    let cost = has(COST).then(|| reader.f64()).transpose()?;
    let ttft = has(TTFT).then(|| reader.f64()).transpose()?;
    Ok(SpanRow {
        id,
        parent,
        start,
        end,
        updated,
        created,
        name,
        kind,
        model,
        provider,
        source,
        environment,
        created_by,
        updated_by,
        cost_version,
        error,
        tags,
        usage,
        cost,
        ttft,
        has_rest: has(REST),
        body_at: 0,
        body_len: reader.len()?,
    })
}
