//! Conversations that last: sessions, their events, and the [`SessionStore`] trait.
//!
//! A session is a log of [`Event`]s that only grows, and the [`Position`] at its end. Whoever
//! appends says which position is expected: when somebody else was faster, that is a conflict and
//! nothing is lost on either side. What a session remembers ([`State`]) is not stored apart from
//! the log but follows from it.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::provider_error;
use crate::{Json, Timestamp};

/// Values that a session remembers, by name.
pub type State = serde_json::Map<String, serde_json::Value>;

/// Names a session. All three parts together are unique, and compared to the letter: case, spaces
/// and accents count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    /// The application.
    pub app: String,
    /// The user, within the application.
    pub user: String,
    /// The session, within the user; at most 128 characters in the SQL stores.
    pub id: String,
}

impl SessionKey {
    /// A key of three parts.
    #[must_use]
    pub fn new(app: impl Into<String>, user: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            user: user.into(),
            id: id.into(),
        }
    }
}

/// How many events a session holds; the position of the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A session without its events.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// Its name.
    pub key: SessionKey,
    /// What it remembers: the initial state with every event's `state_delta` applied.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its last event was appended, or when it was made.
    pub updated_at: Timestamp,
    /// How many events it has.
    pub position: Position,
}

impl Session {
    /// A new session without events.
    #[must_use]
    pub fn new(key: SessionKey, state: State, now: Timestamp) -> Self {
        Self {
            key,
            state,
            created_at: now,
            updated_at: now,
            position: Position(0),
        }
    }
}

impl fmt::Debug for Session {
    /// Identifiers and sizes, not what is remembered.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.key)
            .field("state", &self.state.len())
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .field("position", &self.position)
            .finish()
    }
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// The instructions.
    System,
    /// The person, or the program that asks.
    User,
    /// The model.
    Assistant,
    /// A tool that answers a call.
    Tool,
}

/// A request of the model to run a tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolCall {
    /// Joins call and result; unique within a message.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Arguments as the model wrote them; they may be invalid for the tool.
    pub arguments: Json,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToolResult {
    /// The call's identifier.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The answer, or what went wrong.
    pub content: Json,
    /// Whether it failed.
    #[serde(default)]
    pub is_error: bool,
}

/// A part of a message.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Words.
    Text(String),
    /// The model's own notes, where the provider shows them.
    Reasoning(String),
    /// A request to run a tool.
    ToolCall(ToolCall),
    /// A tool's answer.
    ToolResult(ToolResult),
}

impl fmt::Debug for Part {
    /// Sizes and names, not what was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Reasoning(text) => write!(f, "Reasoning({} bytes)", text.len()),
            Self::ToolCall(call) => f.debug_tuple("ToolCall").field(call).finish(),
            Self::ToolResult(result) => f.debug_tuple("ToolResult").field(result).finish(),
        }
    }
}

/// What one side says at once.
///
/// ```
/// use opik_core::{Message, Role};
///
/// let question = Message::text(Role::User, "Why is this trace slow?");
/// assert_eq!(question.words(), "Why is this trace slow?");
/// assert_eq!(format!("{:?}", question.parts), "[Text(23 bytes)]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of several parts.
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts }
    }

    /// A message of words.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self::new(role, vec![Part::Text(text.into())])
    }

    /// All its words, without reasoning and tools.
    #[must_use]
    pub fn words(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

/// Something that happened in a session.
///
/// ```
/// use opik_core::{Event, Message, Role, Timestamp};
///
/// let event = Event::new("event-1", "turn-1", "user", Timestamp::now())
///     .with_message(Message::text(Role::User, "Why is this trace slow?"));
/// assert!(event.state_delta.is_empty());
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Unique within the session.
    pub id: String,
    /// The turn that it belongs to.
    pub invocation_id: String,
    /// Who caused it: `user`, `system` or the name of the agent.
    pub author: String,
    /// When.
    pub timestamp: Timestamp,
    /// What was said, if anything.
    pub message: Option<Message>,
    /// Values that the session remembers from now on; `null` forgets one.
    pub state_delta: State,
    /// Kind of the failure, when the turn failed here.
    pub error_code: Option<String>,
    /// A text for people about the failure.
    pub error_message: Option<String>,
}

impl Event {
    /// An event in which nothing was said yet.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        invocation_id: impl Into<String>,
        author: impl Into<String>,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            id: id.into(),
            invocation_id: invocation_id.into(),
            author: author.into(),
            timestamp,
            message: None,
            state_delta: State::new(),
            error_code: None,
            error_message: None,
        }
    }

    /// The same event with what was said.
    #[must_use]
    pub fn with_message(mut self, message: Message) -> Self {
        self.message = Some(message);
        self
    }
}

impl fmt::Debug for Event {
    /// Identifiers and sizes, not what was said or is remembered.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("invocation_id", &self.invocation_id)
            .field("author", &self.author)
            .field("timestamp", &self.timestamp)
            .field("message", &self.message)
            .field("state_delta", &self.state_delta.len())
            .field("error_code", &self.error_code)
            .finish_non_exhaustive()
    }
}

/// Keeps sessions: an append-only log of events each.
///
/// Contract, checked by `opik_testkit::session_suite`:
/// - [`append`](Self::append) takes all of the events or none, and only at the expected position;
///   otherwise it is a [`SessionErrorKind::Conflict`] and nothing changes. Of several that append
///   at once, exactly one wins.
/// - An event id that the session already has is a conflict, also within one call.
/// - Appending nothing at the expected position changes nothing.
/// - What was appended is read back equal and in order, also by another handle.
/// - `state` of a session is its first state with every delta applied in order: a value replaces
///   the one of its name whole, `null` forgets it.
/// - A deleted session is gone with its events; a new one of the same name begins at 0.
/// - Sessions of other users and applications are neither seen nor touched.
#[async_trait]
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Makes a session.
    ///
    /// # Errors
    /// [`SessionErrorKind::Conflict`] when it exists already.
    async fn create(&self, key: &SessionKey, state: &State) -> Result<Session, SessionError>;

    /// Makes a session with its first events.
    ///
    /// A store that can do both at once does: then there is either all of it or nothing. By default the
    /// session is made first, so that it may be there without the events when this fails.
    ///
    /// # Errors
    /// [`SessionErrorKind::Conflict`] when it exists already, or two events have one identifier.
    async fn create_with(
        &self,
        key: &SessionKey,
        state: &State,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        let session = self.create(key, state).await?;
        if events.is_empty() {
            return Ok(session.position);
        }
        self.append(key, session.position, events).await
    }

    /// A session without its events; `None` when there is none.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot tell.
    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError>;

    /// Appends events at the expected position and says the new one.
    ///
    /// # Errors
    /// [`SessionErrorKind::Conflict`] when the session is elsewhere,
    /// [`SessionErrorKind::NotFound`] when it does not exist.
    async fn append(
        &self,
        key: &SessionKey,
        expected: Position,
        events: &[Event],
    ) -> Result<Position, SessionError>;

    /// At most `limit` events from a position on, in order.
    ///
    /// # Errors
    /// [`SessionErrorKind::NotFound`] when the session does not exist.
    async fn events(
        &self,
        key: &SessionKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Event>, SessionError>;

    /// A user's sessions, the one changed last first.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot tell.
    async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError>;

    /// Deletes a session with its events; `false` when there was none.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot tell.
    async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError>;
}

provider_error! {
    /// Why a [`SessionStore`] failed.
    SessionError,
    /// Kinds of failure of a [`SessionStore`].
    SessionErrorKind {
        /// The session exists already, or is at another position than expected.
        Conflict,
        /// No such session.
        NotFound,
        /// The database cannot be reached or failed.
        Unavailable,
        /// No answer within the time allowed.
        Timeout,
        /// No room, or not writable.
        Storage,
        /// What was read is not what the format says.
        Corrupt,
        /// What is asked for cannot be done: a key that is too long, an address that is wrong, an
        /// access that is denied.
        Invalid,
        /// A defect of the store.
        Internal,
    },
    retryable: Unavailable | Timeout | Storage
}
