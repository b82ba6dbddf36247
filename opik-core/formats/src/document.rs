//! A document's format, by its members, and the way to that format's reader.

use std::collections::BTreeMap;

use opik_core::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::foreign::Assembler;
use crate::problem::{json_reason, json_reason_in};
use crate::sink::Sink;
use crate::vyasa::Jobs;
use crate::{Format, elements, flat, jaeger, opik, otlp};

/// What documents of one file share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) assembler: Assembler,
    pub(crate) jobs: Jobs,
}

impl State {
    /// The state of a reader that knows when some traces started.
    pub(crate) fn knowing(starts: &BTreeMap<String, Timestamp>) -> Self {
        Self {
            assembler: Assembler::knowing(starts),
            jobs: Jobs::default(),
        }
    }
}

/// The members that tell formats apart, each still as text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Head<'d> {
    #[serde(borrow)]
    pub(crate) trace: Option<&'d RawValue>,
    #[serde(borrow)]
    pub(crate) span: Option<&'d RawValue>,
    #[serde(borrow)]
    pub(crate) traces: Option<&'d RawValue>,
    #[serde(borrow)]
    pub(crate) spans: Option<&'d RawValue>,
    #[serde(borrow)]
    pub(crate) content: Option<&'d RawValue>,
    #[serde(borrow)]
    pub(crate) data: Option<&'d RawValue>,
    #[serde(borrow)]
    source: Option<&'d RawValue>,
    #[serde(borrow, rename = "resourceSpans", alias = "resource_spans")]
    pub(crate) resource_spans: Option<&'d RawValue>,
    #[serde(borrow)]
    pub(crate) trace_id: Option<&'d RawValue>,
    #[serde(rename = "traceID")]
    jaeger_id: Option<IgnoredAny>,
    event_type: Option<IgnoredAny>,
    id: Option<IgnoredAny>,
    start_time: Option<IgnoredAny>,
}

impl Head<'_> {
    /// The file or data set that the document says it is from.
    pub(crate) fn source(&self) -> Option<String> {
        serde_json::from_str(self.source?.get()).ok()
    }

    fn format(&self) -> Option<Format> {
        let wraps_jaeger = || {
            self.trace
                .and_then(|it| serde_json::from_str::<Head<'_>>(it.get()).ok())
                .is_some_and(|inner| inner.jaeger_id.is_some())
        };
        if self.resource_spans.is_some() {
            Some(Format::Otlp)
        } else if self.data.is_some() || self.jaeger_id.is_some() || wraps_jaeger() {
            Some(Format::Jaeger)
        } else if self.event_type.is_some() {
            Some(Format::Vyasa)
        } else if self.trace_id.is_some() && self.spans.is_some() {
            Some(Format::Flat)
        } else if self.trace.is_some()
            || self.span.is_some()
            || self.traces.is_some()
            || self.spans.is_some()
            || self.content.is_some()
            || (self.id.is_some() && self.start_time.is_some())
        {
            Some(Format::Opik)
        } else {
            None
        }
    }
}

/// Reads a document, or each element of a list of documents.
pub(crate) fn read(text: &str, format: Option<Format>, state: &mut State, sink: &mut Sink<'_>) {
    if !text.starts_with('[') {
        return read_one(text, format, state, sink);
    }
    let read = elements::for_each(text, |part| {
        read_one(part.get(), format, state, sink);
    });
    if let Err(error) = read {
        sink.problem(text, json_reason(&error));
    }
}

fn read_one(text: &str, format: Option<Format>, state: &mut State, sink: &mut Sink<'_>) {
    if !text.starts_with('{') {
        let json = serde_json::from_str::<IgnoredAny>(text);
        let reason = json.map_or_else(|error| json_reason(&error), |_| "not an object".to_owned());
        return sink.problem(text, reason);
    }
    let head: Head<'_> = match serde_json::from_str(text) {
        Ok(head) => head,
        Err(error) => return sink.problem(text, json_reason_in(text, &error)),
    };
    match format.or_else(|| head.format()) {
        Some(Format::Opik) => opik::read(text, &head, sink),
        Some(Format::Otlp) => otlp::read(&head, &mut state.assembler, sink),
        Some(Format::Jaeger) => jaeger::read(text, &head, &mut state.assembler, sink),
        Some(Format::Flat) => flat::read(text, &mut state.assembler, sink),
        Some(Format::Vyasa) => state.jobs.event(text, sink),
        None => sink.problem(text, "no known trace format: the members fit none"),
    }
}
