//! What may cross threads, checked by the compiler.

use opik_observe::prompts::{PromptRegistry, PromptText};
use opik_observe::workflow::{Job, LlmCall, Node, Steps, Validation};
use opik_observe::{
    Flush, FlushReport, InSpan, ObservedModel, Policy, Recorder, RecorderBuilder, RecorderGuard,
    SpanGuard, SpanHandle, StartError, Statistics, StreamInSpan, TraceGuard,
};

fn sends<T: Send + Sync + 'static>() -> &'static str {
    std::any::type_name::<T>()
}

#[test]
fn handles_guards_and_reports_may_be_sent_and_shared() {
    let all = [
        sends::<Recorder>(),
        sends::<RecorderGuard>(),
        sends::<RecorderBuilder>(),
        sends::<TraceGuard>(),
        sends::<SpanGuard>(),
        sends::<SpanHandle>(),
        sends::<InSpan<std::future::Ready<()>, SpanGuard>>(),
        sends::<StreamInSpan<futures_util::stream::Empty<()>, SpanGuard>>(),
        sends::<ObservedModel<dyn opik_core::ChatModel>>(),
        sends::<Flush>(),
        sends::<FlushReport>(),
        sends::<Statistics>(),
        sends::<Policy>(),
        sends::<StartError>(),
        sends::<Job>(),
        sends::<Node>(),
        sends::<LlmCall>(),
        sends::<Validation>(),
        sends::<Steps>(),
        sends::<PromptRegistry>(),
        sends::<PromptText>(),
    ];
    assert_eq!(all.len(), 21);
}

/// Entering a span is an affair of one thread: [`opik_observe::EnterGuard`] is neither `Send` nor
/// `Sync`. The blanket implementation would be ambiguous if it were.
#[test]
fn an_entered_span_stays_on_its_thread() {
    trait Stays<A> {
        fn stays() -> bool {
            true
        }
    }
    impl<T: ?Sized> Stays<()> for T {}
    struct Crosses;
    impl<T: ?Sized + Send> Stays<Crosses> for T {}
    assert!(<opik_observe::EnterGuard as Stays<_>>::stays());
}
