//! The connections that models share, and their limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::retries::Retries;
use crate::SetupError;
use crate::notes::Notes;
use crate::reply::Sizes;

/// How long an idle connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Connections, time limits and sizes, shared by any number of models.
///
/// Making one takes tens of milliseconds; cloning is free. Calls need a Tokio runtime with time and
/// IO. Nothing is read from the environment except what concerns the machine: the usual proxy
/// variables (`HTTPS_PROXY`, `NO_PROXY`, …) unless [`proxies`](HttpClientBuilder::proxies) says no,
/// and on Linux `SSL_CERT_FILE` and `SSL_CERT_DIR`. On a machine without CA certificates servers
/// with plain `http` can be reached.
///
/// ```
/// use std::time::Duration;
/// use opik_models::{HttpClient, Retries};
///
/// let http = HttpClient::builder()
///     .idle_timeout(Duration::from_secs(60))
///     .retries(Retries::none())
///     .build()?;
/// # Ok::<(), opik_models::SetupError>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    /// Without certificates only plain connections are possible.
    pub(super) plain_only: bool,
    pub(super) retries: Retries,
    pub(super) first: Duration,
    pub(super) idle: Duration,
    pub(super) total: Duration,
    pub(super) sizes: Sizes,
    pub(super) notes: Notes,
}

/// Settings of an [`HttpClient`].
#[derive(Debug, Clone)]
#[must_use = "a client is made by `build`"]
pub struct HttpClientBuilder {
    retries: Retries,
    connect: Duration,
    first: Duration,
    idle: Duration,
    total: Duration,
    sizes: Sizes,
    verify_tls: bool,
    proxies: bool,
}

impl HttpClient {
    /// Settings with their defaults.
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder {
            retries: Retries::default(),
            connect: Duration::from_secs(10),
            first: Duration::from_secs(300),
            idle: Duration::from_secs(300),
            total: Duration::from_secs(600),
            sizes: Sizes {
                event: 16 * 1024 * 1024,
                reply: 64 * 1024 * 1024,
            },
            verify_tls: true,
            proxies: true,
        }
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.inner.notes
    }
}

impl HttpClientBuilder {
    /// When a question is asked again; two repetitions by default.
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// Time for connecting; 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect = timeout;
        self
    }

    /// Time until the first byte of the answer, for each attempt; 5 minutes. Models that think
    /// before they answer may need them; a whole reply ([`whole`](crate::OpenAiModel::whole)) has the
    /// total time instead.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.first = timeout;
        self
    }

    /// Longest silence within a reply, also before its first event; 5 minutes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// Time for a question with its whole reply, repetitions included; 10 minutes.
    pub fn total_timeout(mut self, timeout: Duration) -> Self {
        self.total = timeout;
        self
    }

    /// Most bytes of one event, and of a reply that is not streamed; 16 MiB.
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.sizes.event = bytes;
        self
    }

    /// Most bytes of a reply; 64 MiB.
    pub fn max_reply_bytes(mut self, bytes: usize) -> Self {
        self.sizes.reply = bytes;
        self
    }

    /// Whether the server's certificate is checked; it is. Turning this off hands the key to
    /// whoever answers.
    pub fn verify_tls(mut self, on: bool) -> Self {
        self.verify_tls = on;
        self
    }

    /// Whether the system's proxy settings are used; they are.
    pub fn proxies(mut self, on: bool) -> Self {
        self.proxies = on;
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// [`SetupError::Http`] when the system does not let us make connections.
    pub fn build(self) -> Result<HttpClient, SetupError> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("opik-rust/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(self.connect)
                .pool_idle_timeout(POOL_IDLE)
                // A compressed reply would arrive in lumps.
                .no_gzip()
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(!self.verify_tls)
                .retry(reqwest::retry::never());
            if self.proxies {
                builder
            } else {
                builder.no_proxy()
            }
        };
        let (http, plain_only) = match builder().build() {
            Ok(http) => (http, false),
            // An image without CA certificates can still talk to a server over plain HTTP.
            Err(_) => {
                let plain = builder().tls_certs_only(std::iter::empty()).build();
                (plain.map_err(|error| SetupError::Http(error.into()))?, true)
            }
        };
        Ok(HttpClient {
            inner: Arc::new(Inner {
                http,
                plain_only,
                retries: self.retries,
                first: self.first,
                idle: self.idle,
                total: self.total,
                sizes: self.sizes,
                notes: Notes::default(),
            }),
        })
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("retries", &self.inner.retries)
            .field("first_byte_timeout", &self.inner.first)
            .field("idle_timeout", &self.inner.idle)
            .field("total_timeout", &self.inner.total)
            .finish_non_exhaustive()
    }
}
