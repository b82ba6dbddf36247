//! Turns that are cut at any point: by a cancellation, a failing store, a dropped runtime. The session
//! stays one that every provider takes, and the next turn works.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use opik_assist::assistant::TurnEnd;
use opik_core::chat::FinishReason;
use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Session, SessionError, SessionKey, SessionStore};
use opik_testkit::doubles::Step;
use opik_testkit::{Gate, MemorySessions, ScriptedModel};
use proptest::prelude::*;
use serde_json::json;

use crate::world::{World, all, arguments, ask, assert_complete, assert_valid, key, outcome};

/// A conversation of two rounds with tools and an answer, which stops before its `cut`th step.
fn script(cut: usize, gate: &Gate) -> ScriptedModel {
    let call = |id: &str, name: &str| Step::tool_call(id, name, arguments(&json!({})));
    let rounds = vec![
        vec![
            Step::text("Let me "),
            Step::text("look."),
            call("0", "error_chain"),
            call("1", "no_such_tool"),
            Step::usage(10, 5),
            Step::finish(FinishReason::ToolCalls),
        ],
        vec![
            call("0", "cost_hotspots"),
            Step::finish(FinishReason::ToolCalls),
        ],
        vec![
            Step::text("It is "),
            Step::text("the tool."),
            Step::finish(FinishReason::Stop),
        ],
    ];
    let mut model = ScriptedModel::new("scripted/cut");
    let mut left = cut;
    for round in rounds {
        let mut steps = Vec::new();
        for step in round {
            if left == 0 {
                steps.push(Step::Wait(gate.clone()));
            }
            left = left.wrapping_sub(1);
            steps.push(step);
        }
        model = model.reply(steps);
    }
    model
}

/// Runs a turn that is cancelled when it has said `cut` steps and told `heard` events, then another one.
async fn cancel_at(cut: usize, heard: usize) {
    let world = World::new().await;
    let model = script(cut, &Gate::new());
    let assistant = world.with(&model);
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    let mut events = turn.events(0);
    for _ in 0..heard {
        let next = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
        if next.is_err() {
            break;
        }
    }
    turn.cancel();
    let ended = turn.finished().await;
    assert!(
        matches!(ended.end, TurnEnd::Cancelled | TurnEnd::Answered),
        "{ended:?}"
    );
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    let next = ScriptedModel::new("scripted/next").says("Fine.");
    let asked = ask("And now?").model(Arc::new(next.clone()));
    let events = all(&assistant.ask(asked).await.unwrap()).await;
    assert_eq!(outcome(&events).end, TurnEnd::Answered);
    assert_valid(&next.requests()[0].messages);
    assert_complete(&assistant.history(&key()).await.unwrap().unwrap());
}

/// A store whose `nth` call from now on fails.
#[derive(Debug)]
struct Failing {
    inner: MemorySessions,
    left: AtomicUsize,
    kind: SessionErrorKind,
    /// Whether the call is carried out although its answer is an error.
    carried_out: bool,
    /// Whether all later calls fail too.
    for_good: bool,
}

impl Failing {
    fn fails(&self) -> bool {
        let before = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match before {
            Ok(1) => true,
            Ok(_) => false,
            Err(_) => self.for_good,
        }
    }

    fn error(&self) -> SessionError {
        SessionError::new(self.kind, "injected")
    }
}

#[async_trait]
impl SessionStore for Failing {
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
        if self.fails() {
            if self.carried_out {
                self.inner.append(key, at, events).await?;
            }
            return Err(self.error());
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

/// Runs a turn whose `nth` append fails, then another one with a store that works.
async fn fail_at(nth: usize, kind: SessionErrorKind, carried_out: bool, for_good: bool) {
    let world = World::new().await;
    let store = Arc::new(Failing {
        inner: world.sessions.clone(),
        left: AtomicUsize::new(nth),
        kind,
        carried_out,
        for_good,
    });
    let model = script(usize::MAX, &Gate::new());
    let assistant = opik_assist::Assistant::builder(store)
        .source(Arc::new(world.traces.clone()))
        .model(Arc::new(model))
        .build();
    let asked = assistant.ask(ask("Why?")).await;
    if let Ok(turn) = asked {
        let events = all(&turn).await;
        let retried = matches!(
            kind,
            SessionErrorKind::Unavailable | SessionErrorKind::Timeout | SessionErrorKind::Conflict
        );
        let ended = outcome(&events).end;
        assert!(
            ended
                == if retried && (!for_good || carried_out) {
                    TurnEnd::Answered
                } else {
                    TurnEnd::Failed
                }
                || nth > 6,
            "{ended:?}"
        );
    }
    let next = ScriptedModel::new("scripted/next").says("Fine.");
    let assistant = world.with(&next);
    let events = all(&assistant.ask(ask("And now?")).await.unwrap()).await;
    assert_eq!(outcome(&events).end, TurnEnd::Answered);
    assert_valid(&next.requests()[0].messages);
    let history = assistant.history(&key()).await.unwrap().unwrap();
    let mut ids: Vec<&str> = history.iter().map(|event| &*event.id).collect();
    let all_ids = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all_ids, "no event is there twice");
}

/// The runtime goes away in the middle, as when the process is killed.
async fn kill_at(cut: usize) {
    let world = World::new().await;
    let model = script(cut, &Gate::new());
    let builder = world.builder().model(Arc::new(model));
    let killed = std::thread::Builder::new()
        .name("killed".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let turn = builder.build().ask(ask("Why?")).await.unwrap();
                let mut events = turn.events(0);
                while let Ok(Some(_)) =
                    tokio::time::timeout(Duration::from_millis(20), events.next()).await
                {
                }
            });
        });
    killed.unwrap().join().unwrap();
    let next = ScriptedModel::new("scripted/next").says("Fine.");
    let assistant = world.with(&next);
    let events = all(&assistant.ask(ask("And now?")).await.unwrap()).await;
    assert_eq!(outcome(&events).end, TurnEnd::Answered);
    assert_valid(&next.requests()[0].messages);
}

fn run(work: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_turn_may_be_cancelled_anywhere(cut in 0_usize..13, heard in 0_usize..16) {
        run(cancel_at(cut, heard));
    }
}

#[test]
fn a_store_may_fail_anywhere() {
    use SessionErrorKind::{Conflict, Internal, Storage, Timeout, Unavailable};
    for nth in 1..=7 {
        for kind in [Unavailable, Timeout, Conflict, Internal] {
            for carried_out in [false, true] {
                run(fail_at(nth, kind, carried_out, false));
            }
        }
        run(fail_at(nth, Storage, false, true));
        run(fail_at(nth, Unavailable, true, true));
    }
}

#[test]
fn a_process_may_be_killed_anywhere() {
    for cut in [0, 1, 3, 6, 7, 8, 9, 10] {
        run(kill_at(cut));
    }
}
