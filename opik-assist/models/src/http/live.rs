//! A reply that is arriving.

use std::time::Duration;

use futures_util::stream;
use opik_core::chat::ModelErrorKind;
use opik_core::{ChatEvent, ChatStream, ModelError};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::client::HttpClient;
use crate::failure::{About, Failure};
use crate::reply::{Next, Reply};

/// How long token counts may take after a reply's reason to end.
const TAIL: Duration = Duration::from_secs(5);

/// How long the end of a reply that is over may take, so that its connection can be used again.
const END: Duration = Duration::from_millis(250);

/// The reply with its connection. Dropping it closes the connection, unless the reply was read to
/// its end.
pub(super) struct Live {
    client: HttpClient,
    response: Option<Response>,
    reply: Reply,
    about: About,
    deadline: Instant,
    first: Option<ChatEvent>,
    failed: bool,
}

impl Live {
    pub(super) fn new(
        client: HttpClient,
        response: Response,
        reply: Reply,
        about: About,
        deadline: Instant,
    ) -> Self {
        Self {
            client,
            response: Some(response),
            reply,
            about,
            deadline,
            first: None,
            failed: false,
        }
    }

    /// Waits for the first event.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        self.first = self.event().await?;
        Ok(())
    }

    pub(super) fn into_stream(self) -> ChatStream {
        Box::pin(stream::unfold(self, |mut live| async move {
            let event = live.next().await?;
            Some((event, live))
        }))
    }

    async fn next(&mut self) -> Option<Result<ChatEvent, ModelError>> {
        if self.failed {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        match self.event().await {
            Ok(Some(event)) => Some(Ok(event)),
            Ok(None) => {
                self.finish_connection().await;
                None
            }
            Err(failure) => {
                self.failed = true;
                self.response = None;
                Some(Err(failure.into_error(&self.about)))
            }
        }
    }

    /// The next event; `None` after the last one.
    async fn event(&mut self) -> Result<Option<ChatEvent>, Failure> {
        loop {
            match self.reply.next() {
                Next::Event(event) => {
                    if matches!(event, ChatEvent::Finish(_)) {
                        for (call, note) in self.reply.notes() {
                            self.client.notes().keep(call, note);
                        }
                    }
                    return Ok(Some(event));
                }
                Next::Failed(failure) => return Err(failure),
                Next::Over => return Ok(None),
                Next::More => self.read().await,
            }
        }
    }

    /// Reads what has arrived, or that nothing more will.
    async fn read(&mut self) {
        let idle = self.client.inner.idle;
        let wait = if self.reply.is_answered() {
            idle.min(TAIL)
        } else {
            idle
        };
        let limit = self.deadline.min(Instant::now() + wait);
        let Some(response) = &mut self.response else {
            return self.reply.end();
        };
        match timeout_at(limit, response.chunk()).await {
            Ok(Ok(Some(bytes))) => self.reply.push(&bytes),
            Ok(Ok(None)) => {
                self.response = None;
                self.reply.end();
            }
            Ok(Err(error)) => {
                self.response = None;
                self.reply
                    .broken(Failure::truncated().with_cause(error.without_url()));
            }
            Err(_) => {
                self.response = None;
                let what = if limit >= self.deadline {
                    "the reply took longer than allowed"
                } else {
                    "the reply does not go on"
                };
                self.reply
                    .broken(Failure::new(ModelErrorKind::Timeout, what));
            }
        }
    }

    /// Reads the end of a body whose reply is over.
    async fn finish_connection(&mut self) {
        if let Some(mut response) = self.response.take() {
            let limit = self.deadline.min(Instant::now() + END);
            // Little is left of an honest body; of another one the connection is given up.
            while let Ok(Ok(Some(_))) = timeout_at(limit, response.chunk()).await {}
        }
    }
}
