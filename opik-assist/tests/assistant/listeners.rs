//! Who listens, who comes back, and who does not.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use opik_assist::assistant::{FailureKind, TurnEnd, TurnEventKind};
use opik_core::chat::FinishReason;
use opik_testkit::doubles::Step;
use opik_testkit::{Gate, ScriptedModel};

use crate::world::{World, all, ask, assert_complete, key, lines, messages, outcome, streamed};

/// A model that says a word, waits, and says another.
fn waiting(gate: &Gate) -> ScriptedModel {
    ScriptedModel::new("scripted/waits").reply([
        Step::text("one "),
        Step::Wait(gate.clone()),
        Step::text("two"),
        Step::finish(FinishReason::Stop),
    ])
}

#[tokio::test]
async fn several_listeners_hear_the_same_from_where_they_like() {
    let world = World::new().await;
    let gate = Gate::new();
    let assistant = world.with(&waiting(&gate));
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    let mut early = turn.events(0);
    // Started, then the first word.
    early.next().await.unwrap();
    assert!(
        matches!(&early.next().await.unwrap().kind, TurnEventKind::Text { text } if text == "one ")
    );
    assert!(early.next().now_or_never().is_none());
    let joined = assistant.join(turn.id()).unwrap();
    assert_eq!(joined.session(), &key());
    gate.open();
    let whole = all(&turn).await;
    assert_eq!(lines(&whole), lines(&all(&joined).await));
    let rest: Vec<_> = joined.events(2).collect().await;
    assert_eq!(lines(&rest), lines(&whole[2..]));
    assert!(early.next().await.is_some());
    assert!(assistant.join("e-unknown").is_none());
    // Positions have no gaps, and nothing follows the end.
    let positions: Vec<u64> = whole.iter().map(|event| event.position).collect();
    assert_eq!(positions, (0..positions.len() as u64).collect::<Vec<_>>());
    assert_eq!(joined.events(99).collect::<Vec<_>>().await.len(), 0);
}

#[tokio::test]
async fn words_that_a_model_sends_at_once_are_all_told_before_it_thinks_again() {
    let world = World::new().await;
    let gate = Gate::new();
    let words: Vec<String> = (0..30).map(|number| format!("word{number} ")).collect();
    let steps = words.iter().map(Step::text);
    let model = ScriptedModel::new("scripted/rushes").reply(steps.chain([
        Step::Wait(gate.clone()),
        Step::text("end"),
        Step::finish(FinishReason::Stop),
    ]));
    let assistant = world.with(&model);
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    // Nothing is held back while the model thinks.
    let early: Vec<_> = turn.events(1).take(words.len()).collect().await;
    assert_eq!(streamed(&early), words.concat());
    assert!(early.iter().all(|event| event.ends_batch));
    gate.open();
    assert_eq!(streamed(&all(&turn).await), words.concat() + "end");
}

#[tokio::test(start_paused = true)]
async fn a_turn_outlives_its_listeners_for_the_grace() {
    let world = World::new().await;
    let gate = Gate::new();
    let assistant = world.with(&waiting(&gate));
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    let id = turn.id().to_owned();
    drop(turn);
    tokio::time::sleep(Duration::from_secs(29)).await;
    let back = assistant.join(&id).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(
        back.outcome().is_none(),
        "it goes on while somebody listens"
    );
    gate.open();
    assert_eq!(streamed(&all(&back).await), "one two");
}

#[tokio::test(start_paused = true)]
async fn nobody_for_longer_than_the_grace_cancels_with_what_there_is() {
    let world = World::new().await;
    let assistant = world.with(&waiting(&Gate::new()));
    let turn = assistant.ask(ask("Why?")).await.unwrap();
    let id = turn.id().to_owned();
    let mut events = turn.events(0);
    drop(turn);
    // A stream of events is a listener as well.
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(events.next().await.is_some());
    drop(events);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let late = assistant.join(&id).unwrap();
    let ended = late.outcome().unwrap();
    assert_eq!(
        (ended.end, ended.failure),
        (TurnEnd::Cancelled, Some(FailureKind::Abandoned))
    );
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    assert_eq!(history[1].error_code.as_deref(), Some("ABANDONED"));
    assert!(
        history[1]
            .message
            .as_ref()
            .unwrap()
            .words()
            .starts_with("one ")
    );
    // And a minute later it is forgotten, at the next question.
    tokio::time::sleep(Duration::from_secs(61)).await;
    drop(late);
    drop(assistant.ask(ask("Again?").without_model()).await.unwrap());
    assert!(assistant.join(&id).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_turn_may_go_on_without_anybody() {
    let world = World::new().await;
    let gate = Gate::new();
    let assistant = world.with(&waiting(&gate));
    let turn = assistant.ask(ask("Why?").grace(None)).await.unwrap();
    let id = turn.id().to_owned();
    drop(turn);
    tokio::time::sleep(Duration::from_secs(200)).await;
    gate.open();
    let outcome = assistant.join(&id).unwrap().finished().await;
    assert_eq!(outcome.end, TurnEnd::Answered);
}

#[tokio::test]
async fn who_comes_too_late_for_words_is_told_how_many_and_gets_the_whole() {
    let world = World::new().await;
    let mut steps: Vec<Step> = (0..500).map(|n| Step::text(format!("{n} "))).collect();
    steps.push(Step::finish(FinishReason::Stop));
    let model = ScriptedModel::new("scripted/talks").reply(steps);
    let assistant = world
        .builder()
        .model(std::sync::Arc::new(model))
        .mark_unverified(false)
        .replay(100, 1 << 20)
        .build();
    let turn = assistant.ask(ask("Count.")).await.unwrap();
    turn.finished().await;
    let events = all(&turn).await;
    let TurnEventKind::Missed { events: missed } = &events[0].kind else {
        panic!("{:?}", events[0].kind);
    };
    assert_eq!(*missed + 100, 503, "started, 500 words, message, done");
    assert_eq!(events[0].position + 1, events[1].position);
    assert!(messages(&events)[0].text.ends_with("498 499 "));
    assert_eq!(outcome(&events).end, TurnEnd::Answered);
}

#[tokio::test]
async fn an_event_is_json_with_its_kind() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/one").says("It failed [F1].");
    let assistant = world.with(&model);
    let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
    let json: Vec<serde_json::Value> = events
        .iter()
        .map(|event| serde_json::to_value(&**event).unwrap())
        .collect();
    assert_eq!(json[0]["type"], "started");
    assert_eq!(json[0]["session"]["user"], "ada");
    assert_eq!(json[1]["text"], "It failed [F1].");
    assert_eq!(json[2]["findings"][0], "F1");
    assert_eq!(json[3]["type"], "done");
    assert_eq!(json[3]["end"], "answered");
    assert!(!format!("{events:?}").contains("It failed"));
}
