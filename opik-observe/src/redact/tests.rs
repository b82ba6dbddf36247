//! Rows and values of the same record say the same, and rows are those of opik-core.

use opik_core::wire::{List, WireBatch};
use opik_core::{Batch, SpanType, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::{Field, Kinds, Policy, PromptHash};
use crate::raw::{Head, Kind, Raw, RawView, Tag};
use crate::{Name, Value};

/// One call of a program.
#[derive(Debug, Clone)]
enum Call {
    Text(Tag, String),
    Name(String, bool),
    Json(Tag, serde_json::Value, usize),
    Keyed(Tag, String, Value<'static>),
    Float(Tag, f64),
}

impl Call {
    fn write(&self, raw: &mut Raw) {
        match self {
            Self::Text(tag, text) => raw.text(*tag, text),
            Self::Name(text, declared) => raw.name(Tag::ErrorType, &name(text, *declared)),
            Self::Json(tag, value, limit) => {
                raw.json(*tag, value, *limit);
            }
            Self::Keyed(tag, key, value) => {
                raw.keyed(*tag, key, value.clone());
            }
            Self::Float(tag, number) => raw.float(*tag, *number),
        }
    }
}

fn name(text: &str, declared: bool) -> Name<'_> {
    Name {
        text: text.into(),
        declared,
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec(("[a-z ]{0,4}", inner), 0..4)
                .prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["", " ", "gpt-5-mini", "Ann Lee", "job_id"]).prop_map(str::to_owned),
        any::<String>(),
    ]
}

fn metadata_value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![any::<f64>(), Just(f64::NAN)].prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        json().prop_map(Value::from),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    use Tag::*;
    let texts = vec![
        Label,
        Model,
        Provider,
        ErrorText,
        ThreadId,
        ScoreReason,
        ScoreCategory,
    ];
    let content = (
        select(vec![Input, Output]),
        json(),
        select(vec![5, 1_000_000]),
    );
    prop_oneof![
        3 => (select(texts), text()).prop_map(|(tag, text)| Call::Text(tag, text)),
        1 => (text(), any::<bool>()).prop_map(|(text, declared)| Call::Name(text, declared)),
        3 => content.prop_map(|(tag, value, limit)| Call::Json(tag, value, limit)),
        3 => (text(), metadata_value()).prop_map(|(key, value)| Call::Keyed(Metadata, key, value)),
        1 => (text(), prop_oneof![0..99_i64, any::<i64>()])
            .prop_map(|(key, count)| Call::Keyed(Usage, key, Value::Int(count))),
        1 => (select(vec![Cost, FirstToken, ScoreValue]), prop_oneof![0.0..5.0, any::<f64>()])
            .prop_map(|(tag, number)| Call::Float(tag, number)),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let fields = select(vec![
        Field::Name,
        Field::Input,
        Field::Output,
        Field::Metadata,
        Field::Tags,
        Field::Model,
        Field::Usage,
        Field::Cost,
        Field::ErrorType,
        Field::ErrorMessage,
        Field::ThreadId,
        Field::ScoreName,
        Field::ScoreReason,
        Field::ScoreCategory,
    ]);
    let kinds = select(vec![Kinds::ALL, Kinds::LLM, Kinds::TRACE, Kinds::SPANS]);
    let hashes = select(vec![
        PromptHash::Off,
        PromptHash::V1,
        PromptHash::V2,
        PromptHash::Both,
        PromptHash::Keyed("k".into()),
    ]);
    let changes = proptest::collection::vec((fields, kinds, any::<bool>()), 0..5);
    (any::<bool>(), changes, hashes, 0..4).prop_map(|(full, changes, hash, scrub)| {
        let base = if full {
            Policy::full_content()
        } else {
            Policy::metadata_only()
        };
        let base = base.allow_metadata(["job_id"]).prompt_hash(hash);
        let policy = changes
            .into_iter()
            .fold(base, |policy, (field, kinds, allow)| {
                if allow {
                    policy.allow(field, kinds)
                } else {
                    policy.deny(field, kinds)
                }
            });
        match scrub {
            0 => policy.scrub(|_, text| Some(text.replace('a', "***"))),
            1 => policy.scrub(|field, text| (field != Field::Input).then(|| text.to_owned())),
            _ => policy,
        }
    })
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        Just((Kind::Trace, "")),
        select(vec![
            "llm",
            "tool",
            "general",
            "guardrail",
            "Ann Lee",
            "custom"
        ])
        .prop_map(|word| (Kind::Span, word)),
        Just((Kind::Score, "")),
    ];
    let ids = (
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<Option<[u8; 16]>>(),
        0..8,
    );
    let times = (
        prop_oneof![8 => 0..9_000_000_000_000_000_i64, 1 => any::<i64>()],
        proptest::option::of(-5..5_000_000_i64),
    );
    let calls = proptest::collection::vec(call(), 0..12);
    (kind, ids, times, (text(), any::<bool>()), calls).prop_map(
        |((kind, word), (id, trace, parent, v7), (start, end), (text, declared), calls)| {
            // Most identifiers are what they have to be.
            let version = |mut id: [u8; 16]| {
                if v7 != 0 {
                    id[6] = id[6] & 0x0f | 0x70;
                }
                id
            };
            let start = Timestamp::from_micros(start);
            let mut raw = Raw::default();
            raw.begin(&Head {
                span_type: None,
                kind,
                id: version(id),
                trace: version(trace),
                parent: parent.map(version),
                start,
                name: &name(&text, declared),
            });
            if kind == Kind::Span {
                raw.text(Tag::SpanType, word);
            }
            calls.iter().for_each(|call| call.write(&mut raw));
            if let Some(end) = end {
                raw.end(start.plus_micros(end));
            }
            raw.as_bytes().to_vec()
        },
    )
}

/// What opik-core makes of the values: rows, and how many were refused.
fn encoded(batch: &Batch) -> (WireBatch, usize) {
    let mut rows = WireBatch::default();
    let now = Timestamp::EPOCH;
    let mut refused = 0;
    for trace in &batch.traces {
        let project = trace.project_name.as_deref();
        refused += usize::from(rows.push_trace(trace, project, now).is_err());
    }
    for span in &batch.spans {
        let project = span.project_name.as_deref();
        refused += usize::from(rows.push_span(span, project, now).is_err());
    }
    for score in &batch.scores {
        let project = score.project_name.as_deref();
        refused += usize::from(rows.push_score(score, project).is_err());
    }
    (rows, refused)
}

fn texts(batch: &WireBatch) -> Vec<String> {
    let rows = List::ALL.iter().map(|list| batch.rows(*list));
    rows.flat_map(|rows| rows.iter())
        .map(|(id, row)| format!("{id}: {}", String::from_utf8_lossy(row)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_to_the_letter_what_the_values_become(
        records in proptest::collection::vec(record(), 1..4),
        policy in policy(),
        project in proptest::option::of(select(vec!["p", " ", "päckchen\"\n"])),
        environment in proptest::option::of(select(vec!["production", "é"])),
    ) {
        let common = Common {
            project: project.map(str::to_owned),
            environment: environment.map(|text| text.repeat(text.len() * 50)),
            ..Common::default()
        };
        let (mut values, mut rows) = (Batch::default(), WireBatch::default());
        let mut refused = 0;
        let (mut cleared, mut moments) = (Cleared::default(), Moments::default());
        for record in &records {
            let view = RawView::parse(record).unwrap();
            if cleared.read(&view, &policy) {
                push_value(&cleared, &common, &mut values);
                let row = push_row(&cleared, &common, &mut moments, &mut rows);
                refused += usize::from(row.is_err());
            }
        }
        let (expected, expected_refused) = encoded(&values);
        prop_assert_eq!(texts(&rows), texts(&expected));
        prop_assert_eq!(refused, expected_refused);
        for row in List::ALL.iter().flat_map(|list| rows.rows(*list).iter()) {
            // As strict as any reader: a value, not only well-formed.
            prop_assert!(serde_json::from_slice::<serde_json::Value>(row.1).is_ok());
        }
    }
}

/// Reads one record of a span with the fields that `write` gives it.
fn read(policy: &Policy, kind: &SpanType, write: impl FnOnce(&mut Raw)) -> (String, u64) {
    let mut raw = Raw::default();
    raw.begin(&Head {
        span_type: Some(kind),
        kind: Kind::Span,
        id: *opik_core::SpanId::generate().as_bytes(),
        trace: *opik_core::TraceId::generate().as_bytes(),
        parent: None,
        start: Timestamp::from_micros(5),
        name: &name("step", true),
    });
    write(&mut raw);
    let mut cleared = Cleared::default();
    assert!(cleared.read(&RawView::parse(raw.as_bytes()).unwrap(), policy));
    let mut batch = WireBatch::default();
    push_row(
        &cleared,
        &Common::default(),
        &mut Moments::default(),
        &mut batch,
    )
    .unwrap();
    (texts(&batch).remove(0), cleared.fields_lost)
}

#[test]
fn a_field_passes_for_the_kinds_that_it_is_allowed_for() {
    let retyped = Policy::metadata_only().allow(Field::Output, SpanType::Llm);
    let (row, _) = read(&retyped, &SpanType::Llm, |raw| {
        raw.json(Tag::Output, "found it", 99);
        raw.text(Tag::SpanType, "tool");
    });
    assert!(!row.contains("found it"), "what it turned out to be counts");
    let policy = Policy::metadata_only().allow(Field::Output, SpanType::Tool);
    let row = |kind| {
        read(&policy, kind, |raw| {
            raw.json(Tag::Output, "found it", 99);
        })
        .0
    };
    assert!(row(&SpanType::Tool).contains(r#""output":{"output":"found it"}"#));
    assert!(!row(&SpanType::Llm).contains("found it"));
}

#[test]
fn a_scrubber_sees_every_text_of_json_by_itself_and_cannot_break_it() {
    let policy = Policy::full_content().scrub(|field, text| match (field, text) {
        (Field::Input, "drop me") => None,
        _ => Some(text.replace("4711", "\"*\"")),
    });
    let input = serde_json::json!({"card 4711": ["4711", 4711, "drop me"], "drop me": 1});
    let (row, lost) = read(&policy, &SpanType::Llm, |raw| {
        raw.json(Tag::Input, &input, 999);
        raw.text(Tag::Label, "card 4711");
    });
    assert!(
        row.contains(r#""input":{"card \"*\"":["\"*\"",4711,null]}"#),
        "{row}"
    );
    assert!(
        row.contains(r#""tags":["card \"*\""]"#) && lost == 0,
        "{row}"
    );
}

#[test]
fn a_text_that_a_scrubber_holds_back_is_null_by_itself_and_in_json() {
    let policy = Policy::full_content()
        .prompt_hash(PromptHash::Off)
        .scrub(|_, text| (text != "drop me").then(|| text.to_owned()));
    let (row, lost) = read(&policy, &SpanType::Llm, |raw| {
        raw.json(Tag::Input, "drop me", 999);
        raw.json(Tag::Output, &["drop me"], 999);
    });
    assert!(row.contains(r#""input":{"input":null}"#), "{row}");
    assert!(
        row.contains(r#""output":{"output":[null]}"#) && lost == 0,
        "{row}"
    );
}

#[test]
fn a_scrubber_that_panics_costs_its_field_and_no_more() {
    let policy = Policy::full_content()
        .prompt_hash(PromptHash::Off)
        .scrub(|_, text| {
            (!text.contains("bad"))
                .then(|| text.to_owned())
                .or_else(|| panic!("own"))
        });
    let (row, lost) = read(&policy, &SpanType::Llm, |raw| {
        raw.json(Tag::Input, &["fine", "bad"], 999);
        raw.json(Tag::Output, "fine", 999);
        raw.keyed(Tag::Metadata, "bad key", Value::from(1));
        raw.text(Tag::Model, "bad model");
    });
    assert_eq!(lost, 3);
    assert!(row.contains(r#""output":{"output":"fine"}"#), "{row}");
    assert!(!row.contains("bad") && !row.contains("input"), "{row}");
}

#[test]
fn labels_that_read_like_content_become_hashes() {
    let (row, _) = read(&Policy::default(), &SpanType::Llm, |raw| {
        raw.text(Tag::Label, "expert=legal");
        raw.text(Tag::Label, "Ann Lee");
        raw.text(Tag::Model, "/home/ann lee/model");
        raw.keyed(Tag::Usage, "what Ann said", Value::Int(1));
        raw.keyed(Tag::Usage, "total_tokens", Value::Int(2));
    });
    assert!(row.contains(r#""tags":["expert=legal","tag#"#), "{row}");
    assert!(row.contains(r#""model":"model#"#) && row.contains(r#""usage":{"total_tokens":2}"#));
    assert!(!row.to_lowercase().contains("ann"), "{row}");
}

#[test]
fn files_go_out_of_content_and_too_much_content_is_marked() {
    use opik_core::wire::FieldLimits;

    let mut raw = Raw::default();
    raw.begin(&Head {
        span_type: None,
        kind: Kind::Trace,
        id: *opik_core::TraceId::generate().as_bytes(),
        trace: *opik_core::TraceId::generate().as_bytes(),
        parent: None,
        start: Timestamp::from_micros(5),
        name: &name("step", true),
    });
    // The first bytes of a picture, then zeros.
    let picture = format!("iVBORw0KGgo{}", "A".repeat(2_001));
    raw.json(
        Tag::Input,
        &serde_json::json!({ "image": picture }),
        1 << 20,
    );
    raw.json(Tag::Output, &"too long ".repeat(1_000), 1 << 20);
    raw.keyed(Tag::Metadata, "attempt", Value::from(3));
    let mut cleared = Cleared::default();
    let policy = Policy::full_content().prompt_hash(PromptHash::Off);
    assert!(cleared.read(&RawView::parse(raw.as_bytes()).unwrap(), &policy));
    let limits = FieldLimits::default()
        .min_base64_chars(1_000)
        .max_field_bytes(5_000);
    let common = Common {
        limits,
        ..Common::default()
    };
    let mut batch = WireBatch::default();
    push_row(&cleared, &common, &mut Moments::default(), &mut batch).unwrap();
    let row = texts(&batch).remove(0);
    assert_eq!((batch.len(), batch.attachments.len()), (2, 1));
    assert!(
        row.contains(r#""input":{"image":"[input-attachment-"#),
        "{row}"
    );
    assert!(row.contains(r#""output":{"opik_truncated":true,"#), "{row}");
    assert!(row.contains(r#""metadata":{"attempt":3}"#), "{row}");
}

#[test]
fn a_row_allocates_nothing_once_its_buffers_are_warm() {
    let mut raw = Raw::default();
    raw.begin(&Head {
        span_type: Some(&SpanType::Llm),
        kind: Kind::Span,
        id: *opik_core::SpanId::generate().as_bytes(),
        trace: *opik_core::TraceId::generate().as_bytes(),
        parent: None,
        start: Timestamp::now(),
        name: &name("chat", true),
    });
    raw.json(Tag::Input, &serde_json::json!({"q": "why?\n"}), 999);
    raw.json(Tag::Output, &["because", "of it"], 999);
    raw.text(Tag::Model, "gpt-5-mini");
    raw.text(Tag::Label, "eu");
    raw.keyed(Tag::Usage, "total_tokens", Value::from(3));
    raw.keyed(Tag::Metadata, "attempt", Value::from("first"));
    raw.float(Tag::Cost, 0.25);
    raw.end(Timestamp::now());
    let view = RawView::parse(raw.as_bytes()).unwrap();
    for policy in [Policy::full_content(), Policy::metadata_only()] {
        let policy = policy.prompt_hash(PromptHash::Off);
        let (common, mut batch) = (Common::default(), WireBatch::default());
        let mut cleared = Cleared::default();
        let mut one = || {
            assert!(cleared.read(&view, &policy));
            push_row(&cleared, &common, &mut Moments::default(), &mut batch).unwrap();
            batch.clear();
        };
        one();
        let counted = allocation_counter::measure(one);
        assert_eq!(counted.count_total, 0, "{policy:?}");
    }
}
