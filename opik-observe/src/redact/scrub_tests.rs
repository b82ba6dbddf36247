//! Nothing that a scrubber takes out leaves in any place of any record.

use opik_core::wire::{List, WireBatch};
use opik_core::{Batch, SpanType, Timestamp};

use super::*;
use crate::policy::{Field, Policy, PromptHash};
use crate::raw::{Head, Kind, Raw, RawView, Tag};
use crate::{Name, Value};

/// A record with the text in every place that can hold one.
fn record(kind: Kind, span_type: Option<&SpanType>, declared: bool, text: &str) -> Vec<u8> {
    let name = Name {
        text: text.into(),
        declared,
    };
    let mut raw = Raw::default();
    raw.begin(&Head {
        span_type,
        kind,
        id: *opik_core::SpanId::generate().as_bytes(),
        trace: *opik_core::TraceId::generate().as_bytes(),
        parent: None,
        start: Timestamp::from_micros(5),
        name: &name,
    });
    let json = serde_json::json!({ text: [text, { "inner": text }], "list": [text] });
    for tag in Tag::ALL {
        match tag {
            // A second type would stand in for the one of the head.
            Tag::SpanType => {}
            Tag::Input => {
                raw.json(tag, &json, 9_999);
            }
            // Too long, so that only its beginning is there.
            Tag::Output => {
                raw.json(tag, &format!("{text}{}", "x".repeat(99)), 60);
            }
            Tag::Metadata => {
                raw.keyed(tag, text, Value::from(text));
                raw.keyed(tag, "key", Value::from(json.clone()));
                raw.keyed(tag, "another", Value::from(text));
            }
            Tag::Usage => {
                raw.keyed(tag, text, Value::Int(3));
            }
            Tag::ErrorType => raw.name(tag, &name),
            Tag::Cost | Tag::FirstToken | Tag::ScoreValue => raw.float(tag, 0.5),
            Tag::Label
            | Tag::Model
            | Tag::Provider
            | Tag::ErrorText
            | Tag::ThreadId
            | Tag::ScoreReason
            | Tag::ScoreCategory => raw.text(tag, text),
        }
    }
    raw.end(Timestamp::from_micros(9));
    raw.as_bytes().to_vec()
}

/// How often the secret is in the row, and in the value, of a record.
fn found(record: &[u8], policy: &Policy) -> (usize, usize) {
    let count = |text: &str| text.matches("SECRET").count();
    let mut cleared = Cleared::default();
    assert!(cleared.read(&RawView::parse(record).unwrap(), policy));
    assert_eq!(cleared.fields_lost, 0);
    let (mut rows, mut values) = (WireBatch::default(), Batch::default());
    push_row(
        &cleared,
        &Common::default(),
        &mut Moments::default(),
        &mut rows,
    )
    .unwrap();
    push_value(&cleared, &Common::default(), &mut values);
    let rows = List::ALL.iter().flat_map(|list| rows.rows(*list).iter());
    let rows = rows.map(|(_, row)| count(&String::from_utf8_lossy(row)));
    let values = [
        serde_json::to_string(&values.traces),
        serde_json::to_string(&values.spans),
        // Scores show sizes where they print themselves, so what they are is asked for.
        Ok(values
            .scores
            .iter()
            .map(|score| {
                format!(
                    "{} {:?} {:?} {:?}",
                    score.score.name, score.score.category_name, score.score.reason, score.target
                )
            })
            .collect()),
    ];
    let values = values.into_iter().map(|text| count(&text.unwrap()));
    (rows.sum(), values.sum())
}

#[test]
fn no_place_of_a_record_goes_past_the_scrubber() {
    let custom = |text: &str| SpanType::from(text);
    let policies = [
        Policy::full_content(),
        Policy::metadata_only(),
        // Keys and names that the policy itself speaks of.
        Policy::metadata_only()
            .allow_metadata(["aSECRETb", "a SECRET b", "key"])
            .allow_name("a SECRET b")
            .prompt_hash(PromptHash::Both),
    ];
    // The one is a label, the other is none.
    for text in ["aSECRETb", "a SECRET b"] {
        let types = [
            SpanType::Llm,
            SpanType::Tool,
            SpanType::General,
            custom(text),
        ];
        let spans = types.iter().map(|kind| (Kind::Span, Some(kind)));
        let others = [(Kind::Trace, None), (Kind::Score, None)];
        for (kind, span_type) in spans.chain(others) {
            for (policy, declared) in policies.iter().flat_map(|p| [(p, true), (p, false)]) {
                let record = record(kind, span_type, declared, text);
                let scrubbed = policy
                    .clone()
                    .scrub(|_, text| Some(text.replace("SECRET", "*")));
                assert_eq!(found(&record, &scrubbed), (0, 0), "{kind:?} {span_type:?}");
                // Held back instead: nothing of it leaves either.
                let held = policy
                    .clone()
                    .scrub(|_, text| (!text.contains("SECRET")).then(|| text.to_owned()));
                if kind != Kind::Score {
                    assert_eq!(found(&record, &held), (0, 0), "{kind:?} {span_type:?}");
                }
            }
            // There was something to find: in every field that the kind has.
            let record = record(kind, span_type, true, text);
            let fields = match kind {
                Kind::Trace => 13,
                Kind::Span if span_type == Some(&custom(text)) => 17,
                Kind::Span => 16,
                Kind::Score => 4,
            };
            let (rows, values) = found(&record, &Policy::full_content());
            assert!(
                rows >= fields && values >= fields,
                "{kind:?}: {rows}, {values}"
            );
        }
    }
}

#[test]
fn a_type_that_is_held_back_is_general_and_known_types_are_not_shown() {
    let types = |kind: &SpanType, policy: &Policy| {
        let record = record(Kind::Span, Some(kind), true, "word");
        let mut cleared = Cleared::default();
        assert!(cleared.read(&RawView::parse(&record).unwrap(), policy));
        cleared.word.into_owned()
    };
    let held = Policy::full_content().scrub(|field, _| (field != Field::Name).then(String::new));
    assert_eq!(types(&SpanType::from("secret"), &held), "general");
    assert_eq!(types(&SpanType::Llm, &held), "llm");
}
