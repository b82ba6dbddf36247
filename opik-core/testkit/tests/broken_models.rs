//! Models with one defect each: the suite has to find every one, in the case that names it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_core::Stream;
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::{ChatEvent, ChatModel, ChatRequest, ChatStream, Json, ModelError};
use opik_testkit::doubles::Step;
use opik_testkit::{ModelUnderTest, Piece, Scenario, ScriptedModel, model_suite};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    FinishesTwice,
    CutsSilently,
    TakesABreakForTheEnd,
    FinishesAfterAnError,
    RepeatsToolIds,
    SendsCallsInParts,
    SendsCallsAfterTheEnd,
    TakesReasoningForText,
    DropsEmptyReplies,
    TrimsText,
    LosesTheReason,
    TurnsRefusalsIntoOneKind,
    KeepsGoing,
    SharesStateBetweenQuestions,
    QuotesContent,
}

/// What a wrong model makes of what its provider sends.
fn spoil(defect: Defect, steps: Vec<Step>) -> Vec<Step> {
    let mut spoilt = Vec::new();
    for step in steps {
        match (defect, step) {
            (Defect::FinishesTwice, step @ Step::Event(ChatEvent::Finish(_))) => {
                spoilt.extend([step.clone(), step]);
            }
            (Defect::CutsSilently, Step::Error(_)) => {}
            (Defect::TakesABreakForTheEnd, Step::Error(ModelErrorKind::Truncated)) => {
                spoilt.push(Step::finish(FinishReason::Stop));
            }
            (Defect::RepeatsToolIds, Step::Event(ChatEvent::ToolCall(mut call))) => {
                "call".clone_into(&mut call.id);
                spoilt.push(Step::Event(ChatEvent::ToolCall(call)));
            }
            (Defect::SendsCallsInParts, Step::Event(ChatEvent::ToolCall(call))) => {
                let half = Json::string("half");
                spoilt.push(Step::tool_call(&call.id, &call.name, half));
                spoilt.push(Step::Event(ChatEvent::ToolCall(call)));
            }
            (Defect::TakesReasoningForText, Step::Event(ChatEvent::Reasoning(text))) => {
                spoilt.push(Step::text(text));
            }
            (Defect::TrimsText, Step::Event(ChatEvent::Text(text))) => {
                spoilt.push(Step::text(text.trim()));
            }
            (Defect::LosesTheReason, Step::Event(ChatEvent::Finish(_))) => {
                spoilt.push(Step::finish(FinishReason::Stop));
            }
            (Defect::DropsEmptyReplies, step @ Step::Event(ChatEvent::Finish(_))) => {
                if !spoilt.is_empty() {
                    spoilt.push(step);
                }
            }
            (_, step) => spoilt.push(step),
        }
    }
    if defect == Defect::SendsCallsAfterTheEnd {
        let is_call = |step: &Step| matches!(step, Step::Event(ChatEvent::ToolCall(_)));
        spoilt.sort_by_key(is_call);
    }
    spoilt
}

/// A stream that goes on after its error, which a scripted reply never does.
struct AndThen(ChatStream, Option<ChatEvent>);

impl Stream for AndThen {
    type Item = Result<ChatEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.as_mut().poll_next(context) {
            Poll::Ready(None) => Poll::Ready(self.1.take().map(Ok)),
            other => other,
        }
    }
}

struct Broken {
    defect: Defect,
    model: ScriptedModel,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.model.requests();
        let asked = asked.iter().flat_map(|request| &request.messages);
        let words: Vec<String> = match self.defect {
            Defect::QuotesContent => asked.map(|message| message.words()).collect(),
            _ => Vec::new(),
        };
        f.debug_struct("Broken").field("asked", &words).finish()
    }
}

#[async_trait]
impl ChatModel for Broken {
    fn name(&self) -> &str {
        self.model.name()
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let stream = self
            .model
            .stream(request)
            .await
            .map_err(|error| match self.defect {
                Defect::TurnsRefusalsIntoOneKind => {
                    ModelError::new(ModelErrorKind::Unavailable, "refused")
                }
                _ => error,
            })?;
        if self.defect == Defect::FinishesAfterAnError {
            let end = ChatEvent::Finish(FinishReason::Stop);
            return Ok(Box::pin(AndThen(stream, Some(end))));
        }
        Ok(stream)
    }
}

fn broken(defect: Defect, scenario: &Scenario) -> ModelUnderTest {
    let mut model = ScriptedModel::new("broken/one");
    for question in 0..4 {
        let mut steps = spoil(defect, scenario.steps());
        if defect == Defect::SharesStateBetweenQuestions && question > 0 {
            steps.insert(0, Step::text("left over"));
        }
        model = match scenario.pieces.as_slice() {
            [Piece::Fails(kind)] => model.refuses(*kind),
            _ => model.reply(steps),
        };
    }
    let probe = model.clone();
    ModelUnderTest::new(Arc::new(Broken { defect, model })).with_probe(move || {
        let let_go = probe.cancelled() == 1 && defect != Defect::KeepsGoing;
        async move { let_go }
    })
}

#[tokio::test]
async fn every_defect_fails_in_the_case_that_names_it() {
    for (defect, case) in [
        (Defect::FinishesTwice, "words_in_one_piece"),
        (Defect::CutsSilently, "a_break_is_an_error"),
        (Defect::TakesABreakForTheEnd, "a_break_is_an_error"),
        (
            Defect::TakesABreakForTheEnd,
            "a_break_before_the_first_word_is_an_error",
        ),
        (
            Defect::TakesABreakForTheEnd,
            "a_break_within_a_tool_call_is_an_error",
        ),
        (
            Defect::FinishesAfterAnError,
            "a_failure_in_the_middle_is_one_error",
        ),
        (Defect::RepeatsToolIds, "tool_call_ids_are_unique"),
        (Defect::SendsCallsInParts, "a_tool_call_arrives_whole"),
        (
            Defect::SendsCallsAfterTheEnd,
            "tool_calls_arrive_whole_when_mixed",
        ),
        (Defect::TakesReasoningForText, "reasoning_is_not_text"),
        (Defect::DropsEmptyReplies, "an_empty_reply_ends"),
        (Defect::TrimsText, "words_in_small_pieces"),
        (Defect::LosesTheReason, "the_limit_is_a_reason_to_end"),
        (Defect::TurnsRefusalsIntoOneKind, "a_refusal_keeps_its_kind"),
        (Defect::KeepsGoing, "dropping_ends_the_call"),
        (
            Defect::SharesStateBetweenQuestions,
            "questions_at_once_do_not_mix",
        ),
        (Defect::QuotesContent, "debug_shows_no_content"),
    ] {
        let make = |scenario| async move { broken(defect, &scenario) };
        let report = model_suite(make, &[]).await;
        assert!(report.has_failed(case), "{defect:?} {case}\n{report}");
    }
}

#[tokio::test]
async fn without_a_defect_the_same_model_passes() {
    let make = |scenario| async move { broken(Defect::None, &scenario) };
    model_suite(make, &[]).await.assert_ok();
}
