//! Servers that speak OpenAI's chat completions.

mod plain;
mod reply;
mod request;
mod uncounted;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use opik_core::chat::ModelErrorKind;
use opik_core::{ChatModel, ChatRequest, ChatStream, ModelError, Secret};
use reqwest::Url;

use crate::failure::{About, Failure};
use crate::http::{Address, Call, Headers, HttpClient};
use crate::{ModelName, Provider, SetupError};
pub(crate) use reply::Chunks;
use request::body;
pub(crate) use request::{Spelling, effort, result_text};
pub(crate) use uncounted::Uncounted;

/// A model behind OpenAI's chat completions: OpenAI itself, Ollama, vLLM, and every server that
/// speaks the same.
///
/// Cloning and the `with_` methods are cheap, so one can be made for each request.
///
/// ```
/// use opik_core::{ChatModel, Secret};
/// use opik_models::{HttpClient, OpenAiModel};
///
/// let http = HttpClient::builder().build()?;
/// let model = OpenAiModel::new(&http, "http://localhost:8000/v1", &"vllm/qwen3".parse()?)?
///     .with_key(&Secret::new("key"))?
///     .with_header("x-team", &Secret::new("blue"))?;
/// assert_eq!(model.name(), "vllm/qwen3");
/// # Ok::<(), opik_models::SetupError>(())
/// ```
#[derive(Clone)]
pub struct OpenAiModel {
    http: HttpClient,
    url: Url,
    name: Arc<str>,
    model: Arc<str>,
    headers: Arc<Headers>,
    spelling: Spelling,
    whole: bool,
    /// Where it is not known whether token counts may be asked for.
    uncounted: Option<Uncounted>,
}

impl OpenAiModel {
    /// OpenAI's own address.
    pub const BASE_URL: &'static str = "https://api.openai.com/v1";

    /// A model of a server. The base URL is what comes before `/chat/completions`.
    ///
    /// Token counts are asked for while streaming ([`usage`](Self::usage)), and with names of
    /// [`Provider::OpenAi`] the limit of tokens is called `max_completion_tokens`.
    ///
    /// # Errors
    /// [`SetupError::Address`].
    pub fn new(http: &HttpClient, base_url: &str, name: &ModelName) -> Result<Self, SetupError> {
        let address = Address::parse("the model's server", base_url)?;
        let url = address.endpoint(&["chat", "completions"]);
        let mut spelling = Spelling::of_model(name.model());
        spelling.completion_limit = name.provider() == Provider::OpenAi;
        spelling.usage = true;
        let full = name.to_string();
        Ok(Self::at(
            http,
            url,
            &full,
            name.model(),
            Headers::default(),
            spelling,
        ))
    }

    pub(crate) fn at(
        http: &HttpClient,
        url: Url,
        name: &str,
        model: &str,
        headers: Headers,
        spelling: Spelling,
    ) -> Self {
        Self {
            http: http.clone(),
            url,
            name: name.into(),
            model: model.into(),
            headers: Arc::new(headers),
            spelling,
            whole: false,
            uncounted: None,
        }
    }

    /// Asks again without token counts where they are refused, and remembers that.
    pub(crate) fn counting(mut self, uncounted: &Uncounted) -> Self {
        self.uncounted = Some(uncounted.clone());
        self
    }

    /// Sends `Authorization: Bearer` with a key. An empty one is not sent.
    ///
    /// # Errors
    /// [`SetupError::Header`] when the key cannot be sent in a header.
    pub fn with_key(mut self, key: &Secret) -> Result<Self, SetupError> {
        let headers = Arc::make_mut(&mut self.headers);
        if key.is_empty() {
            headers.remove("authorization");
        } else {
            headers.set_secret("API key", "authorization", "Bearer ", key)?;
        }
        Ok(self)
    }

    /// Sends a further header. Its value is treated like a key: nothing prints it.
    ///
    /// # Errors
    /// [`SetupError::Header`].
    pub fn with_header(mut self, name: &str, value: &Secret) -> Result<Self, SetupError> {
        let headers = Arc::make_mut(&mut self.headers);
        headers.set_secret("further header", name, "", value)?;
        Ok(self)
    }

    /// Asks for the whole reply at once, for servers that cannot stream. It comes as a stream all
    /// the same.
    #[must_use]
    pub fn whole(mut self, on: bool) -> Self {
        self.whole = on;
        self
    }

    /// Whether token counts are asked for while streaming (`stream_options`). Old servers refuse it.
    #[must_use]
    pub fn usage(mut self, on: bool) -> Self {
        self.spelling.usage = on;
        self
    }
}

#[async_trait]
impl ChatModel for OpenAiModel {
    fn name(&self) -> &str {
        &self.name
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let Some(uncounted) = &self.uncounted else {
            return self.ask(request, self.spelling).await;
        };
        let mut without = self.spelling;
        without.usage = false;
        if !self.spelling.usage || self.whole || uncounted.has(&self.model) {
            return self.ask(request, without).await;
        }
        let refusal = match self.ask(request, self.spelling).await {
            Err(refusal) => refusal,
            // A proxy may say so in the stream.
            Ok(mut reply) => match reply.next().await {
                Some(Err(refusal)) => refusal,
                first => return Ok(Box::pin(stream::iter(first).chain(reply))),
            },
        };
        if refusal.kind() != ModelErrorKind::InvalidRequest {
            return Err(refusal);
        }
        let mut reply = self.ask(request, without).await?;
        let first = reply.next().await;
        if matches!(first, Some(Ok(_))) {
            uncounted.add(&self.model);
        }
        Ok(Box::pin(stream::iter(first).chain(reply)))
    }
}

impl OpenAiModel {
    async fn ask(
        &self,
        request: &ChatRequest,
        spelling: Spelling,
    ) -> Result<ChatStream, ModelError> {
        let body = body(&self.model, request, spelling, self.whole);
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
        self.http.ask(call, Chunks::default).await
    }
}

impl fmt::Debug for OpenAiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiModel")
            .field("name", &self.name)
            .field("url", &self.url.as_str())
            .field("headers", &self.headers)
            .field("whole", &self.whole)
            .finish_non_exhaustive()
    }
}
