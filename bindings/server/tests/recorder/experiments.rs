//! How experiments are found, and what clients of two ages see of their runs.

use opik_core::{EntityId, TraceId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

/// An experiment of a project, on a dataset of its own.
async fn experiment(server: &TestServer, name: &str, project: &str) -> String {
    let id = EntityId::generate().to_string();
    let body = json!({
        "id": id, "name": name, "dataset_name": format!("of {id}"), "project_name": project,
    });
    let (status, body) = server.post("/experiments", &body).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    id
}

async fn found(server: &TestServer, body: Value) -> Vec<String> {
    let experiments = server.stream("/experiments/stream", &body).await;
    let ids = experiments.iter().map(|it| it["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The official client names its own project where the program names none.
#[tokio::test]
async fn a_project_without_experiments_of_a_name_sends_the_search_to_the_others() {
    let server = TestServer::start().await;
    let first = experiment(&server, "run", "theirs").await;
    let second = experiment(&server, "Run two", "theirs").await;
    let both = vec![second.clone(), first.clone()];
    let other = experiment(&server, "another", "ours").await;

    for project in ["ours", "no such project"] {
        let body = json!({"name": "run", "project_name": project});
        assert_eq!(found(&server, body).await, both, "{project}");
        // The second page is of the same search, also where it is empty.
        for (last, rest) in [(&second, vec![first.clone()]), (&first, Vec::new())] {
            let body = json!({"name": "run", "project_name": project, "last_retrieved_id": last});
            assert_eq!(found(&server, body).await, rest, "{project}");
        }
    }
    let ours = experiment(&server, "run", "ours").await;
    let body = json!({"name": "run", "project_name": "ours"});
    assert_eq!(found(&server, body).await, [ours.as_str()]);
    let body = json!({"name": "run", "project_name": "ours", "last_retrieved_id": ours});
    assert_eq!(found(&server, body).await, Vec::<String>::new());
    let body = json!({"name": "another", "project_name": "ours"});
    assert_eq!(found(&server, body).await, [other]);
    let body = json!({"name": "nothing", "project_name": "ours"});
    assert_eq!(found(&server, body).await, Vec::<String>::new());
}

#[tokio::test]
async fn clients_without_a_place_for_policies_get_none_beside_results_of_assertions() {
    let server = TestServer::start().await;
    let dataset = EntityId::generate();
    let (item, run, trace) = (
        EntityId::generate(),
        EntityId::generate(),
        TraceId::generate(),
    );
    let id = EntityId::generate();
    for (method, path, body) in [
        (
            Method::POST,
            "/datasets",
            json!({"id": dataset, "name": "d", "type": "evaluation_suite"}),
        ),
        (
            Method::PUT,
            "/datasets/items",
            json!({"dataset_id": dataset, "items": [{"id": item, "source": "sdk", "data": {"q": 1}}]}),
        ),
        (
            Method::POST,
            "/traces/batch",
            json!({"traces": [{"id": trace, "start_time": "2026-11-20T10:00:00Z", "metadata": {"m": 1}}]}),
        ),
        (
            Method::POST,
            "/experiments",
            json!({"id": id, "name": "e", "dataset_name": "d"}),
        ),
        (
            Method::POST,
            "/experiments/items",
            json!({"experiment_items": [{
                "id": run, "experiment_id": id, "dataset_item_id": item, "trace_id": trace,
                "execution_policy": {"runs_per_item": 1, "pass_threshold": 1},
            }]}),
        ),
        (
            Method::PUT,
            "/assertion-results",
            json!({"entity_type": "TRACE", "assertion_results": [{
                "entity_id": trace, "name": "is kind", "status": "passed", "source": "sdk",
            }]}),
        ),
    ] {
        let (status, body) = server.send(method, path, &body).await;
        assert!(status.is_success(), "{path}: {status} {body}");
    }
    for (version, is_whole) in [
        (None, true),
        (Some("2.0.2"), false),
        (Some("2.0.10"), false),
        (Some("2.0.15"), true),
        (Some("2.2.122"), true),
        (Some("2.0.x"), true),
    ] {
        let path = format!("/datasets/{dataset}/items/experiments/items");
        let mut request = server
            .request(Method::GET, &path)
            .query(&[("experiment_ids", format!("[\"{id}\"]"))]);
        if let Some(version) = version {
            request = request.header("x-opik-debug-sdk-version", version);
        }
        let (status, page) = answer(request).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let seen = &page["content"][0]["experiment_items"][0];
        assert_eq!(
            seen["assertion_results"][0]["value"], "is kind",
            "{version:?}"
        );
        assert_eq!(seen["status"], "passed", "{version:?}");
        for field in ["execution_policy", "trace_metadata"] {
            assert_eq!(
                seen.get(field).is_some(),
                is_whole,
                "{version:?}: {field} of {seen}"
            );
        }
    }
}
