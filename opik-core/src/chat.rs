//! Talking to a language model: the [`ChatModel`] trait.
//!
//! A reply is always a stream of [`ChatEvent`]s, also where a provider sends it at once, so that
//! there is one way to read it. Tool calls arrive whole: putting their pieces together is the
//! model's work. A stream that just stops is a defect, never an end.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use futures_core::Stream;

use crate::error::provider_error;
use crate::session::ToolCall;
use crate::{Json, Message, Usage};

/// A tool that the model may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToolSpec {
    /// Name, made of letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments: an object.
    pub parameters: Json,
}

/// How much a model should think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasoningEffort {
    /// A little.
    Low,
    /// Some.
    Medium,
    /// A lot.
    High,
}

/// One question to a model.
///
/// ```
/// use opik_core::{ChatRequest, Message, Role};
///
/// let mut request = ChatRequest::new(vec![Message::text(Role::User, "Why?")]);
/// request.max_tokens = Some(200);
/// assert!(request.tools.is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// Tools that the model may ask for.
    pub tools: Vec<ToolSpec>,
    /// Most tokens of the reply; the provider's limit where absent.
    pub max_tokens: Option<u32>,
    /// Randomness, 0 to 2; the provider's default where absent.
    pub temperature: Option<f32>,
    /// How much to think; the provider's default where absent.
    pub reasoning_effort: Option<ReasoningEffort>,
}

impl ChatRequest {
    /// A question without tools.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The model waits for its tool calls.
    ToolCalls,
    /// The reply reached its limit of tokens.
    Length,
    /// The provider withheld the reply.
    ContentFilter,
    /// A reason that this version does not know.
    Other(String),
}

/// A piece of a reply, in the order of arrival.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// Words to append.
    Text(String),
    /// The model's own notes to append.
    Reasoning(String),
    /// A whole request to run a tool.
    ToolCall(ToolCall),
    /// Token counts so far; the last one counts.
    Usage(Usage),
    /// The end; nothing follows but [`Usage`](Self::Usage).
    Finish(FinishReason),
}

impl fmt::Debug for ChatEvent {
    /// Sizes and names, not what was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Reasoning(text) => write!(f, "Reasoning({} bytes)", text.len()),
            Self::ToolCall(call) => f.debug_tuple("ToolCall").field(call).finish(),
            Self::Usage(usage) => f.debug_tuple("Usage").field(usage).finish(),
            Self::Finish(reason) => f.debug_tuple("Finish").field(reason).finish(),
        }
    }
}

/// A reply as it arrives. Dropping it cancels the call.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ChatEvent, ModelError>> + Send>>;

/// A language model that answers a list of messages.
///
/// Contract, checked by `opik_testkit::model_suite`:
/// - A reply is either ended by exactly one [`ChatEvent::Finish`] or by one error, never both and
///   never neither: a connection that breaks off is [`ModelErrorKind::Truncated`].
/// - Tool calls arrive whole, each once, with an id that is unique in the reply, before `Finish`;
///   where the provider gives no id, the model makes one.
/// - A refusal keeps its kind, whether it comes before the reply or in it.
/// - The concatenated text is the same however the provider cut it.
/// - Dropping the stream ends the call.
#[async_trait]
pub trait ChatModel: Send + Sync + fmt::Debug {
    /// The model's name, for example `openai/gpt-4.1`.
    fn name(&self) -> &str;

    /// Asks, and returns the reply as it arrives.
    ///
    /// # Errors
    /// [`ModelError`] when the provider refuses before the reply begins.
    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError>;
}

provider_error! {
    /// Why a [`ChatModel`] failed.
    ModelError,
    /// Kinds of failure of a [`ChatModel`].
    ModelErrorKind {
        /// The provider cannot be reached or failed.
        Unavailable,
        /// No answer, or none going on, within the time allowed.
        Timeout,
        /// Too many requests; see [`ModelError::retry_after`].
        RateLimited,
        /// Key not accepted.
        Unauthorized,
        /// The conversation is longer than the model takes.
        ContextTooLong,
        /// The request makes no sense to the provider.
        InvalidRequest,
        /// The reply broke off.
        Truncated,
        /// The reply is not what the protocol says.
        Protocol,
        /// A defect of the client.
        Internal,
    },
    retryable: Unavailable | Timeout | RateLimited | Truncated
}
