//! Sessions: several turns at once, other processes, deletion, feedback, the end of the program.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opik_assist::assistant::{AskError, FailureKind, Feedback, TurnEnd, WhenBusy};
use opik_assist::{Ask, Assistant};
use opik_core::session::SessionErrorKind;
use opik_core::{Event, Message, Role, SessionStore as _, Timestamp, TraceId};
use opik_testkit::doubles::Step;
use opik_testkit::{Gate, ScriptedModel};

use crate::world::{World, all, ask, assert_complete, key, messages, outcome, trace};

const TURNS: usize = 32;

fn talkative() -> ScriptedModel {
    let mut model = ScriptedModel::new("scripted/many");
    for turn in 0..TURNS {
        model = model.says(format!("Answer {turn}."));
    }
    model
}

/// Every question of the log has its answer, no event is there twice.
async fn assert_all_there(assistant: &Assistant, turns: usize) {
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    assert_eq!(history.len(), 2 * turns);
    let mut ids: Vec<&str> = history.iter().map(|event| &*event.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2 * turns);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_first_questions_of_one_session_wait_for_each_other() {
    let world = World::new().await;
    let model = talkative();
    let assistant = world.with(&model);
    let asked =
        join_all((0..TURNS).map(|turn| {
            assistant.ask(ask(&format!("Question {turn}")).when_busy(WhenBusy::Queue))
        }))
        .await;
    for turn in asked {
        assert_eq!(turn.unwrap().finished().await.end, TurnEnd::Answered);
    }
    assert_all_there(&assistant, TURNS).await;
    assert_eq!(assistant.running(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_questions_of_several_processes_lose_and_repeat_nothing() {
    let world = World::new().await;
    let model = talkative();
    // Each assistant knows only its own turns, as in processes of their own.
    let asked = join_all((0..TURNS).map(|turn| {
        let assistant = world.with(&model);
        async move {
            let turn = assistant
                .ask(ask(&format!("Question {turn}")))
                .await
                .unwrap();
            turn.finished().await.end
        }
    }))
    .await;
    assert!(
        asked.iter().all(|end| *end == TurnEnd::Answered),
        "{asked:?}"
    );
    assert_all_there(&world.with(&model), TURNS).await;
}

#[tokio::test]
async fn a_session_that_is_there_after_all_is_gone_on_with() {
    let world = World::new().await;
    let model = talkative();
    let assistant = world.with(&model);
    for question in ["First?", "Second?"] {
        let turn = assistant.ask(ask(question).in_new_session(true)).await;
        assert_eq!(turn.unwrap().finished().await.end, TurnEnd::Answered);
    }
    assert_all_there(&assistant, 2).await;
    let told: Vec<String> = model.requests()[1]
        .messages
        .iter()
        .map(Message::words)
        .collect();
    assert!(told.iter().any(|words| words == "First?"), "{told:?}");
}

#[tokio::test]
async fn a_second_question_is_refused_while_the_first_is_answered() {
    let world = World::new().await;
    let gate = Gate::new();
    let model = ScriptedModel::new("scripted/slow")
        .reply([
            Step::Wait(gate.clone()),
            Step::text("Done."),
            Step::finish(opik_core::chat::FinishReason::Stop),
        ])
        .says("Again.");
    let assistant = world.with(&model);
    let first = assistant.ask(ask("Why?")).await.unwrap();
    let refused = assistant.ask(ask("And?")).await.unwrap_err();
    assert!(
        matches!(&refused, AskError::Busy { turn } if turn == first.id()),
        "{refused}"
    );
    assert_eq!(assistant.running_turn(&key()).unwrap().id(), first.id());
    // Another session is not in the way.
    let mut other = key();
    other.id = "session 2".to_owned();
    let other = Ask::new(other, trace(), "Why?").without_model();
    assert!(assistant.ask(other).await.is_ok());
    gate.open();
    first.finished().await;
    assert!(assistant.ask(ask("And?")).await.is_ok());
}

#[tokio::test]
async fn a_question_that_cannot_be_taken_leaves_nothing() {
    let world = World::new().await;
    let assistant = world.builder().build();
    let unknown = TraceId::generate();
    let refused = assistant
        .ask(Ask::new(key(), unknown, "Why?"))
        .await
        .unwrap_err();
    assert!(matches!(refused, AskError::NoSuchTrace(id) if id == unknown));
    let refused = assistant
        .ask(ask("Why?").compared_with(unknown))
        .await
        .unwrap_err();
    assert!(matches!(refused, AskError::NoSuchTrace(id) if id == unknown));
    let nowhere = Assistant::builder(Arc::new(world.sessions.clone())).build();
    assert!(matches!(
        nowhere.ask(ask("Why?")).await.unwrap_err(),
        AskError::NoSource
    ));
    assert!(assistant.history(&key()).await.unwrap().is_none());
    assert_eq!(assistant.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_killed_is_put_right_by_the_next() {
    let world = World::new().await;
    world
        .sessions
        .create(&key(), &Default::default())
        .await
        .unwrap();
    let old = Timestamp::now().plus_micros(-3_600_000_000);
    let asked =
        Event::new("1", "e-dead", "user", old).with_message(Message::text(Role::User, "Why?"));
    let call = opik_core::session::ToolCall {
        id: "call_1".to_owned(),
        name: "drop_all_tables".to_owned(),
        arguments: opik_core::Json::from_value(&serde_json::json!({})),
    };
    let said = Event::new("2", "e-dead", "data_analyzer", old).with_message(Message::new(
        Role::Assistant,
        vec![opik_core::Part::ToolCall(call)],
    ));
    world
        .sessions
        .append(&key(), Default::default(), &[asked, said])
        .await
        .unwrap();
    let model = ScriptedModel::new("scripted/one").says("Here.");
    let assistant = world.with(&model);
    all(&assistant.ask(ask("Again: why?")).await.unwrap()).await;
    crate::world::assert_valid(&model.requests()[0].messages);
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    assert!(
        history
            .iter()
            .any(|event| event.error_code.as_deref() == Some("INTERRUPTED"))
    );
}

#[tokio::test]
async fn deleting_a_session_ends_its_turn_and_brings_nothing_back() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/hangs")
        .reply([Step::text("So"), Step::Wait(Gate::new())])
        .says("Fresh.");
    let assistant = world.with(&model);
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    assert!(assistant.delete(&key()).await.unwrap());
    assert_eq!(
        turn.finished().await.failure,
        Some(FailureKind::SessionDeleted)
    );
    assert!(assistant.history(&key()).await.unwrap().is_none());
    assert!(!assistant.delete(&key()).await.unwrap());
    let events = all(&assistant.ask(ask("Hello?")).await.unwrap()).await;
    assert_eq!(messages(&events)[0].text, "Fresh.");
    assert_eq!(model.requests()[1].messages.len(), 2);
}

#[tokio::test]
async fn a_session_that_another_process_deletes_fails_the_turn() {
    let world = World::new().await;
    let gate = Gate::new();
    let model = ScriptedModel::new("scripted/slow").reply([
        Step::Wait(gate.clone()),
        Step::text("Done."),
        Step::finish(opik_core::chat::FinishReason::Stop),
    ]);
    let assistant = world.with(&model);
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    world.sessions.delete(&key()).await.unwrap();
    gate.open();
    let events = all(&turn).await;
    assert_eq!(outcome(&events).end, TurnEnd::Failed);
    assert_eq!(outcome(&events).failure, Some(FailureKind::SessionDeleted));
    assert!(
        messages(&events).is_empty(),
        "what is not stored is not told as whole"
    );
}

#[tokio::test]
async fn feedback_is_remembered_and_forgotten() {
    let world = World::new().await;
    let assistant = world.builder().build();
    let refused = assistant
        .feedback(&key(), Some(&Feedback::new(1.0)))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), SessionErrorKind::NotFound);
    let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
    let id = messages(&events)[0].event_id.clone();
    let feedback = Feedback::new(0.0).because("too long").about(&*id);
    assistant.feedback(&key(), Some(&feedback)).await.unwrap();
    let sessions = assistant.sessions("ada").await.unwrap();
    assert_eq!(sessions[0].state["feedback"]["event_id"], id.as_str());
    assistant.feedback(&key(), None).await.unwrap();
    let sessions = assistant.sessions("ada").await.unwrap();
    assert!(!sessions[0].state.contains_key("feedback"));
    assert!(assistant.sessions("eve").await.unwrap().is_empty());
    let next = all(&assistant.ask(ask("And?")).await.unwrap()).await;
    assert_eq!(outcome(&next).end, TurnEnd::Answered);
}

#[tokio::test]
async fn the_first_state_counts_for_a_new_session() {
    let world = World::new().await;
    let assistant = world.builder().build();
    let mut state = opik_core::session::State::new();
    state.insert("trace_id".to_owned(), trace().to_string().into());
    all(&assistant
        .ask(ask("Why?").initial_state(state.clone()))
        .await
        .unwrap())
    .await;
    state.insert("trace_id".to_owned(), "another".into());
    all(&assistant
        .ask(ask("Why?").initial_state(state))
        .await
        .unwrap())
    .await;
    assert_eq!(
        assistant.sessions("ada").await.unwrap()[0].state["trace_id"],
        trace().to_string()
    );
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_then_cancels_and_takes_no_more() {
    let world = World::new().await;
    let gate = Gate::new();
    let model = ScriptedModel::new("scripted/two")
        .reply([
            Step::Wait(gate.clone()),
            Step::text("In time."),
            Step::finish(opik_core::chat::FinishReason::Stop),
        ])
        .reply([Step::text("Never"), Step::Wait(Gate::new())]);
    let assistant = world.with(&model);
    let quick = assistant.ask(ask("Why?")).await.unwrap();
    let mut other = key();
    other.id = "session 2".to_owned();
    let slow = assistant
        .ask(Ask::new(other.clone(), trace(), "Why?"))
        .await
        .unwrap();
    let opening = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.open();
    };
    let (report, ()) = tokio::join!(assistant.shutdown(Duration::from_secs(8)), opening);
    assert_eq!(
        (report.finished, report.cancelled, report.left_running),
        (1, 1, 0)
    );
    assert_eq!(quick.outcome().unwrap().end, TurnEnd::Answered);
    assert_eq!(slow.outcome().unwrap().failure, Some(FailureKind::ShutDown));
    assert_complete(&assistant.history(&other).await.unwrap().unwrap());
    assert!(matches!(
        assistant.ask(ask("And?")).await.unwrap_err(),
        AskError::ShutDown
    ));
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_any_longer_is_not_taken() {
    let world = World::new().await;
    let gate = Gate::new();
    let model = ScriptedModel::new("scripted/slow").reply([Step::Wait(gate.clone())]);
    let assistant = world.with(&model);
    let first = assistant.ask(ask("Why?")).await.unwrap();
    {
        let waiting = assistant.ask(ask("And?").when_busy(WhenBusy::Queue));
        assert!(futures_util::FutureExt::now_or_never(waiting).is_none());
    }
    first.cancel();
    first.finished().await;
    assistant.shutdown(Duration::from_secs(60)).await;
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    assert_eq!(
        history
            .iter()
            .filter(|event| event.author == "user")
            .count(),
        1
    );
}
