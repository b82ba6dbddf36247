//! Streams inside spans: how their spans begin, end and tell what happened.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_core::stream::FusedStream as _;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use opik_core::{Span, SpanType};
use opik_observe::{Policy, Recorder, RecorderGuard, StreamExt as _};
use opik_testkit::RecordingExporter;

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);

struct Place {
    recorder: Recorder,
    guard: RecorderGuard,
    seen: RecordingExporter,
}

fn place() -> Place {
    let seen = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(seen.clone()), Policy::full_content())
        .start()
        .unwrap();
    Place {
        recorder,
        guard,
        seen,
    }
}

impl Place {
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

fn metadata(span: &Span) -> serde_json::Value {
    span.metadata
        .as_ref()
        .map(|json| json.to_value().unwrap())
        .unwrap_or_default()
}

fn error_type(span: &Span) -> Option<&str> {
    span.error_info
        .as_ref()
        .map(|error| error.exception_type.as_str())
}

fn begin(place: &Place, name: &'static str) -> opik_observe::SpanGuard {
    place.recorder.span_in_context(name, SpanType::Llm)
}

/// The stream's next item, which has to be there already.
fn now<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    stream.next().now_or_never().expect("the stream waits")
}

type Items = Result<&'static str, std::num::ParseIntError>;

fn broken() -> Items {
    Err("x".parse::<i32>().unwrap_err())
}

#[test]
fn a_stream_that_ends_ends_its_span_with_what_came() {
    let place = place();
    let words = stream::iter(["one ", "two ", "three"])
        .in_span(begin(&place, "words"))
        .output_text(|word: &&str| Some(word));
    assert_eq!(words.size_hint(), (3, Some(3)));
    let all: Vec<_> = words.collect().now_or_never().unwrap();
    assert_eq!(all, ["one ", "two ", "three"]);
    let span = place.span();
    assert_eq!(metadata(&span), serde_json::json!({ "items": 3 }));
    assert_eq!(
        span.output.as_ref().unwrap().to_value().unwrap(),
        serde_json::json!({ "output": "one two three" })
    );
    assert!(span.end_time.is_some() && span.ttft.is_some() && span.error_info.is_none());
}

#[test]
fn the_span_ends_with_the_stream_and_not_when_the_stream_is_dropped() {
    let place = place();
    let mut words = stream::iter(["one"]).in_span(begin(&place, "words"));
    assert_eq!((now(&mut words), now(&mut words)), (Some("one"), None));
    // Still there, and recorded all the same.
    assert!(place.recorder.flush(LONG).complete);
    assert_eq!(place.seen.spans().len(), 1, "the end did not end it");
    drop(words);
    assert_eq!(metadata(&place.span()), serde_json::json!({ "items": 1 }));
}

#[test]
fn an_error_ends_the_span_and_what_follows_still_passes() {
    let place = place();
    let mut words = stream::iter([Ok("one"), broken(), Ok("two")])
        .in_span(begin(&place, "words"))
        .fail_on_error()
        .output_text(|word: &Items| word.as_ref().ok().copied());
    assert_eq!(now(&mut words), Some(Ok("one")));
    assert_eq!(now(&mut words), Some(broken()));
    assert!(place.recorder.flush(LONG).complete);
    assert_eq!(place.seen.spans().len(), 1, "the error did not end it");
    assert_eq!(now(&mut words), Some(Ok("two")));
    assert_eq!(now(&mut words), None);
    drop(words);
    let span = place.span();
    assert_eq!(error_type(&span), Some("ParseIntError"));
    assert_eq!(metadata(&span), serde_json::json!({ "items": 1 }));
    let output = span.output.as_ref().unwrap().to_value().unwrap();
    assert_eq!(output, serde_json::json!({ "output": "one" }));
}

#[test]
fn a_stream_that_begins_with_its_error_has_no_first_token() {
    let place = place();
    let words = stream::iter([broken()]).in_span(begin(&place, "words"));
    let all: Vec<_> = words.fail_on_error().collect().now_or_never().unwrap();
    assert_eq!(all, [broken()]);
    let span = place.span();
    assert_eq!(error_type(&span), Some("ParseIntError"));
    assert_eq!(
        (span.ttft, metadata(&span)["items"].as_i64()),
        (None, Some(0))
    );
}

#[test]
fn an_abandoned_stream_says_so_and_how_far_it_came() {
    let place = place();
    let endless = stream::repeat("word").in_span(begin(&place, "half way"));
    let mut endless = endless.output_text(|word: &&str| Some(word));
    assert_eq!(
        (now(&mut endless), now(&mut endless)),
        (Some("word"), Some("word"))
    );
    drop(endless);
    let span = place.span();
    let expected = serde_json::json!({ "cancelled": true, "items": 2 });
    assert_eq!(metadata(&span), expected);
    assert!(span.end_time.is_some() && span.ttft.is_some() && error_type(&span).is_none());
    let output = span.output.as_ref().unwrap().to_value().unwrap();
    assert_eq!(output, serde_json::json!({ "output": "wordword" }));
}

#[test]
fn a_stream_that_nobody_polls_is_abandoned_before_its_first_item() {
    let place = place();
    drop(stream::iter([1, 2]).in_span(begin(&place, "never")));
    let span = place.span();
    let expected = serde_json::json!({ "cancelled": true, "items": 0 });
    assert_eq!((metadata(&span), span.ttft), (expected, None));
}

#[test]
fn a_panicking_stream_is_a_failed_span_and_leaves_no_context_behind() {
    let place = place();
    let mut left = 2;
    let words = stream::poll_fn(move |_| {
        left -= 1;
        assert!(left > 0, "the program's own");
        std::task::Poll::Ready(Some(left))
    });
    let all = words.in_span(begin(&place, "panics")).collect::<Vec<_>>();
    assert!(
        AssertUnwindSafe(all)
            .catch_unwind()
            .now_or_never()
            .unwrap()
            .is_err()
    );
    assert!(place.recorder.current().is_none());
    let span = place.span();
    assert_eq!(error_type(&span), Some("panic"));
    assert_eq!(metadata(&span), serde_json::json!({ "items": 1 }));
}

#[test]
fn a_panic_of_a_function_that_watches_is_the_span_s_too() {
    let place = place();
    let words = stream::iter([1]).in_span(begin(&place, "watched"));
    let all = words
        .each(|_, _| panic!("the program's own"))
        .collect::<Vec<_>>();
    assert!(
        AssertUnwindSafe(all)
            .catch_unwind()
            .now_or_never()
            .unwrap()
            .is_err()
    );
    assert_eq!(error_type(&place.span()), Some("panic"));
}

/// Spins until this much time has passed by the clock that the assertion reads.
fn pass(time: Duration) -> Instant {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
    begun
}

#[test]
fn the_first_item_sets_the_first_token_time_and_later_ones_do_not() {
    let place = place();
    let before = Instant::now();
    let mut words = stream::iter(["one", "two"]).in_span(begin(&place, "words"));
    let waited = pass(Duration::from_millis(3)).elapsed();
    assert_eq!(now(&mut words), Some("one"));
    let at_most = before.elapsed();
    pass(at_most.max(Duration::from_millis(3)));
    assert_eq!((now(&mut words), now(&mut words)), (Some("two"), None));
    let ttft = Duration::from_secs_f64(place.span().ttft.unwrap() / 1_000.0);
    // A microsecond on either side is lost in rounding.
    let rounding = Duration::from_micros(2);
    assert!(ttft + rounding >= waited, "{ttft:?} < {waited:?}");
    assert!(ttft <= at_most + rounding, "{ttft:?} > {at_most:?}");
}

#[test]
fn a_stream_keeps_its_span_from_thread_to_thread() {
    let place = place();
    let recorder = place.recorder.clone();
    let inside = stream::iter(0..4).inspect(move |_| {
        recorder.span_in_context("inside", SpanType::Tool).end();
    });
    let mut moving = Box::pin(inside.in_span(begin(&place, "outside")));
    for _ in 0..5 {
        let recorder = place.recorder.clone();
        let turn = std::thread::Builder::new().spawn(move || {
            now(&mut moving);
            assert!(
                recorder.current().is_none(),
                "the span is left between polls"
            );
            moving
        });
        moving = turn.unwrap().join().unwrap();
    }
    drop(moving);
    let spans = place.spans();
    let outside: Vec<_> = spans
        .iter()
        .filter(|s| s.parent_span_id.is_none())
        .collect();
    assert_eq!((outside.len(), spans.len()), (1, 5));
    for span in spans.iter().filter(|span| span.parent_span_id.is_some()) {
        assert_eq!(span.parent_span_id, Some(outside[0].id));
    }
    assert_eq!(metadata(outside[0]), serde_json::json!({ "items": 4 }));
}

#[test]
fn streams_in_streams_are_spans_in_spans() {
    let place = place();
    let recorder = place.recorder.clone();
    // The inner span begins while the outer stream is polled.
    let inner = stream::once(async move {
        let span = recorder.span_in_context("inner", SpanType::Tool);
        stream::iter([1, 2]).in_span(span)
    });
    let outer = inner.flatten().in_span(begin(&place, "outer"));
    let all: Vec<_> = outer.collect().now_or_never().unwrap();
    assert_eq!(all, [1, 2]);
    let spans = place.spans();
    let named = |name| {
        spans
            .iter()
            .find(|s| s.name.as_deref() == Some(name))
            .unwrap()
    };
    assert_eq!(named("inner").parent_span_id, Some(named("outer").id));
    assert_eq!(metadata(named("inner")), metadata(named("outer")));
}

#[test]
fn each_item_may_tell_the_span_something_until_the_span_ends() {
    let place = place();
    let mut shown = Vec::new();
    let words = stream::iter([Ok("one"), broken(), Ok("two")]).in_span(begin(&place, "words"));
    let words = words.fail_on_error().each(|span, item| {
        shown.push(item.clone());
        span.tag(item.as_ref().unwrap());
    });
    let all: Vec<_> = words.collect().now_or_never().unwrap();
    assert_eq!((all.len(), shown), (3, vec![Ok("one")]));
    assert_eq!(place.span().tags, ["one"]);
}

/// Gives something after its end, as no stream should.
struct Odd(u32);

impl Stream for Odd {
    type Item = u32;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<u32>> {
        self.0 += 1;
        std::task::Poll::Ready((!self.0.is_multiple_of(2)).then_some(self.0))
    }
}

#[test]
fn after_its_end_a_stream_is_as_it_was_and_recorded_no_more() {
    let place = place();
    let mut bare = Odd(0);
    let mut odd = Odd(0).in_span(begin(&place, "odd"));
    for _ in 0..4 {
        assert_eq!(now(&mut odd), now(&mut bare));
    }
    drop(odd);
    assert_eq!(metadata(&place.span()), serde_json::json!({ "items": 1 }));

    let mut fused = stream::iter([1])
        .fuse()
        .in_span(Recorder::disabled().trace("off"));
    assert!(!fused.is_terminated());
    assert_eq!(
        (now(&mut fused), now(&mut fused), now(&mut fused)),
        (Some(1), None, None)
    );
    assert!(fused.is_terminated());
}

#[test]
fn a_trace_and_a_handle_are_places_for_a_stream_too() {
    let place = place();
    let trace = place.recorder.trace("t");
    let recorder = place.recorder.clone();
    let inside = stream::iter([1]).inspect(move |_| {
        recorder.span_in_context("inside", SpanType::Tool).end();
    });
    let handle = trace.handle();
    drop(inside.in_span(handle).collect::<Vec<_>>().now_or_never());
    assert!(place.recorder.flush(LONG).complete);
    assert_eq!(
        (place.seen.spans().len(), place.seen.traces().len()),
        (1, 0)
    );

    let words = stream::iter(["a", "b"]).in_span(trace);
    drop(words.collect::<Vec<_>>().now_or_never());
    assert!(place.guard.shutdown(LONG).complete);
    let trace = place.seen.traces().remove(0);
    assert!(trace.ttft.is_some() && trace.end_time.is_some());
}

#[test]
fn no_more_text_is_kept_than_the_recorder_takes() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .max_field_bytes(20)
        .branch("b", Arc::new(seen.clone()), Policy::full_content())
        .start()
        .unwrap();
    let words = stream::repeat("grüße ").take(1_000);
    let words = words.in_span(recorder.span_in_context("long", SpanType::Llm));
    let words = words.output_text(|word: &&str| Some(word));
    drop(words.collect::<Vec<_>>().now_or_never());
    assert!(guard.shutdown(LONG).complete);
    let output = seen.spans().remove(0).output.unwrap().to_value().unwrap();
    assert_eq!(output["opik_truncated"], true);
    assert!(output["output"].as_str().unwrap().len() < 30, "{output}");
}

#[test]
fn a_stream_without_a_recorder_is_just_the_stream() {
    let off = Recorder::disabled();
    let mut asked = 0;
    let words = stream::iter(["a", "b"]).in_span(off.span_in_context("off", SpanType::Llm));
    let words = words.output_text(|word: &&str| {
        asked += 1;
        Some(word)
    });
    let all: Vec<_> = words.collect().now_or_never().unwrap();
    assert_eq!((all, asked), (vec!["a", "b"], 0));
}

#[test]
fn observed_streams_may_be_sent_when_the_stream_may() {
    fn sends<T: Send + Sync>(_: &T) {}
    let words = stream::iter(["a"]).in_span(Recorder::disabled().trace("off"));
    sends(&words);
    sends(&words.output_text(|word: &&str| Some(word)));
}
