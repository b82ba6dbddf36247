use super::*;
use opik_core::chat::FinishReason;
use proptest::prelude::*;

fn call(id: &str, name: &str, arguments: &str) -> ChatEvent {
    ChatEvent::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: Json::parse(arguments).unwrap(),
    })
}

fn event() -> impl Strategy<Value = ChatEvent> {
    prop_oneof![
        "[a-z ]{0,6}".prop_map(ChatEvent::Text),
        Just(ChatEvent::Reasoning("hm".to_owned())),
        (
            prop_oneof![Just(""), Just("0"), Just("1")],
            "[a-z. ]{0,5}",
            prop_oneof![Just("{}"), Just("[1]"), Just("\"{}\""), Just("null")]
        )
            .prop_map(|(id, name, arguments)| call(id, &name, arguments)),
        (0_i64..50, 0_i64..50).prop_map(|(prompt, completion)| ChatEvent::Usage(Usage::of_tokens(
            prompt, completion
        ))),
        prop_oneof![
            Just(FinishReason::Stop),
            Just(FinishReason::ToolCalls),
            Just(FinishReason::Length),
            Just(FinishReason::ContentFilter),
            Just(FinishReason::Other("odd".to_owned())),
        ]
        .prop_map(ChatEvent::Finish),
    ]
}

#[derive(Debug, Clone)]
struct Round {
    events: Vec<ChatEvent>,
    error: Option<ModelErrorKind>,
    /// Which of the results the tools give.
    answered: Vec<bool>,
    /// Whether the turn is stopped after so many events, or before the tools.
    stop: Option<usize>,
}

fn round() -> impl Strategy<Value = Round> {
    let error = prop_oneof![
        6 => Just(None),
        1 => Just(Some(ModelErrorKind::Truncated)),
        1 => Just(Some(ModelErrorKind::RateLimited)),
    ];
    let stop = prop_oneof![9 => Just(None), 1 => (0_usize..8).prop_map(Some)];
    (
        prop::collection::vec(event(), 0..8),
        error,
        prop::collection::vec(any::<bool>(), 0..4),
        stop,
    )
        .prop_map(|(events, error, answered, stop)| Round {
            events,
            error,
            answered,
            stop,
        })
}

/// Plays rounds until the turn is over or the script is; returns what was to be stored.
fn play(turn: &mut Turn, rounds: &[Round]) -> (Vec<Message>, usize) {
    let mut stored = Vec::new();
    let mut asked = 0;
    let mut ran = 0;
    for round in rounds {
        assert!(
            turn.step() == turn.step(),
            "a step is the same until something is fed"
        );
        let Step::AskModel(request) = turn.step() else {
            break;
        };
        asked += 1;
        assert_eq!(request.messages.len(), 1 + turn.messages().len());
        for (place, event) in round.events.iter().enumerate() {
            if round.stop == Some(place) {
                stored.extend(turn.stop(Ended::Cancelled));
                return (stored, ran);
            }
            turn.event(event.clone());
        }
        stored.extend(turn.end_reply(round.error.map_or(Ok(()), Err)).message);
        match turn.step() {
            Step::RunTools(calls) => {
                if round.stop.is_some() {
                    stored.extend(turn.stop(Ended::Cancelled));
                    return (stored, ran);
                }
                ran += calls.len();
                let answers = calls
                    .iter()
                    .zip(&round.answered)
                    .filter(|(_, answers)| **answers);
                let results = answers.map(|(call, _)| ToolResult {
                    id: call.id.clone(),
                    name: "whatever".to_owned(),
                    content: Json::null(),
                    is_error: false,
                });
                stored.push(turn.answer_tools(results.collect()));
            }
            Step::Done(_) => break,
            Step::AskModel(_) => {}
        }
        assert!(asked <= 4);
    }
    (stored, ran)
}

proptest! {
    #[test]
    fn whatever_a_model_says_the_history_is_one_that_providers_take(rounds in prop::collection::vec(round(), 1..8)) {
        let input = TurnInput {
            instructions: "Work.".to_owned(),
            question: "Why?".to_owned(),
            limits: Limits::default().rounds(4).tool_calls(5).reply(12),
            ..TurnInput::default()
        };
        let mut turn = Turn::new(input);
        let (stored, ran) = play(&mut turn, &rounds);
        prop_assert!(ran <= 5);
        prop_assert_eq!(&turn.messages()[1..], &stored[..], "what is stored is what the model is told");
        let mut messages = stored.iter().peekable();
        while let Some(message) = messages.next() {
            prop_assert_eq!(message.role, Role::Assistant);
            prop_assert!(message.words().len() <= 12);
            let calls: Vec<&ToolCall> = message.parts.iter().filter_map(|part| match part {
                Part::ToolCall(call) => Some(call),
                _ => None,
            }).collect();
            for call in &calls {
                prop_assert!(call.arguments.to_value().unwrap().is_object());
                prop_assert!(!call.name.is_empty() && call.name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-'));
            }
            let ids: Vec<&str> = calls.iter().map(|call| &*call.id).collect();
            let mut distinct = ids.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), ids.len());
            if ids.is_empty() {
                prop_assert!(messages.peek().is_none(), "nothing follows an answer");
                continue;
            }
            let Some(answers) = messages.next() else {
                // The script ended before the tools.
                prop_assert!(matches!(turn.step(), Step::RunTools(_)));
                continue;
            };
            let answered: Vec<&str> = answers.parts.iter().filter_map(|part| match part {
                Part::ToolResult(result) => Some(&*result.id),
                _ => None,
            }).collect();
            prop_assert_eq!(answered, ids);
        }
    }
}

#[test]
fn a_log_of_mixed_turns_is_put_in_order() {
    use opik_core::{Event, Timestamp};
    let event = |id: &str, turn: &str, message: Message| {
        Event::new(id, turn, "x", Timestamp::EPOCH).with_message(message)
    };
    let user = |text: &str| Message::text(Role::User, text);
    let agent = |text: &str| Message::text(Role::Assistant, text);
    let asks = Message::new(
        Role::Assistant,
        vec![Part::ToolCall(ToolCall {
            id: "0".to_owned(),
            name: "look".to_owned(),
            arguments: Json::parse("{}").unwrap(),
        })],
    );
    let result = |text: &str| {
        Message::new(
            Role::User,
            vec![Part::ToolResult(ToolResult {
                id: "0".to_owned(),
                name: "look".to_owned(),
                content: Json::string(text),
                is_error: false,
            })],
        )
    };
    let events = [
        event("1", "a", user("A?")),
        event("2", "b", user("B?")),
        event("3", "a", asks.clone()),
        event("4", "b", asks.clone()),
        event("5", "b", result("b")),
        event("6", "a", result("a")),
        event("7", "b", agent("B.")),
        event("8", "a", agent("A.")),
        event("9", "c", user("failed?")),
        event("10", "d", user("D?")),
        event("11", "d", asks),
        event("12", "e", agent("an answer without its question")),
        event("13", "now", user("Now?")),
    ];
    let told: Vec<String> = conversation(&events, "now", 10_000)
        .iter()
        .map(|message| {
            let parts: Vec<String> = message
                .parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::ToolCall(call) => format!("call {}", call.id),
                    Part::ToolResult(result) => format!("result {}", result.content.as_str()),
                    other => format!("{other:?}"),
                })
                .collect();
            format!("{:?}: {}", message.role, parts.join(", "))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
User: A?
Assistant: call 0
Tool: result "a"
Assistant: A.
User: B?
Assistant: call 0
Tool: result "b"
Assistant: B.
User: D?
Assistant: call 0
Tool: result {"error":"not run: the turn ended before"}
Assistant: (This turn ended before an answer.)
"#);
}
