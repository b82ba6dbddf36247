//! The prompt registry in front of Opik's server.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use opik_core::rest::{NewPromptVersion, OpikClient, RetryPolicy};
use opik_observe::prompts::{Origin, PromptRegistry};
use opik_testkit::doubles::{StubServer, free_port};
use serde_json::json;

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);

fn client(base_url: &str) -> OpikClient {
    OpikClient::builder(base_url).build().unwrap()
}

fn registry(client: OpikClient) -> PromptRegistry {
    PromptRegistry::builder(Arc::new(client))
        .fetch_timeout(LONG)
        .start()
        .unwrap()
}

#[test]
fn a_tag_is_an_environment_that_points_to_a_version() {
    let Some(stub) = StubServer::start("a_tag_is_an_environment").unwrap() else {
        return;
    };
    let client = client(&stub.base_url());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (first, second) = runtime.block_on(async {
        let create = |text| {
            let version = NewPromptVersion::text(text);
            let client = client.clone();
            async move {
                client
                    .create_prompt_version("critic", &version)
                    .await
                    .unwrap()
            }
        };
        let first = create("be strict, {{name}}").await;
        let second = create("be kind, {{name}}").await;
        let production = ["production".to_owned()];
        let id = first.id.clone().unwrap();
        client
            .set_prompt_environments(&id, &production)
            .await
            .unwrap();
        (first, second)
    });

    // Connections that it holds are never driven again.
    drop(runtime);

    let prompts = registry(client);
    let wanted = [
        ("critic", "production"),
        ("critic", ""),
        ("critic", "staging"),
        ("none", ""),
    ];
    let warm = prompts.warm_up(&wanted, LONG);
    assert_eq!((warm.ready, warm.missing, warm.unfinished), (2, 2, 0));

    let production = prompts.get("critic", "production", "default");
    assert_eq!(production.text(), "be strict, {{name}}");
    assert_eq!(production.origin(), Origin::Cached);
    assert_eq!(production.version(), Some("v1"));
    assert_eq!(production.commit(), first.commit.as_deref());
    let newest = prompts.get("critic", "", "default");
    assert_eq!(newest.text(), "be kind, {{name}}");
    assert_eq!(newest.commit(), second.commit.as_deref());
    for (name, tag) in [("critic", "staging"), ("none", "")] {
        let prompt = prompts.get(name, tag, "default");
        assert_eq!(
            (prompt.text(), prompt.origin()),
            ("default", Origin::Default)
        );
    }
    let statistics = prompts.statistics();
    assert_eq!(
        (statistics.fetched, statistics.missing, statistics.failed),
        (2, 2, 0)
    );
}

#[test]
fn a_server_that_fails_or_is_not_there_costs_a_default() {
    let Some(stub) = StubServer::start("a_server_that_fails").unwrap() else {
        return;
    };
    stub.fault(&json!({"path": "/v1/private/prompts", "status": 500, "times": 1_000}))
        .unwrap();
    let nobody = format!("http://127.0.0.1:{}/api", free_port().unwrap());
    for base_url in [stub.base_url(), nobody] {
        let client = OpikClient::builder(base_url)
            .retry(RetryPolicy::none())
            .build()
            .unwrap();
        let prompts = registry(client);
        assert_eq!(prompts.get("critic", "", "default").text(), "default");
        let warm = prompts.warm_up(&[("critic", "")], LONG);
        assert_eq!((warm.ready, warm.unfinished), (0, 0));
        assert_eq!(
            prompts.get("critic", "", "default").origin(),
            Origin::Default
        );
        let statistics = prompts.statistics();
        assert_eq!(
            (statistics.failed, statistics.missing),
            (1, 0),
            "{statistics:?}"
        );
    }
}
