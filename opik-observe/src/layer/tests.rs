//! The table means what the importers of `opik-formats` mean.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use opik_core::{Span, SpanType, Trace};
use opik_formats::{Item, ReadOptions, Reader};
use opik_testkit::RecordingExporter;
use serde_json::json;

use super::conventions::{self, Slot};
use super::fields::Fields;
use super::state::OpikSpan;
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::value::Value;
use crate::{Policy, Recorder};

/// What the layer makes of fields that come one after the other.
fn recorded(groups: &[&[(&'static str, Value<'static>)]]) -> (Span, Trace) {
    let seen = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(seen.clone()), Policy::full_content())
        .start()
        .unwrap();
    let mut groups = groups.iter().map(|group| Fields::of(group.to_vec()));
    let fields = groups.next().unwrap();
    let core = recorder.core.as_ref().unwrap();
    let kind = fields.kind();
    let has_kind = kind.is_some();
    let kind = kind.unwrap_or(SpanType::General);
    let span = SpanGuard::begin_with_trace(core, &Name::from("s"), &kind);
    let mut state = OpikSpan::new(span, true, has_kind);
    for fields in std::iter::once(fields).chain(groups) {
        if let Some((_, thread)) = state.apply(fields) {
            assert!(state.thread_of_trace(&thread));
        }
    }
    state.end();
    assert!(guard.shutdown(Duration::from_secs(60)).complete);
    (seen.spans().remove(0), seen.traces().remove(0))
}

/// What the importer makes of the same as attributes of OTLP.
fn imported(attributes: &[(&str, Value<'_>)]) -> (Span, Trace) {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Int(number) => json!({ "intValue": number.to_string() }),
                Value::Float(number) => json!({ "doubleValue": number }),
                Value::Text(text) => json!({ "stringValue": text }),
                other => panic!("{other:?}"),
            };
            json!({ "key": key, "value": value })
        })
        .collect();
    let text = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "s",
        "startTimeUnixNano": 1_000_000, "endTimeUnixNano": 2_000_000, "attributes": attributes,
    }]}]}]});
    let mut reader = Reader::new(text.to_string().as_bytes(), ReadOptions::default())
        .map(|item| item.unwrap())
        .collect::<Vec<_>>();
    match reader.remove(0) {
        Item::Batch(mut batch) => (batch.spans.remove(0), batch.traces.remove(0)),
        Item::Problem(problem) => panic!("{problem}"),
    }
}

/// What the two must agree on.
fn essence((span, trace): &(Span, Trace)) -> serde_json::Value {
    json!({
        "type": span.kind(), "model": span.model, "provider": span.provider, "usage": span.usage,
        "cost": span.total_estimated_cost, "thread": trace.thread_id,
        "input": span.input.is_some(), "output": span.output.is_some(),
    })
}

fn sample(slot: Slot) -> Value<'static> {
    match slot {
        Slot::Kind => "execute_tool".into(),
        Slot::Cost => 0.25.into(),
        slot if slot.counter().is_some() => 42.into(),
        _ => "a word".into(),
    }
}

#[test]
fn every_foreign_field_of_the_table_means_what_an_import_makes_of_it() {
    // Tags are a list in OTLP, and errors are no attributes there.
    let by_other_means = [Slot::Tags, Slot::Error, Slot::ErrorKind];
    let mut compared = 0;
    for (name, slot) in conventions::names() {
        if name.starts_with("opik.") || by_other_means.contains(&slot) {
            continue;
        }
        let field = [(name, sample(slot))];
        let own = essence(&recorded(&[&field]));
        let plain = essence(&recorded(&[&[("other", "a word".into())]]));
        assert_ne!(own, plain, "{name} has an effect");
        assert_eq!(own, essence(&imported(&field)), "{name}");
        compared += 1;
    }
    assert!(compared > 35, "{compared}");
}

#[test]
fn words_for_kinds_mean_what_an_import_makes_of_them() {
    for word in [
        "LLM",
        "EMBEDDING",
        "CHAIN",
        "TOOL",
        "RETRIEVER",
        "RERANKER",
        "AGENT",
        "GUARDRAIL",
        "chat",
    ] {
        let field = [("openinference.span.kind", Value::from(word))];
        let (own, foreign) = (recorded(&[&field]), imported(&field));
        assert_eq!(own.0.kind(), foreign.0.kind(), "{word}");
        let source_type = |span: &Span| {
            let metadata = span.metadata.as_ref().map(|json| json.to_value().unwrap());
            metadata.and_then(|it| it.get("source_type").cloned())
        };
        assert_eq!(source_type(&own.0), source_type(&foreign.0), "{word}");
    }
}

#[test]
fn of_several_fields_for_one_thing_the_stronger_stays_whenever_it_comes() {
    let request: (_, Value<'_>) = ("gen_ai.request.model", "asked".into());
    let response: (_, Value<'_>) = ("gen_ai.response.model", "given".into());
    let together = [
        [request.clone(), response.clone()],
        [response.clone(), request.clone()],
    ];
    for groups in [
        &[&together[0][..]][..],
        &[&together[1]],
        &[from_ref(&request), from_ref(&response)],
        &[from_ref(&response), from_ref(&request)],
    ] {
        let (span, _) = recorded(groups);
        assert_eq!(span.model.as_deref(), Some("given"));
        assert_eq!(span.r#type, Some(SpanType::Llm));
    }
}
