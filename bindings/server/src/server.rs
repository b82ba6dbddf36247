//! Binding, serving and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_core::Exporter as _;
use opik_core::{Project, SessionStore, TraceSource};
use opik_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::assist::{self, AnsweringModel, Assist, AssistConfig};
use crate::config::ServerConfig;
use crate::http::router;
use crate::listening::{listen, without_delay};
use crate::upkeep;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be written.
    #[error("cannot use the store")]
    Store(#[source] StoreError),
    /// Others could reach the server, and it would ask them for no key.
    #[error(
        "refusing to listen on {address} without a key; set OPIK_SERVER_API_KEY, \
         or OPIK_SERVER_ALLOW_NO_KEY=true where the network is trusted"
    )]
    OpenToOthers {
        /// The address.
        address: SocketAddr,
    },
}

/// Starts servers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Server;

impl Server {
    /// Listens and serves, on tasks of the current tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`] when the address cannot be listened on, or must not be without a key.
    pub async fn bind(config: ServerConfig, store: Store) -> Result<Running, ServerError> {
        Self::serve(config, store, None).await
    }

    /// As [`bind`](Self::bind), with the trace assistant's endpoints about the traces of the store.
    /// Conversations are kept in `sessions`, answers come from `models`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub async fn bind_with_assistant(
        config: ServerConfig,
        store: Store,
        assist: AssistConfig,
        sessions: Arc<dyn SessionStore>,
        models: Arc<dyn AnsweringModel>,
    ) -> Result<Running, ServerError> {
        let source: Arc<dyn TraceSource> = Arc::new(store.clone());
        let assist = assist::over_source(assist, source, sessions, models);
        Self::serve(config, store, Some(assist)).await
    }

    async fn serve(
        config: ServerConfig,
        store: Store,
        assist: Option<Assist>,
    ) -> Result<Running, ServerError> {
        let address = config.address();
        if config.is_open_to_others() {
            return Err(ServerError::OpenToOthers { address });
        }
        let refused = |source| ServerError::Bind { address, source };
        let listener = listen(address).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        // The default project is there from the start.
        store
            .make_project(Project::DEFAULT_NAME.to_owned())
            .await
            .map_err(ServerError::Store)?;
        let app = App::new(config, store.clone());
        let prefix = app.config().prefix().to_owned();
        let config = app.config().clone();
        let mut service = router(app);
        if let Some(assist) = &assist {
            service = service.merge(assist::standalone(assist.clone(), &prefix));
        }
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let stopped = stop.clone();
        // Made once: a router by itself is made anew for every connection, route by route.
        let service = service.into_make_service();
        let served = tasks.spawn(async move {
            axum::serve(without_delay(listener), service)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await
        });
        if config.retention().is_some() {
            tasks.spawn(upkeep::run(config, store.clone(), stop.clone()));
        }
        tasks.close();
        Ok(Running {
            local_addr,
            store,
            assist,
            stop,
            tasks,
            abort: served.abort_handle(),
        })
    }
}

/// A server that is running. Dropping it stops it without waiting.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Running {
    local_addr: SocketAddr,
    store: Store,
    assist: Option<Assist>,
    stop: CancellationToken,
    tasks: TaskTracker,
    abort: tokio::task::AbortHandle,
}

/// How a server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether every request that had begun was answered in time.
    pub answered_all: bool,
    /// Whether what was acknowledged is on the disk.
    pub flushed: bool,
}

impl ShutdownReport {
    /// Whether nothing was cut off.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.answered_all && self.flushed
    }
}

impl Running {
    /// The address that the server listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no more connections, lets the requests that have begun finish, and writes the store
    /// to the disk, within `limit` altogether. What was acknowledged is safe in any case.
    pub async fn shutdown(self, limit: Duration) -> ShutdownReport {
        let (begin, whole) = (Instant::now(), limit);
        self.stop.cancel();
        if let Some(assist) = &self.assist {
            // Their streams end with the turns, and the store is written afterwards.
            assist.assistant().shutdown(limit * 3 / 4).await;
        }
        let limit = limit.saturating_sub(begin.elapsed());
        let answered_all = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        self.abort.abort();
        let left = whole
            .saturating_sub(begin.elapsed())
            .max(Duration::from_millis(100));
        let flushed = matches!(
            tokio::time::timeout(left, self.store.flush()).await,
            Ok(Ok(()))
        );
        ShutdownReport {
            answered_all,
            flushed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
