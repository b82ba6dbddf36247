//! Rows that the official clients sent are sent again with the same fields.

use opik_core::{Batch, Exporter, Span, Timestamp, Trace};
use opik_testkit::fixtures;
use serde_json::{Map, Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer};

use super::{body, client, requests, status};

/// The rows of one kind in all captures, as they were sent and taken.
fn captured(list: &str) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for name in fixtures::wire_captures() {
        for request in fixtures::jsonl::<Value>(&name) {
            if request["response"]["status"] == 204 {
                let sent = request["body"][list].as_array().into_iter().flatten();
                rows.extend(sent.filter_map(Value::as_object).cloned());
            }
        }
    }
    rows
}

async fn sent_again(batch: &Batch, list: &str) -> Vec<Value> {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(status(204))
        .mount(&server)
        .await;
    let report = client(&server).export(batch).await.unwrap();
    assert_eq!(report.accepted, batch.len(), "{:?}", report.rejected);
    let sent = requests(&server).await;
    let rows = sent.iter().map(|request| body(request)[list].clone());
    rows.flat_map(|rows| rows.as_array().unwrap().clone())
        .collect()
}

/// That nothing is missing, changed or new.
fn compare(theirs: &Map<String, Value>, ours: &Value) {
    let id = &theirs["id"];
    for (field, value) in theirs {
        let ours = &ours[field];
        let is_moment = field.ends_with("_time") || field.ends_with("_at");
        if is_moment && !value.is_null() {
            let moment = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
            assert_eq!(moment(ours), moment(value), "{id} {field}");
        } else if !readable(field, value) {
            assert_eq!(*ours, json!({ field: value }), "{id} {field}");
        } else if *value != json!([]) {
            assert_eq!(ours, value, "{id} {field}");
        }
    }
    for field in ours.as_object().unwrap().keys() {
        let added = ["last_updated_at", "source", "type"].contains(&field.as_str());
        assert!(theirs.contains_key(field) || added, "{id} {field} is new");
    }
}

/// Content that every reader accepts; the rest is wrapped.
fn readable(field: &str, value: &Value) -> bool {
    match (field, value) {
        ("input" | "output", Value::Array(items)) => items.iter().all(Value::is_object),
        ("input" | "output", Value::Number(_) | Value::Bool(_)) => false,
        ("metadata", value) => value.is_object() || value.is_null(),
        _ => true,
    }
}

#[tokio::test]
async fn traces_of_the_official_clients() {
    let theirs = captured("traces");
    assert!(theirs.len() > 50, "{} rows", theirs.len());
    let traces: Vec<Trace> = theirs
        .iter()
        .map(|row| serde_json::from_value(Value::Object(row.clone())).unwrap())
        .collect();
    let ours = sent_again(&Batch::new(traces, vec![]), "traces").await;
    assert_eq!(ours.len(), theirs.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        compare(theirs, ours);
    }
}

#[tokio::test]
async fn spans_of_the_official_clients() {
    let theirs = captured("spans");
    assert!(theirs.len() > 20, "{} rows", theirs.len());
    let spans: Vec<Span> = theirs
        .iter()
        .map(|row| serde_json::from_value(Value::Object(row.clone())).unwrap())
        .collect();
    let ours = sent_again(&Batch::new(vec![], spans), "spans").await;
    assert_eq!(ours.len(), theirs.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        compare(theirs, ours);
    }
}
