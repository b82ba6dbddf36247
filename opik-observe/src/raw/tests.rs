use opik_core::{SpanType, Timestamp};
use serde::ser::Error as _;

use super::*;
use crate::{Name, Value};

fn head(name: &Name<'_>) -> Raw {
    begun(name, Some(&SpanType::Tool))
}

fn begun(name: &Name<'_>, span_type: Option<&SpanType>) -> Raw {
    let mut raw = Raw::default();
    // What an earlier record left behind is forgotten.
    for span_type in [Some(&SpanType::from("of an earlier record")), span_type] {
        raw.text(Tag::Model, "of an earlier record");
        raw.begin(&Head {
            kind: Kind::Span,
            span_type,
            id: [1; 16],
            trace: [2; 16],
            parent: Some([3; 16]),
            start: Timestamp::from_micros(5),
            name,
        });
    }
    raw
}

#[test]
fn every_type_of_span_is_read_back() {
    let other = SpanType::from("retriever");
    for span_type in SPAN_TYPES.iter().chain([&other]) {
        let raw = begun(&Name::from("s"), Some(span_type));
        let view = RawView::parse(raw.as_bytes()).unwrap();
        let fields: Vec<_> = view.fields().collect();
        assert_eq!(fields.len(), 1);
        assert!(fields[0].tag == Tag::SpanType);
        assert_eq!(fields[0].payload.as_text(), Some(span_type.as_str()));
    }
    let raw = begun(&Name::from("t"), None);
    assert_eq!(RawView::parse(raw.as_bytes()).unwrap().fields().count(), 0);
}

#[test]
fn texts_of_every_length_are_copied_whole() {
    let text: String = ('a'..='z').cycle().take(100).collect();
    for length in 0..=text.len() {
        let (key, value) = (
            text.split_at(text.len() - length).1,
            text.split_at(length).0,
        );
        let mut raw = begun(&Name::dynamic(value), None);
        assert!(raw.keyed(Tag::Metadata, key, Value::from(value)));
        assert!(raw.keyed(Tag::Metadata, key, Value::from(7)));
        let view = RawView::parse(raw.as_bytes()).unwrap();
        assert_eq!(view.name(), (value, false));
        let fields: Vec<_> = view.fields().collect();
        assert_eq!(fields[0].payload.as_text(), Some(value));
        assert!(matches!(fields[1].payload, Payload::Int(7)));
        assert!(fields.iter().all(|field| field.key == key));
    }
    let mut raw = head(&Name::from("s"));
    let before = raw.len();
    let key = "k".repeat(1 << 16);
    assert!(!raw.keyed(Tag::Metadata, &key, Value::from(7)));
    assert!(!raw.keyed(Tag::Metadata, &key, Value::from(serde_json::json!([1]))));
    assert_eq!(raw.len(), before, "a key without bounds is left out");
}

#[test]
fn what_is_written_is_read_back() {
    let mut raw = head(&Name::from("tool"));
    raw.text(Tag::Model, "m-1");
    assert!(raw.keyed(Tag::Metadata, "k", Value::from(true)));
    assert!(raw.keyed(Tag::Metadata, "j", Value::from(serde_json::json!([1]))));
    assert!(raw.keyed(Tag::Usage, "total_tokens", Value::from(7)));
    raw.float(Tag::Cost, 0.5);
    assert!(raw.json(Tag::Input, &["a"], 100));
    raw.name(Tag::ErrorType, &Name::from("Timeout"));
    raw.end(Timestamp::from_micros(8));

    let view = RawView::parse(raw.as_bytes()).unwrap();
    assert!(view.kind() == Kind::Span && !view.is_open());
    assert_eq!(view.name(), ("tool", true));
    assert_eq!(view.parent().unwrap().as_bytes(), &[3; 16]);
    assert_eq!(
        (view.start(), view.end()),
        (Timestamp::from_micros(5), Some(Timestamp::from_micros(8)))
    );
    let shown: Vec<String> = view
        .fields()
        .map(|field| {
            let value = match field.payload {
                Payload::Text(text) => format!("text {text}"),
                Payload::Declared(text) => format!("declared {text}"),
                Payload::Json(text) => format!("json {text}"),
                Payload::Cut(text) => format!("cut {text}"),
                Payload::Int(number) => format!("int {number}"),
                Payload::Float(number) => format!("float {number}"),
                Payload::Bool(truth) => format!("bool {truth}"),
            };
            format!("{} {} {value}", field.tag as u8, field.key)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1  declared tool",
            "6  text m-1",
            "4 k bool true",
            "4 j json [1]",
            "8 total_tokens int 7",
            "9  float 0.5",
            "2  json [\"a\"]",
            "10  declared Timeout",
        ]
    );
}

#[test]
fn records_of_every_size_are_whole_wherever_the_buffer_ends() {
    for length in 0..2 * 1_024 {
        let text = "x".repeat(length);
        let mut raw = begun(&Name::from("s"), None);
        raw.text(Tag::Input, &text);
        let mut named = Raw::default();
        named.begin(&Head {
            kind: Kind::Trace,
            span_type: None,
            id: [1; 16],
            trace: [1; 16],
            parent: None,
            start: Timestamp::EPOCH,
            name: &Name::dynamic(&text),
        });
        let view = RawView::parse(raw.as_bytes()).unwrap();
        let field = view.fields().next().unwrap();
        assert_eq!(field.payload.as_text(), Some(&*text));
        let view = RawView::parse(named.as_bytes()).unwrap();
        assert_eq!(view.name().0, text);
    }
}

#[test]
fn a_span_becomes_a_trace_with_the_same_fields() {
    let mut raw = head(&Name::from("tool"));
    raw.text(Tag::Input, "q");
    raw.turn_into_trace([7; 16]);
    let view = RawView::parse(raw.as_bytes()).unwrap();
    assert!(view.kind() == Kind::Trace && view.parent().is_none());
    assert_eq!(view.key(), [7; 16]);
    assert_eq!(view.fields().count(), 2);
}

#[test]
fn a_record_ends_no_earlier_than_it_began() {
    let mut raw = head(&Name::from("tool"));
    raw.end(Timestamp::from_micros(4));
    let view = RawView::parse(raw.as_bytes()).unwrap();
    assert_eq!(view.end(), Some(Timestamp::from_micros(5)));
}

struct Refuses;
impl serde::Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no"))
    }
}

struct Panics;
impl serde::Serialize for Panics {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("the program's own code");
    }
}

#[test]
fn a_value_that_cannot_be_written_leaves_no_trace() {
    let mut raw = head(&Name::from("tool"));
    let before = raw.len();
    assert!(!raw.json(Tag::Input, &Refuses, 100));
    assert!(!raw.json(Tag::Input, &("begun", Panics), 100));
    assert_eq!(raw.len(), before);
}

#[test]
fn a_huge_value_is_cut_at_the_limit() {
    let mut raw = head(&Name::from("tool"));
    let before = raw.len();
    assert!(raw.json(Tag::Input, &"é".repeat(1_000_000), 10));
    assert!(raw.len() - before < 30);
    let view = RawView::parse(raw.as_bytes()).unwrap();
    let cut = view.fields().find_map(|field| match field.payload {
        Payload::Cut(text) => Some(text.into_owned()),
        _ => None,
    });
    assert_eq!(cut.as_deref(), Some("\"éééé\u{fffd}"));
}

#[test]
fn bytes_that_are_no_record_are_refused_without_panic() {
    let mut raw = begun(&Name::from("tool"), None);
    raw.text(Tag::Model, "m-1");
    let bytes = raw.as_bytes();
    for end in 0..bytes.len() {
        if let Some(view) = RawView::parse(&bytes[..end]) {
            assert_eq!(view.fields().count(), 0, "cut at {end}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn reading_any_bytes_neither_panics_nor_runs_on(
        kind in 1_u8..4,
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        tags in proptest::collection::vec((1_u8..17, 1_u8..9, 0_u8..20), 0..6),
    ) {
        // Behind a head that is one, fields with true tags and forms and any lengths.
        let mut record = vec![kind, 0];
        record.extend([0; HEAD - 2]);
        for (tag, form, length) in tags {
            record.extend([tag, form, length % 3, 0, length, 0, 0, 0]);
            record.extend(bytes.iter().take(usize::from(length) / 2));
        }
        record.extend(&bytes);
        let length = record.len();
        if let Some(view) = RawView::parse(&record) {
            proptest::prop_assert!(view.fields().count() <= length);
        }
        proptest::prop_assert!(crate::intake::records(&bytes).count() <= bytes.len());
    }
}

/// What was recorded of a value: whether as a text, and as which JSON.
fn recorded<T: serde::Serialize + ?Sized>(value: &T, limit: usize) -> (bool, String) {
    let mut raw = begun(&Name::from("s"), None);
    assert!(raw.json(Tag::Input, value, limit));
    let view = RawView::parse(raw.as_bytes()).unwrap();
    let field = view.fields().next().unwrap();
    match field.payload {
        Payload::Text(text) => (true, serde_json::to_string(text).unwrap()),
        Payload::Json(json) => (false, json.to_owned()),
        Payload::Cut(text) => (false, text.into_owned()),
        _ => panic!("no form for a value of the program"),
    }
}

#[derive(serde::Serialize)]
struct Newtype<T>(T);

#[derive(serde::Serialize)]
struct Unit;

#[derive(serde::Serialize)]
struct Pair(u8, char);

#[derive(serde::Serialize)]
struct Named {
    text: &'static str,
    none: Option<u8>,
}

#[derive(serde::Serialize)]
enum Choice {
    Plain,
    Of(&'static str),
    Pair(u8, f32),
    Named { text: String },
}

#[test]
fn a_value_is_recorded_as_the_json_that_serde_json_writes() {
    fn check<T: serde::Serialize + ?Sized>(value: &T, text: bool) {
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(recorded(value, usize::MAX), (text, json.clone()));
        assert_eq!(recorded(value, json.len()).1, json);
    }
    check("a \"quote\"\n\u{1}é", true);
    check("", true);
    check(&String::from("text"), true);
    check(&Some(Newtype(&Box::new("text"))), true);
    check(&serde_json::json!("text"), true);
    check(&serde_json::json!({"a": ["text", 1.5, null]}), false);
    let raw = serde_json::value::RawValue::from_string("[ 1e5,\"\\u00e9\"]".to_owned()).unwrap();
    check(&raw, false);
    check(&Newtype(&raw), false);
    check(&None::<&str>, false);
    check(&'"', false);
    check(&(), false);
    check(&Unit, false);
    check(&true, false);
    check(&(1_i8, 2_i16, 3_i32, 4_i64, 5_i128), false);
    check(&[u64::MAX], false);
    check(&u128::MAX, false);
    check(&i128::MIN, false);
    check(&-7_i8, false);
    check(&0.1_f32, false);
    check(&f64::NAN, false);
    check(&Newtype(7_u16), false);
    check(&Pair(1, 'é'), false);
    check(&["a", "b"], false);
    check(&format_args!("{}-{:?}", 1, "x"), false);
    check(&std::net::Ipv4Addr::LOCALHOST, true);
    check(
        &std::collections::BTreeMap::from([(1, "a"), (2, "b")]),
        false,
    );
    check(
        &Named {
            text: "t",
            none: None,
        },
        false,
    );
    check(&Choice::Plain, false);
    check(&Choice::Of("x"), false);
    check(&Choice::Pair(1, 2.0), false);
    check(&Choice::Named { text: "x".into() }, false);
}

#[test]
fn a_text_is_cut_where_its_json_would_be() {
    let text = "a\n".repeat(10);
    let json = serde_json::to_string(&text).unwrap();
    for limit in 0..json.len() {
        assert_eq!(
            recorded(&text, limit),
            (false, json.split_at(limit).0.to_owned())
        );
    }
}
