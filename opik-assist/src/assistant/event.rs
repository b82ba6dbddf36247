//! What a turn tells its listeners.

use std::time::Duration;

use opik_core::chat::ModelErrorKind;
use opik_core::session::SessionErrorKind;
use opik_core::{Json, SessionKey, SpanId, Timestamp, TraceId, Usage};
use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::finding::FindingId;
use crate::turn::{Ended, Limit, Spent};

/// Something that happened in a turn.
///
/// Positions count from 0 and grow by one. Events of one batch happened at once, with the same
/// `at`: a whole reply and the tools that it asks for, or the ends of all tools of a round.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TurnEvent {
    /// Its place in the turn.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// Whether no further event of the same batch follows.
    pub ends_batch: bool,
    /// What happened.
    #[serde(flatten)]
    pub kind: TurnEventKind,
}

/// What happened in a turn.
///
/// A turn begins with [`Started`](Self::Started) and ends with exactly one [`Done`](Self::Done).
#[derive(Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnEventKind {
    /// The trace was loaded and the question is stored.
    Started(Started),
    /// Words to append to the reply that is arriving. Only of turns that stream.
    Text {
        /// The words.
        text: String,
    },
    /// The model's own notes to append. Only of turns that stream. They are not stored.
    Reasoning {
        /// The notes.
        text: String,
    },
    /// A whole reply, which is stored; it takes the place of the words before.
    Message(WholeMessage),
    /// The model asked for a tool.
    ToolStarted {
        /// Joins start and end; unique within a reply.
        id: String,
        /// The tool.
        name: String,
        /// What the model wants of it, as it wrote it.
        arguments: Json,
    },
    /// A tool has answered, and the answer is stored.
    ToolFinished {
        /// The id of the start.
        id: String,
        /// The tool.
        name: String,
        /// Whether it failed; the model was told why.
        is_error: bool,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// What the provider counted for one question.
    Usage {
        /// Which question of the turn, from 1.
        round: usize,
        /// Token counts.
        usage: Usage,
        /// Milliseconds from the question to its first word, note or tool call.
        first_token_millis: Option<u64>,
    },
    /// The turn failed; [`Done`](Self::Done) follows.
    Failed(Failed),
    /// This listener was too slow or came too late: so many events are no longer kept. Whole
    /// replies are in the session.
    Missed {
        /// How many.
        events: u64,
    },
    /// The turn is over.
    Done(Outcome),
}

impl std::fmt::Debug for TurnEventKind {
    /// Kinds, ids and sizes, not what was said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started(started) => f.debug_tuple("Started").field(started).finish(),
            Self::Text { text } => write!(f, "Text({} bytes)", text.len()),
            Self::Reasoning { text } => write!(f, "Reasoning({} bytes)", text.len()),
            Self::Message(message) => f.debug_tuple("Message").field(message).finish(),
            Self::ToolStarted { id, name, .. } => write!(f, "ToolStarted({name} {id})"),
            Self::ToolFinished {
                id, name, is_error, ..
            } => {
                write!(f, "ToolFinished({name} {id}, is_error: {is_error})")
            }
            Self::Usage { round, usage, .. } => write!(f, "Usage({round}, {usage:?})"),
            Self::Failed(failed) => f.debug_tuple("Failed").field(failed).finish(),
            Self::Missed { events } => write!(f, "Missed({events})"),
            Self::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
        }
    }
}

/// The beginning of a turn.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Started {
    /// The turn, which is the `invocation_id` of its events in the session.
    pub turn: String,
    /// The conversation.
    pub session: SessionKey,
    /// The event of the question in the session.
    pub question_id: String,
    /// The trace that it is about.
    pub trace: TraceId,
    /// How many spans were read.
    pub spans: usize,
    /// Whether the trace has more spans than may be read.
    pub spans_left_out: bool,
    /// The model that is asked; `None` when the answer is computed.
    pub model: Option<String>,
}

/// A whole reply.
#[derive(Clone, Serialize)]
#[non_exhaustive]
pub struct WholeMessage {
    /// The event of the reply in the session.
    pub event_id: String,
    /// Who speaks: the name of the agent.
    pub author: String,
    /// What is said.
    pub text: String,
    /// Whether it was computed from the evidence, without a model.
    pub computed: bool,
    /// Whether no tools follow: it is the last one of the turn.
    pub is_final: bool,
    /// Whether it breaks off.
    pub is_cut: bool,
    /// The spans that it names.
    pub spans: Vec<SpanId>,
    /// The findings that it names.
    pub findings: Vec<FindingId>,
    /// What became of the numbers and ids in it; `None` for computed answers, which are made of
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl std::fmt::Debug for WholeMessage {
    /// Ids and sizes, not what is said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WholeMessage")
            .field("event_id", &self.event_id)
            .field("text", &self.text.len())
            .field("computed", &self.computed)
            .field("is_final", &self.is_final)
            .field("is_cut", &self.is_cut)
            .finish_non_exhaustive()
    }
}

/// A failure of a turn, in words that can be shown to its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Failed {
    /// What kind it is.
    pub kind: FailureKind,
    /// A sentence for people. It names no address, key or organisation, and nothing that a provider
    /// said.
    pub message: String,
    /// How many milliseconds the other side asks to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_millis: Option<u64>,
}

/// How a turn went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub end: TurnEnd,
    /// What failed. Also set when the answer was computed because the model failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// The limit that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Whether the answer was computed from the evidence, without a model.
    pub computed: bool,
    /// The event of the answer in the session, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// How many numbers and ids of the answer were not found in the evidence.
    pub unverified: usize,
    /// What was used up.
    pub spent: Spent,
    /// Milliseconds from the question to the end.
    pub millis: u64,
    /// Milliseconds from the first question to the model to its first word, note or tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_millis: Option<u64>,
    /// How many milliseconds the provider asked to wait when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_millis: Option<u64>,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnEnd {
    /// With an answer.
    Answered,
    /// With an answer that breaks off, by the provider's limit or because it was withheld.
    CutOff,
    /// At a limit, with what there was.
    Limited,
    /// Cancelled, with what there was.
    Cancelled,
    /// With a failure.
    Failed,
}

/// Kinds of failure of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The model cannot be reached.
    ModelUnavailable,
    /// The model does not answer in time.
    ModelTimeout,
    /// The provider asks for fewer requests.
    ModelRateLimited,
    /// The provider does not accept the key.
    ModelUnauthorized,
    /// The conversation is too long for the model.
    ModelContextTooLong,
    /// The provider does not take the request.
    ModelRefused,
    /// The reply broke off.
    ModelTruncated,
    /// The reply makes no sense, or the client is defective.
    ModelBroken,
    /// The provider withheld the reply.
    Withheld,
    /// The model said nothing.
    Silent,
    /// The conversation cannot be stored.
    Sessions,
    /// The conversation was deleted meanwhile.
    SessionDeleted,
    /// Nobody listened any longer.
    Abandoned,
    /// Somebody cancelled it.
    Cancelled,
    /// The assistant was shut down.
    ShutDown,
    /// A defect.
    Internal,
}

impl FailureKind {
    /// The code under which it is stored.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ModelUnavailable => "MODEL_UNAVAILABLE",
            Self::ModelTimeout => "MODEL_TIMEOUT",
            Self::ModelRateLimited => "MODEL_RATE_LIMITED",
            Self::ModelUnauthorized => "MODEL_UNAUTHORIZED",
            Self::ModelContextTooLong => "MODEL_CONTEXT_TOO_LONG",
            Self::ModelRefused => "MODEL_REFUSED",
            Self::ModelTruncated => "MODEL_TRUNCATED",
            Self::ModelBroken => "MODEL_BROKEN",
            Self::Withheld => "WITHHELD",
            Self::Silent => "SILENT",
            Self::Sessions => "SESSIONS",
            Self::SessionDeleted => "SESSION_DELETED",
            Self::Abandoned => "ABANDONED",
            Self::Cancelled => "CANCELLED",
            Self::ShutDown => "SHUT_DOWN",
            Self::Internal => "INTERNAL",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::ModelUnavailable => "The language model cannot be reached. Try again later.",
            Self::ModelTimeout => "The language model did not answer in time. Try again later.",
            Self::ModelRateLimited => {
                "The language model's provider asks for fewer requests. Try again in a while."
            }
            Self::ModelUnauthorized => {
                "The language model's provider does not accept the key. Check the configuration."
            }
            Self::ModelContextTooLong => {
                "The conversation is too long for the language model. Begin a new one."
            }
            Self::ModelRefused => {
                "The language model's provider does not accept the request. Check the model's name."
            }
            Self::ModelTruncated => "The language model's reply broke off. Try again.",
            Self::ModelBroken => "The language model's reply cannot be used. Try again.",
            Self::Withheld => "The language model's provider withheld the reply.",
            Self::Silent => "The language model gave no answer.",
            Self::Sessions => "The conversation cannot be stored. Try again later.",
            Self::SessionDeleted => "The conversation was deleted meanwhile.",
            Self::Abandoned => "The turn was cancelled because nobody listened any longer.",
            Self::Cancelled => "The turn was cancelled.",
            Self::ShutDown => "The turn was cancelled because the program ends.",
            Self::Internal => "An internal error occurred. Try again.",
        }
    }

    pub(super) fn of_model(kind: ModelErrorKind) -> Self {
        match kind {
            ModelErrorKind::Unavailable => Self::ModelUnavailable,
            ModelErrorKind::Timeout => Self::ModelTimeout,
            ModelErrorKind::RateLimited => Self::ModelRateLimited,
            ModelErrorKind::Unauthorized => Self::ModelUnauthorized,
            ModelErrorKind::ContextTooLong => Self::ModelContextTooLong,
            ModelErrorKind::InvalidRequest => Self::ModelRefused,
            ModelErrorKind::Truncated => Self::ModelTruncated,
            _ => Self::ModelBroken,
        }
    }

    pub(super) fn of_sessions(kind: SessionErrorKind) -> Self {
        match kind {
            SessionErrorKind::NotFound => Self::SessionDeleted,
            _ => Self::Sessions,
        }
    }

    /// The failure that an end of the model's part means.
    pub(super) fn of_end(ended: Ended) -> Option<Self> {
        match ended {
            Ended::Withheld => Some(Self::Withheld),
            Ended::Silent => Some(Self::Silent),
            Ended::ModelFailed(kind) => Some(Self::of_model(kind)),
            Ended::Answered | Ended::CutOff | Ended::Limited(_) | Ended::Cancelled => None,
        }
    }

    pub(super) fn failed(self, retry_after_millis: Option<u64>) -> Failed {
        Failed {
            kind: self,
            message: self.message().to_owned(),
            retry_after_millis,
        }
    }
}

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
