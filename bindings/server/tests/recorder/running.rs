//! A server of its own for a test, and a client for it.

use std::time::Duration;

use opik_server::{Running, Server, ServerConfig};
use opik_store::Store;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// A server with an empty store in memory.
pub(crate) struct TestServer {
    pub(crate) running: Running,
    pub(crate) client: Client,
    pub(crate) store: Store,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    pub(crate) async fn with(config: ServerConfig) -> Self {
        let store = Store::open_in_memory().unwrap();
        let running = Server::bind(config.port(0), store.clone()).await.unwrap();
        let client = Client::builder()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            running,
            client,
            store,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.local_addr())
    }

    /// A request to a path under `/api/v1/private`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, self.url(&format!("/api/v1/private{path}")))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        answer(self.request(method, path).json(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, body).await
    }

    /// Asks for a stream and gives its objects.
    pub(crate) async fn stream(&self, path: &str, body: &Value) -> Vec<Value> {
        let answer = self
            .request(Method::POST, path)
            .json(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "application/octet-stream");
        let text = answer.text().await.unwrap();
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        let lines = text.split_terminator("\r\n");
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Status and body of an answer; `Null` where there is no body.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    let body = if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    };
    (status, body)
}
