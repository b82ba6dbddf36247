//! A deletion that cannot wait for a turn to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use opik_assist::Assistant;
use opik_assist::assistant::FailureKind;
use opik_core::session::{Position, State};
use opik_core::{Event, Session, SessionError, SessionKey, SessionStore};
use opik_testkit::doubles::Step;
use opik_testkit::{Gate, MemorySessions, ScriptedModel};

use crate::world::{World, ask, key};

/// A store that is asked to append and does not answer until a gate opens.
#[derive(Debug, Default)]
struct Slow {
    inner: MemorySessions,
    is_slow: AtomicBool,
    gate: Gate,
}

#[async_trait]
impl SessionStore for Slow {
    async fn create(&self, key: &SessionKey, state: &State) -> Result<Session, SessionError> {
        self.inner.create(key, state).await
    }
    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError> {
        self.inner.session(key).await
    }
    async fn append(
        &self,
        key: &SessionKey,
        at: Position,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        if self.is_slow.load(Ordering::SeqCst) {
            self.gate.wait().await;
        }
        self.inner.append(key, at, events).await
    }
    async fn events(
        &self,
        key: &SessionKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Event>, SessionError> {
        self.inner.events(key, from, limit).await
    }
    async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError> {
        self.inner.list(app, user).await
    }
    async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError> {
        self.inner.delete(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_outlives_the_deletion_of_its_session_cannot_be_joined_afterwards() {
    let world = World::new().await;
    let store = Arc::new(Slow::default());
    let model = ScriptedModel::new("scripted/hangs").reply([Step::Wait(Gate::new())]);
    let assistant = Assistant::builder(Arc::<Slow>::clone(&store))
        .source(Arc::new(world.traces.clone()))
        .model(Arc::new(model))
        .build();
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    store.is_slow.store(true, Ordering::SeqCst);
    assert!(assistant.delete(&key()).await.unwrap());
    assert_eq!(turn.outcome(), None, "the deletion did not wait for it");

    store.gate.open();
    assert_eq!(
        turn.finished().await.failure,
        Some(FailureKind::SessionDeleted)
    );
    assert!(assistant.join(turn.id()).is_none());
    assert!(assistant.history(&key()).await.unwrap().is_none());
}
