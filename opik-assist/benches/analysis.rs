//! How long all the findings of a trace take, by its number of spans.
//!
//! Prints a table: spans, milliseconds to build the tree and to analyse it (as time passes, and of
//! processor time in steps of the system's clock tick), microseconds a span, the growth beside
//! `n log n` (1.0 is exactly that), and milliseconds to pack it into 2,000 and 8,000 tokens for a
//! question with words to look for. The traces are made up: steps of an agent with a model call,
//! parallel tools, retries with back-off, swallowed errors, an endless loop now and then, and nested
//! helpers; about 300 bytes of input and output a span.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that prints a table"
)]

use std::time::{Duration, Instant};

use opik_assist::analyse;
use opik_assist::cacheable::{cacheable, unused_tools};
use opik_assist::context::{Budget, pack};
use opik_assist::context_growth::context_growth;
use opik_assist::critical_path::critical_path;
use opik_assist::errors::errors;
use opik_assist::missing_output::missing_outputs;
use opik_assist::outliers::outliers;
use opik_assist::self_time::self_times;
use opik_assist::spend::spend;
use opik_assist::truncation::truncated;
use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, TraceId, TraceTree, Usage};

struct Maker {
    trace: TraceId,
    seed: u64,
    spans: Vec<Span>,
}

impl Maker {
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn span(
        &mut self,
        parent: Option<SpanId>,
        kind: SpanType,
        name: &str,
        start: i64,
        micros: i64,
    ) -> &mut Span {
        let number = self.spans.len() as u128 + 1;
        let at = Timestamp::from_micros(1_700_000_000_000_003 + start);
        let mut span = Span::new(
            SpanId::from_bytes(
                ((number << 64)
                    | (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & u128::from(u64::MAX)))
                .to_be_bytes(),
            ),
            self.trace,
            at,
        );
        span.parent_span_id = parent;
        span.r#type = Some(kind);
        span.name = Some(name.to_owned());
        span.end_time = Some(at.plus_micros(micros));
        let place = self.spans.len();
        self.spans.push(span);
        #[expect(clippy::indexing_slicing, reason = "it was just pushed")]
        &mut self.spans[place]
    }
}

/// A made-up agent run with about this many spans.
fn spans(wanted: usize) -> (TraceId, Vec<Span>) {
    let trace = TraceId::from_bytes([3; 16]);
    let mut maker = Maker {
        trace,
        seed: 7,
        spans: Vec::new(),
    };
    let root = maker.span(None, SpanType::General, "run", 0, 1).id;
    let mut at = 0;
    let mut turn = 0u64;
    while maker.spans.len() < wanted {
        turn += 1;
        let began = at;
        let step = maker
            .span(Some(root), SpanType::General, "step", began, 1)
            .id;
        let think = 200_000 + i64::try_from(maker.random(900_000)).unwrap_or(0);
        let topic = maker.random(1_000_000);
        let call = maker.span(Some(step), SpanType::Llm, "plan", at, think);
        call.model = Some("gpt-5-mini".to_owned());
        call.usage = Usage::of_tokens(500 + i64::try_from(turn % 4_000).unwrap_or(0), 120);
        call.total_estimated_cost = Some(0.000_4);
        call.input = Json::parse(&format!(r#"{{"messages":[{{"role":"system","content":"You are a careful agent that reads files and answers questions about them, step by step."}},{{"role":"user","content":"Question {topic}: which of the files mentions the topic {topic}, and why?"}}]}}"#)).ok();
        call.output = Json::parse(&format!(r#"{{"choices":[{{"finish_reason":"tool_calls","message":{{"tool_calls":[{{"id":"call_{topic}","function":{{"name":"search","arguments":"{{\"query\":\"topic {topic}\"}}"}}}}]}}}}]}}"#)).ok();
        at += think;
        let mut longest = 0;
        for tool in 0..3 {
            let micros = 50_000 + i64::try_from(maker.random(150_000)).unwrap_or(0);
            longest = longest.max(micros);
            let loops = turn % 100 < 5;
            let query = if loops { 1 } else { topic + tool };
            let odd = maker.random(20) == 0;
            let span = maker.span(Some(step), SpanType::Tool, "search", at, micros);
            span.input = Json::parse(&format!(r#"{{"query":"topic {query}","limit":10}}"#)).ok();
            span.output = if odd {
                Json::parse(r#"{"error":{"type":"NotFound","message":"no document about this topic in the index"}}"#).ok()
            } else {
                Json::parse(&format!(r#"{{"documents":[{{"title":"Notes {query}","text":"Some lines of text about the topic, long enough to look like what a search returns.","score":0.7}}],"status":"ok"}}"#)).ok()
            };
        }
        at += longest;
        if maker.random(10) == 0 {
            for attempt in 0..3 {
                let span = maker.span(Some(step), SpanType::Tool, "fetch", at, 40_000);
                span.input =
                    Json::parse(&format!(r#"{{"url":"https://example.org/{topic}"}}"#)).ok();
                if attempt < 2 {
                    span.error_info = Some(ErrorInfo::new(
                        "TimeoutError",
                        format!("no answer from 10.0.0.7 after {attempt}000 ms"),
                    ));
                }
                at += 40_000 + (100_000 << attempt);
            }
        }
        let mut above = step;
        for _ in 0..4 {
            above = maker
                .span(Some(above), SpanType::General, "render", at, 8_000)
                .id;
        }
        at += 9_000;
        let end = Timestamp::from_micros(1_700_000_000_000_003 + at);
        if let Some(step) = maker.spans.iter_mut().rev().find(|span| span.id == step) {
            step.end_time = Some(end);
        }
    }
    if let Some(root) = maker.spans.first_mut() {
        root.end_time = Some(root.start_time.plus_micros(at));
    }
    (trace, maker.spans)
}

/// Time that this thread was on a processor so far, where the system tells (Linux).
fn on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// The best processor time of several runs, which other programs disturb less than the time that
/// passes.
fn best_on_processor(runs: usize, mut run: impl FnMut()) -> Option<Duration> {
    let one = || {
        let begin = on_processor()?;
        run();
        on_processor()?.checked_sub(begin)
    };
    std::iter::repeat_with(one).take(runs).flatten().min()
}

/// The best of several runs.
fn best<T>(runs: usize, mut run: impl FnMut() -> T) -> (Duration, Option<T>) {
    let mut best = (Duration::MAX, None);
    for _ in 0..runs {
        let begin = Instant::now();
        let result = run();
        let took = begin.elapsed();
        if took < best.0 {
            best = (took, Some(result));
        }
    }
    best
}

fn main() {
    // `cargo test` starts benches too, without this argument: then a small size is enough.
    let whole = std::env::args().any(|argument| argument == "--bench");
    let sizes: &[usize] = if whole {
        &[1_000, 10_000, 100_000, 300_000]
    } else {
        &[100]
    };
    println!(
        "{:>8} {:>10} {:>12} {:>10} {:>10} {:>9} {:>11} {:>11}",
        "spans",
        "build ms",
        "analyse ms",
        "us/span",
        "findings",
        "growth",
        "pack 2k ms",
        "pack 8k ms"
    );
    let mut first = None;
    for &size in sizes {
        let (trace, spans) = spans(size);
        let count = spans.len();
        let runs = if size > 50_000 { 5 } else { 15 };
        let (built, tree) = best(3, || TraceTree::from_spans(trace, spans.clone()));
        let Some(tree) = tree else { continue };
        let (took, evidence) = best(runs, || analyse(&tree));
        let Some(evidence) = evidence else { continue };
        let findings = evidence.findings.len();
        let packed = |tokens: usize| {
            let budget = Budget::new(tokens);
            let (took, _) = best(3, || {
                pack(
                    &tree,
                    &evidence,
                    "why did the search for documents fail?",
                    &budget,
                )
            });
            took.as_secs_f64() * 1e3
        };
        let (small, large) = (packed(2_000), packed(8_000));
        let work = count as f64 * (count as f64).log2();
        let cost = took.as_secs_f64() / work;
        let growth = cost / *first.get_or_insert(cost);
        let processor = best_on_processor(runs, || drop(analyse(&tree)));
        let processor = processor.map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
        let micros = took.as_secs_f64() * 1e6 / count as f64;
        println!(
            "{count:>8} {:>10.2} {:>12.2} {processor:>8.2} {micros:>10.2} {findings:>10} {growth:>9.2} {small:>11.2} {large:>11.2}",
            built.as_secs_f64() * 1e3,
            took.as_secs_f64() * 1e3
        );
        if count > 50_000 && count < 200_000 {
            parts(&tree);
        }
    }
}

/// What the parts of the analysis take that can be called alone; the rest is signatures,
/// repetitions and the wording of the findings.
fn parts(tree: &TraceTree) {
    let millis = |took: Duration| took.as_secs_f64() * 1e3;
    println!(
        "  of it: critical path {:.1} ms, self times {:.1} ms, errors {:.1} ms, spend {:.1} ms, outliers {:.1} ms, context growth {:.1} ms, cut replies {:.1} ms, missing outputs {:.1} ms, cacheable {:.1} ms, unused tools {:.1} ms",
        millis(best(5, || critical_path(tree)).0),
        millis(best(5, || self_times(tree)).0),
        millis(best(5, || errors(tree)).0),
        millis(best(5, || spend(tree)).0),
        millis(best(5, || outliers(tree)).0),
        millis(best(5, || context_growth(tree)).0),
        millis(best(5, || truncated(tree)).0),
        millis(best(5, || missing_outputs(tree)).0),
        millis(best(5, || cacheable(tree)).0),
        millis(best(5, || unused_tools(tree)).0),
    );
}
