//! Somebody who is told about the assistant's work: takes it, refuses it, or never answers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    Refuses(u16),
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    manner: Manner,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    /// Starts one; its address is a host and a port.
    pub(crate) async fn start(manner: Manner) -> (Self, String) {
        let receiver = Self {
            manner,
            told: Arc::default(),
        };
        let app = Router::new().fallback(take).with_state(receiver.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        (receiver, address)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    receiver.told.lock().unwrap().push(Told {
        path: uri.path().to_owned(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    match receiver.manner {
        Manner::Takes => (StatusCode::OK, "{}"),
        Manner::Refuses(status) => (StatusCode::from_u16(status).unwrap(), "no"),
        Manner::Hangs => std::future::pending().await,
    }
}
