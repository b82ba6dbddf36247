//! Models that fail in every way they can.

use opik_assist::assistant::{FailureKind, TurnEnd, TurnEventKind, WhenModelFails};
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_testkit::ScriptedModel;
use opik_testkit::doubles::Step;
use serde_json::json;

use crate::world::{
    World, all, arguments, ask, assert_complete, assert_valid, key, lines, messages, outcome,
    streamed,
};

/// Kinds of failure, what the turn says of them, and whether the question is repeated.
const KINDS: [(ModelErrorKind, FailureKind, bool); 9] = [
    (
        ModelErrorKind::Unavailable,
        FailureKind::ModelUnavailable,
        true,
    ),
    (ModelErrorKind::Timeout, FailureKind::ModelTimeout, true),
    (
        ModelErrorKind::RateLimited,
        FailureKind::ModelRateLimited,
        true,
    ),
    (
        ModelErrorKind::Unauthorized,
        FailureKind::ModelUnauthorized,
        false,
    ),
    (
        ModelErrorKind::ContextTooLong,
        FailureKind::ModelContextTooLong,
        false,
    ),
    (
        ModelErrorKind::InvalidRequest,
        FailureKind::ModelRefused,
        false,
    ),
    (ModelErrorKind::Truncated, FailureKind::ModelTruncated, true),
    (ModelErrorKind::Protocol, FailureKind::ModelBroken, false),
    (ModelErrorKind::Internal, FailureKind::ModelBroken, false),
];

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_in_our_words_and_the_next_turn_does_not_repeat_the_question() {
    for (kind, failure, repeated) in KINDS {
        let world = World::new().await;
        let mut model = ScriptedModel::new("scripted/refuses").refuses(kind);
        if repeated {
            model = model.refuses(kind).refuses(kind);
        }
        let model = model.says("Now I know.");
        let builder = world.builder().when_model_fails(WhenModelFails::Fail);
        let assistant = builder.model(std::sync::Arc::new(model.clone())).build();
        let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
        assert_eq!(outcome(&events).end, TurnEnd::Failed);
        assert_eq!(outcome(&events).failure, Some(failure), "{kind:?}");
        let told = events.iter().find_map(|event| match &event.kind {
            TurnEventKind::Failed(failed) => Some(failed.message.clone()),
            _ => None,
        });
        assert_eq!(told.as_deref(), Some(failure.message()));
        assert_eq!(
            model.requests().len(),
            if repeated { 3 } else { 1 },
            "{kind:?}"
        );
        assert_complete(&assistant.history(&key()).await.unwrap().unwrap());

        let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
        assert_eq!(outcome(&events).end, TurnEnd::Answered);
        let last = model.requests().pop().unwrap();
        assert_valid(&last.messages);
        assert_eq!(last.messages.len(), 2, "instructions and one question");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_model_fails_the_evidence_answers_and_says_so() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/down").refuses(ModelErrorKind::Unauthorized);
    let assistant = world.with(&model);
    let events = all(&assistant.ask(ask("What caused the error?")).await.unwrap()).await;
    let said = messages(&events);
    assert!(said[0].computed);
    let first = "The language model's provider does not accept the key. Check the configuration. This answer was computed";
    assert!(said[0].text.starts_with(first), "{}", said[0].text);
    assert_eq!(outcome(&events).end, TurnEnd::Answered);
    assert_eq!(
        outcome(&events).failure,
        Some(FailureKind::ModelUnauthorized)
    );
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_eq!(history[1].error_code.as_deref(), Some("MODEL_UNAUTHORIZED"));
    assert_complete(&history);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_breaks_off_keeps_its_words_and_is_marked() {
    for (steps, end, code) in [
        (
            vec![
                Step::text("Half "),
                Step::text("an"),
                Step::Error(ModelErrorKind::Truncated),
            ],
            TurnEnd::Failed,
            "MODEL_TRUNCATED",
        ),
        (
            vec![Step::text("Half an")],
            TurnEnd::Failed,
            "MODEL_TRUNCATED",
        ),
        (
            vec![Step::text("Half an"), Step::finish(FinishReason::Length)],
            TurnEnd::CutOff,
            "MAX_TOKENS",
        ),
        (
            vec![
                Step::text("Half an"),
                Step::finish(FinishReason::ContentFilter),
            ],
            TurnEnd::CutOff,
            "WITHHELD",
        ),
    ] {
        let world = World::new().await;
        let model = ScriptedModel::new("scripted/cut")
            .reply(steps)
            .says("Whole.");
        let assistant = world.with(&model);
        let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
        assert_eq!(outcome(&events).end, end, "{code}");
        let said = messages(&events);
        assert!(
            said[0].is_cut && said[0].text.starts_with("Half an\n\n("),
            "{}",
            said[0].text
        );
        assert_eq!(streamed(&events), said[0].text);
        let history = assistant.history(&key()).await.unwrap().unwrap();
        assert_eq!(history[1].error_code.as_deref(), Some(code));
        assert_eq!(history[1].message.as_ref().unwrap().words(), said[0].text);
        let events = all(&assistant.ask(ask("Go on.")).await.unwrap()).await;
        assert_eq!(outcome(&events).end, TurnEnd::Answered);
        assert_valid(&model.requests().pop().unwrap().messages);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_any_word_is_repeated_and_one_after_is_not() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/again")
        .reply([Step::Error(ModelErrorKind::Unavailable)])
        .says("Here.");
    let assistant = world.with(&model);
    let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
    assert_eq!(messages(&events)[0].text, "Here.");
    assert_eq!(outcome(&events).spent.rounds, 1);
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn silence_gets_the_computed_answer() {
    for steps in [
        vec![Step::finish(FinishReason::Stop)],
        vec![Step::text("  \n"), Step::finish(FinishReason::Stop)],
        vec![Step::finish(FinishReason::ToolCalls)],
        vec![Step::finish(FinishReason::ContentFilter)],
    ] {
        let world = World::new().await;
        let model = ScriptedModel::new("scripted/silent").reply(steps);
        let assistant = world.with(&model);
        let events = all(&assistant.ask(ask("Why is it slow?")).await.unwrap()).await;
        assert!(messages(&events)[0].computed);
        assert_complete(&assistant.history(&key()).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn tools_that_cannot_run_are_answered_and_the_model_goes_on() {
    let world = World::new().await;
    let model = ScriptedModel::new("scripted/bad tools")
        .reply([
            Step::text("Trying."),
            Step::tool_call("a", "drop_all_tables", arguments(&json!({ "x": 1 }))),
            Step::tool_call("a", "get_span_details", arguments(&json!("not an object"))),
            Step::tool_call("", "get_span_details", arguments(&json!({}))),
            Step::tool_call(
                "d",
                "get_span_details",
                arguments(&json!({ "span_id": "../projects/X?a=b" })),
            ),
            Step::tool_call("e", "functions.list children!", arguments(&json!([1]))),
            Step::tool_call("f", "search_spans", arguments(&json!({ "limit": -3 }))),
            Step::finish(FinishReason::ToolCalls),
        ])
        .says("I give up.");
    let assistant = world.with(&model);
    let events = all(&assistant.ask(ask("Why?")).await.unwrap()).await;
    insta::assert_snapshot!(lines(&events), @r#"
started, 3 spans
text "Trying."
message "Trying." +
tool drop_all_tables a +
tool get_span_details a-1 +
tool get_span_details call_2 +
tool get_span_details d +
tool functions_list_children_ e +
tool search_spans f
finished a, failed +
finished a-1, failed +
finished call_2, failed +
finished d, failed +
finished e, failed +
finished f, failed
text "I give up."
message "I give up.", final
done Answered None None
"#);
    let last = model.requests().pop().unwrap();
    assert_valid(&last.messages);
    let answers: Vec<String> = last.messages[3]
        .parts
        .iter()
        .map(|part| match part {
            opik_core::Part::ToolResult(result) => result.content.as_str().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    insta::assert_snapshot!(answers.join("\n"), @r#"
{"error":"there is no tool drop_all_tables; there are get_trace_data, get_span_details, search_spans, list_children, compare_spans, critical_path, error_chain, find_loops, cost_hotspots, compare_to_siblings, get_thread"}
{"error":"argument list: the arguments must be one JSON object"}
{"error":"argument span_id: is missing: give the id of a span"}
{"error":"this trace has no span ../projects/X?a=b; use an id that the trace data or search_spans shows"}
{"error":"argument list: the arguments must be one JSON object"}
{"error":"argument limit: must be a whole number, not negative"}
"#);
    assert_complete(&assistant.history(&key()).await.unwrap().unwrap());
}
