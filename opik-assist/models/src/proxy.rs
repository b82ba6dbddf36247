//! Opik's own proxy in front of providers.

use std::sync::Arc;

use opik_core::Secret;
use reqwest::Url;

use crate::http::{Address, Headers, HttpClient};
use crate::openai::{Spelling, Uncounted};
use crate::{OpenAiModel, SetupError};

/// What the proxy gets instead of a key: it knows the caller by cookie or not at all.
const NO_KEY: &str = "not-checked";

/// Prefixes that say whose a model is, where the proxy expects the bare name.
const STRIPPED: [&str; 6] = [
    "opik/",
    "openai/",
    "anthropic/",
    "gemini/",
    "google/",
    "openrouter/",
];

/// Opik as a proxy to the providers whose keys it holds. Each user's requests go with that user's
/// cookie and workspace, so a model is made for each of them; that is cheap.
///
/// `openai/`, `anthropic/`, `gemini/` and `openrouter/` are taken off a model's name, once, because
/// Opik tells the provider by the bare name; whatever follows is sent as it is, `custom-llm/...`
/// too.
///
/// ```
/// use opik_core::{ChatModel, Secret};
/// use opik_models::{Caller, HttpClient, OpikProxy};
///
/// let http = HttpClient::builder().build()?;
/// let opik = OpikProxy::new(&http, "http://opik-backend:8080")?;
/// let caller = Caller::default().session_token(Secret::new("tok-1")).workspace("team");
/// let model = opik.model("openai/gpt-4.1", &caller)?;
/// assert_eq!(model.name(), "openai/gpt-4.1");
/// assert!(!format!("{model:?} {caller:?}").contains("tok-1"));
/// # Ok::<(), opik_models::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OpikProxy {
    http: HttpClient,
    url: Arc<Url>,
    usage: bool,
    uncounted: Uncounted,
}

/// On whose behalf the proxy is asked.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    session_token: Option<Secret>,
    api_key: Option<Secret>,
    workspace: Option<String>,
}

impl Caller {
    /// The session of Opik's web page, sent as the cookie `sessionToken`, character by character.
    #[must_use]
    pub fn session_token(mut self, token: Secret) -> Self {
        self.session_token = Some(token).filter(|token| !token.is_empty());
        self
    }

    /// A key of Opik, sent as it is in `Authorization`, for callers without a session.
    #[must_use]
    pub fn api_key(mut self, key: Secret) -> Self {
        self.api_key = Some(key).filter(|key| !key.is_empty());
        self
    }

    /// The workspace.
    #[must_use]
    pub fn workspace(mut self, workspace: impl Into<String>) -> Self {
        self.workspace = Some(workspace.into()).filter(|workspace| !workspace.is_empty());
        self
    }

    fn headers(&self) -> Result<Headers, SetupError> {
        let mut headers = Headers::default();
        match &self.api_key {
            Some(key) => headers.set_secret("Opik key", "authorization", "", key)?,
            None => headers.set("Opik key", "authorization", &format!("Bearer {NO_KEY}"))?,
        }
        if let Some(token) = &self.session_token {
            if token.expose().contains([';', '\r', '\n']) {
                return Err(SetupError::Header("session token"));
            }
            headers.set_secret("session token", "cookie", "sessionToken=", token)?;
        }
        if let Some(workspace) = &self.workspace {
            headers.set("workspace", "comet-workspace", workspace)?;
        }
        Ok(headers)
    }
}

impl OpikProxy {
    /// The proxy of an Opik server, at the address that serves `/v1/private`: for example
    /// `http://opik-backend:8080`, or `http://localhost:5173/api` through its web front end.
    ///
    /// # Errors
    /// [`SetupError::Address`].
    pub fn new(http: &HttpClient, base_url: &str) -> Result<Self, SetupError> {
        let address = Address::parse("Opik", base_url)?;
        let url = address.endpoint(&["v1", "private", "chat", "completions"]);
        Ok(Self {
            http: http.clone(),
            url: Arc::new(url),
            usage: false,
            uncounted: Uncounted::default(),
        })
    }

    /// Whether token counts are asked for while streaming (`stream_options`). They are not by default,
    /// because the Python program never did. Where a provider behind the proxy refuses them, the
    /// question is asked again without, and the model is not asked for them again.
    #[must_use]
    pub fn usage(mut self, on: bool) -> Self {
        self.usage = on;
        self
    }

    /// A model for a caller, by any provider's name for it.
    ///
    /// # Errors
    /// [`SetupError::Header`] when the token or the workspace cannot be sent in a header,
    /// [`SetupError::UnknownModel`] when the name is empty.
    pub fn model(&self, name: &str, caller: &Caller) -> Result<OpenAiModel, SetupError> {
        let name = name.trim();
        let mut model = name;
        // `opik/` is our own prefix; another one may follow it.
        for allowed in [&STRIPPED[..1], &STRIPPED[1..]] {
            let stripped = allowed.iter().find_map(|prefix| model.strip_prefix(prefix));
            model = stripped.unwrap_or(model);
        }
        if model.is_empty() {
            return Err(SetupError::UnknownModel(String::new()));
        }
        let mut spelling = Spelling::of_model(model);
        spelling.usage = self.usage;
        // The models that know only the newer name are OpenAI's.
        spelling.completion_limit = spelling.developer || model.starts_with("gpt-5");
        let (url, headers) = (Url::clone(&self.url), caller.headers()?);
        let asked = OpenAiModel::at(&self.http, url, name, model, headers, spelling);
        Ok(asked.counting(&self.uncounted))
    }
}
