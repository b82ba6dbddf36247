//! Records as Opik's official clients and server write them: decoded, and encoded to equal JSON.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use opik_core::model::ThreadStatus;
use opik_core::{
    Comment, ErrorInfo, FeedbackScore, Json, Project, Span, SpanType, Thread, Timestamp, Trace,
    Usage,
};
use opik_testkit::fixtures;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Fields whose JSON is the user's own and stays as it is.
const CONTENT: [&str; 5] = [
    "input",
    "output",
    "metadata",
    "first_message",
    "last_message",
];

/// A record without what means "absent", with moments and numbers in one spelling.
fn normal(record: &Value) -> Value {
    match record {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let value = match value.as_str() {
                    _ if CONTENT.contains(&name.as_str()) => value.clone(),
                    Some(text) if name.ends_with("_at") || name.ends_with("_time") => {
                        json!(text.parse::<Timestamp>().unwrap().as_micros())
                    }
                    _ => normal(value),
                };
                (name.clone(), value)
            })
            .filter(|(_, value)| {
                *value != Value::Null && *value != json!([]) && *value != json!({})
            })
            .collect(),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

/// Decodes, encodes, and says whether the JSON is equal.
fn round_trip<T: Serialize + DeserializeOwned>(record: &Value) -> Result<(), String> {
    let decoded: T = serde_json::from_str(&record.to_string())
        .map_err(|error| format!("{error}\n{record:#}"))?;
    let encoded = serde_json::to_value(&decoded).map_err(|error| error.to_string())?;
    if normal(&encoded) == normal(record) {
        Ok(())
    } else {
        Err(format!(
            "{:#}\nbecame\n{:#}",
            normal(record),
            normal(&encoded)
        ))
    }
}

#[derive(Debug, Default, PartialEq)]
struct Found {
    traces: usize,
    spans: usize,
    threads: usize,
}

impl Found {
    /// Looks for records in whatever was said, and checks each.
    fn look(&mut self, value: &Value, place: &str) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.look(item, place)),
            Value::Object(fields) => {
                if let Some(lines) = fields.get("_first").and_then(Value::as_str) {
                    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
                        self.look(&serde_json::from_str(line).unwrap(), place);
                    }
                }
                if let Some(head) = fields.get("_head").and_then(Value::as_str) {
                    self.look_at_head(head, place);
                }
                if fields.contains_key("id") && fields.contains_key("start_time") {
                    self.check(value, place);
                } else {
                    let inner = fields
                        .iter()
                        .filter(|(name, _)| !CONTENT.contains(&name.as_str()));
                    inner.for_each(|(_, value)| self.look(value, place));
                }
            }
            _ => {}
        }
    }

    /// The whole records at the beginning of a list that was cut off.
    fn look_at_head(&mut self, head: &str, place: &str) {
        let Some((_, mut rest)) = head.split_once('[') else {
            return;
        };
        loop {
            let mut records = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let Some(Ok(record)) = records.next() else {
                return;
            };
            self.look(&record, place);
            let after = rest.get(records.byte_offset()..).unwrap_or_default();
            rest = after.trim_start_matches([',', ' ']);
        }
    }

    fn check(&mut self, record: &Value, place: &str) {
        let (count, outcome) = if record.get("trace_id").is_some() {
            (&mut self.spans, round_trip::<Span>(record))
        } else if place.contains("/threads") {
            (&mut self.threads, round_trip::<Thread>(record))
        } else {
            (&mut self.traces, round_trip::<Trace>(record))
        };
        *count += 1;
        outcome.unwrap_or_else(|difference| panic!("{place}: {difference}"));
    }
}

#[test]
fn every_captured_record_decodes_and_encodes_to_equal_json() {
    let mut found = Found::default();
    for capture in fixtures::wire_captures() {
        for exchange in fixtures::jsonl::<Value>(&capture) {
            let part = |name: &str| exchange.get(name).cloned().unwrap_or_default();
            let path = part("path");
            let place = format!(
                "{capture} {} {}",
                part("seq"),
                path.as_str().unwrap_or_default()
            );
            let is_record = ["/traces", "/spans", "/experiments"];
            if is_record.iter().any(|part| place.contains(part)) {
                found.look(&part("body"), &place);
                found.look(&part("response"), &place);
            }
        }
    }
    println!("{found:?}");
    assert!(found.traces >= 197, "{found:?}");
    assert!(found.spans >= 63, "{found:?}");
    assert!(found.threads >= 2, "{found:?}");
}

#[test]
fn recorded_agent_runs_encode_to_equal_json() {
    let mut spans = 0;
    for name in ["agentrx", "who_and_when"] {
        for run in fixtures::jsonl::<Value>(&format!("traces/{name}/opik.jsonl.gz")) {
            round_trip::<Trace>(run.get("trace").unwrap()).unwrap();
            for span in run.get("spans").and_then(Value::as_array).unwrap() {
                round_trip::<Span>(span).unwrap();
                spans += 1;
            }
        }
    }
    assert!(spans > 1_000, "{spans}");
}

fn score() -> Value {
    json!({
        "name": "relevance", "category_name": "low", "value": 0.25, "reason": "because",
        "source": "online_scoring", "source_queue_id": "q", "created_at": "2026-01-01T00:00:00Z",
        "last_updated_at": "2026-01-01T00:00:01.5Z", "created_by": "ada", "last_updated_by": "bob",
        "value_by_author": {"ada": {
            "value": 0.25, "reason": "r", "category_name": "low", "source": "ui",
            "last_updated_at": "2026-01-01T00:00:00Z", "span_type": "llm",
            "span_id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db", "source_queue_id": "q",
            "author": "ada", "of_tomorrow": 1,
        }},
        "of_tomorrow": [1],
    })
}

fn comment() -> Value {
    json!({
        "id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db", "text": "look at this", "source_queue_id": "q",
        "created_at": "2026-01-01T00:00:00Z", "last_updated_at": "2026-01-01T00:00:00.000001Z",
        "created_by": "ada", "last_updated_by": "bob", "of_tomorrow": {"a": true},
    })
}

/// Every field of the protocol that a trace can have, on either way.
fn whole_trace() -> Value {
    json!({
        "id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db", "project_name": "p",
        "project_id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e61", "name": "n",
        "start_time": "2026-11-20T10:26:41.896554Z", "end_time": "2026-11-20T10:26:42Z",
        "input": {"b": 1, "a": [null]}, "output": [{"x": 1}], "metadata": {"m": "x"},
        "tags": ["t"], "error_info": {"exception_type": "E", "message": "m", "traceback": "t"},
        "usage": {"prompt_tokens": 1, "original_usage.a.b": 2},
        "created_at": "2026-11-20T10:26:42Z", "last_updated_at": "2026-11-20T10:26:42.5Z",
        "created_by": "admin", "last_updated_by": "admin", "feedback_scores": [score()],
        "span_feedback_scores": [score()], "comments": [comment()],
        "guardrails_validations": [{
            "span_id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db",
            "checks": [{"name": "PII", "result": "failed"}],
        }],
        "total_estimated_cost": 0.125, "span_count": 3, "duration": 30.5, "ttft": 1.5,
        "thread_id": "th", "visibility_mode": "hidden", "llm_span_count": 2, "has_tool_spans": true,
        "providers": ["openai"], "experiment": {
            "id": "e", "name": "n", "dataset_id": "d", "dataset_item_id": "i",
        },
        "annotation_queues": [{"id": "q", "name": "n"}], "source": "experiment",
        "environment": "production", "of_tomorrow": {"deep": [1, "x", null]},
    })
}

fn whole_span() -> Value {
    json!({
        "id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db", "project_name": "p",
        "project_id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e61",
        "trace_id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e62",
        "parent_span_id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e63", "name": "n", "type": "guardrail",
        "start_time": "2026-11-20T10:26:41.896554Z", "end_time": "2026-11-20T10:26:42Z",
        "input": "a text", "output": {"a": 1}, "metadata": {"m": "x"}, "model": "m",
        "provider": "openai", "tags": ["t"], "usage": {"total_tokens": 1},
        "error_info": {"exception_type": "E", "message": "m", "traceback": "t"},
        "created_at": "2026-11-20T10:26:42Z", "last_updated_at": "2026-11-20T10:26:42.5Z",
        "created_by": "admin", "last_updated_by": "admin", "feedback_scores": [score()],
        "comments": [comment()], "total_estimated_cost": 0.125,
        "total_estimated_cost_version": "1.1", "duration": 30.5, "ttft": 1.5, "source": "evaluator",
        "environment": "production", "of_tomorrow": 7,
    })
}

fn whole_thread() -> Value {
    json!({
        "id": "thread 1", "project_id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e61",
        "thread_model_id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e62",
        "start_time": "2026-11-20T10:26:41Z", "end_time": "2026-11-20T10:26:42Z", "duration": 1000.0,
        "first_message": {"q": 1}, "last_message": "a", "feedback_scores": [score()],
        "status": "inactive", "number_of_messages": 4, "total_estimated_cost": 0.5,
        "usage": {"total_tokens": 1}, "comments": [comment()], "tags": ["t"],
        "annotation_queues": [{"id": "q", "name": "n"}],
        "last_updated_at": "2026-11-20T10:26:42Z", "last_updated_by": "admin",
        "created_by": "admin", "created_at": "2026-11-20T10:26:42Z", "environment": "production",
        "of_tomorrow": "x",
    })
}

fn whole_project() -> Value {
    json!({
        "id": "01a1f87d-dcf1-76b1-ad61-2bca46b58e61", "name": "p", "visibility": "private",
        "description": "d", "created_at": "2026-11-20T10:26:42Z", "created_by": "admin",
        "last_updated_at": "2026-11-20T10:26:42Z", "last_updated_by": "admin",
        "last_updated_trace_at": "2026-11-20T10:26:42Z", "trace_count": 3,
        "duration": {"p50": 1.5, "p90": 2.5, "p99": 3.5},
    })
}

#[test]
fn every_field_of_the_protocol_survives() {
    round_trip::<Trace>(&whole_trace()).unwrap();
    round_trip::<Span>(&whole_span()).unwrap();
    round_trip::<Thread>(&whole_thread()).unwrap();
    round_trip::<Project>(&whole_project()).unwrap();
    round_trip::<FeedbackScore>(&score()).unwrap();
    round_trip::<Comment>(&comment()).unwrap();
    round_trip::<ErrorInfo>(&json!({"exception_type": "E", "message": "m", "traceback": "t"}))
        .unwrap();
    round_trip::<ErrorInfo>(&json!({"exception_type": "E", "traceback": "t"})).unwrap();
    round_trip::<Usage>(&json!({"prompt_tokens": 1, "original_usage.x": -2})).unwrap();
}

#[test]
fn every_field_of_the_protocol_is_a_field_of_the_type() {
    let trace: Trace = serde_json::from_value(whole_trace()).unwrap();
    let span: Span = serde_json::from_value(whole_span()).unwrap();
    let thread: Thread = serde_json::from_value(whole_thread()).unwrap();
    for extra in [&trace.extra, &span.extra, &thread.extra] {
        assert_eq!(extra.keys().collect::<Vec<_>>(), ["of_tomorrow"]);
    }
    assert_eq!(span.r#type, Some(SpanType::Guardrail));
    assert_eq!(thread.status, Some(ThreadStatus::Inactive));
    assert_eq!(trace.guardrails_validations.len(), 1);
}

#[test]
fn null_means_absent_for_every_field_that_may_be() {
    fn nulls<T: DeserializeOwned + Serialize>(whole: &Value, required: &[&str]) {
        let fields = whole.as_object().unwrap().iter();
        let nulled = fields.map(|(name, value)| {
            let keep = required.contains(&name.as_str());
            (name.clone(), if keep { value.clone() } else { Value::Null })
        });
        let nulled: Value = nulled.filter(|(name, _)| name != "of_tomorrow").collect();
        let decoded: T = serde_json::from_value(nulled).unwrap();
        let encoded = serde_json::to_value(&decoded).unwrap();
        let left: Vec<&String> = encoded.as_object().unwrap().keys().collect();
        let mut required = required.to_vec();
        required.sort_unstable();
        let mut left: Vec<&str> = left.into_iter().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, required);
    }
    nulls::<Trace>(&whole_trace(), &["id", "start_time"]);
    nulls::<Span>(&whole_span(), &["id", "trace_id", "start_time"]);
    nulls::<Thread>(&whole_thread(), &[]);
    nulls::<FeedbackScore>(&score(), &["name", "value", "source"]);
    nulls::<Comment>(&comment(), &["text"]);
}

#[test]
fn empty_fields_are_left_out() {
    let text = r#"{"id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db", "start_time": "2026-01-01T00:00:00Z",
        "tags": [], "usage": {}, "feedback_scores": [], "comments": [], "providers": []}"#;
    let encoded = serde_json::to_value(Trace::from_json(text).unwrap()).unwrap();
    assert_eq!(encoded.as_object().unwrap().len(), 2, "{encoded}");
}

#[test]
fn words_of_a_newer_server_are_kept() {
    let mut span = whole_span();
    for (field, word) in [("type", "retrieval"), ("source", "import")] {
        span.as_object_mut()
            .unwrap()
            .insert(field.to_owned(), json!(word));
    }
    round_trip::<Span>(&span).unwrap();
}

/// Content with everything that a parsed value would lose: order, spelling, digits, repetition.
const LETTER: &str = r#"{"b" : 1e2,  "a":[12345678901234567890123, 0.10, -0],"a": "\u0041é"}"#;

#[test]
fn content_is_kept_to_the_letter_beside_unknown_fields() {
    let ids = r#""id":"01a1f87e-7e6b-72e3-ae06-401e219ce3db","trace_id":"01a1f87e-7e6b-72e3-ae06-401e219ce3db""#;
    let text = format!(
        r#"{{"of_tomorrow":{{"x":[1]}},{ids},"start_time":"2026-01-01T00:00:00.000000Z","input":{LETTER},"output":"\u0041","metadata":{LETTER},"more":null}}"#
    );
    let span = Span::from_json(&text).unwrap();
    assert_eq!(span.input.as_ref().map(Json::as_str), Some(LETTER));
    assert_eq!(span.output.as_ref().map(Json::as_str), Some(r#""\u0041""#));
    assert_eq!(span.extra.get("of_tomorrow"), Some(&json!({"x": [1]})));
    let encoded = serde_json::to_string(&span).unwrap();
    assert!(
        encoded.contains(&format!(r#""input":{LETTER}"#)),
        "{encoded}"
    );
    assert!(
        encoded.contains(&format!(r#""metadata":{LETTER}"#)),
        "{encoded}"
    );
    assert!(Span::from_json(&encoded).unwrap() == span);
    let trace = Trace::from_json(&text).unwrap();
    let encoded = serde_json::to_string(&trace).unwrap();
    assert!(
        encoded.contains(&format!(r#""input":{LETTER}"#)),
        "{encoded}"
    );
}

const SECRET: &str = "zq-secret-zq";

#[test]
fn errors_name_field_and_place_and_quote_nothing() {
    let mut checked = 0;
    let whole = whole_span();
    for name in whole.as_object().unwrap().keys() {
        for wrong in [
            json!(SECRET),
            json!([[SECRET]]),
            json!({SECRET: SECRET}),
            json!([{SECRET: 1}]),
            json!(98765432.125),
        ] {
            let mut broken = whole.clone();
            broken.as_object_mut().unwrap().insert(name.clone(), wrong);
            let Err(error) = Span::from_json(&broken.to_string()) else {
                continue;
            };
            checked += 1;
            assert_eq!(error.field(), Some(name.as_str()), "{error}");
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(
                    !shown.contains("secret") && !shown.contains("98765"),
                    "{shown}"
                );
            }
        }
    }
    assert!(checked > 60, "{checked}");
    let error = Span::from_json(r#"{"id": "01a1f87e-7e6b-72e3-ae06-401e219ce3db"}"#).unwrap_err();
    assert_eq!(error.field(), Some("trace_id"));
    assert_eq!(
        error.to_string(),
        "invalid JSON: nothing is there in field `trace_id` at line 1, column 46"
    );
    let error = Trace::from_json("{\n  \"name\": secret}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid JSON: syntax error at line 2, column 11"
    );
    assert_eq!(Trace::from_json("[]").unwrap_err().field(), None);
}

#[test]
fn debug_shows_no_content() {
    fn shown<T: DeserializeOwned + std::fmt::Debug>(mut record: Value, secret: &[&str]) -> String {
        for name in secret {
            record
                .as_object_mut()
                .unwrap()
                .insert((*name).to_owned(), json!(SECRET));
        }
        format!("{:?}", serde_json::from_value::<T>(record).unwrap())
    }
    let content = [
        "name",
        "input",
        "output",
        "metadata",
        "thread_id",
        "of_tomorrow",
    ];
    for text in [
        shown::<Trace>(whole_trace(), &content),
        shown::<Span>(
            whole_span(),
            &["name", "input", "output", "metadata", "of_tomorrow"],
        ),
        shown::<Thread>(
            whole_thread(),
            &["id", "first_message", "last_message", "of_tomorrow"],
        ),
        shown::<FeedbackScore>(score(), &["reason", "category_name", "of_tomorrow"]),
        shown::<Comment>(comment(), &["text", "of_tomorrow"]),
        shown::<Project>(whole_project(), &["description", "of_tomorrow"]),
        shown::<ErrorInfo>(
            json!({"exception_type": "E", "traceback": "t"}),
            &["message", "traceback"],
        ),
    ] {
        assert!(!text.contains("secret"), "{text}");
        assert!(text.len() > 10, "{text}");
    }
}
