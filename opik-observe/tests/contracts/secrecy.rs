//! Contract 9: content never appears in a redacted export, nor in any `Debug` or `Display`.

use std::fmt::Write as _;
use std::sync::Arc;

use opik_core::model::{FeedbackScore, ScoreRecord, ScoreTarget};
use opik_core::{Batch, SpanType};
use opik_observe::{Name, Policy, Recorder, Value};
use opik_testkit::RecordingExporter;
use proptest::prelude::*;

use super::LONG;

/// Everything that an exporter or a log could see of these batches.
fn shown(batches: &[Batch]) -> String {
    let mut text = format!("{batches:?}");
    for batch in batches {
        for trace in &batch.traces {
            text.push_str(&serde_json::to_string(trace).unwrap());
        }
        for span in &batch.spans {
            text.push_str(&serde_json::to_string(span).unwrap());
        }
        for score in &batch.scores {
            write!(
                text,
                "{score:?}{}",
                serde_json::to_string(&score.score).unwrap()
            )
            .unwrap();
        }
    }
    text
}

/// Puts the secret wherever a caller can put text that is not a label, and collects every `Debug`.
fn leak(recorder: &Recorder, secret: &str) -> String {
    let mut debug = String::new();
    let nested = serde_json::json!({ "deep": [{ secret: secret }, secret] });
    let mut trace = recorder.trace(secret.to_owned());
    trace
        .input(secret)
        .output(&nested)
        .metadata("question", secret);
    trace.fail(secret.to_owned(), secret);
    let name = secret.to_owned();
    let mut span = trace.span(&name, SpanType::Llm);
    span.input(&nested)
        .output(secret)
        .metadata(secret, nested.clone());
    span.error(&std::io::Error::other(secret.to_owned()));
    let mut score = FeedbackScore::new("relevance", 0.5);
    score.reason = Some(secret.to_owned());
    let target = ScoreTarget::Span(span.id().unwrap());
    recorder.score(&ScoreRecord::new(target, score));
    let entered = span.enter();
    write!(
        debug,
        "{trace:?}{span:?}{entered:?}{:?}{recorder:?}",
        span.handle()
    )
    .unwrap();
    write!(debug, "{:?}{:?}", Name::from(&name), Value::from(&nested)).unwrap();
    write!(
        debug,
        "{:?}{:?}",
        Value::from(secret),
        recorder.flush_async(LONG)
    )
    .unwrap();
    drop(entered);
    drop((span, trace));
    write!(
        debug,
        "{:?}{:?}",
        recorder.flush(LONG),
        recorder.statistics()
    )
    .unwrap();
    debug
}

fn windows(secret: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = secret.chars().collect();
    let windows: Vec<String> = chars.windows(8).map(|part| part.iter().collect()).collect();
    windows.into_iter()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_eight_characters_of_the_content_pass_the_default_policy(
        // No character that JSON escapes, and none of a hexadecimal hash or a field's name.
        secret in "[G-ZÀ-Ü漢~ ]{8,60}",
    ) {
        let (redacted, full) = (RecordingExporter::new(), RecordingExporter::new());
        let (recorder, guard) = Recorder::builder()
            .branch("remote", Arc::new(redacted.clone()), Policy::default())
            .branch("local", Arc::new(full.clone()), Policy::full_content())
            .start()
            .unwrap();
        let mut text = leak(&recorder, &secret);
        prop_assert!(guard.shutdown(LONG).complete);
        prop_assert_eq!((redacted.records(), full.records()), (3, 3));
        text.push_str(&shown(&redacted.batches()));
        for window in windows(&secret) {
            prop_assert!(!text.contains(&window), "{window:?} in {text}");
        }
        // The other branch proves that the secret was there to be found.
        prop_assert_eq!(full.traces()[0].input.as_ref().unwrap().to_value().unwrap(),
            serde_json::json!({ "input": secret }));
    }
}

#[test]
fn the_default_policy_keeps_what_it_says_it_keeps() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch(
            "b",
            Arc::new(seen.clone()),
            Policy::default().allow_metadata(["job_id"]),
        )
        .start()
        .unwrap();
    let trace = recorder.trace("answer");
    let mut span = trace.span("chat", SpanType::Llm);
    span.model("m-1", "p")
        .tag("prod")
        .usage(&opik_core::Usage::of_tokens(3, 4))
        .cost(0.01);
    span.metadata("job_id", 7).metadata("other", 8).input("q");
    span.error(&"x".parse::<u8>().unwrap_err());
    drop((span, trace));
    assert!(guard.shutdown(LONG).complete);
    let span = seen.spans().remove(0);
    assert_eq!(span.name.as_deref(), Some("chat"));
    assert_eq!(
        (span.model.as_deref(), span.provider.as_deref()),
        (Some("m-1"), Some("p"))
    );
    assert_eq!(span.usage.total_tokens(), Some(7));
    assert_eq!(
        (span.tags, span.total_estimated_cost),
        (vec!["prod".to_owned()], Some(0.01))
    );
    let error = span.error_info.unwrap();
    assert_eq!(
        (&*error.exception_type, error.message),
        ("ParseIntError", None)
    );
    assert_eq!((span.input, span.output), (None, None));
    assert_eq!(
        span.metadata.unwrap().to_value().unwrap(),
        serde_json::json!({ "job_id": 7, "prompt_hash": opik_observe::prompt_hash::v2("\"q\"") })
    );
}
