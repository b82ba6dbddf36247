//! Anthropic's Messages API.

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
pub(crate) use reply::Blocks;

/// The version of the API that is spoken.
const VERSION: &str = "2023-06-01";

/// A model behind Anthropic's Messages API.
///
/// The API wants a limit of tokens: where a request names none it is 8,192. A reasoning effort turns
/// thinking on: a budget of 1,024, 4,096 or 16,384 tokens on top of the limit for models up to 4.5,
/// adaptive thinking with that effort for later ones, which take no temperature. The signatures of
/// thoughts are sent back with tool results as long as this process lives; without them the model
/// does not think in the middle of a round of tools.
///
/// ```
/// use opik_core::{ChatModel, Secret};
/// use opik_models::{AnthropicModel, HttpClient};
///
/// let http = HttpClient::builder().build()?;
/// let model = AnthropicModel::new(&http, AnthropicModel::BASE_URL, "claude-sonnet-4-5")?
///     .with_key(&Secret::new("key"))?;
/// assert_eq!(model.name(), "anthropic/claude-sonnet-4-5");
/// # Ok::<(), opik_models::SetupError>(())
/// ```
#[derive(Clone)]
pub struct AnthropicModel {
    http: HttpClient,
    url: Url,
    name: Arc<str>,
    model: Arc<str>,
    headers: Arc<Headers>,
    whole: bool,
}

impl AnthropicModel {
    /// Anthropic's own address.
    pub const BASE_URL: &'static str = "https://api.anthropic.com";

    /// A model by its bare name. The base URL is what comes before `/v1/messages`.
    ///
    /// # Errors
    /// [`SetupError::Address`].
    pub fn new(http: &HttpClient, base_url: &str, model: &str) -> Result<Self, SetupError> {
        let address = Address::parse("Anthropic", base_url)?;
        let mut headers = Headers::default();
        headers.set("version", "anthropic-version", VERSION)?;
        Ok(Self {
            http: http.clone(),
            url: address.endpoint(&["v1", "messages"]),
            name: ModelName::new(Provider::Anthropic, model)
                .to_string()
                .into(),
            model: model.into(),
            headers: Arc::new(headers),
            whole: false,
        })
    }

    /// Sends a key.
    ///
    /// # Errors
    /// [`SetupError::Header`] when the key cannot be sent in a header.
    pub fn with_key(mut self, key: &Secret) -> Result<Self, SetupError> {
        Arc::make_mut(&mut self.headers).set_secret("API key", "x-api-key", "", key)?;
        Ok(self)
    }

    /// Asks for the whole reply at once. It comes as a stream all the same.
    #[must_use]
    pub fn whole(mut self, on: bool) -> Self {
        self.whole = on;
        self
    }
}

#[async_trait]
impl ChatModel for AnthropicModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let body = request::body(&self.model, request, self.whole, self.http.notes());
        let body = body.map_err(|failure: Failure| {
            let (model, secrets) = (Arc::clone(&self.name), self.headers.secrets().into());
            failure.into_error(&About { model, secrets })
        })?;
        let call = Call {
            model: &self.name,
            url: self.url.clone(),
            headers: &self.headers,
            body,
            whole: self.whole,
        };
        self.http.ask(call, Blocks::default).await
    }
}

impl fmt::Debug for AnthropicModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnthropicModel")
            .field("name", &self.name)
            .field("url", &self.url.as_str())
            .field("headers", &self.headers)
            .field("whole", &self.whole)
            .finish_non_exhaustive()
    }
}
