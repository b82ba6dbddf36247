//! A turn of a conversation as a step machine: what to ask the model, which tools to run, when to
//! end. No IO, no clock, no task: a driver does what the [`Step`] says and feeds back what came.
//!
//! # Steps
//!
//! ```text
//!            +--------------- answer_tools ----------------+
//!            v                                             |
//!  new -> AskModel -- event* -- end_reply -> RunTools -----+
//!            |                      |
//!            |                      +-----> Done
//!            +-- stop (cancelled, out of time) --> Done
//! ```
//!
//! [`Turn::step`] may be called again and again: it says the same until something is fed back.
//!
//! # What holds whatever the model does
//!
//! - Every tool call that [`Turn::end_reply`] hands out to be stored is answered by the message
//!   that [`Turn::answer_tools`] or [`Turn::stop`] hands out: by the tool, or by a sentence that
//!   says why it did not run.
//! - Calls have distinct ids within a message, names of letters, digits, `_` and `-`, and an object
//!   as arguments, so that every provider takes the history back.
//! - Questions to the model, tool calls, tokens and cost are limited by [`Limits`]. In the last
//!   question the model is told to answer with what it has; calls that it still makes are left out.
//! - A reply that was cut keeps its text, and no tool call: its arguments may be cut as well.

mod history;
mod limits;
mod reply;
#[cfg(test)]
mod tests;

use opik_core::chat::{ChatEvent, ChatRequest, ModelErrorKind, ReasoningEffort, ToolSpec};
use opik_core::session::{ToolCall, ToolResult};
use opik_core::{Json, Message, Part, Role, Usage};
use serde::{Deserialize, Serialize};

pub use history::conversation;
pub use limits::{Limit, Limits, Prices};
pub use reply::Delta;
pub(crate) use reply::INVALID;

use reply::Reply;

/// Added to the instructions of the last question.
const LAST: &str = "\n\nNo further tool call is possible in this turn. Answer now with what is known, and say what \
is missing.";

/// Everything that a turn begins with.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TurnInput {
    /// What the model is told about its work, with the evidence.
    pub instructions: String,
    /// The conversation so far; see [`conversation`].
    pub history: Vec<Message>,
    /// The question.
    pub question: String,
    /// Tools that the model may ask for.
    pub tools: Vec<ToolSpec>,
    /// What the turn may use up.
    pub limits: Limits,
    /// Most tokens of a reply; the provider's limit where absent.
    pub max_tokens: Option<u32>,
    /// Randomness; the provider's default where absent.
    pub temperature: Option<f32>,
    /// How much to think; the provider's default where absent.
    pub reasoning_effort: Option<ReasoningEffort>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Ask the model, feed its events to [`Turn::event`] and then call [`Turn::end_reply`].
    AskModel(ChatRequest),
    /// Run these tools and call [`Turn::answer_tools`].
    RunTools(Vec<ToolCall>),
    /// Nothing: the turn is over.
    Done(Ended),
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// The model answered.
    Answered,
    /// The model answered, and its text was cut at the provider's limit of tokens.
    CutOff,
    /// The provider withheld the reply, or the rest of it.
    Withheld,
    /// The model said nothing.
    Silent,
    /// A limit was reached.
    Limited(Limit),
    /// It was cancelled.
    Cancelled,
    /// The model failed.
    ModelFailed(ModelErrorKind),
}

/// A whole reply, to be stored and shown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Said {
    /// Text and tool calls; `None` when there is neither.
    pub message: Option<Message>,
    /// Why the turn ends with it; `None` when it goes on.
    pub ended: Option<Ended>,
}

/// What a turn has used up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Spent {
    /// Questions to the model that were answered or failed.
    pub rounds: usize,
    /// Tools that ran.
    pub tool_calls: usize,
    /// Tokens of all prompts.
    pub prompt_tokens: i64,
    /// Tokens of all replies.
    pub completion_tokens: i64,
    /// All tokens.
    pub total_tokens: i64,
    /// US dollars; 0 where no prices are known.
    pub dollars: f64,
}

#[derive(Debug)]
enum State {
    /// The model is to be asked.
    Ready,
    /// A reply is arriving.
    Asking(Reply),
    /// Tools are to run: those that may, and all that must be answered.
    Tools {
        allowed: Vec<ToolCall>,
        all: Vec<ToolCall>,
    },
    Done(Ended),
}

/// A turn of a conversation. See the [module](self) for how it goes.
///
/// ```
/// use opik_assist::turn::{Ended, Step, Turn, TurnInput};
/// use opik_core::ChatEvent;
/// use opik_core::chat::FinishReason;
///
/// let mut input = TurnInput::default();
/// input.question = "Why?".to_owned();
/// let mut turn = Turn::new(input);
/// assert!(matches!(turn.step(), Step::AskModel(_)));
/// turn.event(ChatEvent::Text("Because.".to_owned()));
/// turn.event(ChatEvent::Finish(FinishReason::Stop));
/// let said = turn.end_reply(Ok(()));
/// assert_eq!(said.message.map(|message| message.words()).as_deref(), Some("Because."));
/// assert_eq!(turn.step(), Step::Done(Ended::Answered));
/// ```
#[derive(Debug)]
pub struct Turn {
    input: TurnInput,
    /// What was said in this turn, question first.
    messages: Vec<Message>,
    spent: Spent,
    state: State,
    /// Whether the reply that failed had said nothing, so that it can be asked for again.
    can_retry: bool,
}

impl Turn {
    /// A turn that has not begun.
    #[must_use]
    pub fn new(input: TurnInput) -> Self {
        let question = if input.question.trim().is_empty() {
            "Give a summary."
        } else {
            &input.question
        };
        Self {
            messages: vec![Message::text(Role::User, question)],
            input,
            spent: Spent::default(),
            state: State::Ready,
            can_retry: false,
        }
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        if matches!(self.state, State::Ready) {
            if let Some(limit) = self.reached() {
                self.state = State::Done(Ended::Limited(limit));
            } else {
                self.state = State::Asking(Reply::new(self.input.limits.reply));
            }
        }
        match &self.state {
            State::Ready | State::Asking(_) => Step::AskModel(self.request()),
            State::Tools { allowed, .. } => Step::RunTools(allowed.clone()),
            State::Done(ended) => Step::Done(*ended),
        }
    }

    /// Takes a piece of the reply, and says what of it can be shown at once.
    pub fn event(&mut self, event: ChatEvent) -> Option<Delta> {
        match &mut self.state {
            State::Asking(reply) => reply.event(event),
            State::Ready | State::Tools { .. } | State::Done(_) => None,
        }
    }

    /// Whether the reply is as long as it may be, so that reading can stop.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(&self.state, State::Asking(reply) if reply.is_full())
    }

    /// The reply has ended, as it should or with an error.
    pub fn end_reply(&mut self, result: Result<(), ModelErrorKind>) -> Said {
        let State::Asking(reply) = std::mem::replace(&mut self.state, State::Ready) else {
            return Said {
                message: None,
                ended: None,
            };
        };
        self.spent.rounds += 1;
        self.count(reply.usage());
        self.can_retry = result.is_err() && reply.is_empty();
        let whole = reply.into_whole(result);
        let mut ended = whole.ended;
        let mut calls = whole.calls;
        if !calls.is_empty() && ended.is_none() {
            if self.is_last(self.spent.rounds) {
                calls.clear();
                ended = Some(Ended::Limited(self.last_limit()));
            }
        } else if ended.is_none() {
            ended = Some(if whole.text.trim().is_empty() {
                Ended::Silent
            } else {
                Ended::Answered
            });
        } else {
            calls.clear();
        }
        let mut parts = Vec::with_capacity(1 + calls.len());
        if !whole.text.trim().is_empty() {
            parts.push(Part::Text(whole.text));
        }
        parts.extend(calls.iter().cloned().map(Part::ToolCall));
        let message = (!parts.is_empty()).then(|| Message::new(Role::Assistant, parts));
        self.messages.extend(message.clone());
        self.state = match ended {
            Some(ended) => State::Done(ended),
            None => {
                let left = self.input.limits.tool_calls - self.spent.tool_calls;
                State::Tools {
                    allowed: calls.iter().take(left).cloned().collect(),
                    all: calls,
                }
            }
        };
        Said { message, ended }
    }

    /// Asks again after a reply that failed before it said anything; `false` when there is no such
    /// reply. The failed question counts as no round.
    pub fn retry(&mut self) -> bool {
        if !self.can_retry {
            return false;
        }
        self.can_retry = false;
        self.spent.rounds = self.spent.rounds.saturating_sub(1);
        self.state = State::Ready;
        true
    }

    /// Takes what the tools answered, in any order, and returns the message to be stored: one answer
    /// for each call, in the order of the calls.
    pub fn answer_tools(&mut self, results: Vec<ToolResult>) -> Message {
        let (ran, all) = match std::mem::replace(&mut self.state, State::Ready) {
            State::Tools { allowed, all } => (allowed.len(), all),
            other => {
                self.state = other;
                (0, Vec::new())
            }
        };
        self.spent.tool_calls += ran;
        let why = "not run: the limit of tool calls of this turn is reached";
        let message = answers(&all, results, why);
        self.messages.push(message.clone());
        message
    }

    /// Ends the turn from outside, and returns what is left to be stored: the text so far, or an
    /// answer for each tool call that has none.
    pub fn stop(&mut self, ended: Ended) -> Option<Message> {
        let state = std::mem::replace(&mut self.state, State::Done(ended));
        let message = match state {
            State::Ready => None,
            State::Asking(reply) => {
                self.spent.rounds += 1;
                self.count(reply.usage());
                let whole = reply.into_whole(Ok(()));
                let has_text = !whole.text.trim().is_empty();
                has_text.then(|| Message::text(Role::Assistant, whole.text))
            }
            State::Tools { all, .. } => {
                let why = "not run: the turn ended before";
                Some(answers(&all, Vec::new(), why))
            }
            State::Done(before) => {
                self.state = State::Done(before);
                None
            }
        };
        self.messages.extend(message.clone());
        message
    }

    /// What was used up so far.
    #[must_use]
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// What was said in this turn so far, the question first.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    fn request(&self) -> ChatRequest {
        let mut instructions = self.input.instructions.clone();
        if self.is_last(self.spent.rounds + 1) && !self.input.tools.is_empty() {
            instructions.push_str(LAST);
        }
        let mut messages = Vec::with_capacity(1 + self.input.history.len() + self.messages.len());
        if !instructions.is_empty() {
            messages.push(Message::text(Role::System, instructions));
        }
        messages.extend(self.input.history.iter().cloned());
        messages.extend(self.messages.iter().cloned());
        let mut request = ChatRequest::new(messages);
        request.tools.clone_from(&self.input.tools);
        request.max_tokens = self.input.max_tokens;
        request.temperature = self.input.temperature;
        request.reasoning_effort = self.input.reasoning_effort;
        request
    }

    /// Whether tools cannot be run after this question.
    fn is_last(&self, round: usize) -> bool {
        let limits = &self.input.limits;
        round >= limits.rounds || self.spent.tool_calls >= limits.tool_calls
    }

    /// The limit that makes a question the last one.
    fn last_limit(&self) -> Limit {
        if self.spent.tool_calls >= self.input.limits.tool_calls {
            Limit::ToolCalls
        } else {
            Limit::Rounds
        }
    }

    /// A limit that forbids another question.
    fn reached(&self) -> Option<Limit> {
        let (limits, spent) = (&self.input.limits, &self.spent);
        if spent.rounds >= limits.rounds {
            Some(Limit::Rounds)
        } else if limits.tokens.is_some_and(|most| spent.total_tokens >= most) {
            Some(Limit::Tokens)
        } else if limits.cost.is_some_and(|(most, _)| spent.dollars >= most) {
            Some(Limit::Cost)
        } else {
            None
        }
    }

    fn count(&mut self, usage: &Usage) {
        let number = |tokens: Option<i64>| tokens.unwrap_or(0).max(0);
        let (prompt, completion) = (usage.prompt_tokens(), usage.completion_tokens());
        let spent = &mut self.spent;
        spent.prompt_tokens = spent.prompt_tokens.saturating_add(number(prompt));
        spent.completion_tokens = spent.completion_tokens.saturating_add(number(completion));
        spent.total_tokens = spent
            .total_tokens
            .saturating_add(number(usage.total_tokens()));
        spent.dollars = self
            .input
            .limits
            .dollars(spent.prompt_tokens, spent.completion_tokens);
    }
}

/// One answer for each call, in the order of the calls; `why` for those that have none.
fn answers(calls: &[ToolCall], mut results: Vec<ToolResult>, why: &str) -> Message {
    let mut parts = Vec::with_capacity(calls.len());
    for call in calls {
        let found = results.iter().position(|result| result.id == call.id);
        let result = match found {
            Some(at) => {
                let mut result = results.swap_remove(at);
                result.name.clone_from(&call.name);
                result
            }
            None => unanswered(call, why),
        };
        parts.push(Part::ToolResult(result));
    }
    Message::new(Role::Tool, parts)
}

/// The answer to a call that has none.
pub(crate) fn unanswered(call: &ToolCall, why: &str) -> ToolResult {
    ToolResult {
        id: call.id.clone(),
        name: call.name.clone(),
        content: Json::from_value(&serde_json::json!({ "error": why })),
        is_error: true,
    }
}
