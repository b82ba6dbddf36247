//! Google's Gemini API.

mod reply;
mod request;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::{ChatModel, ChatRequest, ChatStream, ModelError, Secret};
use reqwest::Url;

use crate::failure::{About, Failure};
use crate::http::{Address, Call, Headers, HttpClient};
use crate::{ModelName, Provider, SetupError};
pub(crate) use reply::Candidates;

/// A model behind Google's Gemini API.
///
/// The key travels in a header, never in the address. A reasoning effort becomes a thinking level
/// for Gemini 3 and later, and a budget of 1,024, 8,192 or 24,576 tokens before. The API gives most
/// tool calls no identifier, so they get one here; results are matched by name and order. The
/// signatures of calls are sent back as long as this process lives.
///
/// ```
/// use opik_core::{ChatModel, Secret};
/// use opik_models::{GeminiModel, HttpClient};
///
/// let http = HttpClient::builder().build()?;
/// let model = GeminiModel::new(&http, GeminiModel::BASE_URL, "gemini-2.5-flash")?
///     .with_key(&Secret::new("key"))?;
/// assert_eq!(model.name(), "gemini/gemini-2.5-flash");
/// # Ok::<(), opik_models::SetupError>(())
/// ```
#[derive(Clone)]
pub struct GeminiModel {
    http: HttpClient,
    address: Address,
    name: Arc<str>,
    model: Arc<str>,
    headers: Arc<Headers>,
    whole: bool,
}

impl GeminiModel {
    /// Google's own address.
    pub const BASE_URL: &'static str = "https://generativelanguage.googleapis.com";

    /// A model by its bare name. The base URL is what comes before `/v1beta/models`.
    ///
    /// # Errors
    /// [`SetupError::Address`].
    pub fn new(http: &HttpClient, base_url: &str, model: &str) -> Result<Self, SetupError> {
        Ok(Self {
            http: http.clone(),
            address: Address::parse("Gemini", base_url)?,
            name: ModelName::new(Provider::Gemini, model).to_string().into(),
            model: model.into(),
            headers: Arc::new(Headers::default()),
            whole: false,
        })
    }

    /// Sends a key.
    ///
    /// # Errors
    /// [`SetupError::Header`] when the key cannot be sent in a header.
    pub fn with_key(mut self, key: &Secret) -> Result<Self, SetupError> {
        Arc::make_mut(&mut self.headers).set_secret("API key", "x-goog-api-key", "", key)?;
        Ok(self)
    }

    /// Asks for the whole reply at once. It comes as a stream all the same.
    #[must_use]
    pub fn whole(mut self, on: bool) -> Self {
        self.whole = on;
        self
    }

    fn url(&self) -> Url {
        let method = if self.whole {
            "generateContent"
        } else {
            "streamGenerateContent"
        };
        let endpoint = format!("{}:{method}", self.model);
        let mut url = self.address.endpoint(&["v1beta", "models", &endpoint]);
        if !self.whole {
            url.set_query(Some("alt=sse"));
        }
        url
    }
}

#[async_trait]
impl ChatModel for GeminiModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let body = request::body(&self.model, request, self.http.notes());
        let body = body.map_err(|failure: Failure| {
            let (model, secrets) = (Arc::clone(&self.name), self.headers.secrets().into());
            failure.into_error(&About { model, secrets })
        })?;
        let call = Call {
            model: &self.name,
            url: self.url(),
            headers: &self.headers,
            body,
            whole: self.whole,
        };
        self.http.ask(call, Candidates::default).await
    }
}

impl fmt::Debug for GeminiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeminiModel")
            .field("name", &self.name)
            .field("address", &self.address)
            .field("headers", &self.headers)
            .field("whole", &self.whole)
            .finish_non_exhaustive()
    }
}
