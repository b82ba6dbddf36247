//! Random requests over the document of the interface.
//!
//! Needs schemathesis, named by `OPIK_SCHEMATHESIS`; `.ci/run` sets it up.

use std::process::Command;

use crate::tools::named;
use crate::world::World;

/// What is not asked for, and why:
/// - the one method in `Allow` is that of the Python program, which names one whichever there are;
/// - a trace of any name exists in the made-up Opik or does not, and a conversation too, so that what is
///   allowed need not be found;
/// - nobody is refused for having no session: that is a user, too.
const LEFT_OUT: &str = "allow_header_conformance,positive_data_acceptance,ignored_auth";

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_agrees_with_the_document() {
    let Some(program) = named("OPIK_SCHEMATHESIS", "schemathesis_agrees_with_the_document") else {
        return;
    };
    let world = World::new(&[
        ("ASSIST_TURNS_PER_MINUTE", "1000000"),
        ("URL_PREFIX", "/opik-ai"),
    ])
    .await;
    let document = format!("http://{}/opik-ai/openapi.json", world.address());
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(&program);
    command
        .current_dir(folder.path())
        .args(["run", &document, "--checks", "all"])
        .args(["--exclude-checks", LEFT_OUT])
        .args(["--max-examples", "60", "--seed", "5"])
        .args(["--continue-on-failure", "--request-timeout", "30"])
        .args(["--warnings", "off"]);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    // It did run, over everything that there is.
    assert!(text.contains("9 selected / 9 total"), "{text}");
}
