//! The searches of a recorded session, answered again by the definition of filters.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use opik_core::query::{Entity, Filter, matches, oql};
use opik_core::{FeedbackScore, Span, Timestamp, Trace, TraceId};
use opik_testkit::fixtures;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Exchange {
    path: String,
    body: Option<Value>,
    response: Value,
}

#[derive(Deserialize)]
struct WireScore {
    id: TraceId,
    name: String,
    value: f64,
}

/// The traces that the server had during the searches, with what it adds when it reads.
fn traces(exchanges: &[Exchange]) -> BTreeMap<TraceId, Trace> {
    let list = |exchange: &Exchange, name: &str| {
        let list = exchange.body.as_ref().and_then(|body| body.get(name));
        list.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let searches = |path: &str| path.ends_with("/search");
    let before = exchanges.iter().position(|it| searches(&it.path)).unwrap();
    let (written, later) = exchanges.split_at(before);
    let mut traces = BTreeMap::new();
    for (place, exchange) in written.iter().chain(later).enumerate() {
        for trace in list(exchange, "traces") {
            let trace: Trace = serde_json::from_value(trace).unwrap();
            // Three older traces without a start are known from the copy that is made at the end.
            if place < before || trace.start_time == Timestamp::EPOCH {
                traces.insert(trace.id, trace);
            }
        }
    }
    for exchange in exchanges {
        for score in list(exchange, "scores") {
            let score: WireScore = serde_json::from_value(score).unwrap();
            if let Some(trace) = traces.get_mut(&score.id) {
                trace.feedback_scores = vec![FeedbackScore::new(score.name, score.value)];
            }
        }
        for span in list(exchange, "spans") {
            let span: Span = serde_json::from_value(span).unwrap();
            if let Some(trace) = traces.get_mut(&span.trace_id) {
                trace.usage = span.usage;
            }
        }
    }
    traces
}

#[test]
fn recorded_filters_find_as_many_traces_as_the_recorded_answers_have() {
    let exchanges: Vec<Exchange> = fixtures::jsonl("opik-wire/s10_search.jsonl");
    let traces = traces(&exchanges);
    assert_eq!(traces.len(), 8);
    let mut searches = 0;
    for exchange in exchanges
        .iter()
        .filter(|it| it.path.ends_with("/traces/search"))
    {
        let Some(filters) = exchange.body.as_ref().and_then(|body| body.get("filters")) else {
            continue;
        };
        if filters.is_null() {
            continue;
        }
        let filters = Filter::parse_list(Entity::Trace, &filters.to_string()).unwrap();
        let found = traces
            .values()
            .filter(|trace| matches::trace_matches(trace, &filters))
            .count();
        let recorded = exchange.response["body"]["_ndjson_lines"].as_u64().unwrap();
        assert_eq!(found as u64, recorded, "{}", oql::write(&filters));
        searches += 1;
    }
    assert_eq!(searches, 16);
}
