//! What requests for configurations of agents are answered that do not hold what they must.

use opik_core::EntityId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::TestServer;

const PATH: &str = "/agent-configs/blueprints";

fn says(body: &Value, text: &str) -> bool {
    body.to_string().contains(text)
}

#[tokio::test]
async fn what_a_request_lacks_is_said_of_its_field() {
    let server = TestServer::start().await;
    let value = |of: Value| json!({"blueprint": {"type": "blueprint", "values": [of]}});
    for (body, text) in [
        (json!({"blueprint": null}), "blueprint must not be null"),
        (
            json!({"blueprint": {"type": "blueprint", "values": null}}),
            "blueprint.values size must be between 1 and 250",
        ),
        (value(json!({"type": "string"})), "key must not be blank"),
        (value(json!({"key": "a"})), "type must not be null"),
    ] {
        for method in [Method::POST, Method::PATCH] {
            let (status, answer) = server.send(method, PATH, &body).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body} {answer}");
            assert!(says(&answer, text), "{answer}");
        }
    }
    let remove = format!("{PATH}/remove-keys");
    let many: Vec<_> = (0..251).map(|n| n.to_string()).collect();
    for keys in [Value::Null, json!([]), json!([" "]), json!(many)] {
        let body = json!({"project_name": "none", "keys": keys});
        let (status, answer) = server.post(&remove, &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    }
    let body = json!({"project_name": "none", "keys": ["a"]});
    let (status, answer) = server.post(&remove, &body).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    assert!(says(&answer, "Project 'none' not found"), "{answer}");
}

#[tokio::test]
async fn environments_that_are_named_twice_are_seen_before_anything_is_looked_up() {
    let server = TestServer::start().await;
    let place = json!({"env_name": "prod", "blueprint_id": EntityId::generate()});
    for (envs, status) in [
        (vec![&place, &place], StatusCode::BAD_REQUEST),
        (vec![&place], StatusCode::NOT_FOUND),
    ] {
        let body = json!({"project_id": EntityId::generate(), "envs": envs});
        let path = format!("{PATH}/environments");
        let (answered, answer) = server.post(&path, &body).await;
        assert_eq!(answered, status, "{answer}");
    }
}
