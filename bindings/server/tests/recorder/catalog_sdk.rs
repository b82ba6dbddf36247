//! The official SDKs against this server: what they write reads back equal.
//!
//! The Python one needs a Python that has the package `opik`, named by `OPIK_SDK_PYTHON`; the
//! TypeScript one needs `node` and a folder that has the package `opik` in its `node_modules`,
//! named by `OPIK_TS_SDK`. `.ci/run` sets them up.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::running::TestServer;

/// What the machine has, or a word about the test that is skipped.
fn setting(test: &str, name: &str, what: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its SDKs are"
    )]
    let named = std::env::var(name).ok();
    if named.is_none() {
        // Past the test harness, which hides what passing tests print.
        let line = format!("SKIPPED {test}: {name} names no {what} with the package opik\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    named
}

/// Runs a section of a script under `sdk`.
async fn run(mut command: Command, script: &str, section: &str) {
    let server = TestServer::start().await;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorder/sdk");
    let dir = tempfile::tempdir().unwrap();
    command
        .arg(scripts.join(script))
        .arg(section)
        .env("OPIK_URL_OVERRIDE", server.url("/api"))
        .env("NO_PROXY", "*")
        .current_dir(dir.path());
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = ran.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.contains(&format!("{section} done")), "{said}");
}

async fn python(test: &str, section: &str) {
    if let Some(python) = setting(test, "OPIK_SDK_PYTHON", "Python") {
        run(Command::new(python), "catalog.py", section).await;
    }
}

async fn node(test: &str, script: &str, section: &str) {
    if let Some(folder) = setting(test, "OPIK_TS_SDK", "folder") {
        let mut node = Command::new("node");
        node.env("OPIK_TS_SDK", folder);
        run(node, script, section).await;
    }
}

async fn typescript(test: &str, section: &str) {
    node(test, "catalog.mjs", section).await;
}

/// Sections of `tracing.mjs`.
macro_rules! typescript_tracing {
    ($($test:ident: $section:literal;)+) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            node(stringify!($test), "tracing.mjs", $section).await;
        }
    )+};
}

typescript_tracing! {
    the_typescript_sdk_records_by_hand: "manual";
    the_typescript_sdk_records_tracked_functions: "tracked";
    the_typescript_sdk_finds_what_it_recorded: "reading";
    the_typescript_sdk_reads_back_test_suites: "suites";
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_reads_back_datasets_with_their_versions() {
    python(
        "the_python_sdk_reads_back_datasets_with_their_versions",
        "datasets",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_reads_back_prompts_with_their_versions() {
    python(
        "the_python_sdk_reads_back_prompts_with_their_versions",
        "prompts",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_reads_back_datasets_with_their_versions() {
    typescript(
        "the_typescript_sdk_reads_back_datasets_with_their_versions",
        "datasets",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_reads_back_prompts_with_their_versions() {
    typescript(
        "the_typescript_sdk_reads_back_prompts_with_their_versions",
        "prompts",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_reads_back_experiments() {
    python("the_python_sdk_reads_back_experiments", "experiments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_reads_back_queues_and_definitions() {
    python("the_python_sdk_reads_back_queues_and_definitions", "rest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_reads_back_experiments() {
    typescript("the_typescript_sdk_reads_back_experiments", "experiments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_reads_back_configurations() {
    typescript(
        "the_typescript_sdk_reads_back_configurations",
        "configurations",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_reads_back_queues() {
    typescript("the_typescript_sdk_reads_back_queues", "queues").await;
}
