//! A chat model that says what a test wrote for it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_core::Stream;
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::session::ToolCall;
use opik_core::{ChatEvent, ChatModel, ChatRequest, ChatStream, Json, ModelError, Usage};

use super::{Gate, gate::Opened};

/// One step of a scripted reply.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Step {
    /// Sends an event, whatever it is.
    Event(ChatEvent),
    /// Fails with an error of this kind and ends the stream.
    Error(ModelErrorKind),
    /// Waits until the gate is open.
    Wait(Gate),
}

impl Step {
    /// Words.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Event(ChatEvent::Text(text.into()))
    }

    /// A request to run a tool.
    #[must_use]
    pub fn tool_call(id: impl Into<String>, name: impl Into<String>, arguments: Json) -> Self {
        Self::Event(ChatEvent::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments,
        }))
    }

    /// Token counts.
    #[must_use]
    pub fn usage(prompt: i64, completion: i64) -> Self {
        Self::Event(ChatEvent::Usage(Usage::of_tokens(prompt, completion)))
    }

    /// The end.
    #[must_use]
    pub fn finish(reason: FinishReason) -> Self {
        Self::Event(ChatEvent::Finish(reason))
    }
}

/// Plays one scripted reply per question and remembers the questions. Clones share the script.
///
/// A script is played as it is, right or wrong. When there is none left, the question is refused
/// with [`ModelErrorKind::Internal`], so that a loop that asks too often ends.
///
/// ```
/// use opik_core::chat::FinishReason;
/// use opik_testkit::ScriptedModel;
/// use opik_testkit::doubles::Step;
///
/// let model = ScriptedModel::new("scripted/one")
///     .reply([Step::text("Hello."), Step::finish(FinishReason::Stop)])
///     .says("Goodbye.");
/// assert_eq!(model.requests().len(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct ScriptedModel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<ChatRequest>>,
    cancelled: AtomicUsize,
}

#[derive(Debug)]
enum Reply {
    Steps(VecDeque<Step>),
    Refused(ModelErrorKind),
}

impl ScriptedModel {
    /// A model with this name and nothing to say yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            replies: Mutex::default(),
            requests: Mutex::default(),
            cancelled: AtomicUsize::new(0),
        }))
    }

    /// Adds a reply, step by step.
    #[must_use]
    pub fn reply(self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.push(Reply::Steps(steps.into_iter().collect()))
    }

    /// Adds a reply of words that ends as it should.
    #[must_use]
    pub fn says(self, text: impl Into<String>) -> Self {
        self.reply([Step::text(text), Step::finish(FinishReason::Stop)])
    }

    /// Adds a refusal: the question fails before a reply begins.
    #[must_use]
    pub fn refuses(self, kind: ModelErrorKind) -> Self {
        self.push(Reply::Refused(kind))
    }

    /// Every question so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<ChatRequest> {
        let requests = self.0.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many replies were dropped before their end.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    fn push(self, reply: Reply) -> Self {
        let replies = self.0.replies.lock();
        replies
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(reply);
        self
    }
}

#[async_trait]
impl ChatModel for ScriptedModel {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let requests = self.0.requests.lock();
        requests
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        let replies = self.0.replies.lock();
        let next = replies.unwrap_or_else(PoisonError::into_inner).pop_front();
        match next {
            Some(Reply::Steps(steps)) => Ok(Box::pin(Playing {
                steps,
                waiting: None,
                model: Arc::clone(&self.0),
            })),
            Some(Reply::Refused(kind)) => Err(ModelError::new(kind, "scripted refusal")),
            None => {
                let context = "the script has no reply left; add one per expected question";
                Err(ModelError::new(ModelErrorKind::Internal, context))
            }
        }
    }
}

/// A reply that is being played.
struct Playing {
    steps: VecDeque<Step>,
    waiting: Option<Opened>,
    model: Arc<Inner>,
}

impl fmt::Debug for Playing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playing")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Stream for Playing {
    type Item = Result<ChatEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                if Pin::new(waiting).poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.waiting = None;
            }
            return Poll::Ready(match self.steps.pop_front() {
                Some(Step::Event(event)) => Some(Ok(event)),
                Some(Step::Error(kind)) => {
                    self.steps.clear();
                    Some(Err(ModelError::new(kind, "scripted failure")))
                }
                Some(Step::Wait(gate)) => {
                    self.waiting = Some(gate.wait());
                    continue;
                }
                None => None,
            });
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if !self.steps.is_empty() || self.waiting.is_some() {
            self.model.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}
