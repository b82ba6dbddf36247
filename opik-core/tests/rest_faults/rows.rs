//! Rows that are encoded already, sent by `export_rows`.

use std::time::Duration;

use opik_core::exporter::ExportErrorKind;
use opik_core::rest::RetryPolicy;
use opik_core::wire::{List, RowId, WireBatch, WireExporter};
use opik_core::{Exporter, Timestamp, Trace};
use serde_json::json;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{BATCH, body, builder, client, requests, server_of, status, trace};

/// Rows of traces with these names.
pub(super) fn rows<'n>(names: impl IntoIterator<Item = &'n str>) -> WireBatch {
    let mut batch = WireBatch::default();
    for name in names {
        push(&mut batch, &named(name));
    }
    batch
}

fn push(batch: &mut WireBatch, trace: &Trace) {
    batch.push_trace(trace, None, Timestamp::now()).unwrap();
}

fn named(name: &str) -> Trace {
    let mut trace = trace();
    trace.name = Some(name.to_owned());
    trace
}

/// The names of the rows of each request.
async fn names(server: &MockServer) -> Vec<Vec<String>> {
    let name = |row: &serde_json::Value| row["name"].as_str().unwrap_or_default().to_owned();
    let names = |request: &Request| {
        let rows = body(request);
        rows["traces"]
            .as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect()
    };
    requests(server).await.iter().map(names).collect()
}

#[tokio::test]
async fn requests_are_bounded_in_rows_and_in_bytes_and_keep_the_order() {
    let all: Vec<String> = (0..2_500).map(|number| number.to_string()).collect();
    let batch = rows(all.iter().map(String::as_str));
    let server = server_of(vec![status(204)]).await;
    let report = client(&server).export_rows(&batch).await.unwrap();
    assert_eq!(report.accepted, 2_500);
    let sent = names(&server).await;
    assert_eq!(
        sent.iter().map(Vec::len).collect::<Vec<_>>(),
        [1_000, 1_000, 500]
    );
    assert_eq!(sent.concat(), all);

    let server = server_of(vec![status(204)]).await;
    let small = builder(&server.uri()).max_request_bytes(2_000).build();
    small.unwrap().export_rows(&batch).await.unwrap();
    let sizes = requests(&server).await;
    assert!(
        sizes
            .iter()
            .all(|request| body(request).to_string().len() < 2_100)
    );
    assert_eq!(names(&server).await.concat(), all);
}

#[tokio::test]
async fn one_bad_row_of_a_thousand_costs_no_other() {
    for code in [400, 413, 422, 409] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path(BATCH))
            .respond_with(move |request: &Request| {
                let rows = body(request);
                let bad = rows["traces"].as_array().unwrap().iter();
                let bad = bad.filter(|row| row["name"] == "bad").count();
                status(if bad > 0 { code } else { 204 })
            })
            .mount(&server)
            .await;
        let batch = rows((0..1_000).map(|n| if n == 617 { "bad" } else { "good" }));
        let report = client(&server).export_rows(&batch).await.unwrap();
        assert_eq!(report.accepted, 999, "{code}");
        let bad = batch.rows(List::Traces).id(617).unwrap().to_string();
        let rejected: Vec<&str> = report.rejected.iter().map(|r| r.record.as_str()).collect();
        assert_eq!(rejected, [bad], "{code}");
        // Ten halvings, two requests each.
        assert!(requests(&server).await.len() <= 21, "{code}");
    }
}

#[tokio::test]
async fn a_row_that_is_no_json_costs_no_other() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(|request: &Request| {
            let compressed = request.headers.contains_key("content-encoding");
            let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
            let good = if compressed {
                let mut text = Vec::new();
                let mut unpacked = flate2::read::GzDecoder::new(request.body.as_slice());
                std::io::Read::read_to_end(&mut unpacked, &mut text).is_ok() && read(&text)
            } else {
                read(&request.body)
            };
            status(if good { 204 } else { 400 })
        })
        .mount(&server)
        .await;
    let mut batch = rows(["a", "b", "c"]);
    let id = trace().id;
    batch
        .rows_mut(List::Traces)
        .push(RowId::Trace(id), b"{\"half\": ");
    push(&mut batch, &named("d"));
    let report = client(&server).export_rows(&batch).await.unwrap();
    assert_eq!(report.accepted, 4);
    assert_eq!(report.rejected[0].record, format!("trace {id}"));
    assert!(!report.rejected[0].reason.contains("half"));
}

#[tokio::test]
async fn rows_are_posted_whole_and_nothing_is_ever_patched() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(status(204))
        .mount(&server)
        .await;
    let client = client(&server);
    let mut trace = trace();
    for (end, moment) in [(None, 1), (Some(Timestamp::now()), 2)] {
        trace.end_time = end;
        trace.last_updated_at = Some(trace.start_time.plus_micros(moment));
        let mut batch = WireBatch::default();
        push(&mut batch, &trace);
        client.export_rows(&batch).await.unwrap();
    }
    let sent = requests(&server).await;
    let calls: Vec<_> = sent
        .iter()
        .map(|r| (r.method.as_str(), r.url.path()))
        .collect();
    assert_eq!(calls, [("POST", BATCH), ("POST", BATCH)]);
    let [first, second] = [&sent[0], &sent[1]].map(|request| body(request)["traces"][0].clone());
    assert!(first["last_updated_at"].as_str() < second["last_updated_at"].as_str());
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["start_time"], second["start_time"]);
    assert!(first.get("end_time").is_none() && second.get("end_time").is_some());
}

#[tokio::test]
async fn a_row_names_its_project_or_none() {
    let server = server_of(vec![status(204)]).await;
    let client = builder(&server.uri()).project_name("of the client");
    let mut batch = rows(["a"]);
    batch
        .push_trace(&trace(), Some("of the row"), Timestamp::now())
        .unwrap();
    client.build().unwrap().export_rows(&batch).await.unwrap();
    let sent = body(&requests(&server).await[0]);
    assert_eq!(sent["traces"][0].get("project_name"), None);
    assert_eq!(sent["traces"][1]["project_name"], "of the row");
}

#[tokio::test]
async fn a_conflict_after_a_repetition_is_a_success() {
    for first in [500, 503, 429] {
        let server = server_of(vec![status(first), status(409)]).await;
        let report = client(&server)
            .export_rows(&rows(["a", "b"]))
            .await
            .unwrap();
        assert_eq!((report.accepted, report.rejected.len()), (2, 0), "{first}");
    }
    let exists = status(409).set_body_json(json!({"errors": ["Trace already exists"]}));
    let server = server_of(vec![exists]).await;
    let report = client(&server).export_rows(&rows(["a"])).await.unwrap();
    assert_eq!(report.accepted, 1);
}

async fn failure(answer: ResponseTemplate, policy: RetryPolicy) -> (opik_core::ExportError, usize) {
    let server = server_of(vec![answer]).await;
    let client = builder(&server.uri()).retry(policy).build().unwrap();
    let error = client.export_rows(&rows(["a"])).await.unwrap_err();
    (error, requests(&server).await.len())
}

#[tokio::test]
async fn a_wait_that_is_named_is_kept_or_left_to_the_caller() {
    let limited = |seconds: &str| status(429).insert_header("RateLimit-Reset", seconds);
    let server = server_of(vec![limited("1"), status(204)]).await;
    let report = client(&server).export_rows(&rows(["a"])).await.unwrap();
    assert_eq!(report.accepted, 1);

    let named = Duration::from_secs(2);
    for (answer, policy, attempts) in [
        (limited("2"), RetryPolicy::none(), 1),
        (limited("2"), RetryPolicy::brief(), 1),
        (
            limited("2"),
            RetryPolicy::default().within(Duration::from_secs(1)),
            1,
        ),
    ] {
        let (error, sent) = failure(answer, policy).await;
        assert_eq!(error.kind(), ExportErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(named));
        assert_eq!(sent, attempts);
    }
}

#[tokio::test]
async fn repetitions_are_bounded_and_end_in_an_error_to_retry() {
    for code in [500, 502, 503, 504] {
        for (policy, attempts) in [(RetryPolicy::none(), 1), (RetryPolicy::brief(), 2)] {
            let (error, sent) = failure(status(code), policy).await;
            assert_eq!(error.kind(), ExportErrorKind::Unavailable, "{code}");
            assert!(error.is_retryable());
            assert_eq!(sent, attempts);
        }
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_to_retry() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let client = builder(&address).build().unwrap();
    let error = client.export_rows(&rows(["a"])).await.unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::Unavailable);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn nothing_is_sent_for_an_empty_batch() {
    let server = server_of(vec![status(500)]).await;
    let client = client(&server);
    let wire = client.wire().unwrap();
    let report = wire.export_rows(&WireBatch::default()).await.unwrap();
    assert_eq!(report, opik_core::ExportReport::default());
    assert!(requests(&server).await.is_empty());
}
