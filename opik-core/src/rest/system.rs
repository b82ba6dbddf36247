//! The server itself: whether it is alive, who we are to it, links into its web page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;

use super::call::Call;
use super::client::OpikClient;
use super::error::RestError;
use crate::{Timestamp, TraceId};

impl OpikClient {
    /// Asks whether the server is alive, without a key.
    ///
    /// # Errors
    /// [`RestError`] when it is not, or is not Opik.
    pub async fn ping(&self) -> Result<(), RestError> {
        let call = Call::public(Method::GET, "is-alive/ping");
        self.send(call).await.map(drop)
    }

    /// The server's version, for example `2.2.122`.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn server_version(&self) -> Result<String, RestError> {
        #[derive(Deserialize)]
        struct Wire {
            version: String,
        }
        let call = Call::public(Method::GET, "is-alive/ver");
        let wire: Wire = self.send(call).await?.json()?;
        Ok(wire.version)
    }

    /// The server's clock, to the second, as its answers state it; nothing when they do not.
    ///
    /// # Errors
    /// [`RestError`] when the server is not alive.
    pub async fn server_time(&self) -> Result<Option<Timestamp>, RestError> {
        let answer = self
            .send(Call::public(Method::GET, "is-alive/ping"))
            .await?;
        let date = answer.header("date");
        let parsed = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(parsed.map(|date| Timestamp::from_micros(date.timestamp().as_microsecond())))
    }

    /// Asks whether the key and the workspace are accepted.
    ///
    /// # Errors
    /// [`RestError`] of kind [`Unauthorized`](super::RestErrorKind::Unauthorized),
    /// [`Forbidden`](super::RestErrorKind::Forbidden) or
    /// [`NotFound`](super::RestErrorKind::NotFound) when they are not.
    pub async fn check_access(&self) -> Result<(), RestError> {
        // The body is empty and still announced as JSON, as the official clients do.
        let call = Call::post("auth").json_text(Vec::new());
        self.send(call).await.map(drop)
    }

    /// Where the trace is shown in Opik's web page. The address redirects to the project's page.
    #[must_use]
    pub fn trace_url(&self, trace: TraceId) -> String {
        crate::trace_url(self.base_url().as_str(), trace)
    }

    /// The base URL as attachment calls want it.
    pub(super) fn base_in_base64(&self) -> String {
        STANDARD.encode(self.base_url().as_str())
    }
}
