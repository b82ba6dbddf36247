//! A server of the assistant beside a made-up Opik.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use opik_core::{ChatModel, Secret, SessionStore};
use opik_server::{AnsweringModel, AssistConfig, AssistServer};
use opik_sessions::MemorySessions;

use crate::model::Scripted;
use crate::opik::Opik;

/// The same model for everybody.
#[derive(Debug)]
pub(crate) struct Everybody(pub(crate) Option<Arc<dyn ChatModel>>);

impl AnsweringModel for Everybody {
    fn model(&self, _: Option<&Secret>, _: Option<&str>) -> Option<Arc<dyn ChatModel>> {
        self.0.clone()
    }

    fn name(&self) -> Option<String> {
        self.0.as_ref().map(|model| model.name().to_owned())
    }
}

pub(crate) struct World {
    pub(crate) opik: Opik,
    pub(crate) server: AssistServer,
    pub(crate) sessions: Arc<dyn SessionStore>,
}

impl World {
    /// A server with these variables beside the address of Opik.
    pub(crate) async fn new(variables: &[(&str, &str)]) -> Self {
        Self::with(
            variables,
            Some(Arc::new(Scripted)),
            Arc::new(MemorySessions::new()),
        )
        .await
    }

    pub(crate) async fn with(
        variables: &[(&str, &str)],
        model: Option<Arc<dyn ChatModel>>,
        sessions: Arc<dyn SessionStore>,
    ) -> Self {
        let (opik, url) = Opik::start().await;
        let mut known: HashMap<String, String> = HashMap::new();
        for (name, value) in variables {
            let place = url.trim_start_matches("http://");
            let value = value.replace("$OPIK", &url).replace("$PLACE", place);
            known.insert((*name).to_owned(), value);
        }
        known.entry("AGENT_OPIK_URL".to_owned()).or_insert(url);
        known
            .entry("RETRY_BACKOFF_FACTOR".to_owned())
            .or_insert("0.01".to_owned());
        known
            .entry("HOST".to_owned())
            .or_insert("127.0.0.1".to_owned());
        let config = AssistConfig::from_lookup(|name| known.get(name).cloned())
            .unwrap()
            .port(0);
        let models = Arc::new(Everybody(model));
        let server = AssistServer::bind(config, Arc::clone(&sessions), models)
            .await
            .unwrap();
        Self {
            opik,
            server,
            sessions,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }
}
