//! The demo's chat model: it replays a script. Nothing is asked of any service.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::{ChatEvent, ChatModel, ChatRequest, ChatStream, ModelError, Usage};
use tokio::time::{Instant, Sleep, sleep_until};

/// Time from the question to the first word.
const FIRST_TOKEN: Duration = Duration::from_millis(45);
/// Time between two words.
const BETWEEN_TOKENS: Duration = Duration::from_millis(2);

/// A reply that was written in advance.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScriptedReply {
    pub(super) text: &'static str,
    pub(super) prompt_tokens: i64,
}

/// A chat model that gives its scripted replies in order, word by word, at a model's pace.
#[derive(Debug)]
pub(super) struct ScriptedModel {
    replies: Mutex<VecDeque<ScriptedReply>>,
}

impl ScriptedModel {
    pub(super) fn new(replies: impl IntoIterator<Item = ScriptedReply>) -> Self {
        Self {
            replies: Mutex::new(replies.into_iter().collect()),
        }
    }
}

#[async_trait]
impl ChatModel for ScriptedModel {
    fn name(&self) -> &str {
        "scripted-1"
    }

    async fn stream(&self, _request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let reply = self
            .replies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let reply = reply.ok_or_else(|| {
            ModelError::new(
                ModelErrorKind::InvalidRequest,
                "the script has no reply left",
            )
        })?;
        let words: Vec<&str> = reply.text.split_inclusive(' ').collect();
        let completion = i64::try_from(words.len()).unwrap_or(i64::MAX);
        let mut events: VecDeque<ChatEvent> = words
            .into_iter()
            .map(|word| ChatEvent::Text(word.to_owned()))
            .collect();
        events.push_back(ChatEvent::Finish(FinishReason::Stop));
        events.push_back(ChatEvent::Usage(Usage::of_tokens(
            reply.prompt_tokens,
            completion,
        )));
        let timer = Box::pin(sleep_until(Instant::now() + FIRST_TOKEN));
        Ok(Box::pin(Replay { events, timer }))
    }
}

/// Gives one event each time the timer is over.
struct Replay {
    events: VecDeque<ChatEvent>,
    timer: Pin<Box<Sleep>>,
}

impl Stream for Replay {
    type Item = Result<ChatEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        std::task::ready!(self.timer.as_mut().poll(cx));
        let next = self.events.pop_front();
        self.timer.as_mut().reset(Instant::now() + BETWEEN_TOKENS);
        Poll::Ready(next.map(Ok))
    }
}
