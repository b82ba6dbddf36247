//! How experiments are found.

use opik_core::EntityId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::running::TestServer;

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
