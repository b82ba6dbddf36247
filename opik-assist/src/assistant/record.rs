//! How turns went, as their session keeps it.
//!
//! The last event of a turn carries its [`Outcome`] as a change of the session's state, under one
//! key: every event of a log keeps its own, and the state has the one of the last turn. Both are what
//! ADK's tables have room for, so other programs read them, or pass over them.

use opik_core::session::State;
use opik_core::{Event, Message, Part, Role, SessionError, SessionKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Assistant;
use super::event::Outcome;

/// Under which the state has the last turn.
const TURN: &str = "turn";

/// A turn of a session, as its log tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TurnRecord {
    /// The turn, which is the `invocation_id` of its events.
    pub turn: String,
    /// When its question was stored.
    pub asked_at: Timestamp,
    /// The event of its question.
    pub question_id: String,
    /// The model that was asked; `None` when none was, or it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How it went and what it used up; `None` while it runs, for turns that were killed, and for those
    /// of other programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What an event keeps.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The change of state by which an event keeps the outcome of its turn.
pub(super) fn state(model: Option<&str>, outcome: &Outcome) -> State {
    let kept = Kept {
        model: model.map(str::to_owned),
        outcome: outcome.clone(),
    };
    let value = serde_json::to_value(kept).unwrap_or_default();
    State::from_iter([(TURN.to_owned(), value)])
}

impl TurnRecord {
    /// The turns of a log, in the order of their questions.
    ///
    /// ```
    /// use opik_assist::assistant::TurnRecord;
    /// use opik_core::{Event, Message, Role, Timestamp};
    ///
    /// let question = Event::new("1", "turn 1", "user", Timestamp::now());
    /// let question = question.with_message(Message::text(Role::User, "Why?"));
    /// let turns = TurnRecord::all(&[question]);
    /// assert_eq!(turns[0].turn, "turn 1");
    /// assert!(turns[0].outcome.is_none());
    /// ```
    #[must_use]
    pub fn all(events: &[Event]) -> Vec<Self> {
        let mut turns: Vec<Self> = Vec::new();
        for event in events {
            let known = turns
                .iter_mut()
                .rev()
                .find(|turn| turn.turn == event.invocation_id);
            match known {
                None if event.message.as_ref().is_some_and(is_question) => turns.push(Self {
                    turn: event.invocation_id.clone(),
                    asked_at: event.timestamp,
                    question_id: event.id.clone(),
                    model: None,
                    outcome: None,
                }),
                None => {}
                Some(turn) => {
                    if let Some(kept) = kept(event) {
                        (turn.model, turn.outcome) = (kept.model, Some(kept.outcome));
                    }
                }
            }
        }
        turns
    }
}

/// Whether an event is an answer that was computed.
pub(super) fn is_computed(event: &Event) -> bool {
    kept(event).is_some_and(|kept| kept.outcome.computed)
}

fn kept(event: &Event) -> Option<Kept> {
    let value: &Value = event.state_delta.get(TURN)?;
    Kept::deserialize(value).ok()
}

/// Whether a user said it. The Python program tells answers of tools as a user's.
fn is_question(message: &Message) -> bool {
    let is_result = |part: &Part| matches!(part, Part::ToolResult(_));
    message.role == Role::User && !message.parts.iter().any(is_result)
}

impl Assistant {
    /// The turns of a session with how they went and what they used up, in order; `None` when there
    /// is no such session.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot tell.
    pub async fn turns(
        &self,
        session: &SessionKey,
    ) -> Result<Option<Vec<TurnRecord>>, SessionError> {
        let events = self.history(session).await?;
        Ok(events.map(|events| TurnRecord::all(&events)))
    }
}
