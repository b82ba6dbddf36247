//! What each status leads to.

use std::time::{Duration, Instant};

use opik_core::Exporter;
use opik_core::exporter::ExportErrorKind;
use opik_core::rest::{RestErrorKind, RetryPolicy};

use super::{body, builder, client, requests, server_of, status, traces};

#[tokio::test]
async fn a_key_or_workspace_that_is_not_accepted_ends_at_once() {
    for code in [401, 403, 404] {
        let body = serde_json::json!({"code": code, "message": "Workspace not found"});
        let server = server_of(vec![status(code).set_body_json(body)]).await;
        let error = client(&server).export(&traces(3)).await.unwrap_err();
        assert_eq!(error.kind(), ExportErrorKind::Unauthorized, "{code}");
        assert!(!error.is_retryable());
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert_eq!(requests(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn an_address_without_opik_is_worth_another_try_later() {
    let framework = serde_json::json!({"code": 404, "message": "HTTP 404 Not Found"});
    for answer in [
        status(404).set_body_string("default backend"),
        status(404).set_body_json(framework),
    ] {
        let server = server_of(vec![answer]).await;
        let error = client(&server).export(&traces(3)).await.unwrap_err();
        assert_eq!(error.kind(), ExportErrorKind::Unavailable);
        assert_eq!(requests(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_fails_for_a_moment_costs_nothing() {
    for code in [500, 502, 503, 504, 408] {
        let server = server_of(vec![status(code), status(code), status(204)]).await;
        let report = client(&server).export(&traces(3)).await.unwrap();
        assert_eq!((report.accepted, report.rejected.len()), (3, 0), "{code}");
        let sent = requests(&server).await;
        assert_eq!(sent.len(), 3);
        assert_eq!(body(&sent[0]), body(&sent[2]), "repeated to the letter");
    }
}

#[tokio::test]
async fn a_server_that_keeps_failing_ends_with_an_error_to_retry() {
    for code in [500, 502, 503, 504] {
        let server = server_of(vec![status(code)]).await;
        let error = client(&server).export(&traces(1)).await.unwrap_err();
        assert_eq!(error.kind(), ExportErrorKind::Unavailable, "{code}");
        assert!(error.is_retryable());
        assert_eq!(
            error.to_string(),
            format!("POST v1/private/traces/batch: status {code} after 3 attempts")
        );
        assert_eq!(requests(&server).await.len(), 3);
    }
}

#[tokio::test]
async fn what_is_not_implemented_is_not_asked_for_twice() {
    let server = server_of(vec![status(501)]).await;
    client(&server).export(&traces(1)).await.unwrap_err();
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_wait_that_the_server_names_is_kept() {
    for header in ["RateLimit-Reset", "Retry-After"] {
        let limited = status(429).insert_header(header, "1");
        let server = server_of(vec![limited, status(204)]).await;
        let began = Instant::now();
        let report = client(&server).export(&traces(1)).await.unwrap();
        assert_eq!(report.accepted, 1);
        assert!(began.elapsed() >= Duration::from_secs(1), "{header}");
        assert_eq!(requests(&server).await.len(), 2);
    }
}

#[tokio::test]
async fn a_wait_beyond_the_bounds_is_left_to_the_caller() {
    let server = server_of(vec![status(429).insert_header("RateLimit-Reset", "31")]).await;
    let error = client(&server).export(&traces(1)).await.unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(31)));
    assert_eq!(requests(&server).await.len(), 1);
}

#[tokio::test]
async fn a_limit_without_a_wait_is_retried_and_never_lost() {
    let server = server_of(vec![status(429), status(204)]).await;
    assert_eq!(
        client(&server).export(&traces(1)).await.unwrap().accepted,
        1
    );
    let server = server_of(vec![status(429)]).await;
    let error = client(&server).export(&traces(1)).await.unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::RateLimited);
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn repetitions_end_when_their_time_is_over() {
    let server = server_of(vec![status(503)]).await;
    let policy = RetryPolicy::default()
        .attempts(1_000)
        .within(Duration::from_millis(200))
        .waits(Duration::from_millis(20), Duration::from_millis(20));
    let client = builder(&server.uri()).retry(policy).build().unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!(
        error.kind(),
        RestErrorKind::NotFound,
        "the mock serves batches only"
    );
    client.export(&traces(1)).await.unwrap_err();
    let sent = requests(&server).await.len();
    // 200 ms hold at most 20 waits of at least 10 ms.
    assert!((1..=22).contains(&sent), "{sent} requests");
}
