//! Files go where the server says, and the key does not follow them.

use opik_core::TraceId;
use opik_core::rest::{Attachment, AttachmentTarget, NewAttachment, RestErrorKind};
use serde_json::{Value, json};
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer};

use super::{body, builder, requests, status};

const START: &str = "/api/v1/private/attachment/upload-start";
const COMPLETE: &str = "/api/v1/private/attachment/upload-complete";

async fn server_with(start: Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(START))
        .respond_with(status(200).set_body_json(start))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path(COMPLETE))
        .respond_with(status(204))
        .mount(&server)
        .await;
    server
}

fn file(bytes: usize) -> NewAttachment {
    let target = AttachmentTarget::Trace(TraceId::generate());
    NewAttachment::new(target, "f.bin", vec![7; bytes])
}

#[tokio::test]
async fn a_cloud_store_gets_the_parts_and_no_key() {
    let store = MockServer::start().await;
    Mock::given(method("PUT"))
        .respond_with(status(200).insert_header("ETag", "\"tag\""))
        .mount(&store)
        .await;
    let urls: Vec<String> = (1..=2)
        .map(|part| format!("{}/s3/{part}?X-Amz-Signature=a", store.uri()))
        .collect();
    let server = server_with(json!({"upload_id": "u1", "pre_sign_urls": urls})).await;
    let client = builder(&server.uri()).api_key("key-1").build().unwrap();
    let size = 6 * 1024 * 1024;
    client.attach(&file(size)).await.unwrap();

    let parts = requests(&store).await;
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].body.len(), 5 * 1024 * 1024);
    assert_eq!(parts[1].body.len(), 1024 * 1024);
    for part in &parts {
        assert!(!part.headers.contains_key("authorization"));
        assert!(!part.headers.contains_key("content-type"));
        assert_eq!(part.url.query(), Some("X-Amz-Signature=a"));
    }
    let ours = requests(&server).await;
    assert_eq!(body(&ours[0])["num_of_file_parts"], 2);
    let complete = body(&ours[1]);
    assert_eq!(complete["file_size"], size);
    assert_eq!(
        complete["uploaded_file_parts"],
        json!([
            {"e_tag": "\"tag\"", "part_number": 1},
            {"e_tag": "\"tag\"", "part_number": 2}
        ])
    );
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_upload_open_and_shows_no_signature() {
    let store = MockServer::start().await;
    let sorry = status(403).set_body_string("<Error>signature</Error>");
    Mock::given(any()).respond_with(sorry).mount(&store).await;
    let url = format!("{}/s3/1?X-Amz-Signature=hidden", store.uri());
    let server = server_with(json!({"upload_id": "u1", "pre_sign_urls": [url]})).await;
    let client = builder(&server.uri()).build().unwrap();
    let error = client.attach(&file(10)).await.unwrap_err();
    assert_eq!(error.kind(), RestErrorKind::Forbidden);
    assert!(!format!("{error} {error:?}").contains("hidden"));
    assert_eq!(requests(&server).await.len(), 1, "never completed");
}

#[tokio::test]
async fn nonsense_instead_of_upload_addresses_is_an_error() {
    for start in [
        json!({"upload_id": "BEMinIO", "pre_sign_urls": []}),
        json!({"upload_id": "u1", "pre_sign_urls": []}),
        json!({"upload_id": "u1", "pre_sign_urls": ["file:///etc/passwd"]}),
        json!({"upload_id": "u1"}),
    ] {
        let server = server_with(start).await;
        let client = builder(&server.uri()).build().unwrap();
        let error = client.attach(&file(10)).await.unwrap_err();
        let kinds = [
            RestErrorKind::InvalidResponse,
            RestErrorKind::InvalidRequest,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert_eq!(requests(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_link_elsewhere_gets_no_key() {
    let store = MockServer::start().await;
    Mock::given(any())
        .respond_with(status(200).set_body_bytes(b"bytes".to_vec()))
        .mount(&store)
        .await;
    let client = builder("http://127.0.0.1:9")
        .api_key("key-1")
        .build()
        .unwrap();
    let link = format!("{}/f.bin", store.uri());
    let file: Attachment =
        serde_json::from_value(json!({"file_name": "f.bin", "link": link})).unwrap();
    assert_eq!(client.fetch_attachment(&file).await.unwrap(), b"bytes");
    let sent = &requests(&store).await[0];
    assert!(!sent.headers.contains_key("authorization"));
    assert!(!sent.headers.contains_key("comet-workspace"));
}
