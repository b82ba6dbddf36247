//! The assistant beside a real Opik: what the Python program is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_assist::assistant::{Assistant, ShutdownReport, SpanStyle};
use opik_assist::turn::Limits;
use opik_core::{SessionStore, TraceSource};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backend::{Backend, LocalBackend, OpikBackend, OpikSettings};
use super::chat::AGENT;
use super::config::AssistConfig;
use super::internal::Internal;
use super::monitor::Monitor;
use super::routes;
use super::state::{AnsweringModel, Assist};
use crate::listening::{listen, without_delay};

/// Bytes of one reply of a model; a longer one is cut, and says so.
const LONGEST_REPLY: usize = 2_000_000;

/// Why the assistant cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssistServerError {
    /// The address is taken or not of this machine.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The address of Opik is missing or none.
    #[error("AGENT_OPIK_URL is missing or no address")]
    NoOpik,
    /// The system does not let us make connections (no certificates, for example).
    #[error("the HTTP client cannot be set up")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The assistant's server. Dropping it stops it without waiting.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct AssistServer {
    local_addr: SocketAddr,
    assist: Assist,
    stop: CancellationToken,
    tasks: TaskTracker,
    abort: tokio::task::AbortHandle,
}

impl AssistServer {
    /// Listens and serves, on tasks of the current tokio runtime.
    ///
    /// # Errors
    /// [`AssistServerError`] when the configuration has no Opik, or the address cannot be listened
    /// on.
    #[expect(
        clippy::unused_async,
        reason = "it needs a runtime, which a future has; and `Server::bind` waits"
    )]
    pub async fn bind(
        config: AssistConfig,
        sessions: Arc<dyn SessionStore>,
        models: Arc<dyn AnsweringModel>,
    ) -> Result<Self, AssistServerError> {
        let settings = OpikSettings {
            url: config.opik_url.clone().ok_or(AssistServerError::NoOpik)?,
            timeout: config.backend_timeout,
            retry_statuses: config.retry_statuses.clone(),
            attempts: config.retry_attempts,
            backoff: config.retry_backoff,
        };
        let http = client(settings.timeout, settings.url.starts_with("http://"))?;
        let internal = Internal::new(&http, &config.internal, config.backend_timeout);
        let monitor = Monitor::start(&config.monitor, &config.internal, &http);
        let backend = OpikBackend::new(http, settings).map_err(|_| AssistServerError::NoOpik)?;
        let address = config.address();
        let refused = |source| AssistServerError::Bind { address, source };
        let listener = listen(address).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let assist = state(
            config,
            Arc::new(backend),
            sessions,
            models,
            internal,
            monitor,
        );
        let service = routes::alone(assist.clone());
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
        tasks.close();
        Ok(Self {
            local_addr,
            assist,
            stop,
            tasks,
            abort: served.abort_handle(),
        })
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no more questions, lets the turns that run end, cancels those that do not within three
    /// quarters of the time with what they have stored, and closes all streams.
    pub async fn shutdown(self, limit: Duration) -> ShutdownReport {
        let begin = Instant::now();
        self.stop.cancel();
        let report = self.assist.assistant().shutdown(limit).await;
        let left = limit
            .saturating_sub(begin.elapsed())
            .max(Duration::from_millis(200));
        // Streams end with their turns; whoever does not read is cut off.
        drop(tokio::time::timeout(left, self.tasks.wait()).await);
        self.abort.abort();
        let left = limit
            .saturating_sub(begin.elapsed())
            .max(Duration::from_millis(500));
        self.assist.monitor().close(left).await;
        report
    }
}

impl Drop for AssistServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The assistant's endpoints over the traces of a source in this process.
pub(crate) fn over_source(
    config: AssistConfig,
    source: Arc<dyn TraceSource>,
    sessions: Arc<dyn SessionStore>,
    models: Arc<dyn AnsweringModel>,
) -> Assist {
    let backend = Arc::new(LocalBackend::new(source));
    // Loading certificates takes its time, and most have nobody to tell.
    let needs_http = config.monitor.is_on() || config.internal.url.is_some();
    let http = needs_http
        .then(|| client(config.backend_timeout, false))
        .and_then(|client| match client {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::warn!(target: "opik_server", error = &error as &dyn std::error::Error, "monitoring is off");
                None
            }
        });
    let internal = http
        .as_ref()
        .and_then(|http| Internal::new(http, &config.internal, config.backend_timeout));
    let monitor = match &http {
        Some(http) => Monitor::start(&config.monitor, &config.internal, http),
        None => Monitor::off(),
    };
    state(config, backend, sessions, models, internal, monitor)
}

fn state(
    config: AssistConfig,
    backend: Arc<dyn Backend>,
    sessions: Arc<dyn SessionStore>,
    models: Arc<dyn AnsweringModel>,
    internal: Option<Internal>,
    monitor: Monitor,
) -> Assist {
    let assistant = Assistant::builder(Arc::clone(&sessions))
        .app("trace-analyzer")
        .agent(AGENT)
        .context_tokens(config.context_tokens)
        .grace(Some(config.grace))
        .max_turns(config.max_turns)
        .limits(Limits::default().reply(LONGEST_REPLY))
        .mark_unverified(false)
        // The page renders Markdown and knows no labels such as [s12].
        .span_style(SpanStyle::Named)
        // The clients of opik-models repeat what may help.
        .model_retries(0)
        .build();
    Assist::new(
        config, assistant, backend, sessions, models, internal, monitor,
    )
}

/// `is_plain` tells that nothing but plain HTTP is needed.
fn client(timeout: Duration, is_plain: bool) -> Result<reqwest::Client, AssistServerError> {
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("opik-rust/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10).min(timeout))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
    };
    let built = match builder().build() {
        // An image without CA certificates can still talk to a server over plain HTTP.
        Err(_) if is_plain => builder().tls_certs_only(std::iter::empty()).build(),
        built => built,
    };
    built.map_err(|error| AssistServerError::Http(error.into()))
}
