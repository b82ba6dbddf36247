//! The served OpenAPI document and the routes say the same, and whoever follows the document gets
//! no surprise.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use opik_core::EntityId;
use reqwest::Method;
use serde_json::Value;

use crate::running::{TestServer, answer};

fn methods(item: &Value) -> impl Iterator<Item = &String> {
    item.as_object().unwrap().keys()
}

/// The routes in the sources, with names of parameters taken out.
fn routed() -> BTreeSet<(String, String)> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/recorder");
    let mut routes = BTreeSet::new();
    for source in std::fs::read_dir(sources).unwrap() {
        let path = source.unwrap().path();
        if path.extension().is_none_or(|it| it != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let text = lines.collect::<Vec<_>>().join("\n");
        for route in text.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            let calls = arguments(route.split_once(path).unwrap().1);
            for method in ["get", "post", "put", "patch", "delete"] {
                let call = format!("{method}(");
                let is_called = calls.match_indices(&call).any(|(at, _)| {
                    let before = calls.get(..at).unwrap().chars().next_back();
                    !before.is_some_and(|it| it.is_alphanumeric() || it == '_')
                });
                if is_called {
                    routes.insert((method.to_owned(), nameless(path)));
                }
            }
        }
    }
    routes
}

/// The text up to the parenthesis that ends the arguments.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(..at).unwrap();
        }
    }
    text
}

fn nameless(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        part if part.starts_with('{') => "{}",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_document_has_every_route_and_every_route_of_it_is_served() {
    let server = TestServer::start().await;
    let (status, document) = answer(server.client.get(server.url("/v1/openapi.json"))).await;
    assert_eq!(status, 200);
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let id = EntityId::generate().to_string();
        let filled: Vec<_> = path
            .split('/')
            .map(|part| if part.starts_with('{') { &id } else { part })
            .collect();
        for method in methods(item) {
            let name = method.to_uppercase();
            let request = server.client.request(
                Method::from_bytes(name.as_bytes()).unwrap(),
                server.url(&filled.join("/")),
            );
            let (status, body) = answer(request).await;
            assert_ne!(status, 405, "{name} {path}");
            let is_no_path = body["message"] == "HTTP 404 Not Found";
            assert!(!(status == 404 && is_no_path), "{name} {path}: {body}");
            let known = &item[method]["responses"];
            let status = status.as_str();
            assert!(
                known.get(status).is_some(),
                "{name} {path} answers {status}: {body}"
            );
            let short = path.strip_prefix("/v1/private").unwrap_or(path);
            documented.insert((method.clone(), nameless(short)));
        }
    }
    let mut routed = routed();
    // Links that a browser follows.
    routed.retain(|(_, path)| !path.starts_with("/v1/session"));
    let missing: Vec<_> = routed.symmetric_difference(&documented).collect();
    assert!(missing.is_empty(), "in one of them only: {missing:?}");
}

/// With `OPIK_SCHEMATHESIS_EXAMPLES=62` these are more than 10,000 cases.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_server_error_and_no_undocumented_status() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its programs are"
    )]
    let setting = |name: &str| std::env::var(name).ok();
    let Some(program) = setting("OPIK_SCHEMATHESIS") else {
        // Past the test harness, which hides what passing tests print.
        std::io::stderr()
            .write_all(
                b"SKIPPED schemathesis_finds_no_server_error_and_no_undocumented_status: \
                  OPIK_SCHEMATHESIS names no program\n",
            )
            .unwrap();
        return;
    };
    let examples = setting("OPIK_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|| "5".to_owned());
    let server = TestServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(server.url("/v1/openapi.json"))
        .args(["--url", &server.url("")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance",
        ])
        // It answers 501 as Opik does, which counts as an error of the server.
        .args(["--exclude-operation-id", "delete_spans_id"])
        .args(["--phases", "fuzzing", "--mode", "all", "--seed", "1"])
        .args(["--max-examples", &examples, "--workers", "2", "--no-color"])
        .args([
            "--generation-database",
            "none",
            "--suppress-health-check",
            "all",
        ])
        .env("NO_PROXY", "*")
        .current_dir(dir.path());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(
        said.contains("passed") || said.contains("generated"),
        "{said}"
    );
}
