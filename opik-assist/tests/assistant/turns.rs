//! How turns went, as the session keeps it.

use std::time::Duration;

use opik_assist::assistant::{FailureKind, Outcome, TurnEnd, WhenModelFails};
use opik_assist::turn::{Limits, Prices};
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::session::Position;
use opik_core::{Event, Message, Role, SessionStore as _, Timestamp};
use opik_testkit::doubles::Step;
use opik_testkit::{Gate, ScriptedModel};
use serde_json::json;

use crate::world::{World, all, arguments, ask, key, outcome};

/// The same but for the time, which goes on after the end was stored.
fn timeless(mut outcome: Outcome) -> Outcome {
    outcome.millis = 0;
    outcome
}

#[tokio::test]
async fn a_session_keeps_how_each_turn_went_and_what_it_used_up() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/counts")
        .reply([
            Step::tool_call("1", "error_chain", arguments(&json!({}))),
            Step::usage(1_000, 50),
            Step::finish(FinishReason::ToolCalls),
        ])
        .reply([
            Step::text("It took 77 ms [s2]."),
            Step::usage(1_200, 30),
            Step::finish(FinishReason::Stop),
        ])
        .refuses(ModelErrorKind::Unauthorized)
        .refuses(ModelErrorKind::Unauthorized)
        .reply([Step::text("It is "), Step::Wait(Gate::new())]);
    let limits = Limits::default().cost(1.0, Prices::new(2.0, 8.0));
    let assistant = world
        .builder()
        .model(std::sync::Arc::new(model))
        .limits(limits)
        .build();
    let mut told = Vec::new();
    let fails = WhenModelFails::Fail;
    for question in [
        ask("What failed?"),
        ask("And why?"),
        ask("Really?").when_model_fails(fails),
        ask("So?"),
        ask("Compute it.").without_model(),
    ] {
        let cancels = question.question() == "So?";
        let turn = assistant.ask(question).await.unwrap();
        if cancels {
            let mut events = turn.events(0);
            while let Some(event) = futures_util::StreamExt::next(&mut events).await {
                if matches!(
                    event.kind,
                    opik_assist::assistant::TurnEventKind::Text { .. }
                ) {
                    turn.cancel();
                }
            }
        }
        told.push((turn.id().to_owned(), outcome(&all(&turn).await)));
    }

    let turns = assistant.turns(&key()).await.unwrap().unwrap();
    assert_eq!(turns.len(), told.len());
    for (turn, (id, outcome)) in turns.iter().zip(&told) {
        assert_eq!(turn.turn, *id);
        let kept = turn.outcome.clone().unwrap();
        assert!(kept.millis <= outcome.millis);
        assert_eq!(timeless(kept), timeless(outcome.clone()));
    }
    let ends: Vec<(TurnEnd, bool, Option<FailureKind>)> = told
        .iter()
        .map(|(_, outcome)| (outcome.end, outcome.computed, outcome.failure))
        .collect();
    let refused = Some(FailureKind::ModelUnauthorized);
    assert_eq!(
        ends,
        [
            (TurnEnd::Answered, false, None),
            (TurnEnd::Answered, true, refused),
            (TurnEnd::Failed, false, refused),
            (TurnEnd::Cancelled, false, Some(FailureKind::Cancelled)),
            (TurnEnd::Answered, true, None),
        ]
    );
    let first = turns[0].outcome.as_ref().unwrap();
    assert_eq!(first.spent.total_tokens, 2_280);
    assert_eq!((first.spent.rounds, first.spent.tool_calls), (2, 1));
    assert!((first.spent.dollars - (2_200.0 * 2.0 + 80.0 * 8.0) / 1e6).abs() < 1e-12);
    assert_eq!(first.unverified, 1);
    assert_eq!(turns[0].model.as_deref(), Some("scripted/counts"));
    assert_eq!(turns[4].model, None);

    // The state has the last one, whatever the number of turns.
    let session = world.sessions.session(&key()).await.unwrap().unwrap();
    assert_eq!(session.state["turn"]["end"], "answered");
    assert_eq!(session.state["turn"]["computed"], true);
    assert_eq!(session.state.len(), 1);
}

#[tokio::test]
async fn a_turn_that_was_killed_and_one_of_another_program_have_no_outcome() {
    let world = World::new().await;
    let long_ago = Timestamp::now().plus_micros(-3_600_000_000);
    let event = |id: &str, turn: &str, role: Role, text: &str| {
        Event::new(id, turn, "user", long_ago).with_message(Message::text(role, text))
    };
    world
        .sessions
        .create(&key(), &serde_json::Map::default())
        .await
        .unwrap();
    let mut odd = event("3", "theirs", Role::Assistant, "Because.");
    odd.state_delta
        .insert("turn".to_owned(), json!({ "end": "exploded" }));
    let before = [
        event("1", "killed", Role::User, "Why?"),
        event("2", "theirs", Role::User, "Why not?"),
        odd,
    ];
    world
        .sessions
        .append(&key(), Position(0), &before)
        .await
        .unwrap();
    let assistant = world.with(&ScriptedModel::new("scripted/one").says("Yes."));
    all(&assistant.ask(ask("Is it?")).await.unwrap()).await;
    let turns = assistant.turns(&key()).await.unwrap().unwrap();
    let has: Vec<(&str, bool)> = turns
        .iter()
        .map(|turn| (turn.question_id.as_str(), turn.outcome.is_some()))
        .collect();
    assert_eq!(has[..2], [("1", false), ("2", false)]);
    assert!(has[2].1);
    assert_eq!(turns[0].asked_at, long_ago);
    let nobody = opik_core::SessionKey::new("trace-analyzer", "ada", "none");
    assert!(assistant.turns(&nobody).await.unwrap().is_none());
    assistant.shutdown(Duration::from_secs(5)).await;
}
