//! Answers about recorded traces.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::PathBuf;

use opik_assist::answer::{Answer, AnswerContext, Intent, answer};
use opik_assist::{Evidence, analyse};
use opik_core::{
    ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree, Usage,
};
use opik_formats::{Item, ReadOptions, Reader};

/// The trace at this place in a fixture.
fn recorded(file: &str, place: usize) -> TraceTree {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../opik-core/testkit/fixtures/traces")
        .join(file)
        .join("opik.jsonl.gz");
    let (mut traces, mut spans) = (Vec::new(), Vec::new());
    for item in Reader::new(std::fs::File::open(path).unwrap(), ReadOptions::default()) {
        match item.unwrap() {
            Item::Batch(batch) => {
                traces.extend(batch.traces);
                spans.extend(batch.spans);
            }
            Item::Problem(problem) => panic!("{problem}"),
        }
    }
    let trace: Trace = traces.swap_remove(place);
    spans.retain(|span: &Span| span.trace_id == trace.id);
    TraceTree::build(trace, spans)
}

fn ask(tree: &TraceTree, question: &str) -> Answer {
    let evidence = analyse(tree);
    let answer = answer(question, &AnswerContext::new(tree, &evidence));
    assert_sound(&answer, tree, &evidence);
    answer
}

/// What holds for every answer: it cites what exists, and has nothing that moves a terminal.
fn assert_sound(answer: &Answer, tree: &TraceTree, evidence: &Evidence) {
    assert!(answer.computed);
    assert!(answer.citations.iter().all(|&id| tree.find(id).is_some()));
    for (id, finding) in answer.findings.iter().zip(&answer.evidence) {
        assert_eq!(
            evidence.finding(*id).unwrap_or(finding).claim,
            finding.claim
        );
        assert!(answer.text.contains(&format!("[{id}]")));
        assert!(!finding.method.is_empty());
    }
    let controls = answer.text.chars().filter(|&c| c.is_control() && c != '\n');
    assert_eq!(controls.count(), 0);
    assert!(answer.text.len() < 6_000);
}

/// Builds traces with times in milliseconds.
struct Run {
    spans: Vec<Span>,
}

const TRACE: TraceId = TraceId::from_bytes([9; 16]);

fn id(number: usize) -> SpanId {
    let number = number as u128 + 1;
    let bytes = (number << 64) | (number * 0x1000_0001);
    SpanId::from_bytes(bytes.to_be_bytes())
}

impl Run {
    /// Adds a span; the number is its place.
    fn add(
        &mut self,
        parent: Option<usize>,
        kind: SpanType,
        name: &str,
        millis: std::ops::Range<i64>,
    ) -> &mut Span {
        let at = |millis: i64| Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000);
        let mut span = Span::new(id(self.spans.len()), TRACE, at(millis.start));
        span.parent_span_id = parent.map(id);
        span.r#type = Some(kind);
        span.name = Some(name.to_owned());
        span.end_time = Some(at(millis.end));
        self.spans.push(span);
        self.spans.last_mut().unwrap()
    }

    fn tree(self) -> TraceTree {
        let mut trace = Trace::new(TRACE, self.spans[0].start_time);
        trace.end_time = self.spans[0].end_time;
        trace.name = Some("support chat".to_owned());
        trace.input = Some(Json::string("Where is my order?"));
        TraceTree::build(trace, self.spans)
    }
}

fn json(text: &str) -> Option<Json> {
    Some(Json::parse(text).unwrap())
}

/// A run with parallel tools, a retry that is exhausted and fails the run, a swallowed error, and
/// calls that are made twice.
fn failed_run() -> Run {
    let mut run = Run { spans: Vec::new() };
    let timeout = |n: i64| {
        ErrorInfo::new(
            "TimeoutError",
            format!("no answer from 10.0.0.{n} after {n}000 ms"),
        )
    };
    run.add(None, SpanType::General, "agent", 0..10_000)
        .error_info = Some(ErrorInfo::new(
        "RuntimeError",
        "step failed: no answer from 10.0.0.9 after 9000 ms",
    ));
    let plan = run.add(Some(0), SpanType::Llm, "plan", 0..3_000);
    plan.model = Some("gpt-5-mini".to_owned());
    plan.usage = Usage::of_tokens(2_000, 300);
    plan.total_estimated_cost = Some(0.02);
    plan.output = json(
        r#"{"tool_calls":[{"id":"call_1","function":{"name":"orders","arguments":"{\"user\":\"ann\"}"}}]}"#,
    );
    run.add(Some(0), SpanType::Tool, "search\u{1b}[2J", 3_000..6_000)
        .output = json(r#"{"hits":3}"#);
    let lookup = run.add(Some(0), SpanType::Tool, "profile", 3_000..5_000);
    lookup.input = json(r#"{"user":"ann"}"#);
    lookup.output = json(r#"{"error":"HTTP 404: no profile of ann"}"#);
    for (attempt, (from, to)) in [(6_000, 7_000), (7_100, 8_100), (8_300, 9_500)]
        .into_iter()
        .enumerate()
    {
        let call = run.add(Some(0), SpanType::Tool, "orders", from..to);
        call.input = json(r#"{"user": "ann"}"#);
        call.error_info = Some(timeout(i64::try_from(attempt).unwrap() + 2));
    }
    let write = run.add(Some(0), SpanType::Llm, "write", 9_500..10_000);
    write.model = Some("gpt-5".to_owned());
    write.usage = Usage::of_tokens(4_000, 50);
    write.total_estimated_cost = Some(0.03);
    run
}

#[test]
fn the_cause_of_an_error_with_who_asked_for_it() {
    let tree = failed_run().tree();
    let answer = ask(&tree, "What caused this error?");
    assert_eq!(answer.intent, Intent::Error);
    assert!(answer.sufficient);
    insta::assert_snapshot!(answer, @r#"
    The error began in tool orders (00000000…05).
    - tool orders (00000000…05) failed with TimeoutError: "no answer from 10.0.0.2 after 2000 ms"; it went up to step agent (00000000…01), which failed with RuntimeError: "step failed: no answer from 10.0.0.9 after 9000 ms". The same error occurred 3 times in all. [F1]
    - tool profile (00000000…04) returned an error as its output, "HTTP 404: no profile of ann"; step agent (00000000…01) reports another error and went on. [F3]
    - llm plan (00000000…02) asked for the call that failed, tool orders (00000000…05): its output holds the same arguments. [F2]
    - 3 errors of tool orders (00000000…05), tool orders (00000000…06), 1 more: nothing came in time. Remedy: raise the time limit, or make the call smaller. [F14]
    - 1 error of tool profile (00000000…04): what was asked for does not exist. Remedy: check the name or the path that was asked for. [F15]
    (Computed from the recorded spans; no model was asked.)
    "#);
    assert_eq!(
        answer.citations[0],
        id(4),
        "the first attempt is where it began"
    );
}

#[test]
fn why_a_trace_is_slow() {
    let answer = ask(&failed_run().tree(), "why is it so slow?");
    assert_eq!(answer.intent, Intent::Slow);
    insta::assert_snapshot!(answer, @r#"
    The trace took 10.00 s; for 30 % of it, it waited for llm plan (00000000…02) itself.
    - The critical path takes 10.00 s through 7 spans; 92 % of the trace: llm plan (00000000…02) 3.00 s (30 %); tool search[2J (00000000…03) 3.00 s (30 %); tool orders (00000000…07) 1.20 s (12 %); tool orders (00000000…05) 1.00 s (10 %); tool orders (00000000…06) 1.00 s (10 %). [F5]
    - 3 spans named tool orders take 3.20 s of the critical path (32 % of the trace), 1.07 s each on average. [F6]
    - If llm plan (00000000…02) were 30 % faster, the trace would be 900 ms shorter (9 %); without it, 3.00 s. [F7]
    - If tool search[2J (00000000…03) were 30 % faster, the trace would be 900 ms shorter (9 %); without it, 1.00 s, no more, because tool profile (00000000…04) then is what the trace waits for. [F8]
    - tool orders (00000000…05) was tried 3 times with the same input, and all failed; waits grew from 100 ms to 200 ms. It took 3.50 s (35 % of the trace) before the outcome. [F10]
    (Computed from the recorded spans; no model was asked.)
    "#);
}

#[test]
fn where_the_money_goes() {
    let answer = ask(&failed_run().tree(), "How do I reduce costs?");
    assert_eq!(answer.intent, Intent::Cost);
    insta::assert_snapshot!(answer, @r#"
    Where the money goes, and what could be saved:
    - The trace cost $0.0500 in 2 spans, 60 % of it by gpt-5; most in: llm write (00000000…08) $0.0300 (60 %); llm plan (00000000…02) $0.0200 (40 %). [F11]
    - The trace used 6,350 tokens, 94 % of them in prompts, in 2 spans, 64 % of it by gpt-5; most in: llm write (00000000…08) 4,050 tokens (64 %); llm plan (00000000…02) 2,300 tokens (36 %). [F12]
    - $0.0300, 60 % of the cost, were spent after tool profile (00000000…04) had failed, the first error that nothing made good. [F13]
    - tool orders (00000000…05) was tried 3 times with the same input, and all failed; waits grew from 100 ms to 200 ms. It took 3.50 s (35 % of the trace) before the outcome. [F10]
    (Computed from the recorded spans; no model was asked.)
    "#);
}

#[test]
fn a_summary_also_when_the_question_is_not_understood() {
    let tree = failed_run().tree();
    let answer = ask(&tree, "Give me a summary");
    insta::assert_snapshot!(answer, @r#"
    Asked: "Where is my order?". No answer was recorded.
    - The trace "support chat" has 8 spans (1 general, 2 llm, 5 tool) and took 10.00 s, 6,350 tokens, $0.0500; 4 errors began in it (3 fatal, 1 swallowed), and it failed. [F17]
    - tool orders (00000000…05) failed with TimeoutError: "no answer from 10.0.0.2 after 2000 ms"; it went up to step agent (00000000…01), which failed with RuntimeError: "step failed: no answer from 10.0.0.9 after 9000 ms". The same error occurred 3 times in all. [F1]
    - tool profile (00000000…04) returned an error as its output, "HTTP 404: no profile of ann"; step agent (00000000…01) reports another error and went on. [F3]
    - The critical path takes 10.00 s through 7 spans; 92 % of the trace: llm plan (00000000…02) 3.00 s (30 %); tool search[2J (00000000…03) 3.00 s (30 %); tool orders (00000000…07) 1.20 s (12 %); tool orders (00000000…05) 1.00 s (10 %); tool orders (00000000…06) 1.00 s (10 %). [F5]
    - The trace cost $0.0500 in 2 spans, 60 % of it by gpt-5; most in: llm write (00000000…08) $0.0300 (60 %); llm plan (00000000…02) $0.0200 (40 %). [F11]
    (Computed from the recorded spans; no model was asked.)
    "#);
    let other = ask(&tree, "Wie geht es dir?");
    assert_eq!(other.intent, Intent::Summary);
    assert!(other.text.starts_with("The question has none of the words"));
    assert!(other.text.ends_with(&answer.text));
}

#[test]
fn a_question_about_one_span() {
    let tree = failed_run().tree();
    let answer = ask(&tree, "why is plan slow?");
    assert!(
        answer.text.starts_with(
            "llm plan (00000000…02) took 3.00 s, 3.00 s of it itself, with no span below it"
        ),
        "{answer}"
    );
    let whole = ask(&tree, &format!("what caused the error in {}?", id(0)));
    assert!(
        whole.text.starts_with(
            "The error of step agent (00000000…01) began in tool orders (00000000…07)"
        ),
        "{whole}"
    );
}

#[test]
fn the_difference_of_two_spans_and_of_two_traces() {
    let first = failed_run().tree();
    let mut other = failed_run();
    other.spans[2].end_time = Some(other.spans[2].start_time.plus_micros(1_000_000));
    other.spans.truncate(4);
    let second = other.tree();
    let (a, b) = (analyse(&first), analyse(&second));
    let ctx = AnswerContext::new(&first, &a);

    let spans = answer("what is the difference?", &ctx.between(id(4), id(6)));
    assert_eq!(spans.intent, Intent::Difference);
    assert!(spans.sufficient);
    assert_eq!(spans.citations, [id(4), id(6)]);
    assert!(
        spans.text.contains("1.00 s") && spans.text.contains("1.20 s"),
        "{spans}"
    );

    let named = answer("what is the difference between plan and write?", &ctx);
    assert_eq!(named.citations, [id(1), id(7)]);

    let traces = answer("compare the two runs", &ctx.compared_with(&second, &b));
    assert!(traces.sufficient);
    assert!(
        traces.findings.iter().all(|id| a.finding(*id).is_none()),
        "numbered after the evidence"
    );

    assert!(!answer("what is different?", &ctx).sufficient);
    assert!(!answer("what is different?", &ctx.between(id(4), id(99))).sufficient);
}

#[test]
fn without_data_it_says_so() {
    let mut run = Run { spans: Vec::new() };
    run.add(None, SpanType::General, "agent", 0..0);
    let tree = run.tree();
    for (question, missing) in [
        ("what went wrong?", "No error was found in 1 span"),
        ("why is it slow?", "The trace has no duration"),
        ("reduce costs", "No cost and no token counts"),
    ] {
        let answer = ask(&tree, question);
        assert!(!answer.sufficient, "{question}");
        assert!(answer.text.starts_with(missing), "{answer}");
    }
    let nothing = ask(&tree, "find anomalies");
    assert!(nothing.text.starts_with("Nothing stands out"), "{nothing}");
    let empty = TraceTree::from_spans(TRACE, Vec::new());
    assert!(!ask(&empty, "summary").sufficient);
}

#[test]
fn a_recorded_run_of_agents_with_a_failing_tool() {
    let tree = recorded("who_and_when", 7);
    insta::assert_snapshot!(ask(&tree, "What caused this error?"), @r#"
    The trace reports no failure: after every error in it, a later call of the same name succeeded.
    - tool Computer_terminal (01941f29…5f) returned an error as its output, FileNotFoundError: "[Errno 2] No such file or directory: 'seattle_weather.csv'"; tool Computer_terminal (01941f29…6b) with other input succeeded 2.00 s later. [F7]
    - 1 error of tool Computer_terminal (01941f29…5f): what was asked for does not exist. Remedy: check the name or the path that was asked for. [F6]
    - Step 1 (counted from 0) by Verification_Expert (01941f29…b4) is a suspect with 39 % of the suspicion: it wrote the code that the result rests on. [F10]
    - Step 5 (counted from 0) by DataAnalysis_Expert (01941f29…a4) is a suspect with 22 % of the suspicion: it wrote the code that the result rests on. [F11]
    The suspects are a guess from clues in the text, in case the result is wrong.
    (Computed from the recorded spans; no model was asked.)
    "#);
    insta::assert_snapshot!(ask(&tree, "Why is this trace slow?"), @r#"
    The times of this trace are synthetic, so nothing can be said about its real speed. By its order alone:
    - The critical path takes 10.00 s through 10 spans; 50 % of the trace: llm DataAnalysis_Expert (01941f29…1c) 1.00 s (10 %); llm Verification_Expert (01941f29…b4) 1.00 s (10 %); tool Computer_terminal (01941f29…5f) 1.00 s (10 %); llm Verification_Expert (01941f29…9d) 1.00 s (10 %); tool Computer_terminal (01941f29…6b) 1.00 s (10 %). [F1]
    - 4 spans named llm Verification_Expert take 4.00 s of the critical path (40 % of the trace), 1.00 s each on average. [F2]
    (Computed from the recorded spans; no model was asked.)
    "#);
    insta::assert_snapshot!(ask(&tree, "Summarise this trace"), @r#"
    Asked: "Based on recent years (2020-2023), how likely am I to hit a rainy day (at least 0.5mm of precipitation) if I travel to Seattle during the first week of Septembe…". No answer was recorded.
    - The trace "failed task" has 11 spans (1 general, 7 llm, 3 tool) and took 10.00 s; 1 error began in it (1 recovered), and it ended without reporting one. [F9]
    (Computed from the recorded spans; no model was asked.)
    "#);
}

#[test]
fn a_recorded_customer_service_run() {
    let tree = recorded("agentrx", 32);
    insta::assert_snapshot!(ask(&tree, "What went wrong?"), @r#"
    The trace reports no failure: after every error in it, a later call of the same name succeeded.
    - tool tool (01941f29…bb) returned an error as its output, "Error: non-delivered order cannot be exchanged"; tool tool (01941f29…52) with other input succeeded 4.00 s later. [F3]
    (Computed from the recorded spans; no model was asked.)
    "#);
    insta::assert_snapshot!(ask(&tree, "Is anything unusual?"), @r#"
    What stands out in this trace:
    - The metadata says that the times are synthetic: durations mean nothing, the order does. [F6]
    (Computed from the recorded spans; no model was asked.)
    "#);
    insta::assert_snapshot!(ask(&tree, "How can I save tokens?"), @r#"
    No cost and no token counts were recorded in this trace.
    The evidence is not enough: record the usage of model calls.
    (Computed from the recorded spans; no model was asked.)
    "#);
}

#[test]
fn every_recorded_trace_gets_sound_answers() {
    for (file, count) in [("agentrx", 34), ("who_and_when", 92)] {
        for place in (0..count).step_by(9) {
            let tree = recorded(file, place);
            for question in [
                "What failed?",
                "Why slow?",
                "Costs?",
                "Anything odd?",
                "Any loops?",
                "Summary",
            ] {
                ask(&tree, question);
            }
        }
    }
}
