//! What holds for any input.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;

use opik_core::model::{ErrorInfo, FeedbackScore, RecordSource, SpanType, Usage};
use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId};
use opik_formats::{Format, Item, ReadOptions, Reader, write_opik_jsonl};
use proptest::prelude::*;

fn read(bytes: &[u8], options: ReadOptions) -> (Vec<Trace>, Vec<Span>, Vec<String>) {
    let (mut traces, mut spans, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for item in Reader::new(bytes, options) {
        match item.unwrap() {
            Item::Batch(batch) => {
                traces.extend(batch.traces);
                spans.extend(batch.spans);
            }
            Item::Problem(problem) => problems.push(problem.to_string()),
        }
    }
    (traces, spans, problems)
}

fn own_fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn any_format() -> impl Strategy<Value = Option<Format>> {
    prop::option::of(prop::sample::select(Format::ALL.to_vec()))
}

fn options(format: Option<Format>) -> ReadOptions {
    let options = ReadOptions::default().max_document_bytes(1 << 16);
    format.map_or(options.clone(), |format| options.format(format))
}

const CONTENT: [&str; 5] = [
    "{\"b\": 1.0, \"a\": [\"\\u00e9\", null]}",
    "{\n  \"pretty\": [\r\n 1 ]\n}",
    "\"text \\n with \\\"quotes\\\"\"",
    "[{\"role\": \"user\"}]",
    "12345678901234567890123",
];

fn any_trace() -> impl Strategy<Value = Trace> {
    let numbers = (0..1_i64 << 50, any::<u64>(), 0..10_000_000_i64, 0..5_usize);
    (numbers, "\\PC{0,9}", any::<bool>()).prop_map(|((start, id, length, content), text, flag)| {
        let start = Timestamp::from_micros(start);
        let mut trace = Trace::new(TraceId::from_parts(start, id), start);
        trace.name = Some(text.clone());
        trace.end_time = flag.then(|| start.plus_micros(length));
        trace.last_updated_at = Some(start.plus_micros(length * 2));
        trace.input = Some(Json::parse(CONTENT.get(content).unwrap()).unwrap());
        trace.tags = vec![text.clone()];
        trace.source = Some(RecordSource::Sdk);
        trace.total_estimated_cost = Some(0.1);
        trace.feedback_scores = vec![FeedbackScore::new(text, 0.5)];
        trace
            .extra
            .insert("future".to_owned(), serde_json::json!({"x": [1, "a"]}));
        trace
    })
}

fn any_span(trace: TraceId) -> impl Strategy<Value = Span> {
    (0..1_i64 << 50, any::<u64>(), 0..5_usize, "\\PC{0,9}").prop_map(
        move |(start, id, content, text)| {
            let start = Timestamp::from_micros(start);
            let mut span = Span::new(SpanId::from_parts(start, id), trace, start);
            span.last_updated_at = Some(start);
            span.parent_span_id = Some(SpanId::from_parts(start, id.wrapping_add(4)));
            span.r#type = Some(SpanType::Llm);
            span.output = Some(Json::parse(CONTENT.get(content).unwrap()).unwrap());
            span.usage = Usage::of_tokens(1, 2);
            span.error_info = Some(ErrorInfo::new("E", text));
            span
        },
    )
}

/// Line ends between the tokens of content become blanks in a file of lines.
fn on_one_line(json: &mut Option<Json>) {
    if let Some(it) = json {
        *it = Json::parse(&it.as_str().replace(['\n', '\r'], " ")).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), format in any_format()) {
        read(&bytes, options(format));
    }

    #[test]
    fn a_file_with_changed_bytes_is_read_without_panic(
        name in prop::sample::select(vec!["opik.jsonl", "otlp.json", "jaeger.json", "vyasa.jsonl"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:0e\n\\ux\xff ".to_vec())), 1..8),
        format in any_format(),
    ) {
        let mut bytes = own_fixture(name);
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        read(&bytes, options(format));
    }

    #[test]
    fn members_of_other_types_are_read_without_panic(
        name in prop::sample::select(vec!["opik.jsonl", "otlp.json", "jaeger.json", "vyasa.jsonl"]),
        place in any::<prop::sample::Index>(),
        other in prop::sample::select(vec!["null", "[]", "{}", "-1", "1e300", "\"\"", "[null]", "true"]),
    ) {
        let text = String::from_utf8(own_fixture(name)).unwrap();
        // Each place after a colon has a value; `other` takes the place of its first token.
        let colons: Vec<usize> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
        let (before, after) = text.split_at(*place.get(&colons));
        let rest = after.find([',', '}', '\n']).map_or("", |end| after.split_at(end).1);
        read(format!("{before}{other}{rest}").as_bytes(), options(None));
    }

    #[test]
    fn what_is_written_is_read_back(
        (trace, spans) in any_trace().prop_flat_map(|trace| {
            let spans = prop::collection::vec(any_span(trace.id), 0..4);
            (Just(trace), spans)
        })
    ) {
        let mut file = Vec::new();
        write_opik_jsonl(&mut file, Some(&trace), &spans).unwrap();
        prop_assert_eq!(file.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let (mut trace, mut spans) = (trace, spans);
        on_one_line(&mut trace.input);
        spans.iter_mut().for_each(|span| on_one_line(&mut span.output));
        let again = read(&file, ReadOptions::default());
        prop_assert_eq!(again, (vec![trace], spans, Vec::new()));
    }

    #[test]
    fn a_cut_file_yields_the_whole_records_before_the_cut_and_one_problem(
        count in 1..5_u64,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = Vec::new();
        let mut ends = Vec::new();
        for number in 0..count {
            let start = Timestamp::from_micros(1_000);
            let mut trace = Trace::new(TraceId::from_parts(start, number << 2), start);
            trace.name = Some("größer".to_owned());
            write_opik_jsonl(&mut file, Some(&trace), &[]).unwrap();
            ends.push(file.len());
        }
        let cut = cut.index(file.len() + 1);
        let (traces, _, problems) = read(file.get(..cut).unwrap(), ReadOptions::default());
        // A line is whole without its line end.
        let whole = ends.iter().filter(|&&end| end <= cut + 1).count();
        let clean = ends.iter().any(|&end| cut == end || cut + 1 == end);
        prop_assert_eq!(traces.len(), whole);
        prop_assert_eq!(problems.len(), usize::from(!clean), "{:?}", problems);
    }
}

#[test]
fn what_was_read_is_written_and_read_back_for_every_format() {
    for name in ["opik.jsonl", "otlp.json", "jaeger.json", "vyasa.jsonl"] {
        let (traces, spans, _) = read(&own_fixture(name), ReadOptions::default());
        let mut file = Vec::new();
        for trace in &traces {
            write_opik_jsonl(&mut file, Some(trace), &[]).unwrap();
        }
        write_opik_jsonl(&mut file, None, &spans).unwrap();
        let again = read(&file, ReadOptions::default());
        assert_eq!(again, (traces, spans, Vec::new()), "{name}");
    }
}
