//! The client and how it is made.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::base_url::{BaseUrl, BaseUrlError};
use super::bodies::Bodies;
use super::retry::RetryPolicy;
use super::uploaded::Uploaded;
use crate::wire::FieldLimits;
use crate::{ProjectId, Secret};

/// The workspace of a self-hosted installation.
pub const DEFAULT_WORKSPACE: &str = "default";

/// How long an idle connection is kept, as with the official clients.
const POOL_IDLE: Duration = Duration::from_secs(10);

/// Most items that one request may carry.
pub const MAX_ITEMS: usize = 1_000;

/// A client of one Opik server and workspace.
///
/// Cloning is cheap and shares the connections. All calls need a Tokio runtime with time and IO (any
/// one, also another one for each call), are bounded in time, and are repeated as the
/// [`RetryPolicy`] says. A dropped call is abandoned.
///
/// ```
/// use std::time::Duration;
/// use opik_core::rest::{BaseUrl, OpikClient};
///
/// let client = OpikClient::builder(BaseUrl::LOCAL)
///     .project_name("checkout")
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(client.base_url().as_str(), "http://localhost:5173/api/");
/// # Ok::<(), opik_core::rest::ClientError>(())
/// ```
#[derive(Clone)]
pub struct OpikClient {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) headers: HeaderMap,
    pub(super) base: BaseUrl,
    pub(super) workspace: String,
    pub(super) project_name: Option<String>,
    pub(super) retry: RetryPolicy,
    pub(super) timeout: Duration,
    pub(super) transfer_timeout: Duration,
    pub(super) compression: bool,
    pub(super) max_request: usize,
    pub(super) max_response: usize,
    pub(super) limits: FieldLimits,
    pub(super) bodies: Bodies,
    pub(super) uploaded: Uploaded,
    /// Names of the projects that exported rows know by identifier only.
    pub(super) project_names: Mutex<HashMap<ProjectId, String>>,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The base URL is none.
    #[error(transparent)]
    BaseUrl(#[from] BaseUrlError),
    /// The key or the workspace has characters that a header cannot carry.
    #[error("the {0} has characters that cannot be sent in a header")]
    Header(&'static str),
    /// The system does not let us make connections (no certificates, for example).
    #[error("the HTTP client cannot be set up")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Settings of an [`OpikClient`]. Nothing is read from the environment, except what concerns the
/// machine: the usual proxy variables (`HTTPS_PROXY`, `NO_PROXY`, …) unless
/// [`proxies`](Self::proxies) says no, and on Linux `SSL_CERT_FILE` and `SSL_CERT_DIR`.
#[derive(Debug, Clone)]
#[must_use = "a client is made by `build`"]
pub struct OpikClientBuilder {
    base_url: String,
    api_key: Option<Secret>,
    workspace: String,
    project_name: Option<String>,
    retry: RetryPolicy,
    timeout: Duration,
    transfer_timeout: Duration,
    connect_timeout: Duration,
    compression: bool,
    max_request: usize,
    max_response: usize,
    limits: FieldLimits,
    verify_tls: bool,
    proxies: bool,
}

impl OpikClient {
    /// Settings for a server; see [`BaseUrl`] for the accepted addresses.
    pub fn builder(base_url: impl Into<String>) -> OpikClientBuilder {
        OpikClientBuilder {
            base_url: base_url.into(),
            api_key: None,
            workspace: DEFAULT_WORKSPACE.to_owned(),
            project_name: None,
            retry: RetryPolicy::default(),
            timeout: Duration::from_secs(60),
            transfer_timeout: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            compression: true,
            max_request: 5_000_000,
            max_response: 512_000_000,
            limits: FieldLimits::default(),
            verify_tls: true,
            proxies: true,
        }
    }

    /// Where the server is.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.inner.base
    }

    /// The workspace that every call names.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.inner.workspace
    }

    /// The project of what names none, where one was set.
    #[must_use]
    pub fn project_name(&self) -> Option<&str> {
        self.inner.project_name.as_deref()
    }
}

impl OpikClientBuilder {
    /// The key, sent as it is in `Authorization`. Without one, or with an empty one, the header is
    /// left out, as a self-hosted server expects.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// The workspace, [`DEFAULT_WORKSPACE`] where none is set.
    pub fn workspace(mut self, workspace: impl Into<String>) -> Self {
        self.workspace = workspace.into();
        self
    }

    /// The project of exported rows that name none; without one the server takes
    /// [`Project::DEFAULT_NAME`](crate::Project::DEFAULT_NAME).
    pub fn project_name(mut self, name: impl Into<String>) -> Self {
        self.project_name = Some(name.into());
        self
    }

    /// When failed calls are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Time for one attempt, from connecting to the last byte of the answer; 60 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Time for one attempt to send or fetch an attachment; 10 minutes.
    pub fn transfer_timeout(mut self, timeout: Duration) -> Self {
        self.transfer_timeout = timeout;
        self
    }

    /// Time for connecting; 10 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whether bodies of 256 bytes and more are sent compressed; they are.
    pub fn compression(mut self, on: bool) -> Self {
        self.compression = on;
        self
    }

    /// Most bytes of a request before compression; 5 MB. A single larger row travels alone.
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request = bytes.max(1);
        self
    }

    /// Most bytes of an answer that are read before it is given up; 512 MB.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response = bytes;
        self
    }

    /// What content of exported records travels inside of rows; the limits of the official clients.
    /// Rows that are encoded already are sent as they are: whoever encodes them applies limits.
    pub fn field_limits(mut self, limits: FieldLimits) -> Self {
        self.limits = limits;
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
    /// [`ClientError`] when a setting is unusable.
    pub fn build(self) -> Result<OpikClient, ClientError> {
        let base = BaseUrl::parse(&self.base_url)?;
        let mut headers = HeaderMap::new();
        let workspace = HeaderValue::from_str(self.workspace.trim())
            .map_err(|_| ClientError::Header("workspace"))?;
        headers.insert(HeaderName::from_static("comet-workspace"), workspace);
        if let Some(key) = self.api_key.as_ref().filter(|key| !key.is_empty()) {
            let mut key =
                HeaderValue::from_str(key.expose()).map_err(|_| ClientError::Header("API key"))?;
            key.set_sensitive(true);
            headers.insert(AUTHORIZATION, key);
        }
        let http = self.http(&base)?;
        Ok(OpikClient {
            inner: Arc::new(Inner {
                http,
                headers,
                base,
                workspace: self.workspace.trim().to_owned(),
                project_name: self.project_name,
                retry: self.retry,
                timeout: self.timeout,
                transfer_timeout: self.transfer_timeout,
                compression: self.compression,
                max_request: self.max_request,
                max_response: self.max_response,
                limits: self.limits,
                bodies: Bodies::default(),
                uploaded: Uploaded::default(),
                project_names: Mutex::default(),
            }),
        })
    }

    fn http(&self, base: &BaseUrl) -> Result<reqwest::Client, ClientError> {
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("opik-rust/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(self.connect_timeout)
                // Opik's proxy drops idle connections; a call that meets one may fail.
                .pool_idle_timeout(POOL_IDLE)
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(!self.verify_tls)
                .retry(reqwest::retry::never());
            if self.proxies {
                builder
            } else {
                builder.no_proxy()
            }
        };
        let built = match builder().build() {
            // An image without CA certificates can still talk to a server over plain HTTP.
            Err(_) if base.is_plain() => builder().tls_certs_only(std::iter::empty()).build(),
            built => built,
        };
        built.map_err(|error| ClientError::Http(error.into()))
    }
}

impl fmt::Debug for OpikClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpikClient")
            .field("base_url", &self.inner.base)
            .field("workspace", &self.inner.workspace)
            .finish_non_exhaustive()
    }
}
