//! Conversations as they are stored: reading, listing, deleting, feedback.

use std::sync::Arc;
use std::time::Duration;

use opik_core::session::{Position, SessionErrorKind};
use opik_core::{Event, Session, SessionError, SessionKey};
use serde::{Deserialize, Serialize};

use super::event::FailureKind;
use super::log::{SessionLog, bounded};
use super::{Assistant, fresh_id};

/// Events that are read at once.
const PAGE: usize = 500;
/// How long the end of cancelled turns is waited for.
const ENDING: Duration = Duration::from_secs(5);
/// Under which the session remembers the last feedback.
const FEEDBACK: &str = "feedback";
/// Longest reason that is stored, in characters.
const REASON: usize = 2_000;

/// What a person thinks of a conversation or of one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Feedback {
    /// How good, for example 0 or 1.
    pub value: f64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The event of the answer that is meant; the conversation where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
}

impl Feedback {
    /// A value for the conversation.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self {
            value,
            reason: None,
            event_id: None,
        }
    }

    /// The same with a reason, of which 2,000 characters count.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same for one answer.
    #[must_use]
    pub fn about(mut self, event_id: impl Into<String>) -> Self {
        self.event_id = Some(event_id.into());
        self
    }
}

impl Assistant {
    /// The key of a session of this assistant's application.
    #[must_use]
    pub fn session_key(&self, user: impl Into<String>, id: impl Into<String>) -> SessionKey {
        SessionKey::new(self.0.config.app.clone(), user, id)
    }

    /// Everything that happened in a session, in order; `None` when there is no such session.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot tell.
    pub async fn history(&self, session: &SessionKey) -> Result<Option<Vec<Event>>, SessionError> {
        let config = &self.0.config;
        let store = &config.sessions;
        if bounded(config.store_time, store.session(session))
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let mut events: Vec<Event> = Vec::new();
        loop {
            let from = Position(events.len() as u64);
            let page = match bounded(config.store_time, store.events(session, from, PAGE)).await {
                // It was deleted in between.
                Err(error) if error.kind() == SessionErrorKind::NotFound => return Ok(None),
                page => page?,
            };
            let length = page.len();
            events.extend(page);
            if length < PAGE {
                return Ok(Some(events));
            }
        }
    }

    /// A user's sessions, the one changed last first.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot tell.
    pub async fn sessions(&self, user: &str) -> Result<Vec<Session>, SessionError> {
        let config = &self.0.config;
        bounded(config.store_time, config.sessions.list(&config.app, user)).await
    }

    /// Deletes a session, after its running turns were cancelled; `false` when there was none. Its turns
    /// can no longer be joined once they are over.
    ///
    /// # Errors
    /// [`SessionError`] when the store cannot do it.
    pub async fn delete(&self, session: &SessionKey) -> Result<bool, SessionError> {
        let running = self.0.registry.all_of(session);
        for live in &running {
            live.cancel(FailureKind::SessionDeleted);
        }
        let ended = async {
            for live in &running {
                live.over().await;
            }
        };
        // A turn that goes on for longer finds the session gone and fails.
        drop(tokio::time::timeout(ENDING, ended).await);
        let config = &self.0.config;
        let deleted = bounded(config.store_time, config.sessions.delete(session)).await?;
        self.0.registry.forget_session(session);
        Ok(deleted)
    }

    /// Stores what a person thinks, or forgets it (`None`). The session's state has the last one
    /// under `feedback`, its events have all of them.
    ///
    /// # Errors
    /// [`SessionErrorKind::NotFound`] when there is no such session, else what the store says.
    pub async fn feedback(
        &self,
        session: &SessionKey,
        feedback: Option<&Feedback>,
    ) -> Result<(), SessionError> {
        let config = &self.0.config;
        let log = SessionLog::find(
            Arc::clone(&config.sessions),
            session.clone(),
            config.store_time,
        );
        let mut log = log.await?.ok_or_else(|| {
            SessionError::new(SessionErrorKind::NotFound, "there is no such session")
        })?;
        let id = fresh_id();
        let mut event = Event::new(&*id, format!("feedback-{id}"), "user", (config.clock)());
        let value = match feedback {
            None => serde_json::Value::Null,
            Some(feedback) => serde_json::json!({
                "value": feedback.value,
                "reason": feedback.reason.as_ref().map(|reason| reason.chars().take(REASON).collect::<String>()),
                "event_id": feedback.event_id,
            }),
        };
        event.state_delta.insert(FEEDBACK.to_owned(), value);
        log.append(&[event]).await
    }
}
