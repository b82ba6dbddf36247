//! A question on its way: headers, attempts, the answer's head.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use opik_core::chat::ModelErrorKind;
use opik_core::{ChatStream, ModelError, Secret, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::client::HttpClient;
use super::live::Live;
use super::wait;
use crate::SetupError;
use crate::failure::{About, Failure};
use crate::reply::{Format, Reply, random_bits};

/// Most bytes of the body of an error that are looked at.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Headers with what of them must not be seen.
#[derive(Clone, Default)]
pub(crate) struct Headers {
    map: HeaderMap,
    secrets: Vec<Secret>,
}

impl Headers {
    /// Adds a header, or replaces the one of that name.
    pub(crate) fn set(
        &mut self,
        what: &'static str,
        name: &str,
        value: &str,
    ) -> Result<(), SetupError> {
        let name: HeaderName = name.parse().map_err(|_| SetupError::Header(what))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| SetupError::Header(what))?;
        value.set_sensitive(true);
        self.map.insert(name, value);
        Ok(())
    }

    /// Adds a header that holds a secret, after some other text.
    pub(crate) fn set_secret(
        &mut self,
        what: &'static str,
        name: &str,
        before: &str,
        secret: &Secret,
    ) -> Result<(), SetupError> {
        self.set(what, name, &format!("{before}{}", secret.expose()))?;
        self.secrets.push(secret.clone());
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &'static str) {
        self.map.remove(name);
    }

    /// The secrets, for whoever repeats what a server says.
    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}

impl fmt::Debug for Headers {
    /// The names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.map.keys()).finish()
    }
}

/// What is sent.
pub(crate) struct Call<'a> {
    /// The model's name, for errors.
    pub(crate) model: &'a Arc<str>,
    pub(crate) url: Url,
    pub(crate) headers: &'a Headers,
    pub(crate) body: String,
    /// Whether the whole reply at once was asked for.
    pub(crate) whole: bool,
}

impl HttpClient {
    /// Asks, again and again as [`Retries`](super::Retries) says, until the reply has begun.
    pub(crate) async fn ask<F: Format + 'static>(
        &self,
        call: Call<'_>,
        format: impl Fn() -> F,
    ) -> Result<ChatStream, ModelError> {
        let about = About {
            model: Arc::clone(call.model),
            secrets: call.headers.secrets().into(),
        };
        let inner = &self.inner;
        if inner.plain_only && call.url.scheme() == "https" {
            let what = "no CA certificates were found on this machine, so https servers cannot be reached; install the package ca-certificates";
            return Err(Failure::new(ModelErrorKind::Unavailable, what).into_error(&about));
        }
        let body = Bytes::from(call.body);
        let began = Instant::now();
        let deadline = began + inner.total;
        let mut attempts = 0_u32;
        loop {
            attempts += 1;
            let mut request = Request::new(Method::POST, call.url.clone());
            request.headers_mut().clone_from(&call.headers.map);
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Some(body.clone().into());
            let first = if call.whole { inner.total } else { inner.first };
            let limit = deadline.min(Instant::now() + first);
            let failure = match self.head(request, limit).await {
                Ok(response) => {
                    let reply =
                        Reply::new(Box::new(format()), call.whole, inner.sizes, random_bits());
                    let mut live =
                        Live::new(self.clone(), response, reply, about.clone(), deadline);
                    match live.begin().await {
                        Ok(()) => return Ok(live.into_stream()),
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            let error = failure.into_error(&about);
            if !error.is_retryable() {
                return Err(error);
            }
            let named = error.retry_after();
            let wait = inner
                .retries
                .wait(attempts, began.elapsed(), named, random_bits());
            match wait.filter(|wait| Instant::now() + *wait < deadline) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    /// Sends once, up to the head of a successful answer.
    async fn head(&self, request: Request, limit: Instant) -> Result<Response, Failure> {
        let late = || Failure::new(ModelErrorKind::Timeout, "no answer within the time allowed");
        let sent = timeout_at(limit, self.inner.http.execute(request))
            .await
            .map_err(|_| late())?;
        let response = sent.map_err(|error| {
            let error = error.without_url();
            let failure = match () {
                () if error.is_timeout() => late(),
                () if error.is_connect() => {
                    Failure::new(ModelErrorKind::Unavailable, "cannot connect to the server")
                }
                () if error.is_builder() => {
                    Failure::new(ModelErrorKind::Internal, "the request cannot be made")
                }
                () => Failure::new(
                    ModelErrorKind::Unavailable,
                    "the connection failed before an answer",
                ),
            };
            failure.with_cause(error)
        })?;
        let status = response.status();
        if !status.is_success() {
            let named = wait::named(response.headers(), Timestamp::now());
            // The status is known; what cannot be read of the body is not worth another error.
            let body = timeout_at(limit, start_of(response))
                .await
                .unwrap_or_default();
            return Err(Failure::of_status(status.as_u16(), &body).with_retry_after(named));
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.to_ascii_lowercase().starts_with("text/html") {
            return Err(Failure::protocol(
                "the answer is a web page, not a model's reply; check the base URL",
            ));
        }
        Ok(response)
    }
}

/// The first bytes of a body, as many as can be had.
async fn start_of(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_ERROR_BODY.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() >= MAX_ERROR_BODY {
            break;
        }
    }
    body
}
