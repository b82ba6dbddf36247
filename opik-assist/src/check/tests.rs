use super::*;
use opik_core::{Span, Timestamp, TraceId};

fn known(text: &str) -> Known {
    let mut known = Known::new();
    known.text(text);
    known
}

/// What is not found of an answer.
fn missed(told: &str, answer: &str) -> Vec<String> {
    let check = known(told).check(answer);
    check
        .unverified
        .into_iter()
        .map(|found| found.text)
        .collect()
}

#[test]
fn a_number_is_found_in_any_unit_and_rounding() {
    let told = "plan took 1234 ms, 45.3 % of the trace; 12,345 tokens; $0.0123; 3 min 20 s";
    for answer in [
        "1.234 s",
        "1.23 s",
        "1.2 s",
        "1,234 ms",
        "1234ms",
        "about 1.2 seconds",
        "~1.2s",
        "45 %",
        "45%",
        "45.3 percent",
        "12,345 tokens",
        "12.3k tokens",
        "12345",
        "12 thousand tokens",
        "$0.012",
        "$0.0123",
        "1.23 cents",
        "200 s",
        "3 min 20 s",
        "3.3 minutes",
        "**1.2 s**",
        "(1.2 s)",
        "1.2 s.",
    ] {
        assert_eq!(missed(told, answer), Vec::<String>::new(), "{answer}");
    }
    for (answer, text) in [
        ("1.4 s", "1.4 s"),
        ("1300 ms", "1300 ms"),
        ("46 %", "46 %"),
        ("13k tokens", "13k"),
        ("$0.02", "$0.02"),
        ("4 min 20 s", "4 min 20 s"),
        ("1.2 hours", "1.2 hours"),
        ("It is 99.", "99"),
    ] {
        assert_eq!(missed(told, answer), [text], "{answer}");
    }
}

#[test]
fn numbers_of_json_have_the_unit_of_their_key() {
    let told = r#"{"duration_ms":1234.5,"share_percent":12.5,"cost_usd":0.5,"waits_ms":[100,200],"total_tokens":1320}"#;
    for answer in [
        "1.23 s",
        "12.5 %",
        "$0.50",
        "200 ms",
        "1,320 tokens",
        "1.3k tokens",
    ] {
        assert_eq!(missed(told, answer), Vec::<String>::new(), "{answer}");
    }
    assert_eq!(missed(told, "1.5 s"), ["1.5 s"]);
}

#[test]
fn names_small_counts_lists_and_dates_are_left_alone() {
    let told = "gpt-4.1 at 2026-02-01T10:00:04.200000Z, 3 spans";
    for answer in [
        "gpt-4.1 was called",
        "It made 2 calls.",
        "1. First\n2. Second\n11. Eleventh",
        "utf8 and http2",
        "at 2026-02-01T10:00:04.200000Z",
    ] {
        assert_eq!(missed(told, answer), Vec::<String>::new(), "{answer}");
    }
    assert_eq!(missed(told, "2 s"), ["2 s"]);
}

#[test]
fn ids_of_spans_have_to_be_of_the_trace() {
    let trace = TraceId::generate();
    let id: SpanId = "01941f29-7c00-7000-9000-0000000001bb".parse().unwrap();
    let tree = TraceTree::from_spans(trace, vec![Span::new(id, trace, Timestamp::from_micros(1))]);
    let mut known = Known::new();
    known.trace(Arc::new(tree));
    for answer in [
        "{span:01941f29-7c00-7000-9000-0000000001bb}",
        "span 01941f29-7C00-7000-9000-0000000001BB.",
        "llm plan (01941f29…bb)",
        "01941f29...1bb",
        "`0000001bb`",
    ] {
        let check = known.check(answer);
        assert!(check.is_clean(), "{answer}: {check:?}");
        assert_eq!(check.spans, [id], "{answer}");
    }
    for answer in [
        "01941f29-7c00-7000-9000-0000000001bc",
        "(01941f29…cc)",
        "deadbeef01",
    ] {
        let check = known.check(answer);
        assert_eq!(check.unverified.len(), 1, "{answer}");
        assert_eq!(check.unverified[0].kind, Checked::Span);
    }
    assert!(known.check("facade and decade, accede").is_clean());
}

#[test]
fn findings_have_to_exist() {
    let mut finding = Finding::new(crate::FindingKind::Retry, "3 attempts");
    finding.id = FindingId(2);
    let mut known = Known::new();
    known.findings(&[finding]);
    let check = known.check("See [F2] and F9, F2.");
    assert_eq!(check.findings, [FindingId(2)]);
    assert_eq!(
        check.note().as_deref(),
        Some("Not found in the evidence: F9.")
    );
    assert_eq!(check.unverified[0].at, 13);
}

#[test]
fn a_note_names_each_once_and_not_all() {
    let answer: String = (100..120).map(|n| format!("{n} ms and {n} ms ")).collect();
    let note = Known::new().check(&answer).note().unwrap();
    assert!(note.ends_with("107 ms and 12 more."), "{note}");
}

proptest::proptest! {
    #[test]
    fn any_text_can_be_told_and_checked(told in ".{0,200}", answer in "\\PC{0,200}") {
        let check = known(&told).check(&answer);
        for miss in &check.unverified {
            proptest::prop_assert!(answer.is_char_boundary(miss.at));
        }
        proptest::prop_assert!(check.unverified.len() <= check.checked);
        // Whatever is told verbatim is found.
        let own = known(&answer).check(&answer);
        let numbers = own.unverified.iter().filter(|miss| miss.kind == Checked::Number);
        proptest::prop_assert_eq!(numbers.count(), 0, "{:?}", own);
    }
}

#[test]
fn texts_are_taken_apart_only_for_an_answer_that_needs_them() {
    let mut known = known("plan took 1234 ms");
    for answer in ["It is slow.", "1. utf8\n2. It made 2 calls.", "See F1."] {
        assert!(known.check(answer).unverified.len() <= 1);
        assert!(known.told.get().is_none(), "{answer}");
    }
    assert!(known.check("It took 1.2 s.").is_clean());
    assert!(known.told.get().is_some());
    // What is told later counts as well.
    assert!(!known.check("It cost $0.5.").is_clean());
    known.text("search cost $0.50");
    assert!(known.check("It cost $0.5 in 1.2 s.").is_clean());
}
