//! What may leave as rows of Opik's write API, written in one go.
//!
//! The rows are to the letter those that [`WireBatch::push_trace`], `push_span` and `push_score` make
//! of the same records, and the same records are refused: a server refuses a whole request for one
//! bad row.

use std::ops::Range;

use opik_core::wire::{RowId, WireBatch};
use opik_core::{SpanId, Timestamp, TraceId};

use super::Common;
use super::cleared::{Cleared, Content, Head, Leaf};
use super::json::{push_escaped, push_float, push_id, push_int, push_text};
use super::limited::{Limited, limited};
use super::moments::Moments;
use crate::raw::Kind;

/// Why a record is no row: the rule that it breaks.
type Refused = &'static str;

/// Adds what may leave to a batch of rows.
///
/// # Errors
/// The rule that a server would refuse it for; nothing is added.
pub(crate) fn push_row(
    cleared: &Cleared<'_>,
    common: &Common,
    moments: &mut Moments,
    batch: &mut WireBatch,
) -> Result<(), Refused> {
    let head = &cleared.head;
    let id = match (head.kind, head.parent) {
        (Kind::Trace, _) => RowId::Trace(head.trace),
        (Kind::Span, _) => RowId::Span(head.span),
        (Kind::Score, _) if cleared.thread.is_some() => RowId::ThreadScore,
        (Kind::Score, Some(span)) => RowId::SpanScore(span),
        (Kind::Score, None) => RowId::TraceScore(head.trace),
    };
    check(cleared, common, id)?;
    let limited = limited(cleared, common, &mut batch.attachments);
    batch.rows_mut(id.list()).push_with(id, |out| {
        let mut row = Row {
            out,
            moments,
            limited: limited.as_ref(),
        };
        match head.kind {
            Kind::Trace => trace(&mut row, cleared, common),
            Kind::Span => span(&mut row, cleared, common),
            Kind::Score => score(&mut row, cleared, common),
        }
        row.out.push(b'}');
        Ok(())
    })
}

/// An object under construction. The first field opens it.
struct Row<'o> {
    out: &'o mut Vec<u8>,
    moments: &'o mut Moments,
    /// What stands for the content, where there is so much of it.
    limited: Option<&'o Limited>,
}

impl Row<'_> {
    /// The beginning of a field: `{"id":` or `,"name":`.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(key.as_bytes());
        self.out
    }

    fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            push_text(self.key(key), text);
        }
    }

    fn moment(&mut self, key: &str, at: Timestamp) -> Range<usize> {
        let before = self.key(key).len();
        self.moments.push(self.out, at);
        before..self.out.len()
    }

    /// Start and end; returns where the end stands.
    fn times(&mut self, head: &Head) -> Range<usize> {
        self.moment(",\"start_time\":", head.start);
        let end = head.end.map(|end| self.moment(",\"end_time\":", end));
        end.unwrap_or_default()
    }

    /// The moment of the row, which is that of the end of most records and copied from there.
    fn version(&mut self, head: &Head, end: Range<usize>) {
        let key = ",\"last_updated_at\":";
        if head.end == Some(head.version) {
            self.key(key).extend_from_within(end);
        } else {
            self.moment(key, head.version);
        }
    }

    fn float(&mut self, key: &str, number: Option<f64>) {
        if let Some(number) = number {
            push_float(self.key(key), number);
        }
    }

    /// Input, output and metadata.
    fn content(&mut self, cleared: &Cleared<'_>) {
        if let Some(limited) = self.limited {
            for (key, json) in [
                (",\"input\":", &limited.input),
                (",\"output\":", &limited.output),
                (",\"metadata\":", &limited.metadata),
            ] {
                if let Some(json) = json {
                    self.key(key).extend_from_slice(json.as_bytes());
                }
            }
            return;
        }
        if let Some(value) = &cleared.input {
            content(self.key(",\"input\":"), INPUT, value);
        }
        if let Some(value) = &cleared.output {
            content(self.key(",\"output\":"), OUTPUT, value);
        }
        if !cleared.metadata.is_empty() {
            metadata(self.key(",\"metadata\":"), &cleared.metadata);
        }
    }

    fn tags(&mut self, cleared: &Cleared<'_>) {
        let mut before = ",\"tags\":[";
        for tag in &cleared.tags {
            push_text(self.key(before), tag);
            before = ",";
        }
        if !cleared.tags.is_empty() {
            self.out.push(b']');
        }
    }

    fn usage(&mut self, cleared: &Cleared<'_>) {
        let mut before = ",\"usage\":{";
        for (name, count) in &cleared.usage {
            self.key(before);
            match &**name {
                "completion_tokens" => _ = self.key("\"completion_tokens\":"),
                "prompt_tokens" => _ = self.key("\"prompt_tokens\":"),
                "total_tokens" => _ = self.key("\"total_tokens\":"),
                other => {
                    push_text(self.out, other);
                    self.out.push(b':');
                }
            }
            push_int(self.out, *count);
            before = ",";
        }
        if !cleared.usage.is_empty() {
            self.out.push(b'}');
        }
    }

    /// Type and traceback must not be empty on the wire.
    fn error(&mut self, cleared: &Cleared<'_>) {
        let Some(kind) = cleared.error.as_deref() else {
            return;
        };
        let kind = if kind.trim().is_empty() {
            "Exception"
        } else {
            kind
        };
        let message = cleared.message.as_deref();
        self.text(",\"error_info\":{\"exception_type\":", Some(kind));
        self.text(",\"message\":", message);
        let told = message.filter(|message| !message.trim().is_empty());
        self.text(",\"traceback\":", Some(told.unwrap_or(kind)));
        self.out.push(b'}');
    }
}

fn trace(row: &mut Row<'_>, cleared: &Cleared<'_>, common: &Common) {
    let head = &cleared.head;
    push_id(row.key("{\"id\":"), head.trace.as_bytes());
    row.text(",\"project_name\":", common.project.as_deref());
    row.text(",\"name\":", Some(&cleared.name));
    let end = row.times(head);
    row.content(cleared);
    row.tags(cleared);
    row.error(cleared);
    row.version(head, end);
    row.float(",\"ttft\":", cleared.ttft);
    row.text(",\"thread_id\":", cleared.thread.as_deref());
    row.key(",\"source\":\"sdk\"");
    row.text(",\"environment\":", common.environment.as_deref());
}

fn span(row: &mut Row<'_>, cleared: &Cleared<'_>, common: &Common) {
    let head = &cleared.head;
    push_id(row.key("{\"id\":"), head.span.as_bytes());
    row.text(",\"project_name\":", common.project.as_deref());
    push_id(row.key(",\"trace_id\":"), head.trace.as_bytes());
    if let Some(parent) = &head.parent {
        push_id(row.key(",\"parent_span_id\":"), parent.as_bytes());
    }
    row.text(",\"name\":", Some(&cleared.name));
    match &*cleared.word {
        "general" => _ = row.key(",\"type\":\"general\""),
        "llm" => _ = row.key(",\"type\":\"llm\""),
        "tool" => _ = row.key(",\"type\":\"tool\""),
        other => row.text(",\"type\":", Some(other)),
    }
    let end = row.times(head);
    row.content(cleared);
    row.text(",\"model\":", cleared.model.as_deref());
    row.text(",\"provider\":", cleared.provider.as_deref());
    row.tags(cleared);
    row.usage(cleared);
    row.error(cleared);
    row.version(head, end);
    row.float(",\"total_estimated_cost\":", cleared.cost);
    row.float(",\"ttft\":", cleared.ttft);
    row.key(",\"source\":\"sdk\"");
    row.text(",\"environment\":", common.environment.as_deref());
}

fn score(row: &mut Row<'_>, cleared: &Cleared<'_>, common: &Common) {
    let head = &cleared.head;
    match (cleared.thread.as_deref(), &head.parent) {
        (Some(thread), _) => push_text(row.key("{\"thread_id\":"), thread),
        (None, Some(span)) => push_id(row.key("{\"id\":"), span.as_bytes()),
        (None, None) => push_id(row.key("{\"id\":"), head.trace.as_bytes()),
    }
    row.text(",\"project_name\":", common.project.as_deref());
    row.text(",\"name\":", Some(&cleared.name));
    row.float(",\"value\":", Some(cleared.score));
    row.key(",\"source\":\"sdk\"");
    row.text(",\"category_name\":", cleared.category.as_deref());
    row.text(",\"reason\":", cleared.reason.as_deref());
}

/// What ends the beginning of a text: the mark by which Opik's page knows that there was more.
const CUT: &str = "…\",\"opik_truncated\":true,\"reason\":\"<cut_at_the_recorder's_limit>\"}";

/// How content begins that is the only field of an object.
pub(super) const INPUT: &str = "{\"input\":";
pub(super) const OUTPUT: &str = "{\"output\":";

/// Input or output; `open` is how it begins where it is the only field of an object.
pub(super) fn content(out: &mut Vec<u8>, open: &str, value: &Content<'_>) {
    match value {
        Content::Whole(text) => out.extend_from_slice(text.as_bytes()),
        Content::Wrapped(value) => {
            out.extend_from_slice(open.as_bytes());
            leaf(out, value);
            out.push(b'}');
        }
        Content::Cut(text) => {
            out.extend_from_slice(open.as_bytes());
            out.push(b'"');
            push_escaped(out, text);
            out.extend_from_slice(CUT.as_bytes());
        }
    }
}

pub(super) fn metadata(out: &mut Vec<u8>, entries: &[(std::borrow::Cow<'_, str>, Leaf<'_>)]) {
    let mut before = b'{';
    for (key, value) in entries {
        out.push(before);
        push_text(out, key);
        out.push(b':');
        leaf(out, value);
        before = b',';
    }
    out.push(b'}');
}

fn leaf(out: &mut Vec<u8>, value: &Leaf<'_>) {
    match value {
        Leaf::Text(text) => push_text(out, text),
        Leaf::Json(text) => out.extend_from_slice(text.as_bytes()),
        Leaf::Int(number) => push_int(out, *number),
        Leaf::Float(number) => push_float(out, *number),
        Leaf::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
    }
}

/// Scores have nine digits before the point.
const SCORE_BOUND: f64 = 1.0e9;
/// 2262-01-01T00:00:00Z: later moments do not fit the server's nanoseconds.
const LAST_MOMENT: Timestamp = Timestamp::from_micros(9_214_646_400_000_000);
const MAX_ENVIRONMENT: usize = 150;

/// The rules of `opik_core::wire`, in their order and words.
fn check(cleared: &Cleared<'_>, common: &Common, id: RowId) -> Result<(), Refused> {
    let head = &cleared.head;
    let project = || {
        let project = common.project.as_deref();
        rule(
            project.is_none_or(|name| name.contains(|c: char| !c.is_whitespace())),
            "project_name is blank",
        )
    };
    match id {
        RowId::Trace(id) | RowId::TraceScore(id) => own_id(id.is_v7())?,
        RowId::Span(id) | RowId::SpanScore(id) => own_id(SpanId::is_v7(&id))?,
        RowId::ThreadScore => {
            let thread = cleared.thread.as_deref().unwrap_or_default();
            rule(!thread.trim().is_empty(), "thread_id is blank")?;
        }
        _ => {}
    }
    if head.kind == Kind::Score {
        project()?;
        rule(!cleared.name.trim().is_empty(), "name is blank")?;
        return rule(
            cleared.score.abs() < SCORE_BOUND,
            "value is not within a thousand million of zero",
        );
    }
    if head.kind == Kind::Span {
        let trace = TraceId::is_v7(&head.trace);
        rule(trace, "trace_id is not a version 7 UUID")?;
        let parent = head.parent.is_none_or(|parent| parent.is_v7());
        rule(parent, "parent_span_id is not a version 7 UUID")?;
    }
    let fits = |at: Timestamp| at >= Timestamp::EPOCH && at < LAST_MOMENT;
    rule(fits(head.start), "start_time is outside of 1970 to 2262")?;
    rule(
        head.end.is_none_or(fits),
        "end_time is outside of 1970 to 2262",
    )?;
    rule(
        fits(head.version),
        "last_updated_at is outside of 1970 to 2262",
    )?;
    project()?;
    let environment = common.environment.as_deref();
    rule(
        environment.is_none_or(|name| name.chars().count() <= MAX_ENVIRONMENT),
        "environment has more than 150 characters",
    )?;
    if head.kind == Kind::Trace {
        return Ok(());
    }
    let mut counts = cleared.usage.iter();
    rule(
        counts.all(|(_, count)| i32::try_from(*count).is_ok()),
        "a count in usage does not fit 32 bits",
    )?;
    rule(
        cleared.cost.is_none_or(|cost| cost >= 0.0),
        "total_estimated_cost is negative or no number",
    )
}

fn own_id(is_v7: bool) -> Result<(), Refused> {
    rule(is_v7, "id is not a version 7 UUID")
}

fn rule(holds: bool, reason: Refused) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(reason) }
}
