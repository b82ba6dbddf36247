//! Spans of other systems: their identifiers become UUIDs, and their traces get a record.
//!
//! A foreign trace's UUID is made of its start and a hash of its identifier, a span's of its
//! trace's start and a hash of both identifiers. So a span's UUID follows from its identifier
//! alone once the trace's start is known, and a parent can be named before it is seen. The start
//! is the earliest of the first document with that trace; later documents of the same file use it
//! too, which is what the memory of [`Assembler`] is for.

use std::collections::{BTreeMap, HashMap, VecDeque};

use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId};
use serde_json::{Map, Value};

use crate::record::with_member;
use crate::sink::Sink;

/// Traces whose start is remembered; the oldest are forgotten first.
const REMEMBERED_STARTS: usize = 200_000;
/// Traces whose record is remembered, to be completed by later documents.
const REMEMBERED_TRACES: usize = 500;

/// A span with the identifiers of its system.
#[derive(Debug)]
pub(crate) struct ForeignSpan<'d> {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: Option<String>,
    /// The span; its identifiers are replaced.
    pub(crate) span: Span,
    pub(crate) thread: Option<String>,
    /// Facts about what ran the whole trace, for the trace's metadata.
    pub(crate) resource: Map<String, Value>,
    /// Where it stands in the document.
    pub(crate) part: &'d str,
}

impl<'d> ForeignSpan<'d> {
    pub(crate) fn new(trace: &str, id: &str, start: Timestamp, part: &'d str) -> Self {
        let nowhere = (SpanId::from_bytes([0; 16]), TraceId::from_bytes([0; 16]));
        Self {
            trace: trace.to_owned(),
            id: id.to_owned(),
            parent: None,
            span: Span::new(nowhere.0, nowhere.1, start),
            thread: None,
            resource: Map::new(),
            part,
        }
    }
}

/// Turns foreign spans into records, over all documents of a file.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    starts: Recent<Timestamp>,
    traces: Recent<Trace>,
}

/// A map that forgets its oldest entries.
#[derive(Debug)]
struct Recent<V> {
    entries: HashMap<String, V>,
    order: VecDeque<String>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<V> Recent<V> {
    fn insert(&mut self, key: &str, value: V, most: usize) {
        if self.entries.insert(key.to_owned(), value).is_none() {
            self.order.push_back(key.to_owned());
            if self.order.len() > most
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
    }
}

impl Assembler {
    /// An assembler that knows when some traces started.
    pub(crate) fn knowing(starts: &BTreeMap<String, Timestamp>) -> Self {
        let mut own = Self::default();
        for (name, start) in starts {
            own.starts.insert(name, *start, REMEMBERED_STARTS);
        }
        own
    }

    /// Hands out the spans of a document and a record for each of their traces.
    pub(crate) fn assemble(&mut self, spans: Vec<ForeignSpan<'_>>, sink: &mut Sink<'_>) {
        let mut order: Vec<String> = Vec::new();
        let mut groups: HashMap<String, Vec<ForeignSpan<'_>>> = HashMap::new();
        for span in spans {
            let group = groups.entry(span.trace.clone()).or_default();
            if group.is_empty() {
                order.push(span.trace.clone());
            }
            group.push(span);
        }
        for name in order {
            if let Some(group) = groups.remove(&name) {
                self.trace(&name, group, sink);
            }
        }
    }

    fn trace(&mut self, name: &str, group: Vec<ForeignSpan<'_>>, sink: &mut Sink<'_>) {
        let Some(first) = group.iter().map(|it| it.span.start_time).min() else {
            return;
        };
        let start = *self.starts.entries.get(name).unwrap_or(&first);
        self.starts.insert(name, start, REMEMBERED_STARTS);
        let id = trace_id(name, start);
        let mut trace = self.traces.entries.get(name).cloned();
        let part = group.first().map_or("", |it| it.part);
        let mut taken = false;
        for foreign in group {
            let mut span = foreign.span;
            span.id = span_id(name, &foreign.id, start);
            span.trace_id = id;
            span.parent_span_id = foreign
                .parent
                .as_ref()
                .map(|parent| span_id(name, parent, start));
            let source_id = Value::from(foreign.id.as_str());
            span.metadata = Some(with_member(span.metadata, "source_id", &source_id));
            let record = trace.get_or_insert_with(|| {
                let mut record = Trace::new(id, span.start_time);
                let mut metadata = foreign.resource.clone();
                metadata.insert("source_id".to_owned(), Value::from(name));
                record.metadata = Some(Json::from_value(&Value::Object(metadata)));
                record
            });
            complete(record, &span, foreign.thread);
            taken |= sink.span(span, foreign.part);
        }
        if let Some(trace) = trace.filter(|_| taken) {
            self.traces.insert(name, trace.clone(), REMEMBERED_TRACES);
            sink.trace(trace, part);
        }
    }
}

/// Adds what a span says about its trace.
fn complete(trace: &mut Trace, span: &Span, thread: Option<String>) {
    trace.start_time = trace.start_time.min(span.start_time);
    trace.end_time = trace.end_time.max(span.end_time);
    // The version must not fall behind that of an earlier row of this trace.
    let seen = span.end_time.unwrap_or(span.start_time);
    trace.last_updated_at = trace.last_updated_at.max(Some(seen));
    if trace.thread_id.is_none() {
        trace.thread_id = thread;
    }
    if trace.environment.is_none() {
        trace.environment.clone_from(&span.environment);
    }
    if span.parent_span_id.is_none() {
        if trace.name.is_none() {
            trace.name.clone_from(&span.name);
        }
        if trace.input.is_none() {
            trace.input.clone_from(&span.input);
        }
        if span.output.is_some() {
            trace.output.clone_from(&span.output);
        }
        if trace.error_info.is_none() {
            trace.error_info.clone_from(&span.error_info);
        }
    }
}

/// A trace's identifier together with where a collection of traces has it from, since collections
/// of test cases use the same identifiers again.
pub(crate) fn within(source: Option<&str>, trace: &str) -> String {
    match source {
        Some(source) if source.ends_with(trace) => source.to_owned(),
        Some(source) => format!("{source}/{trace}"),
        None => trace.to_owned(),
    }
}

/// The UUID of a foreign trace; one that is a version 7 UUID stays.
pub(crate) fn trace_id(name: &str, start: Timestamp) -> TraceId {
    match name.parse::<TraceId>() {
        Ok(id) if id.is_v7() && name.contains('-') => id,
        _ => TraceId::from_parts(start, hash(&[name])),
    }
}

/// The UUID of a foreign span; one that is a version 7 UUID stays.
pub(crate) fn span_id(trace: &str, name: &str, start: Timestamp) -> SpanId {
    match name.parse::<SpanId>() {
        Ok(id) if id.is_v7() && name.contains('-') => id,
        _ => SpanId::from_parts(start, hash(&[trace, name])),
    }
}

/// FNV-1a over the parts, mixed so that all bits count. It must never change: it is what makes a
/// repeated import meet the records of the first.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_the_same_in_every_version_of_this_crate() {
        let start = Timestamp::from_micros(1_795_170_315_351_281);
        let id = trace_id("34a3254db392b5b26fc2754a6475befc", start);
        assert_eq!(id.to_string(), "01a1f87d-2c57-747e-bf55-7ccbfc204ff0");
        let span = span_id("t", "9e8cd29e662a9958", start);
        assert_eq!(span.to_string(), "01a1f87d-2c57-747e-b236-a846535f9b0d");
        let own = "01941f29-7c00-7493-9838-62c3f1790444";
        assert_eq!(trace_id(own, start).to_string(), own);
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }

    #[test]
    fn the_oldest_entries_are_forgotten() {
        let mut recent = Recent::default();
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            recent.insert(key, value, 2);
        }
        assert_eq!(recent.entries.get("a"), None);
        assert_eq!(recent.entries.len(), 2);
        assert_eq!(recent.order.len(), 2);
    }
}
