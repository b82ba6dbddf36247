//! Recording what a language model is asked and what it answers.
//!
//! One span of kind `llm` per question:
//!
//! | field | what it holds |
//! |---|---|
//! | model, provider | parts of the model's name `provider/model`, or what the program says |
//! | input | `messages` and `tools` as an OpenAI-compatible server takes them |
//! | output | `choices` as such a server gives them: text, reasoning, tool calls; as much as came |
//! | usage | the last token counts |
//! | first-token time | of the first text, reasoning or tool call |
//! | error | the kind of the [`ModelError`], and its text with its causes |
//! | metadata | `finish_reason`; `max_tokens`, `temperature` and `reasoning_effort` when they are set; `cancelled` |

mod messages;
mod reply;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::chat::ReasoningEffort;
use opik_core::{ChatModel, ChatRequest, ChatStream, ModelError, SpanType};

use crate::context::SpanHandle;
use crate::guard::SpanGuard;
use crate::in_span::FutureExt as _;
use crate::recorder::Recorder;
use messages::Question;
use reply::{Call, Observed};

/// Name of the spans.
const CHAT: &str = "chat";

/// A model whose questions and answers are recorded, and which is the same model otherwise.
///
/// The span of a question is a child of the one that the task is in, or of a given parent with
/// [`below`](Self::below). Questions, answers and texts of errors pass as the policies of the
/// recorder's branches say, by default not at all.
///
/// A reply that is dropped before its end gets the metadata `cancelled: true`, and what came of it
/// is recorded.
///
/// ```
/// use std::sync::Arc;
/// use opik_core::ChatModel;
/// use opik_observe::{ObservedModel, Recorder};
///
/// fn observed(model: Arc<dyn ChatModel>, recorder: &Recorder) -> Arc<dyn ChatModel> {
///     Arc::new(ObservedModel::new(model, recorder))
/// }
/// ```
pub struct ObservedModel<M: ?Sized> {
    model: Arc<M>,
    recorder: Recorder,
    parent: Option<SpanHandle>,
    /// Model and provider, where they are not parts of the model's name.
    named: Option<(String, String)>,
}

impl<M: ChatModel + ?Sized> ObservedModel<M> {
    /// Records what this model does.
    #[must_use]
    pub fn new(model: Arc<M>, recorder: &Recorder) -> Self {
        Self {
            model,
            recorder: recorder.clone(),
            parent: None,
            named: None,
        }
    }

    /// The same model with its spans below this parent, whatever span the task is in.
    #[must_use]
    pub fn below(&self, parent: SpanHandle) -> Self {
        Self {
            parent: Some(parent),
            ..self.clone()
        }
    }

    /// Records this model and provider instead of the parts of the model's name. An empty provider
    /// is not stated.
    #[must_use]
    pub fn recorded_as(mut self, model: impl Into<String>, provider: impl Into<String>) -> Self {
        self.named = Some((model.into(), provider.into()));
        self
    }

    fn span(&self, request: &ChatRequest) -> SpanGuard {
        let mut span = match &self.parent {
            Some(parent) => parent.span(CHAT, SpanType::Llm),
            None => self.recorder.span_in_context(CHAT, SpanType::Llm),
        };
        if span.id().is_none() {
            return span;
        }
        let (model, provider) = match &self.named {
            Some((model, provider)) => (&**model, &**provider),
            None => {
                let name = self.model.name();
                let parts = name.split_once('/').filter(|(_, model)| !model.is_empty());
                parts.map_or((name, ""), |(provider, model)| (model, provider))
            }
        };
        span.model(model, provider).input(&Question(request));
        if let Some(tokens) = request.max_tokens {
            span.metadata("max_tokens", tokens);
        }
        if let Some(temperature) = request.temperature {
            span.metadata("temperature", temperature);
        }
        if let Some(effort) = request.reasoning_effort.and_then(effort) {
            span.metadata("reasoning_effort", effort);
        }
        span
    }
}

fn effort(effort: ReasoningEffort) -> Option<&'static str> {
    match effort {
        ReasoningEffort::Low => Some("low"),
        ReasoningEffort::Medium => Some("medium"),
        ReasoningEffort::High => Some("high"),
        _ => None,
    }
}

#[async_trait]
impl<M: ChatModel + ?Sized> ChatModel for ObservedModel<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let span = self.span(request);
        if span.id().is_none() {
            return self.model.stream(request).await;
        }
        // Dropped with this future, it says that the question was cancelled.
        let mut call = Call::new(span);
        match self.model.stream(request).in_span(call.handle()).await {
            Ok(reply) => Ok(Box::pin(Observed::new(reply, call))),
            Err(error) => {
                call.fail(&error);
                call.end();
                Err(error)
            }
        }
    }
}

impl<M: ?Sized> Clone for ObservedModel<M> {
    fn clone(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            recorder: self.recorder.clone(),
            parent: self.parent.clone(),
            named: self.named.clone(),
        }
    }
}

impl<M: fmt::Debug + ?Sized> fmt::Debug for ObservedModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedModel")
            .field("model", &&*self.model)
            .field("recorder", &self.recorder)
            .finish_non_exhaustive()
    }
}
