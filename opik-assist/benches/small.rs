//! What a question about a small trace makes a server compute: the evidence, the pack, and what an
//! answer is checked against. Prints microseconds of each, the least of several rounds.
//!
//! `cargo bench -p opik-assist --bench small -- 2000` runs so many questions of each kind (200 unless
//! told), for example under `valgrind --tool=callgrind`.
#![expect(clippy::print_stdout, reason = "a benchmark that prints a table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use opik_assist::analyse;
use opik_assist::check::Known;
use opik_assist::context::{Budget, pack};
use opik_core::{Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree};
use serde_json::json;

const ROUNDS: u32 = 5;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros((1_769_940_000_000 + millis) * 1_000)
}

/// A root with calls of models and tools below it, each with so many characters of input and output.
fn tree(spans: u8, text: impl Fn(u8, &str) -> String) -> TraceTree {
    let id = TraceId::from_bytes([7; 16]);
    let mut trace = Trace::new(id, at(0));
    trace.name = Some("agent_run".to_owned());
    trace.input = Some(Json::from_value(&json!({"q": "why"})));
    trace.output = Some(Json::from_value(&json!({"a": "because"})));
    let span = |number: u8| {
        let name = |number: u8| SpanId::from_bytes([number; 16]);
        let begin = i64::from(number) * 120;
        let mut span = Span::new(name(number + 1), id, at(begin));
        let kind = if number.is_multiple_of(3) {
            "tool"
        } else {
            "llm"
        };
        span.name = Some(format!("{kind}_call_{number}"));
        span.end_time = Some(at(begin + 900));
        span.r#type = Some(match (number, kind) {
            (0, _) => SpanType::General,
            (_, "llm") => SpanType::Llm,
            _ => SpanType::Tool,
        });
        span.parent_span_id = (number > 0).then(|| name(1));
        let said = text(number, "in");
        span.input = Some(Json::from_value(
            &json!({"messages": [{"role": "user", "content": said}]}),
        ));
        span.output = Some(Json::from_value(&json!({"answer": text(number, "out")})));
        span.metadata = Some(Json::from_value(
            &json!({"agent": "writer_agent", "step": number}),
        ));
        span
    };
    TraceTree::build(trace, (0..spans).map(span).collect())
}

/// Words, figures and a line of an error now and then.
fn prose(number: u8, place: &str) -> String {
    let line = |line: u32| match (line + u32::from(number)) % 9 {
        0 => "ValueError: the price 12.50 is not a number\n".to_owned(),
        other => format!(
            "{place} step {number}: looked up order 48{line}{other} for the customer, 340 ms. "
        ),
    };
    (0..24).map(line).collect()
}

fn main() {
    let questions: u32 = std::env::args()
        .filter_map(|word| word.parse().ok())
        .next()
        .unwrap_or(200);
    println!("trace          | evidence us | pack us | check us | tokens");
    let runs = |_: u8, place: &str| match place {
        "in" => "q".repeat(400),
        _ => "a".repeat(400),
    };
    let cases = [
        ("12, runs", tree(12, runs)),
        ("12, prose", tree(12, prose)),
        ("80, prose", tree(80, prose)),
    ];
    for (name, tree) in cases {
        let mut least = [Duration::MAX; 3];
        let mut tokens = 0;
        for _ in 0..ROUNDS {
            let mut sums = [Duration::ZERO; 3];
            for _ in 0..questions.div_ceil(ROUNDS) {
                let begin = Instant::now();
                let evidence = black_box(analyse(&tree));
                let analysed = Instant::now();
                let packed = black_box(pack(&tree, &evidence, "Why?", &Budget::default()));
                let ready = Instant::now();
                let mut known = Known::new();
                known.findings(&evidence.findings);
                known.text(&packed.text);
                let check = black_box(known.check("It took 900 ms in s2 and s3."));
                let end = Instant::now();
                assert!(check.checked > 0, "an answer with figures");
                tokens = packed.tokens;
                let parts = [analysed - begin, ready - analysed, end - ready];
                for (sum, part) in sums.iter_mut().zip(parts) {
                    *sum += part;
                }
            }
            for (least, sum) in least.iter_mut().zip(sums) {
                *least = (*least).min(sum / questions.div_ceil(ROUNDS));
            }
        }
        let [evidence, packed, check] = least.map(|time| time.as_secs_f64() * 1e6);
        println!("{name:<14} | {evidence:>11.0} | {packed:>7.0} | {check:>8.0} | {tokens}");
    }
}
