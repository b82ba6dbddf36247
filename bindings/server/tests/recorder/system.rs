//! Base paths, keys, workspaces, errors, and projects as the first resource.

use std::time::Duration;

use opik_core::Secret;
use opik_server::{Server, ServerConfig, ServerError};
use opik_store::Store;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

#[tokio::test]
async fn every_base_path_leads_to_the_same_place() {
    let server = TestServer::with(ServerConfig::default().url_prefix("/observe")).await;
    for base in ["", "/api", "/opik/api", "/observe", "/observe/api"] {
        let ping = server
            .client
            .get(server.url(&format!("{base}/is-alive/ping")));
        let (status, body) = answer(ping).await;
        assert_eq!(status, StatusCode::OK, "{base}");
        assert_eq!(body, json!({"message": "Healthy Server", "healthy": true}));
        let workspace = server
            .client
            .get(server.url(&format!("{base}/v1/private/auth/workspace")));
        assert_eq!(
            answer(workspace).await.1,
            json!({"workspace_name": "default"})
        );
    }
    assert_eq!(
        server
            .client
            .get(server.url("/api/is-alive/ready"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn access_is_asked_for_with_an_empty_body_of_json() {
    let server = TestServer::start().await;
    let request = server
        .request(Method::POST, "/auth")
        .header("content-type", "application/json")
        .header("authorization", "");
    assert_eq!(answer(request).await, (StatusCode::NO_CONTENT, Value::Null));
}

#[tokio::test]
async fn a_key_is_asked_of_everyone_when_there_is_one() {
    let config = ServerConfig::default().api_key(Secret::new("right"));
    let server = TestServer::with(config).await;
    let with = |key: &str| {
        server
            .request(Method::GET, "/projects")
            .header("authorization", key)
    };
    for (key, message) in [
        ("", "API key should be provided"),
        ("wrong", "User not allowed to access workspace"),
    ] {
        let (status, body) = answer(with(key)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(body, json!({"code": 401, "message": message}));
    }
    assert_eq!(answer(with("right")).await.0, StatusCode::OK);
    // Health needs no key.
    let ping = server.client.get(server.url("/api/is-alive/ping"));
    assert_eq!(answer(ping).await.0, StatusCode::OK);
}

#[tokio::test]
async fn other_workspaces_are_unknown_unless_configured() {
    let strict = TestServer::start().await;
    let ask = |server: &TestServer, name: &str| {
        server
            .request(Method::GET, "/auth/workspace")
            .header("comet-workspace", name)
    };
    assert_eq!(answer(ask(&strict, "Default")).await.0, StatusCode::OK);
    assert_eq!(
        answer(ask(&strict, "team")).await,
        (
            StatusCode::NOT_FOUND,
            json!({"code": 404, "message": "Workspace not found"})
        )
    );
    let lax = TestServer::with(ServerConfig::default().any_workspace(true)).await;
    assert_eq!(
        answer(ask(&lax, "team")).await.1,
        json!({"workspace_name": "team"})
    );
}

#[tokio::test]
async fn paths_methods_and_bodies_that_do_not_fit_have_json_answers() {
    let server = TestServer::with(ServerConfig::default().max_body(1_000)).await;
    assert_eq!(
        server.get("/nothing").await,
        (
            StatusCode::NOT_FOUND,
            json!({"code": 404, "message": "HTTP 404 Not Found"})
        )
    );
    assert_eq!(server.get("/projects/None").await.0, StatusCode::NOT_FOUND);
    let (status, body) = server.send(Method::PUT, "/projects", &json!({})).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!(405))
    );

    let broken = server
        .request(Method::POST, "/projects")
        .body("{\"name\": \"sec");
    let (status, body) = answer(broken).await;
    assert_eq!(
        (status, &body["message"]),
        (StatusCode::BAD_REQUEST, &json!("Unable to process JSON"))
    );
    assert!(!body.to_string().contains("sec"), "{body}");

    let (status, body) = server
        .post("/projects", &json!({"name": "x".repeat(2_000)}))
        .await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!(413))
    );
    assert_eq!(
        server.post("/projects", &json!({"name": " "})).await,
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({"errors": ["name must not be blank"]})
        )
    );
}

#[tokio::test]
async fn an_answer_names_its_request() {
    let server = TestServer::start().await;
    let ping = || server.client.get(server.url("/is-alive/ping"));
    let own = ping()
        .header("x-request-id", "mine-1")
        .send()
        .await
        .unwrap();
    assert_eq!(own.headers()["x-request-id"], "mine-1");
    let new = ping().send().await.unwrap();
    assert_eq!(new.headers()["x-request-id"].len(), 36);
}

#[tokio::test]
async fn projects_are_made_found_changed_and_forgotten() {
    let server = TestServer::start().await;
    let (status, list) = server.get("/projects?page=1&size=1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&list["total"], &list["content"][0]["name"]),
        (&json!(1), &json!("Default Project"))
    );

    let made = server
        .request(Method::POST, "/projects")
        .json(&json!({"name": "Checkout", "description": "d", "visibility": null}))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let place = made.headers()["location"].to_str().unwrap().to_owned();
    assert!(place.starts_with("/api/v1/private/projects/"), "{place}");
    let (status, _) = server.post("/projects", &json!({"name": "CHECKOUT"})).await;
    assert_eq!(status, StatusCode::CONFLICT);

    let (_, found) = server
        .post("/projects/retrieve", &json!({"name": "checkout"}))
        .await;
    assert_eq!(
        (&found["name"], &found["description"]),
        (&json!("Checkout"), &json!("d"))
    );
    let path = format!("/projects/{}", found["id"].as_str().unwrap());
    let change = json!({"name": "Basket"});
    assert_eq!(
        server.send(Method::PATCH, &path, &change).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(server.get(&path).await.1["name"], "Basket");
    assert_eq!(
        server.send(Method::DELETE, &path, &Value::Null).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        server.send(Method::DELETE, &path, &Value::Null).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(server.get(&path).await.0, StatusCode::NOT_FOUND);
    let (_, again) = server
        .post("/projects/retrieve", &json!({"name": "Basket"}))
        .await;
    assert_eq!(again["code"], 404);
    assert_eq!(server.store.projects().unwrap().len(), 1);
    assert_eq!(
        server.post("/projects", &json!({"name": "Basket"})).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_server_for_others_needs_a_key() {
    let config = ServerConfig::default().host([0, 0, 0, 0].into()).port(0);
    let error = Server::bind(config, Store::open_in_memory().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, ServerError::OpenToOthers { .. }));
    assert!(error.to_string().contains("OPIK_SERVER_API_KEY"));
}

#[tokio::test]
async fn stopping_is_clean_and_final() {
    let server = TestServer::start().await;
    let url = server.url("/is-alive/ping");
    assert_eq!(server.client.get(&url).send().await.unwrap().status(), 200);
    let report = server.running.shutdown(Duration::from_secs(10)).await;
    assert!(report.is_clean(), "{report:?}");
    assert!(server.client.get(&url).send().await.is_err());
}
