//! The official Python SDK drives a server, and its own commands find one.
//!
//! Needs a Python that has the package `opik`, named by `OPIK_SDK_PYTHON`; `.ci/run` sets one up.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::running::TestServer;

/// A Python with the SDK, or a word about the test that is skipped.
fn python(test: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its Python is"
    )]
    let named = std::env::var("OPIK_SDK_PYTHON").ok();
    if named.is_none() {
        // Past the test harness, which hides what passing tests print.
        let line =
            format!("SKIPPED {test}: OPIK_SDK_PYTHON names no Python with the package opik\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    named
}

async fn run(mut command: Command) -> String {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_sdk_does_what_it_does_against_opik() {
    let Some(python) = python("the_official_sdk_does_what_it_does_against_opik") else {
        return;
    };
    let server = TestServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorder/sdk/records.py");
    let mut command = Command::new(python);
    command
        .arg(driver)
        .arg(server.url("/api/"))
        .env("HOME", home.path());
    let text = run(command).await;
    assert!(text.lines().any(|line| line.starts_with("ok ")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_healthcheck_passes() {
    let Some(python) = python("the_official_healthcheck_passes") else {
        return;
    };
    let server = TestServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(Path::new(&python).with_file_name("opik"));
    command
        .arg("healthcheck")
        .env("HOME", home.path())
        .env("OPIK_URL_OVERRIDE", server.url("/api/"))
        .env("OPIK_SENTRY_ENABLE", "false")
        .env("OPIK_ANALYTICS_ENABLE", "false");
    let text = run(command).await;
    assert!(text.contains("Backend workspace available: yes"), "{text}");
}
