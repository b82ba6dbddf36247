//! What programs do with the official Python SDK, the newest of version 2 and 2.0.2: every check
//! of `sdk/wide`.
//!
//! Needs Pythons that have the package `opik`, named by `OPIK_SDK_PYTHON` (newest) and
//! `OPIK_SDK_PYTHON_OLD` (2.0.2); `.ci/run` sets them up.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::running::TestServer;

/// A Python that the machine names, or a word about the test that is skipped.
fn python(test: &str, name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its Pythons are"
    )]
    let named = std::env::var(name).ok();
    if named.is_none() {
        // Past the test harness, which hides what passing tests print.
        let line = format!("SKIPPED {test}: {name} names no Python with the package opik\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    named
}

/// Runs all checks of a script, which says how many held.
async fn holds(test: &str, setting: &str, script: &str) {
    let Some(python) = python(test, setting) else {
        return;
    };
    let server = TestServer::start().await;
    let home = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recorder/sdk/wide")
        .join(script);
    let mut command = Command::new(python);
    command
        .args(["-W", "ignore"])
        .arg(script)
        .env("OPIK_URL_OVERRIDE", server.url("/api/"))
        .env("HOME", home.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .current_dir(home.path());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.lines().any(|line| line.starts_with("ok ")), "{said}");
}

macro_rules! checks {
    ($($(#[$doc:meta])* $newest:ident, $old:ident: $script:literal;)+) => {$(
        $(#[$doc])*
        #[tokio::test(flavor = "multi_thread")]
        async fn $newest() {
            holds(stringify!($newest), "OPIK_SDK_PYTHON", $script).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $old() {
            holds(stringify!($old), "OPIK_SDK_PYTHON_OLD", $script).await;
        }
    )+};
}

checks! {
    tracing_with_the_newest_sdk, tracing_with_sdk_2_0_2: "tracing.py";
    datasets_and_suites_with_the_newest_sdk, datasets_with_sdk_2_0_2: "datasets.py";
    evaluations_with_the_newest_sdk, evaluations_with_sdk_2_0_2: "experiments.py";
    prompts_queues_and_dashboards_with_the_newest_sdk, prompts_and_queues_with_sdk_2_0_2: "prompts.py";
    commands_of_the_newest_sdk, commands_of_sdk_2_0_2: "commands.py";
    configurations_with_the_newest_sdk, configurations_with_sdk_2_0_2: "configs.py";
    the_rest_client_of_the_newest_sdk, the_rest_client_of_sdk_2_0_2: "rest.py";
}
