//! What every handler can reach: the store, the configuration, and the room for bodies.

use std::sync::Arc;

use opik_store::Store;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::config::ServerConfig;
use crate::http::Limiter;

/// Weights of bodies are counted in this many bytes.
pub(crate) const WEIGHT_UNIT: usize = 1024;

/// The state of a server; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    config: ServerConfig,
    room: Arc<Semaphore>,
    limiter: Option<Limiter>,
    vyasa: Mutex<()>,
}

impl App {
    pub(crate) fn new(config: ServerConfig, store: Store) -> Self {
        let units = (config.memory_for_bodies() / WEIGHT_UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            store,
            room: Arc::new(Semaphore::new(units)),
            limiter: config.rate_limited().cloned().map(Limiter::new),
            vyasa: Mutex::new(()),
            config,
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.0.config
    }

    /// Who counts what clients ask for, where there are limits.
    pub(crate) fn limiter(&self) -> Option<&Limiter> {
        self.0.limiter.as_ref()
    }

    /// Vyasa's events come one after the other: each looks at what the ones before wrote.
    pub(crate) async fn vyasa_turn(&self) -> MutexGuard<'_, ()> {
        self.0.vyasa.lock().await
    }

    /// Room for request bodies, in units of [`WEIGHT_UNIT`].
    pub(crate) fn room(&self) -> &Arc<Semaphore> {
        &self.0.room
    }
}
