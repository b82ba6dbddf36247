//! Opik's own records, in every wrapping that its tools write.

use opik_core::{Span, Trace};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::elements;
use crate::reader::Head;
use crate::sink::Sink;

/// Reads a document whose members were already told apart.
pub(crate) fn read<'d>(text: &'d str, head: &Head<'d>, sink: &mut Sink<'_>) {
    let mut known = false;
    for part in [head.trace, head.span].into_iter().flatten() {
        known = true;
        let is_span = head.span.is_some_and(|span| std::ptr::eq(span, part));
        record(part, is_span, sink);
    }
    for (list, is_span) in [(head.traces, false), (head.spans, true)] {
        let Some(list) = list else { continue };
        known = true;
        let read = elements::for_each(list.get(), |part| record(part, is_span, sink));
        if let Err(error) = read {
            sink.json_problem(list.get(), "list of records", &error);
        }
    }
    if known {
        return;
    }
    // A bare record; only spans belong to a trace.
    let is_span = head.trace_id.is_some();
    match serde_json::from_str::<&RawValue>(text) {
        Ok(part) => record(part, is_span, sink),
        Err(error) => sink.json_problem(text, "record", &error),
    }
}

fn record(part: &RawValue, is_span: bool, sink: &mut Sink<'_>) {
    let text = part.get();
    if is_span {
        match parse::<Span>(text) {
            Ok(span) => {
                sink.span(span, text);
            }
            Err(error) => sink.json_problem(text, "span", &error),
        }
    } else {
        match parse::<Trace>(text) {
            Ok(trace) => sink.trace(trace, text),
            Err(error) => sink.json_problem(text, "trace", &error),
        }
    }
}

fn parse<'d, T: Deserialize<'d>>(text: &'d str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}
