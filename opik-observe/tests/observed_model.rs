//! Observed models: the same model to its caller, and one span per question.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _};
use opik_core::chat::{FinishReason, ModelErrorKind, ReasoningEffort};
use opik_core::{
    ChatEvent, ChatModel, ChatRequest, ChatStream, Json, Message, ModelError, Role, Span, SpanType,
};
use opik_observe::{ObservedModel, Policy, Recorder, RecorderGuard, prompt_hash};
use opik_testkit::doubles::Step;
use opik_testkit::{
    Gate, ModelUnderTest, Piece, RecordingExporter, Scenario, ScriptedModel, model_suite,
};
use serde_json::json;

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);

struct Place {
    recorder: Recorder,
    guard: RecorderGuard,
    seen: RecordingExporter,
}

impl Place {
    fn new() -> Self {
        Self::with(Policy::full_content())
    }

    fn with(policy: Policy) -> Self {
        let seen = RecordingExporter::new();
        let (recorder, guard) = Recorder::builder()
            .branch("b", Arc::new(seen.clone()), policy)
            .start()
            .unwrap();
        Self {
            recorder,
            guard,
            seen,
        }
    }

    fn observed<M: ChatModel>(&self, model: M) -> ObservedModel<M> {
        ObservedModel::new(Arc::new(model), &self.recorder)
    }

    fn spans(self) -> Vec<Span> {
        assert!(self.guard.shutdown(LONG).complete);
        self.seen.spans()
    }

    /// The only span that was recorded.
    fn span(self) -> Span {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

fn question() -> ChatRequest {
    ChatRequest::new(vec![Message::text(Role::User, "why is my order late?")])
}

fn value(json: Option<&Json>) -> serde_json::Value {
    json.map(|json| json.to_value().unwrap())
        .unwrap_or_default()
}

fn error(span: &Span) -> Option<(&str, &str)> {
    let error = span.error_info.as_ref()?;
    Some((
        &error.exception_type,
        error.message.as_deref().unwrap_or_default(),
    ))
}

/// Runs a future that has nothing to wait for.
fn run<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Everything that the reply to a question gives.
fn ask(model: &impl ChatModel) -> Vec<Result<ChatEvent, ModelErrorKind>> {
    let reply = run(model.stream(&question())).unwrap();
    run(reply
        .map(|event| event.map_err(|error| error.kind()))
        .collect())
}

/// A model that answers four questions as the scenario says, observed.
fn scripted(scenario: &Scenario, recorder: &Recorder) -> ModelUnderTest {
    let mut model = ScriptedModel::new("scripted/one");
    for _ in 0..4 {
        model = match scenario.pieces.as_slice() {
            [Piece::Fails(kind)] => model.refuses(*kind),
            _ => model.reply(scenario.steps()),
        };
    }
    let probe = model.clone();
    let observed = ObservedModel::new(Arc::new(model), recorder);
    ModelUnderTest::new(Arc::new(observed)).with_probe(move || {
        let cancelled = probe.cancelled();
        async move { cancelled == 1 }
    })
}

#[test]
fn an_observed_model_keeps_the_contract_of_models() {
    let place = Place::new();
    for recorder in [place.recorder.clone(), Recorder::disabled()] {
        let make = |scenario: Scenario| std::future::ready(scripted(&scenario, &recorder));
        let report = run(model_suite(make, &[]));
        report.assert_ok();
        assert_eq!(report.passed.len(), 18, "{report}");
    }
    // 14 replies, 4 refusals, 4 questions at once, and one each of the last two cases.
    assert_eq!(place.spans().len(), 24);
}

#[test]
fn a_call_is_a_span_with_all_that_is_known_of_it() {
    let place = Place::new();
    let model = place.observed(ScriptedModel::new("openai/gpt-5-mini").reply([
        Step::usage(12, 0),
        Step::Event(ChatEvent::Reasoning("hm".to_owned())),
        Step::text("it left "),
        Step::text("the warehouse"),
        Step::tool_call("c", "track", Json::parse(r#"{"order": 7}"#).unwrap()),
        Step::finish(FinishReason::ToolCalls),
        Step::usage(12, 6),
    ]));
    assert_eq!(model.name(), "openai/gpt-5-mini");
    let mut request = question();
    request.max_tokens = Some(200);
    request.temperature = Some(0.5);
    request.reasoning_effort = Some(ReasoningEffort::Low);
    let reply = run(model.stream(&request)).unwrap();
    assert_eq!(run(reply.collect::<Vec<_>>()).len(), 7);
    let span = place.span();
    assert_eq!(
        (span.name.as_deref(), &span.r#type),
        (Some("chat"), &Some(SpanType::Llm))
    );
    assert_eq!(
        (span.model.as_deref(), span.provider.as_deref()),
        (Some("gpt-5-mini"), Some("openai"))
    );
    let messages = json!([{ "role": "user", "content": "why is my order late?" }]);
    assert_eq!(value(span.input.as_ref()), json!({ "messages": messages }));
    let function = json!({ "name": "track", "arguments": "{\"order\": 7}" });
    let message = json!({
        "role": "assistant",
        "content": "it left the warehouse",
        "reasoning": "hm",
        "tool_calls": [{ "id": "c", "type": "function", "function": function }],
    });
    assert_eq!(
        value(span.output.as_ref()),
        json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }] })
    );
    let hash = prompt_hash::v2(&messages.to_string());
    assert_eq!(
        value(span.metadata.as_ref()),
        json!({
            "finish_reason": "tool_calls", "max_tokens": 200, "temperature": 0.5,
            "reasoning_effort": "low", "prompt_hash": hash,
        })
    );
    assert_eq!(
        (span.usage.prompt_tokens(), span.usage.completion_tokens()),
        (Some(12), Some(6))
    );
    assert!(span.ttft.is_some() && span.end_time.is_some() && error(&span).is_none());
}

#[test]
fn refusals_and_failures_are_errors_of_their_kind() {
    let place = Place::new();
    let model = ScriptedModel::new("local").refuses(ModelErrorKind::RateLimited);
    let model =
        place.observed(model.reply([Step::text("half"), Step::Error(ModelErrorKind::Truncated)]));
    let refused = run(model.stream(&question())).err().unwrap();
    assert_eq!(refused.kind(), ModelErrorKind::RateLimited);
    assert_eq!(ask(&model).last(), Some(&Err(ModelErrorKind::Truncated)));
    let [refused, broken] = place.spans().try_into().unwrap();
    assert_eq!(error(&refused), Some(("RateLimited", "scripted refusal")));
    assert_eq!((refused.ttft, refused.output), (None, None));
    assert_eq!(
        (refused.model.as_deref(), refused.provider),
        (Some("local"), None)
    );
    assert_eq!(error(&broken), Some(("Truncated", "scripted failure")));
    let output = value(broken.output.as_ref());
    assert_eq!(output["choices"][0]["message"]["content"], "half");
    assert!(value(broken.metadata.as_ref()).get("cancelled").is_none());
}

#[test]
fn a_dropped_reply_is_cancelled_and_keeps_what_came() {
    let place = Place::new();
    let inner = ScriptedModel::new("local/m").reply([Step::text("half"), Step::Wait(Gate::new())]);
    let model = place.observed(inner.clone());
    let mut reply = run(model.stream(&question())).unwrap();
    assert!(reply.next().now_or_never().is_some());
    assert!(reply.next().now_or_never().is_none());
    drop(reply);
    assert_eq!(inner.cancelled(), 1);
    let span = place.span();
    assert_eq!(value(span.metadata.as_ref())["cancelled"], true);
    let output = value(span.output.as_ref());
    assert_eq!(output["choices"][0]["message"]["content"], "half");
    assert!(span.ttft.is_some() && error(&span).is_none());
}

#[test]
fn a_reply_that_is_dropped_after_its_finish_is_whole() {
    let place = Place::new();
    let model = place.observed(ScriptedModel::new("local/m").says("yes"));
    let mut reply = run(model.stream(&question())).unwrap();
    while !matches!(run(reply.next()), Some(Ok(ChatEvent::Finish(_)))) {}
    drop(reply);
    let metadata = value(place.span().metadata.as_ref());
    assert_eq!(
        (metadata.get("cancelled"), &metadata["finish_reason"]),
        (None, &json!("stop"))
    );
}

/// Never begins to answer, or panics instead.
#[derive(Debug)]
enum Odd {
    Waits(Gate),
    Panics,
    PanicsLater,
}

#[async_trait]
impl ChatModel for Odd {
    fn name(&self) -> &str {
        "odd/"
    }

    async fn stream(&self, _: &ChatRequest) -> Result<ChatStream, ModelError> {
        match self {
            Self::Waits(gate) => gate.wait().await,
            Self::Panics => panic!("the model's own"),
            Self::PanicsLater => {}
        }
        let panics = |_: &mut std::task::Context<'_>| panic!("the model's own");
        Ok(Box::pin(futures_util::stream::poll_fn(panics)))
    }
}

#[test]
fn a_question_that_is_dropped_before_the_reply_begins_is_cancelled() {
    let place = Place::new();
    let model = place.observed(Odd::Waits(Gate::new()));
    assert!(model.stream(&question()).now_or_never().is_none());
    let span = place.span();
    assert_eq!(value(span.metadata.as_ref())["cancelled"], true);
    assert_eq!((span.output, span.model.as_deref()), (None, Some("odd/")));
}

#[test]
fn a_panicking_model_panics_and_its_span_says_so() {
    let place = Place::new();
    let model = place.observed(Odd::Panics);
    let request = question();
    let caught = AssertUnwindSafe(model.stream(&request)).catch_unwind();
    assert!(run(caught).is_err());
    let mut reply = run(place.observed(Odd::PanicsLater).stream(&question())).unwrap();
    assert!(run(AssertUnwindSafe(reply.next()).catch_unwind()).is_err());
    assert!(place.recorder.current().is_none());
    // Recorded by the panic, not by the drop.
    assert!(place.recorder.flush(LONG).complete);
    assert_eq!(place.seen.spans().len(), 2);
    drop(reply);
    for span in place.spans() {
        assert_eq!(error(&span).map(|(kind, _)| kind), Some("panic"));
        assert_eq!(value(span.metadata.as_ref()).get("cancelled"), None);
    }
}

/// A model that records something itself, while it is asked and while it answers.
#[derive(Debug)]
struct Deep(Recorder);

#[async_trait]
impl ChatModel for Deep {
    fn name(&self) -> &str {
        "deep/one"
    }

    async fn stream(&self, _: &ChatRequest) -> Result<ChatStream, ModelError> {
        self.0.span_in_context("asked", SpanType::General).end();
        let recorder = self.0.clone();
        let answer = futures_util::stream::once(async move {
            recorder.span_in_context("answers", SpanType::General).end();
            Ok(ChatEvent::Finish(FinishReason::Stop))
        });
        Ok(Box::pin(answer))
    }
}

#[test]
fn spans_are_below_the_current_one_or_a_given_parent_and_above_those_of_the_model() {
    let place = Place::new();
    let model = place
        .observed(Deep(place.recorder.clone()))
        .recorded_as("m", "");
    let trace = place.recorder.trace("t");
    let (here, given) = (
        trace.span("here", SpanType::General),
        trace.span("given", SpanType::General),
    );
    let entered = here.enter();
    assert_eq!(ask(&model).len(), 1);
    assert_eq!(ask(&model.below(given.handle())).len(), 1);
    drop((entered, here, given, trace));
    let spans = place.spans();
    let parent = |span: &Span| {
        let parent = spans
            .iter()
            .find(|other| Some(other.id) == span.parent_span_id);
        parent
            .map(|span| span.name.clone().unwrap())
            .unwrap_or_default()
    };
    let of = |name: &'static str| {
        spans
            .iter()
            .filter(move |span| span.name.as_deref() == Some(name))
    };
    assert_eq!(
        of("chat").map(parent).collect::<Vec<_>>(),
        ["here", "given"]
    );
    for inside in ["asked", "answers"] {
        assert_eq!(of(inside).map(parent).collect::<Vec<_>>(), ["chat", "chat"]);
    }
    assert!(of("chat").all(|span| span.model.as_deref() == Some("m") && span.provider.is_none()));
}

#[test]
fn a_branch_without_content_gets_none_of_it() {
    let place = Place::with(Policy::metadata_only());
    let inner = ScriptedModel::new("openai/m").reply([
        Step::Event(ChatEvent::Reasoning("zq-secret".to_owned())),
        Step::text("zq-secret"),
        Step::tool_call("zq-secret", "zq-secret", Json::string("zq-secret")),
        Step::finish(FinishReason::Other("zq-secret".to_owned())),
    ]);
    let model = place.observed(inner.refuses(ModelErrorKind::Timeout));
    let secret = ChatRequest::new(vec![Message::text(Role::User, "zq-secret")]);
    let reply = run(model.stream(&secret)).unwrap();
    assert_eq!(run(reply.count()), 4);
    assert!(run(model.stream(&secret)).is_err());
    let spans = place.spans();
    let wire = serde_json::to_string(&spans).unwrap();
    assert!(!wire.contains("zq-secret"), "{wire}");
    let [whole, failed] = spans.try_into().unwrap();
    assert_eq!(error(&failed), Some(("Timeout", "")));
    assert!(whole.ttft.is_some() && whole.model.as_deref() == Some("m"));
    assert!(
        value(whole.metadata.as_ref())["prompt_hash"]
            .as_str()
            .unwrap()
            .starts_with("v2:")
    );
}
