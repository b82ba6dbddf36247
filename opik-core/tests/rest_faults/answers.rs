//! Successes that are none.

use opik_core::query::{ProjectSelector, TraceQuery};
use opik_core::rest::{ErrorBody, RestErrorKind};
use opik_core::source::SourceErrorKind;
use opik_core::{Exporter, TraceId, TraceSource};
use serde_json::json;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{InTurn, builder, client, requests, server_of, status, trace, traces};

const SEARCH: &str = "/api/v1/private/traces/search";

async fn searched(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(SEARCH))
        .respond_with(InTurn(answers, 0.into()))
        .mount(&server)
        .await;
    server
}

fn query() -> TraceQuery {
    let mut query = TraceQuery::default();
    query.project = ProjectSelector::Name("p".to_owned());
    query
}

fn lines(text: &str) -> ResponseTemplate {
    status(200).set_body_raw(text.as_bytes().to_vec(), "application/octet-stream")
}

async fn everywhere(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn the_page_of_a_proxy_is_no_answer() {
    let page = status(200).set_body_raw("<html>sign in to the café</html>", "text/html");
    let server = everywhere(page).await;
    let client = client(&server);
    let written = client.export(&traces(1)).await.unwrap_err();
    assert!(written.to_string().contains("text/html"), "{written}");
    assert!(
        written.is_retryable(),
        "records are kept until Opik is back"
    );
    let read = client.find_trace(TraceId::generate()).await.unwrap_err();
    assert_eq!(read.kind(), RestErrorKind::InvalidResponse);
    assert_eq!(
        client.ping().await.unwrap_err().kind(),
        RestErrorKind::InvalidResponse
    );
    let searched = client.search_traces(&query()).await.unwrap_err();
    assert_eq!(searched.kind(), SourceErrorKind::Corrupt);
    assert_eq!(requests(&server).await.len(), 4, "none is repeated");
}

#[tokio::test]
async fn a_page_that_is_not_found_is_not_a_trace_that_is_missing() {
    let id = TraceId::generate();
    let page = status(404).set_body_raw("<html>not here</html>", "text/html");
    let wrong_address = json!({"code": 404, "message": "HTTP 404 Not Found"});
    let workspace = json!({"code": 404, "message": "Workspace not found"});
    for (answer, kind) in [
        (page, SourceErrorKind::Unavailable),
        (
            status(404).set_body_json(wrong_address),
            SourceErrorKind::Unavailable,
        ),
        (
            status(404).set_body_json(workspace),
            SourceErrorKind::Unauthorized,
        ),
    ] {
        let server = everywhere(answer).await;
        let error = client(&server).trace(id).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    for missing in [
        json!({"code": 404, "message": format!("Trace id: {id} not found")}),
        json!({"errors": [format!("Trace id: {id} not found")]}),
    ] {
        let server = everywhere(status(404).set_body_json(missing)).await;
        assert_eq!(client(&server).trace(id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = everywhere(status(204)).await;
    let server = everywhere(status(302).insert_header("Location", elsewhere.uri())).await;
    let client = client(&server);
    client.export(&traces(1)).await.unwrap_err();
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), RestErrorKind::Redirect);
    assert_eq!(error.status(), Some(302));
    assert!(requests(&elsewhere).await.is_empty());
}

#[tokio::test]
async fn an_error_line_inside_a_stream_is_an_error() {
    let good = trace();
    let row = serde_json::to_string(&good).unwrap();
    let error = r#"{"code":500,"message":"Streaming operation timed out"}"#;
    let broken = lines(&format!("{row}\r\n{error}\r\n"));
    // Once: repeated, and then whole.
    let server = searched(vec![broken.clone(), lines(&format!("{row}\r\n"))]).await;
    let found = client(&server).search_traces(&query()).await.unwrap();
    assert_eq!(found.items, [good]);
    // Always: an error, never the half.
    let server = searched(vec![broken]).await;
    let failed = client(&server).search_traces(&query()).await.unwrap_err();
    assert_eq!(failed.kind(), SourceErrorKind::Unavailable);
    assert_eq!(requests(&server).await.len(), 3);
}

#[tokio::test]
async fn a_line_of_another_shape_is_named_and_not_repeated() {
    let row = serde_json::to_string(&trace()).unwrap();
    // serde quotes the value of a wrong type in its own message.
    let wrong_type = row.replacen('{', r#"{"tags":"my secret","#, 1);
    for bad in [
        r#"{"id":"my secret"}"#,
        "my secret",
        r#"{"start_time":"my secret"}"#,
        &wrong_type,
    ] {
        let server = searched(vec![lines(&format!("{row}\r\n{bad}\r\n{row}\r\n"))]).await;
        let error = client(&server).search_traces(&query()).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Corrupt);
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    let server = everywhere(status(200).set_body_raw(vec![b' '; 20_000], "application/json")).await;
    let small = builder(&server.uri()).max_response_bytes(10_000);
    let error = small.build().unwrap().find_trace(TraceId::generate()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), RestErrorKind::InvalidResponse);
    assert!(error.to_string().contains("10000 bytes"), "{error}");
}

#[tokio::test]
async fn both_shapes_of_errors_are_typed() {
    let own = json!({"errors": ["first", "second"]});
    let framework = json!({"code": 400, "message": "bad", "details": "more", "extra": 1});
    for (answer, expected) in [
        (own, vec!["first", "second"]),
        (framework, vec!["bad", "more"]),
    ] {
        let server = everywhere(status(400).set_body_json(answer)).await;
        let error = client(&server).check_access().await.unwrap_err();
        assert_eq!(error.kind(), RestErrorKind::BadRequest);
        assert_eq!(error.body().messages().collect::<Vec<_>>(), expected);
    }
    let server = everywhere(status(400).set_body_string("plain words")).await;
    let error = client(&server).check_access().await.unwrap_err();
    assert_eq!(*error.body(), ErrorBody::Other);
}

#[tokio::test]
async fn a_compressed_answer_is_read() {
    use std::io::Write;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let wanted = trace();
    packer
        .write_all(&serde_json::to_vec(&wanted).unwrap())
        .unwrap();
    let answer = status(200)
        .set_body_raw(packer.finish().unwrap(), "application/json")
        .insert_header("Content-Encoding", "gzip");
    let server = everywhere(answer).await;
    let found = client(&server).find_trace(wanted.id).await.unwrap();
    assert_eq!(found, Some(wanted));
    let asked = &requests(&server).await[0];
    assert_eq!(asked.headers.get("accept-encoding").unwrap(), "gzip");
}

#[tokio::test]
async fn a_success_with_a_body_of_json_is_still_a_success() {
    let server = server_of(vec![status(200).set_body_json(json!({}))]).await;
    assert_eq!(
        client(&server).export(&traces(1)).await.unwrap().accepted,
        1
    );
}
