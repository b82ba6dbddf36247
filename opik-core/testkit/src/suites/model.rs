//! What a [`ChatModel`](opik_core::ChatModel) promises.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use opik_core::chat::{ChatEvent, FinishReason, ModelErrorKind};
use opik_core::session::ToolCall;
use opik_core::{ChatModel, ChatRequest, Message, ModelError, Role, Usage};

use super::{Piece, Scenario};
use crate::records::content;
use crate::report::{CaseFuture, Failure, Outcome, Runner, Skip, SuiteReport, check, check_eq};

type Probe = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// A model whose provider plays a [`Scenario`] for every question.
pub struct ModelUnderTest {
    model: Arc<dyn ChatModel>,
    let_go: Option<Probe>,
    keep: Option<Box<dyn Any + Send>>,
}

impl ModelUnderTest {
    /// A model.
    #[must_use]
    pub fn new(model: Arc<dyn ChatModel>) -> Self {
        Self {
            model,
            let_go: None,
            keep: None,
        }
    }

    /// How to see whether the model let go of a call that was dropped: the future waits for it,
    /// with a limit, and says whether it happened. Without it `dropping_ends_the_call` fails.
    #[must_use]
    pub fn with_probe<F>(mut self, let_go: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.let_go = Some(Box::new(move || Box::pin(let_go())));
        self
    }

    /// Keeps something alive as long as the model: a server.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send) -> Self {
        self.keep = Some(Box::new(what));
        self
    }
}

impl fmt::Debug for ModelUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelUnderTest")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// What a reply has to come to.
#[derive(Default)]
struct Expected {
    text: &'static str,
    reasoning: &'static str,
    /// Identifier (`None`: any), tool and arguments of each call.
    calls: Vec<(Option<&'static str>, &'static str, &'static str)>,
    usage: Option<(i64, i64)>,
    end: End,
}

#[derive(Default)]
enum End {
    #[default]
    Stop,
    Finish(FinishReason),
    Error(ModelErrorKind),
}

/// Runs every case of the contract of [`ChatModel`](opik_core::ChatModel).
///
/// `make` returns a model whose provider plays the scenario for every question. Cases, in order:
///
/// - `words_in_one_piece`, `words_in_small_pieces`: cut anywhere, the words are the same
/// - `an_empty_reply_ends`
/// - `reasoning_is_not_text`
/// - `usage_counts_last`: the last counts stand, also after the end
/// - `the_limit_is_a_reason_to_end`, `a_withheld_reply_says_so`
/// - `a_tool_call_arrives_whole`, `tool_calls_arrive_whole_when_mixed`
/// - `tool_call_ids_are_unique`: also where the provider gives none
/// - `a_break_is_an_error`, `a_break_before_the_first_word_is_an_error`,
///   `a_break_within_a_tool_call_is_an_error`: kind `Truncated`, and no call that is cut
/// - `a_failure_in_the_middle_is_one_error`
/// - `a_refusal_keeps_its_kind`: for unavailable, rate limit, key, and too long
/// - `questions_at_once_do_not_mix`
/// - `dropping_ends_the_call`
/// - `debug_shows_no_content`
pub async fn model_suite<F>(make: impl Fn(Scenario) -> F, skips: &[Skip]) -> SuiteReport
where
    F: Future<Output = ModelUnderTest>,
{
    let mut run = Runner::new("model", skips);
    for (scenario, expected) in replies() {
        let (name, make) = (scenario.name, &make);
        let case = || -> CaseFuture<'_> {
            Box::pin(async move { plays(&make(scenario).await, &expected).await })
        };
        run.case(name, case).await;
    }
    let make = &make;
    let start = |name, pieces| make(Scenario { name, pieces });

    let name = "a_refusal_keeps_its_kind";
    run.case(name, || {
        Box::pin(async move {
            for kind in [
                ModelErrorKind::Unavailable,
                ModelErrorKind::RateLimited,
                ModelErrorKind::Unauthorized,
                ModelErrorKind::ContextTooLong,
            ] {
                let expected = Expected {
                    end: End::Error(kind),
                    ..Expected::default()
                };
                plays(&start(name, vec![Piece::Fails(kind)]).await, &expected).await?;
            }
            Ok(())
        })
    })
    .await;

    let name = "questions_at_once_do_not_mix";
    run.case(name, || {
        Box::pin(async move { at_once(&start(name, two_calls()).await).await })
    })
    .await;

    let name = "dropping_ends_the_call";
    run.case(name, || {
        let pieces = vec![Piece::Text("first".to_owned()), Piece::Hangs];
        Box::pin(async move { dropped(&start(name, pieces).await).await })
    })
    .await;

    let name = "debug_shows_no_content";
    run.case(name, || {
        let pieces = vec![Piece::Text(SECRET.to_owned()), Piece::Breaks];
        Box::pin(async move { no_content(&start(name, pieces).await).await })
    })
    .await;
    run.finish()
}

const ARGUMENTS: &str = r#"{"path": "a \"b\".txt", "lines": [1, 2.5], "é": null}"#;
const WORDS: &str = "Grüße, 世界 🦀\nand\r\n\"more\" data: [DONE] \\n";

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn begins(number: usize, id: Option<&str>, name: &str) -> Piece {
    Piece::CallBegins(number, id.map(str::to_owned), name.to_owned())
}

fn arguments(number: usize, part: &str) -> Piece {
    Piece::CallArguments(number, part.to_owned())
}

fn stop() -> Piece {
    Piece::Finish(FinishReason::Stop)
}

/// Two tool calls whose arguments come in turns.
fn two_calls() -> Vec<Piece> {
    let mut pieces = vec![
        text("Let me look."),
        begins(0, Some("call-a"), "read_file"),
        begins(1, Some("call-b"), "list"),
    ];
    let characters: Vec<char> = ARGUMENTS.chars().collect();
    for part in characters.chunks(7) {
        pieces.push(arguments(0, &part.iter().collect::<String>()));
        if pieces.len() == 5 {
            pieces.push(arguments(1, "{"));
        }
    }
    pieces.extend([arguments(1, "}"), Piece::Finish(FinishReason::ToolCalls)]);
    pieces
}

/// Scenarios with one question each, and what has to come of them.
fn replies() -> Vec<(Scenario, Expected)> {
    let letters = WORDS.chars().map(|letter| text(&letter.to_string()));
    let words = || Expected {
        text: WORDS,
        ..Expected::default()
    };
    let ends = |text, end| Expected {
        text,
        end,
        ..Expected::default()
    };
    let broken = |text| Expected {
        text,
        end: End::Error(ModelErrorKind::Truncated),
        ..Expected::default()
    };
    let calls = |text, calls| Expected {
        text,
        calls,
        end: End::Finish(FinishReason::ToolCalls),
        ..Expected::default()
    };
    let tool_calls = Piece::Finish(FinishReason::ToolCalls);
    vec![
        case("words_in_one_piece", vec![text(WORDS), stop()], words()),
        case(
            "words_in_small_pieces",
            letters.chain([stop()]).collect(),
            words(),
        ),
        case("an_empty_reply_ends", vec![stop()], Expected::default()),
        case(
            "reasoning_is_not_text",
            vec![
                Piece::Reasoning("hm, ".to_owned()),
                Piece::Reasoning("yes".to_owned()),
                text("Yes."),
                stop(),
            ],
            Expected {
                text: "Yes.",
                reasoning: "hm, yes",
                ..Expected::default()
            },
        ),
        case(
            "usage_counts_last",
            vec![Piece::Usage(3, 0), text("Yes."), stop(), Piece::Usage(3, 4)],
            Expected {
                text: "Yes.",
                usage: Some((3, 4)),
                ..Expected::default()
            },
        ),
        case(
            "the_limit_is_a_reason_to_end",
            vec![text("Ye"), Piece::Finish(FinishReason::Length)],
            ends("Ye", End::Finish(FinishReason::Length)),
        ),
        case(
            "a_withheld_reply_says_so",
            vec![Piece::Finish(FinishReason::ContentFilter)],
            ends("", End::Finish(FinishReason::ContentFilter)),
        ),
        case(
            "a_tool_call_arrives_whole",
            vec![
                begins(0, Some("call-a"), "read_file"),
                arguments(0, "{\"path\": "),
                arguments(0, "\"x\"}"),
                tool_calls.clone(),
            ],
            calls("", vec![(Some("call-a"), "read_file", r#"{"path": "x"}"#)]),
        ),
        case(
            "tool_calls_arrive_whole_when_mixed",
            two_calls(),
            calls(
                "Let me look.",
                vec![
                    (Some("call-a"), "read_file", ARGUMENTS),
                    (Some("call-b"), "list", "{}"),
                ],
            ),
        ),
        case(
            "tool_call_ids_are_unique",
            vec![
                begins(0, None, "list"),
                arguments(0, "{}"),
                begins(1, None, "list"),
                arguments(1, "{}"),
                tool_calls,
            ],
            calls("", vec![(None, "list", "{}"), (None, "list", "{}")]),
        ),
        case(
            "a_break_is_an_error",
            vec![text("Half a"), Piece::Breaks],
            broken("Half a"),
        ),
        case(
            "a_break_before_the_first_word_is_an_error",
            vec![Piece::Breaks],
            broken(""),
        ),
        case(
            "a_break_within_a_tool_call_is_an_error",
            vec![
                begins(0, Some("call-a"), "list"),
                arguments(0, "{\"path\""),
                Piece::Breaks,
            ],
            broken(""),
        ),
        case(
            "a_failure_in_the_middle_is_one_error",
            vec![text("Half a"), Piece::Fails(ModelErrorKind::Unavailable)],
            ends("Half a", End::Error(ModelErrorKind::Unavailable)),
        ),
    ]
}

fn case(name: &'static str, pieces: Vec<Piece>, expected: Expected) -> (Scenario, Expected) {
    (Scenario { name, pieces }, expected)
}

const SECRET: &str = "zq-secret-reply-zq";

fn question() -> ChatRequest {
    ChatRequest::new(vec![Message::text(Role::User, "zq-secret-question-zq")])
}

/// A reply as it came, checked against what every reply promises.
#[derive(Default)]
struct Reply {
    text: String,
    reasoning: String,
    calls: Vec<ToolCall>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    error: Option<ModelError>,
}

/// Many more events than any scenario has: a stream that never ends is stopped here.
const ENDLESS: usize = 10_000;

async fn ask(model: &dyn ChatModel) -> Result<Reply, Failure> {
    let mut reply = Reply::default();
    let mut stream = match model.stream(&question()).await {
        Ok(stream) => stream,
        Err(error) => {
            reply.error = Some(error);
            return Ok(reply);
        }
    };
    let mut count = 0;
    while let Some(event) = stream.next().await {
        count += 1;
        check!(count < ENDLESS, "the reply does not end");
        check!(reply.error.is_none(), "something follows the error");
        let usage_only = matches!(event, Ok(ChatEvent::Usage(_)));
        if reply.finish.is_some() && !usage_only {
            let what = match event {
                Ok(ChatEvent::Finish(_)) => "a second Finish",
                Ok(_) => "an event",
                Err(_) => "an error",
            };
            return Err(Failure::new(format!("{what} follows Finish")));
        }
        match event {
            Ok(ChatEvent::Text(text)) => reply.text.push_str(&text),
            Ok(ChatEvent::Reasoning(text)) => reply.reasoning.push_str(&text),
            Ok(ChatEvent::ToolCall(call)) => reply.calls.push(call),
            Ok(ChatEvent::Usage(usage)) => reply.usage = Some(usage),
            Ok(ChatEvent::Finish(reason)) => reply.finish = Some(reason),
            Ok(_) => {}
            Err(error) => reply.error = Some(error),
        }
    }
    check!(
        reply.finish.is_some() || reply.error.is_some(),
        "the reply ended without Finish and without an error"
    );
    let mut ids = HashSet::new();
    for call in &reply.calls {
        check!(!call.id.is_empty(), "a tool call has no identifier");
        check!(
            ids.insert(&call.id),
            "two tool calls have the identifier {}",
            call.id
        );
        check!(
            call.arguments.to_value().is_ok(),
            "the arguments of a tool call are not whole"
        );
    }
    Ok(reply)
}

async fn plays(tested: &ModelUnderTest, expected: &Expected) -> Outcome {
    check_reply(&ask(&*tested.model).await?, expected)
}

fn check_reply(reply: &Reply, expected: &Expected) -> Outcome {
    match &expected.end {
        End::Stop => check_eq!(reply.finish, Some(FinishReason::Stop), "end of the reply"),
        End::Finish(reason) => check_eq!(reply.finish.as_ref(), Some(reason), "end of the reply"),
        End::Error(kind) => {
            let found = reply.error.as_ref().map(ModelError::kind);
            check_eq!(found, Some(*kind), "error of the reply");
        }
    }
    check_eq!(reply.text, expected.text, "words");
    check_eq!(reply.reasoning, expected.reasoning, "reasoning");
    check_eq!(reply.calls.len(), expected.calls.len(), "tool calls");
    for (call, (id, name, arguments)) in reply.calls.iter().zip(&expected.calls) {
        check_eq!(call.name, *name, "tool");
        if let Some(id) = id {
            check_eq!(call.id, *id, "identifier of the call");
        }
        let (found, wanted) = (call.arguments.to_value()?, content(arguments).to_value()?);
        check_eq!(found, wanted, "arguments");
    }
    if let Some((prompt, completion)) = expected.usage {
        let usage = reply.usage.clone().unwrap_or_default();
        let found = (usage.prompt_tokens(), usage.completion_tokens());
        check_eq!(found, (Some(prompt), Some(completion)), "token counts");
    }
    Ok(())
}

async fn at_once(tested: &ModelUnderTest) -> Outcome {
    let model = &*tested.model;
    let replies = futures_util::future::join_all((0..4).map(|_| ask(model))).await;
    let expected = Expected {
        text: "Let me look.",
        calls: vec![
            (Some("call-a"), "read_file", ARGUMENTS),
            (Some("call-b"), "list", "{}"),
        ],
        end: End::Finish(FinishReason::ToolCalls),
        ..Expected::default()
    };
    for reply in replies {
        check_reply(&reply?, &expected)?;
    }
    Ok(())
}

async fn dropped(tested: &ModelUnderTest) -> Outcome {
    let mut stream = tested.model.stream(&question()).await?;
    let mut first = stream.next().await;
    while let Some(Ok(ChatEvent::Usage(_))) = first {
        first = stream.next().await;
    }
    let first = first.transpose()?;
    check_eq!(
        first,
        Some(ChatEvent::Text("first".to_owned())),
        "first event"
    );
    drop(stream);
    let Some(let_go) = &tested.let_go else {
        return Err(Failure::new("no probe; see ModelUnderTest::with_probe"));
    };
    check!(
        let_go().await,
        "the call goes on after its stream was dropped"
    );
    Ok(())
}

async fn no_content(tested: &ModelUnderTest) -> Outcome {
    let reply = ask(&*tested.model).await?;
    let error = reply
        .error
        .map(|error| format!("{error} {error:?}"))
        .unwrap_or_default();
    for shown in [format!("{:?}", tested.model), error] {
        check!(
            !shown.contains("zq-secret"),
            "Debug or an error quotes a question or an answer"
        );
    }
    Ok(())
}
