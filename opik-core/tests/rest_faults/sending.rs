//! What requests look like.

use opik_core::rest::{ClientError, CommentTarget, OpikClient};
use opik_core::{Exporter, SpanId, TraceId};

use super::{body, builder, client, requests, server_of, status, traces};

#[tokio::test]
async fn every_request_names_the_workspace_and_carries_the_key_as_it_is() {
    let server = server_of(vec![status(204)]).await;
    let with_key = builder(&server.uri()).api_key("key-1").workspace("team");
    with_key.build().unwrap().export(&traces(1)).await.unwrap();
    builder(&server.uri())
        .api_key("")
        .build()
        .unwrap()
        .export(&traces(1))
        .await
        .unwrap();
    let sent = requests(&server).await;
    let header = |index: usize, name: &str| {
        let value = sent[index].headers.get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(0, "authorization").as_deref(), Some("key-1"));
    assert_eq!(header(0, "comet-workspace").as_deref(), Some("team"));
    assert!(header(0, "user-agent").unwrap().starts_with("opik-rust/"));
    assert_eq!(header(1, "authorization"), None);
    assert_eq!(header(1, "comet-workspace").as_deref(), Some("default"));
}

#[tokio::test]
async fn bodies_are_compressed_from_256_bytes_on() {
    let server = server_of(vec![status(204)]).await;
    let sized = |size: usize| {
        let mut batch = traces(1);
        batch.traces[0].name = Some(String::new());
        batch.traces[0].last_updated_at = Some(batch.traces[0].start_time);
        let shell = r#"{"traces":[]}"#.len();
        // What everything but the name takes, as the row is written.
        let row =
            serde_json::to_string(&batch.traces[0]).unwrap().len() + r#","source":"sdk""#.len();
        batch.traces[0].name = Some("x".repeat(size - shell - row));
        batch
    };
    let client = client(&server);
    let plain = builder(&server.uri()).compression(false).build().unwrap();
    client.export(&sized(255)).await.unwrap();
    client.export(&sized(256)).await.unwrap();
    plain.export(&sized(5_000)).await.unwrap();
    let sent = requests(&server).await;
    let packed: Vec<bool> = sent
        .iter()
        .map(|request| request.headers.contains_key("content-encoding"))
        .collect();
    assert_eq!(packed, [false, true, false]);
    assert_eq!(sent[0].body.len(), 255);
    assert_eq!(sent[2].body.len(), 5_000);
    assert_eq!(body(&sent[1]).to_string().len(), 256);
    client.export(&sized(5_000)).await.unwrap();
    let packed = requests(&server).await[3].body.len();
    assert!(packed < 500, "{packed} bytes of 5,000 are left");
}

#[tokio::test]
async fn every_form_of_the_base_url_reaches_the_same_endpoint() {
    for (suffix, expected) in [
        ("", "/v1/private/traces/batch"),
        ("/", "/v1/private/traces/batch"),
        ("/api", "/api/v1/private/traces/batch"),
        ("/api/", "/api/v1/private/traces/batch"),
        ("/opik/api/", "/opik/api/v1/private/traces/batch"),
    ] {
        let server = wiremock::MockServer::start().await;
        wiremock::Mock::given(wiremock::matchers::any())
            .respond_with(status(204))
            .mount(&server)
            .await;
        let base = format!("{}{suffix}", server.uri());
        let client = OpikClient::builder(base).proxies(false).build().unwrap();
        client.export(&traces(1)).await.unwrap();
        assert_eq!(requests(&server).await[0].url.path(), expected);
    }
}

#[tokio::test]
async fn rows_without_a_project_go_to_the_one_of_the_client() {
    let server = server_of(vec![status(204)]).await;
    let client = builder(&server.uri()).project_name("mine").build().unwrap();
    let mut batch = traces(2);
    batch.traces[1].project_name = Some("theirs".to_owned());
    client.export(&batch).await.unwrap();
    let sent = body(&requests(&server).await[0]);
    assert_eq!(sent["traces"][0]["project_name"], "mine");
    assert_eq!(sent["traces"][1]["project_name"], "theirs");
}

#[test]
fn the_client_and_its_calls_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    fn call_crosses(_: impl Send) {}
    crosses::<OpikClient>();
    crosses::<opik_core::rest::RestError>();
    let client = OpikClient::builder("http://localhost").build().unwrap();
    let batch = traces(1);
    call_crosses(client.export(&batch));
    call_crosses(client.find_dataset("x"));
}

#[tokio::test]
async fn comments_are_deleted_where_they_were_made() {
    let server = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::method("POST"))
        .respond_with(status(204))
        .mount(&server)
        .await;
    let client = client(&server);
    let ids = ["c1".to_owned(), "c2".to_owned()];
    for (target, path) in [
        (CommentTarget::Trace(TraceId::generate()), "traces"),
        (CommentTarget::Span(SpanId::generate()), "spans"),
        (CommentTarget::Thread("m".to_owned()), "traces/threads"),
    ] {
        client.delete_comments(&target, &ids).await.unwrap();
        let sent = requests(&server).await;
        let last = sent.last().unwrap();
        let expected = format!("/api/v1/private/{path}/comments/delete");
        assert_eq!(last.url.path(), expected);
        assert_eq!(body(last), serde_json::json!({ "ids": ids }));
    }
}

#[test]
fn a_client_outlives_the_runtime_of_its_first_call() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let servers = runtime();
    let server = servers.block_on(server_of(vec![status(204)]));
    let client = client(&server);
    for _ in 0..3 {
        let report = runtime().block_on(client.export(&traces(1)));
        assert_eq!(report.unwrap().accepted, 1);
    }
    assert_eq!(servers.block_on(requests(&server)).len(), 3);
}

/// Runs itself again in a process that finds no certificates.
#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_certificates_still_talks_to_a_plain_server() {
    const NAME: &str = "sending::a_machine_without_certificates_still_talks_to_a_plain_server";
    const NOWHERE: &str = "/nowhere/certificates.pem";
    #[expect(clippy::disallowed_methods, reason = "tells the two processes apart")]
    let without = std::env::var_os("SSL_CERT_FILE").is_some_and(|file| file == NOWHERE);
    if without {
        builder("http://127.0.0.1:9").build().unwrap();
        let error = builder("https://127.0.0.1:9").build().unwrap_err();
        assert!(matches!(error, ClientError::Http(_)), "{error}");
        return;
    }
    let again = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env("SSL_CERT_FILE", NOWHERE)
        .env("SSL_CERT_DIR", "/nowhere")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(
        again.status.success() && told.contains("1 passed"),
        "{told}"
    );
}
