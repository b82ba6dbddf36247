//! Turns that reach a limit end with what they have, and say so.

use std::time::Duration;

use opik_assist::assistant::{AskError, TurnEnd};
use opik_assist::turn::{Limit, Limits, Prices};
use opik_core::chat::FinishReason;
use opik_core::{Part, Role};
use opik_testkit::doubles::Step;
use opik_testkit::{Gate, ScriptedModel};
use serde_json::json;

use crate::world::{
    World, all, arguments, ask, assert_complete, assert_valid, key, messages, outcome,
};

/// A model that asks for a tool again and again.
fn restless(times: usize) -> ScriptedModel {
    let mut model = ScriptedModel::new("scripted/restless");
    for round in 0..times {
        model = model.reply([
            Step::text(format!("Round {round}.")),
            Step::tool_call("0", "get_trace_data", arguments(&json!({}))),
            Step::usage(1_000, 10),
            Step::finish(FinishReason::ToolCalls),
        ]);
    }
    model
}

async fn run(limits: Limits, model: &ScriptedModel) -> (opik_assist::assistant::Outcome, String) {
    let world = World::new().await;
    let assistant = world.with(model);
    let events = all(&assistant
        .ask(ask("Why is it slow?").limits(limits))
        .await
        .unwrap())
    .await;
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_complete(&history);
    for request in model.requests() {
        assert_valid(&request.messages);
    }
    (outcome(&events), messages(&events).pop().unwrap().text)
}

#[tokio::test]
async fn rounds_end_with_the_last_words() {
    let model = restless(20);
    let (outcome, text) = run(Limits::default().rounds(3), &model).await;
    assert_eq!(
        (outcome.end, outcome.limit),
        (TurnEnd::Limited, Some(Limit::Rounds))
    );
    assert_eq!((outcome.spent.rounds, outcome.spent.tool_calls), (3, 2));
    assert_eq!(
        text,
        "Round 2.\n\n(The turn ended here: the limit of questions to the model was reached.)"
    );
    let requests = model.requests();
    let told = |at: usize| {
        requests[at].messages[0]
            .words()
            .contains("No further tool call is possible")
    };
    assert_eq!([told(0), told(1), told(2)], [false, false, true]);
}

#[tokio::test]
async fn tool_calls_beyond_the_limit_are_answered_and_not_run() {
    let call = |id: &str| Step::tool_call(id, "find_loops", arguments(&json!({})));
    let model = ScriptedModel::new("scripted/greedy")
        .reply([
            call("1"),
            call("2"),
            call("3"),
            Step::finish(FinishReason::ToolCalls),
        ])
        .says("Done.");
    let (outcome, text) = run(Limits::default().tool_calls(2), &model).await;
    assert_eq!(
        (outcome.end, outcome.spent.tool_calls),
        (TurnEnd::Answered, 2)
    );
    assert_eq!(text, "Done.");
    let last = model.requests().pop().unwrap();
    let failed: Vec<bool> = last.messages[3]
        .parts
        .iter()
        .map(|part| matches!(part, Part::ToolResult(result) if result.is_error))
        .collect();
    assert_eq!(failed, [false, false, true]);
}

#[tokio::test]
async fn tokens_and_cost_end_a_turn_between_questions_with_a_computed_answer() {
    let (outcome, text) = run(Limits::default().tokens(Some(2_000)), &restless(20)).await;
    assert_eq!(
        (outcome.end, outcome.limit),
        (TurnEnd::Limited, Some(Limit::Tokens))
    );
    assert_eq!(outcome.spent.total_tokens, 2_020);
    assert!(
        outcome.computed
            && text.starts_with("The language model gave no answer before the limit of tokens")
    );

    let limits = Limits::default().cost(0.005, Prices::new(2.0, 8.0));
    let (outcome, _) = run(limits, &restless(20)).await;
    assert_eq!(outcome.limit, Some(Limit::Cost));
    assert_eq!(outcome.spent.rounds, 3);
    assert!((outcome.spent.dollars - 0.006_24).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn time_ends_a_reply_that_hangs_with_its_words() {
    let model =
        ScriptedModel::new("scripted/hangs").reply([Step::text("So far"), Step::Wait(Gate::new())]);
    let (outcome, text) = run(Limits::default().time(Duration::from_secs(7)), &model).await;
    assert_eq!(
        (outcome.end, outcome.limit),
        (TurnEnd::Limited, Some(Limit::Time))
    );
    assert_eq!(outcome.millis, 7_000);
    assert_eq!(
        text,
        "So far\n\n(The turn ended here: the limit of time was reached.)"
    );
    assert_eq!(model.cancelled(), 1, "the provider's stream is dropped");

    let silent = ScriptedModel::new("scripted/hangs").reply([Step::Wait(Gate::new())]);
    let (outcome, _) = run(Limits::default().time(Duration::from_secs(7)), &silent).await;
    assert!(outcome.computed && outcome.end == TurnEnd::Limited);
}

#[tokio::test]
async fn an_endless_reply_is_cut() {
    let steps = (0..1_000).map(|_| Step::text("ä".repeat(100)));
    let model = ScriptedModel::new("scripted/endless").reply(steps);
    let (outcome, text) = run(Limits::default().reply(1_001), &model).await;
    assert_eq!(outcome.limit, Some(Limit::ReplyLength));
    assert!(text.starts_with(&"ä".repeat(500)) && text.len() < 1_200);
    assert_eq!(model.cancelled(), 1);
}

#[tokio::test]
async fn a_question_that_is_too_long_is_refused() {
    let world = World::new().await;
    let assistant = world
        .builder()
        .limits(Limits::default().question(5))
        .build();
    let refused = assistant.ask(ask("123456")).await.unwrap_err();
    assert!(matches!(refused, AskError::TooLong { limit: 5 }));
    assert!(assistant.ask(ask("äöüßé")).await.is_ok());
    assert!(
        world
            .builder()
            .build()
            .history(&key())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn long_conversations_are_told_in_part() {
    let world = World::new().await;
    let mut model = ScriptedModel::new("scripted/talks");
    for turn in 0..8 {
        model = model.says(format!("{turn} {}", "x".repeat(500)));
    }
    let assistant = world.with(&model);
    for turn in 0..8 {
        let question = ask(&format!("Question {turn}")).limits(Limits::default().history(1_100));
        all(&assistant.ask(question).await.unwrap()).await;
    }
    let last = model.requests().pop().unwrap();
    assert_valid(&last.messages);
    let questions = last
        .messages
        .iter()
        .filter(|message| message.role == Role::User);
    let questions: Vec<String> = questions.map(|message| message.words()).collect();
    assert_eq!(questions, ["Question 5", "Question 6", "Question 7"]);
}
