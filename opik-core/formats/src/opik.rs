//! Opik's own records, in every wrapping that its tools write.

use opik_core::{Span, Trace};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::document::Head;
use crate::elements;
use crate::sink::Sink;

/// Reads a document whose members were already told apart.
pub(crate) fn read<'d>(text: &'d str, head: &Head<'d>, sink: &mut Sink<'_>) {
    let mut known = false;
    for (part, is_span) in [(head.trace, false), (head.span, true)] {
        let Some(part) = part else { continue };
        known = true;
        record(part, is_span, sink);
    }
    for (list, of) in [
        (head.traces, Of::Traces),
        (head.spans, Of::Spans),
        (head.content, Of::Either),
    ] {
        let Some(list) = list else { continue };
        known = true;
        let read = elements::for_each(list.get(), |part| {
            let is_span = match of {
                Of::Traces => false,
                Of::Spans => true,
                Of::Either => is_span(part),
            };
            record(part, is_span, sink);
        });
        if let Err(error) = read {
            sink.json_problem(list.get(), "list of records", &error);
        }
    }
    if known {
        return;
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(part) => record(part, head.trace_id.is_some(), sink),
        Err(error) => sink.json_problem(text, "record", &error),
    }
}

/// What a list has.
#[derive(Clone, Copy)]
enum Of {
    Traces,
    Spans,
    Either,
}

/// Tells bare records apart: only spans belong to a trace.
fn is_span(part: &RawValue) -> bool {
    serde_json::from_str::<Head<'_>>(part.get()).is_ok_and(|head| head.trace_id.is_some())
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
