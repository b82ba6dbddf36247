//! Feedback scores and conversations.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use opik_core::model::ScoreTarget;
use opik_core::{FeedbackScore, ScoreRecord, SpanType};
use opik_observe::{Policy, Recorder, RecorderGuard};
use opik_testkit::RecordingExporter;

const LONG: Duration = Duration::from_secs(60);

fn recorder(policy: Policy) -> (Recorder, RecorderGuard, RecordingExporter) {
    let seen = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .project("support")
        .branch("b", Arc::new(seen.clone()), policy)
        .start()
        .unwrap();
    (recorder, guard, seen)
}

/// Target, name, value, category and reason.
fn parts(record: &ScoreRecord) -> (&ScoreTarget, &str, f64, Option<&str>, Option<&str>) {
    let score = &record.score;
    let (category, reason) = (score.category_name.as_deref(), score.reason.as_deref());
    (&record.target, &score.name, score.value, category, reason)
}

#[test]
fn verdicts_reach_what_they_are_about_also_after_it_ended() {
    let (recorder, guard, seen) = recorder(Policy::full_content());
    let trace = recorder.trace("t");
    let span = trace.span("s", SpanType::Llm);
    let (of_trace, of_span) = (trace.handle(), span.handle());
    let whole = FeedbackScore::new("tone", 0.25)
        .with_reason("curt")
        .with_category("low");
    span.score("fast", 1.0).feedback(&whole);
    trace.score("good", 0.5).feedback(&whole);
    drop((span, trace));
    of_span.score("later", 1.0);
    of_trace.feedback(&whole);
    recorder.score_thread("chat-7", &whole);
    assert!(guard.shutdown(LONG).complete);

    let span = ScoreTarget::Span(of_span.span_id().unwrap());
    let trace = ScoreTarget::Trace(of_trace.trace_id());
    let thread = ScoreTarget::Thread("chat-7".to_owned());
    let (low, curt) = (Some("low"), Some("curt"));
    let scores = seen.scores();
    assert_eq!(
        scores.iter().map(parts).collect::<Vec<_>>(),
        [
            (&span, "fast", 1.0, None, None),
            (&span, "tone", 0.25, low, curt),
            (&trace, "good", 0.5, None, None),
            (&trace, "tone", 0.25, low, curt),
            (&span, "later", 1.0, None, None),
            (&trace, "tone", 0.25, low, curt),
            (&thread, "tone", 0.25, low, curt),
        ]
    );
    assert!(
        scores
            .iter()
            .all(|score| score.project_name.as_deref() == Some("support"))
    );
}

#[test]
fn a_reason_is_content_and_stays_where_content_stays() {
    let (recorder, guard, seen) = recorder(Policy::metadata_only());
    let score = FeedbackScore::new("tone", 0.25).with_reason("zq-secret");
    recorder.trace("t").feedback(&score);
    recorder.score_thread("chat-7", &score);
    assert!(guard.shutdown(LONG).complete);
    let reasons: Vec<_> = seen
        .scores()
        .into_iter()
        .map(|record| record.score.reason)
        .collect();
    assert_eq!(reasons, [None, None]);
}

#[test]
fn a_span_that_brings_its_trace_says_which_conversation_it_belongs_to() {
    let (recorder, guard, seen) = recorder(Policy::full_content());
    let mut outer = recorder.span_in_context("turn", SpanType::General);
    outer.thread_id("chat-7");
    outer
        .child("inner", SpanType::General)
        .thread_id("elsewhere");
    drop(outer);
    assert!(guard.shutdown(LONG).complete);
    let threads: Vec<_> = seen
        .traces()
        .into_iter()
        .map(|trace| trace.thread_id)
        .collect();
    assert_eq!(threads, [Some("chat-7".to_owned())]);
}

#[test]
fn without_a_recorder_a_verdict_is_lost_without_a_sound() {
    let off = Recorder::disabled();
    let handle = off.trace("t").handle();
    handle
        .score("a", 1.0)
        .feedback(&FeedbackScore::new("b", 1.0));
    off.score_thread("chat-7", &FeedbackScore::new("c", 1.0));
    assert_eq!(off.statistics().recorded, 0);
}
