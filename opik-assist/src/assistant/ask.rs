//! A question, and why it may not be taken.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opik_core::chat::ReasoningEffort;
use opik_core::session::State;
use opik_core::{ChatModel, SessionError, SessionKey, SourceError, SpanId, TraceId, TraceSource};

use crate::turn::Limits;

/// Which model answers.
#[derive(Debug, Clone, Default)]
pub(super) enum Choice {
    /// The assistant's own, if it has one.
    #[default]
    Default,
    /// This one.
    Model(Arc<dyn ChatModel>),
    /// None: the answer is computed.
    None,
}

/// What becomes of a question while another turn of its session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenBusy {
    /// It is refused with [`AskError::Busy`].
    #[default]
    Refuse,
    /// It waits for its place, first come, first served.
    Queue,
}

/// What becomes of a turn whose model fails, or says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenModelFails {
    /// The question is answered from the evidence, and the answer says so.
    #[default]
    ComputeAnswer,
    /// The turn fails.
    Fail,
}

/// A question about a trace.
///
/// ```
/// use opik_assist::Ask;
/// use opik_core::{SessionKey, TraceId};
///
/// let session = SessionKey::new("trace-analyzer", "ada", "session 1");
/// let ask = Ask::new(session, TraceId::generate(), "Why is it slow?").streaming(false);
/// assert_eq!(ask.question(), "Why is it slow?");
/// ```
#[derive(Clone)]
pub struct Ask {
    pub(super) session: SessionKey,
    pub(super) trace: TraceId,
    pub(super) question: String,
    pub(super) streaming: bool,
    pub(super) source: Option<Arc<dyn TraceSource>>,
    pub(super) model: Choice,
    pub(super) other: Option<TraceId>,
    pub(super) spans: Option<(SpanId, SpanId)>,
    pub(super) state: State,
    pub(super) in_new_session: bool,
    pub(super) limits: Option<Limits>,
    pub(super) effort: Option<ReasoningEffort>,
    pub(super) grace: Option<Option<Duration>>,
    pub(super) busy: Option<WhenBusy>,
    pub(super) fails: Option<WhenModelFails>,
}

impl fmt::Debug for Ask {
    /// Ids and sizes, not the question.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("session", &self.session)
            .field("trace", &self.trace)
            .field("question", &self.question.len())
            .field("streaming", &self.streaming)
            .field("model", &self.model)
            .field("other", &self.other)
            .field("spans", &self.spans)
            .finish_non_exhaustive()
    }
}

impl Ask {
    /// A question about a trace, in a conversation. It streams.
    #[must_use]
    pub fn new(session: SessionKey, trace: TraceId, question: impl Into<String>) -> Self {
        Self {
            session,
            trace,
            question: question.into(),
            streaming: true,
            source: None,
            model: Choice::Default,
            other: None,
            spans: None,
            state: State::new(),
            in_new_session: false,
            limits: None,
            effort: None,
            grace: None,
            busy: None,
            fails: None,
        }
    }

    /// The question.
    #[must_use]
    pub fn question(&self) -> &str {
        &self.question
    }

    /// Whether words are told as they arrive (the default), or only whole replies.
    #[must_use]
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.streaming = streaming;
        self
    }

    /// Where the trace is read, for example with the identity of the user who asks.
    #[must_use]
    pub fn source(mut self, source: Arc<dyn TraceSource>) -> Self {
        self.source = Some(source);
        self
    }

    /// The model that answers, for example with the identity of the user who asks.
    #[must_use]
    pub fn model(mut self, model: Arc<dyn ChatModel>) -> Self {
        self.model = Choice::Model(model);
        self
    }

    /// Asks no model: the answer is computed from the evidence.
    #[must_use]
    pub fn without_model(mut self) -> Self {
        self.model = Choice::None;
        self
    }

    /// A second trace, for questions about differences.
    #[must_use]
    pub fn compared_with(mut self, other: TraceId) -> Self {
        self.other = Some(other);
        self
    }

    /// Two spans, for questions about differences: the first of the trace, the second of the second
    /// trace where there is one and it has it, else of the trace.
    #[must_use]
    pub fn between(mut self, first: SpanId, second: SpanId) -> Self {
        self.spans = Some((first, second));
        self
    }

    /// What the session remembers from its beginning. It counts when this question makes the
    /// session.
    #[must_use]
    pub fn initial_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// The session is not there yet as far as the caller knows, who has just looked: it is made without
    /// looking again. Should it be there after all, the question is appended to it.
    #[must_use]
    pub fn in_new_session(mut self, is_new: bool) -> Self {
        self.in_new_session = is_new;
        self
    }

    /// Other limits than the assistant's.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// How much the model should think.
    #[must_use]
    pub fn reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// How long the turn goes on when nobody listens any longer; `None` for to its end.
    #[must_use]
    pub fn grace(mut self, grace: Option<Duration>) -> Self {
        self.grace = Some(grace);
        self
    }

    /// What happens while another turn of the session runs.
    #[must_use]
    pub fn when_busy(mut self, what: WhenBusy) -> Self {
        self.busy = Some(what);
        self
    }

    /// What happens when the model fails.
    #[must_use]
    pub fn when_model_fails(mut self, what: WhenModelFails) -> Self {
        self.fails = Some(what);
        self
    }
}

/// Why a question was not taken. Nothing is stored then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Neither the question nor the assistant says where traces are read.
    #[error("no trace source; give one to the assistant or to the question")]
    NoSource,
    /// The trace does not exist, or not for this user.
    #[error("there is no trace {0}")]
    NoSuchTrace(TraceId),
    /// A span to compare does not exist.
    #[error("there is no span {0} in the traces of the question")]
    NoSuchSpan(SpanId),
    /// The trace cannot be read.
    #[error("cannot read the trace")]
    Source(#[source] SourceError),
    /// The conversation cannot be read or written.
    #[error("cannot read or write the conversation")]
    Sessions(#[source] SessionError),
    /// Another turn of the session runs.
    #[error("the turn {turn} of this session is running; join it, or ask when it is over")]
    Busy {
        /// That turn.
        turn: String,
    },
    /// Too many turns run, or wait for their session.
    #[error("{limit} turns are running or waiting; ask again later")]
    TooMany {
        /// How many may.
        limit: usize,
    },
    /// The question is too long.
    #[error("the question has more than {limit} characters")]
    TooLong {
        /// How many it may have.
        limit: usize,
    },
    /// It was cancelled before it was taken, or its time was over.
    #[error("the question was cancelled before it was taken")]
    Cancelled,
    /// The assistant was shut down.
    #[error("the assistant is shut down")]
    ShutDown,
    /// A defect of this crate.
    #[error("the turn ended unexpectedly")]
    Internal,
}
