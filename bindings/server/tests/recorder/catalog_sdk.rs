//! The official Python SDK against this server: what it writes reads back equal.
//!
//! Needs a Python that has the package `opik`, named by `OPIK_SDK_PYTHON`; `.ci/run` sets one up.

use std::io::Write as _;
use std::path::Path;

use crate::running::TestServer;

/// Runs a section of `sdk/catalog.py`, or says that it is skipped.
async fn drive(test: &str, section: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its Python is"
    )]
    let Some(python) = std::env::var("OPIK_SDK_PYTHON").ok() else {
        // Past the test harness, which hides what passing tests print.
        let line =
            format!("SKIPPED {test}: OPIK_SDK_PYTHON names no Python with the package opik\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let server = TestServer::start().await;
    let (url, section) = (server.url("/api"), section.to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorder/sdk/catalog.py");
    let dir = tempfile::tempdir().unwrap();
    let ran = tokio::task::spawn_blocking(move || {
        std::process::Command::new(python)
            .arg(script)
            .arg(section)
            .env("OPIK_URL_OVERRIDE", url)
            .env("NO_PROXY", "*")
            .current_dir(dir.path())
            .output()
            .unwrap()
    });
    let output = ran.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.contains("done"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_back_datasets_with_their_versions() {
    drive(
        "the_sdk_reads_back_datasets_with_their_versions",
        "datasets",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_reads_back_prompts_with_their_versions() {
    drive("the_sdk_reads_back_prompts_with_their_versions", "prompts").await;
}
