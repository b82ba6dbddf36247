//! Requests that the server refuses for what is in them.

use opik_core::{Exporter, Trace};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{BATCH, body, builder, client, requests, server_of, status, trace, traces};

/// A server that refuses every request with a row of this name.
async fn server_refusing(name: &'static str, code: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(BATCH))
        .respond_with(move |request: &Request| {
            let rows = body(request);
            let rows = rows["traces"].as_array().unwrap();
            if rows.iter().any(|row| row["name"] == name) {
                ResponseTemplate::new(code).set_body_json(json!({"errors": ["secret words"]}))
            } else {
                ResponseTemplate::new(204)
            }
        })
        .mount(&server)
        .await;
    server
}

fn named(name: &str) -> Trace {
    let mut trace = trace();
    trace.name = Some(name.to_owned());
    trace
}

#[tokio::test]
async fn one_bad_record_is_found_in_a_few_requests() {
    for code in [400, 413, 422, 409] {
        let server = server_refusing("bad", code).await;
        let mut batch = traces(1_000);
        batch.traces[617] = named("bad");
        let report = client(&server).export(&batch).await.unwrap();
        assert_eq!(report.accepted, 999, "{code}");
        let [rejected] = report.rejected.as_slice() else {
            panic!("{} rejected", report.rejected.len());
        };
        assert_eq!(rejected.record, format!("trace {}", batch.traces[617].id));
        assert!(!rejected.reason.contains("secret"));
        // Ten halvings, two requests each.
        assert!(requests(&server).await.len() <= 21, "{code}");
    }
}

#[tokio::test]
async fn every_bad_record_is_found_and_the_others_arrive() {
    let server = server_refusing("bad", 422).await;
    let mut batch = traces(64);
    for index in (0..64).step_by(3) {
        batch.traces[index] = named("bad");
    }
    let report = client(&server).export(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (42, 22));
}

#[tokio::test]
async fn a_server_that_refuses_all_is_not_asked_about_each() {
    let server = server_of(vec![status(400)]).await;
    let report = client(&server).export(&traces(1_000)).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (0, 1_000));
    let sent = requests(&server).await.len();
    assert!(sent < 100, "{sent} requests");
}

#[tokio::test]
async fn a_record_that_is_too_large_alone_says_how_large() {
    let server = server_of(vec![status(413)]).await;
    let report = client(&server).export(&traces(1)).await.unwrap();
    let reason = &report.rejected[0].reason;
    assert!(
        reason.ends_with("bytes are more than the server takes"),
        "{reason}"
    );
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_conflict_after_a_repetition_is_a_success() {
    let server = server_of(vec![status(503), status(409)]).await;
    let report = client(&server).export(&traces(5)).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (5, 0));
    assert_eq!(requests(&server).await.len(), 2);
}

#[tokio::test]
async fn a_conflict_with_what_exists_is_a_success_and_others_are_rejections() {
    let exists = json!({"errors": ["Trace already exists"]});
    let server = server_of(vec![status(409).set_body_json(exists)]).await;
    assert_eq!(
        client(&server).export(&traces(1)).await.unwrap().accepted,
        1
    );
    let other = json!({"errors": ["Project name and workspace name do not match"]});
    let server = server_of(vec![status(409).set_body_json(other)]).await;
    let report = client(&server).export(&traces(1)).await.unwrap();
    assert_eq!(report.rejected.len(), 1);
}

#[tokio::test]
async fn what_opik_would_refuse_is_not_sent() {
    let server = server_of(vec![status(204)]).await;
    let mut batch = traces(3);
    batch.traces[1].id = opik_core::TraceId::from_bytes([7; 16]);
    let report = client(&server).export(&batch).await.unwrap();
    assert_eq!((report.accepted, report.rejected.len()), (2, 1));
    assert_eq!(report.rejected[0].reason, "id is not a version 7 UUID");
    let sent = requests(&server).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(body(&sent[0])["traces"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn requests_are_bounded_in_items_and_bytes() {
    let server = server_of(vec![status(204)]).await;
    client(&server).export(&traces(2_500)).await.unwrap();
    let sizes = sizes_of(&server).await;
    assert_eq!(sizes, [1_000, 1_000, 500]);

    let server = server_of(vec![status(204)]).await;
    let small = builder(&server.uri())
        .max_request_bytes(1_000)
        .build()
        .unwrap();
    let mut batch = traces(20);
    batch.traces[9].name = Some("x".repeat(5_000));
    small.export(&batch).await.unwrap();
    let sent = requests(&server).await;
    for request in &sent {
        let rows = body(request);
        let alone = rows["traces"].as_array().unwrap().len() == 1;
        assert!(rows.to_string().len() < 1_100 || alone);
    }
    assert_eq!(sizes_of(&server).await.iter().sum::<usize>(), 20);
}

async fn sizes_of(server: &MockServer) -> Vec<usize> {
    let sent = requests(server).await;
    let count = |request: &Request| body(request)["traces"].as_array().unwrap().len();
    sent.iter().map(count).collect()
}
