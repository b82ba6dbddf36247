//! How an assistant is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opik_core::chat::ReasoningEffort;
use opik_core::{ChatModel, SessionStore, Timestamp, TraceSource};
use tokio_util::task::TaskTracker;

use super::ask::{WhenBusy, WhenModelFails};
use super::citation::SpanStyle;
use super::live::Replay;
use super::registry::Registry;
use super::{Assistant, Inner};
use crate::prompt::Prompter;
use crate::turn::Limits;

/// Reads the time.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What an assistant works with.
pub(super) struct Config {
    pub(super) app: String,
    pub(super) agent: String,
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) source: Option<Arc<dyn TraceSource>>,
    pub(super) model: Option<Arc<dyn ChatModel>>,
    pub(super) instructions: String,
    pub(super) prompter: Prompter,
    pub(super) limits: Limits,
    pub(super) context_tokens: usize,
    pub(super) max_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) effort: Option<ReasoningEffort>,
    pub(super) grace: Option<Duration>,
    pub(super) busy: WhenBusy,
    pub(super) fails: WhenModelFails,
    pub(super) marks: bool,
    pub(super) spans: SpanStyle,
    pub(super) retries: u32,
    pub(super) max_turns: usize,
    pub(super) max_spans: usize,
    pub(super) source_time: Duration,
    pub(super) store_time: Duration,
    pub(super) keep: Duration,
    pub(super) replay: Replay,
    pub(super) clock: Clock,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("app", &self.app)
            .field("agent", &self.agent)
            .field("sessions", &self.sessions)
            .field("source", &self.source)
            .field("model", &self.model)
            .field("limits", &self.limits)
            .field("context_tokens", &self.context_tokens)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// Sets up an [`Assistant`]; see [`Assistant::builder`].
#[derive(Debug)]
pub struct AssistantBuilder(Config);

impl Assistant {
    /// An assistant that keeps its conversations in this store.
    ///
    /// Without further ado its app is `trace-analyzer` and its agent `data_analyzer`, it has neither
    /// source nor model, and the limits and times are the defaults that the methods name.
    #[must_use]
    pub fn builder(sessions: Arc<dyn SessionStore>) -> AssistantBuilder {
        AssistantBuilder(Config {
            app: "trace-analyzer".to_owned(),
            agent: "data_analyzer".to_owned(),
            sessions,
            source: None,
            model: None,
            instructions: String::new(),
            prompter: Prompter::default(),
            limits: Limits::default(),
            context_tokens: 8_000,
            max_tokens: None,
            temperature: None,
            effort: None,
            grace: Some(Duration::from_secs(30)),
            busy: WhenBusy::default(),
            fails: WhenModelFails::default(),
            marks: true,
            spans: SpanStyle::default(),
            retries: 2,
            max_turns: 1_024,
            max_spans: 200_000,
            source_time: Duration::from_secs(30),
            store_time: Duration::from_secs(15),
            keep: Duration::from_secs(60),
            replay: Replay {
                events: 16_384,
                bytes: 4 << 20,
            },
            clock: Arc::new(Timestamp::now),
        })
    }
}

impl AssistantBuilder {
    /// The name of the application, for [`Assistant::session_key`].
    #[must_use]
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.0.app = name.into();
        self
    }

    /// The name under which the assistant speaks: the author of its events.
    #[must_use]
    pub fn agent(mut self, name: impl Into<String>) -> Self {
        self.0.agent = name.into();
        self
    }

    /// Where traces are read, unless a question says otherwise.
    #[must_use]
    pub fn source(mut self, source: Arc<dyn TraceSource>) -> Self {
        self.0.source = Some(source);
        self
    }

    /// The model that answers, unless a question says otherwise. Without one answers are computed.
    #[must_use]
    pub fn model(mut self, model: Arc<dyn ChatModel>) -> Self {
        self.0.model = Some(model);
        self
    }

    /// Further instructions for the model, after the assistant's own.
    #[must_use]
    pub fn instructions(mut self, text: impl Into<String>) -> Self {
        self.0.instructions = text.into();
        self
    }

    /// What a turn may use up.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// How many tokens of evidence the model is given at the beginning: 8,000 by default, at
    /// least 500.
    #[must_use]
    pub fn context_tokens(mut self, tokens: usize) -> Self {
        self.0.context_tokens = tokens.max(500);
        self
    }

    /// Most tokens of one reply; the provider's limit by default.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.0.max_tokens = Some(tokens);
        self
    }

    /// Randomness of replies; the provider's default by default.
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.0.temperature = Some(temperature);
        self
    }

    /// How much the model should think; the provider's default by default.
    #[must_use]
    pub fn reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.0.effort = Some(effort);
        self
    }

    /// How long a turn goes on when nobody listens any longer: 30 s by default; `None` for to its
    /// end.
    #[must_use]
    pub fn grace(mut self, grace: Option<Duration>) -> Self {
        self.0.grace = grace;
        self
    }

    /// What becomes of a question while another turn of its session runs: refused by default.
    #[must_use]
    pub fn when_busy(mut self, what: WhenBusy) -> Self {
        self.0.busy = what;
        self
    }

    /// What becomes of a turn whose model fails: a computed answer by default.
    #[must_use]
    pub fn when_model_fails(mut self, what: WhenModelFails) -> Self {
        self.0.fails = what;
        self
    }

    /// Whether an answer ends with a sentence about the numbers and ids in it that were not found in
    /// the evidence; true by default. [`WholeMessage::check`](super::WholeMessage::check) tells in
    /// any case.
    #[must_use]
    pub fn mark_unverified(mut self, marks: bool) -> Self {
        self.0.marks = marks;
        self
    }

    /// How spans are named in answers of a model: by the labels of its context by default.
    #[must_use]
    pub fn span_style(mut self, style: SpanStyle) -> Self {
        self.0.spans = style;
        self
    }

    /// How often a question to the model is repeated that failed before its reply began, where that
    /// may help: twice by default.
    #[must_use]
    pub fn model_retries(mut self, retries: u32) -> Self {
        self.0.retries = retries;
        self
    }

    /// How many turns may run or wait at once: 1,024 by default.
    #[must_use]
    pub fn max_turns(mut self, turns: usize) -> Self {
        self.0.max_turns = turns.max(1);
        self
    }

    /// How many spans of a trace are read: 200,000 by default.
    #[must_use]
    pub fn max_spans(mut self, spans: usize) -> Self {
        self.0.max_spans = spans.max(1);
        self
    }

    /// How long reading a trace may take: 30 s by default.
    #[must_use]
    pub fn source_time(mut self, time: Duration) -> Self {
        self.0.source_time = time;
        self
    }

    /// How long one call of the session store may take: 15 s by default.
    #[must_use]
    pub fn store_time(mut self, time: Duration) -> Self {
        self.0.store_time = time;
        self
    }

    /// How long a turn that is over can be joined: 60 s by default. Of many or large ones it is less: the
    /// last 256 are kept, and of their events 64 MiB.
    #[must_use]
    pub fn keep_finished(mut self, time: Duration) -> Self {
        self.0.keep = time;
        self
    }

    /// How much of a turn is kept for listeners: 16,384 events and 4 MiB by default.
    #[must_use]
    pub fn replay(mut self, events: usize, bytes: usize) -> Self {
        self.0.replay = Replay {
            events: events.max(16),
            bytes: bytes.max(4_096),
        };
        self
    }

    /// The clock for the times of events; the system's by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.0.clock = Arc::new(clock);
        self
    }

    /// The assistant.
    #[must_use]
    pub fn build(self) -> Assistant {
        Assistant(Arc::new(Inner {
            config: self.0,
            registry: Registry::default(),
            tracker: TaskTracker::new(),
        }))
    }
}
