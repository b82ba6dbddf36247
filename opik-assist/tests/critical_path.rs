//! The critical path equals the reference on recorded traces, and partitions any trace.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use opik_assist::critical_path::{CriticalPath, Segment, critical_path};
use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId, TraceTree};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(name: &str) -> Vec<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    read_lines(
        &root
            .join("../opik-core/testkit/fixtures/critical_path")
            .join(name),
    )
}

fn read_lines(path: &Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|end| end == "gz") {
        flate2::read::MultiGzDecoder::new(&*bytes)
            .read_to_string(&mut text)
            .unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Far from the epoch, which means "start unknown", and not a whole number of milliseconds.
const BASE: i64 = 1_000_000_000_000_001;

struct Row<'a> {
    id: &'a str,
    parent: Option<&'a str>,
    start: i64,
    end: i64,
    kind: Option<&'a str>,
    host: Option<&'a str>,
}

/// Builds a tree whose ids sort as the names do, and the names by id.
fn build(rows: &[Row<'_>]) -> (TraceTree, HashMap<SpanId, String>) {
    let names: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| [Some(row.id), row.parent])
        .flatten()
        .collect();
    let id = |name: &str| {
        let number = names.iter().position(|other| *other == name).unwrap();
        SpanId::from_bytes((number as u128 + 1).to_be_bytes())
    };
    let trace = TraceId::from_bytes([7; 16]);
    let at = |micros: i64| Timestamp::from_micros(BASE + micros);
    let spans: Vec<Span> = rows
        .iter()
        .map(|row| {
            let mut span = Span::new(id(row.id), trace, at(row.start));
            span.end_time = Some(at(row.end));
            span.parent_span_id = row.parent.map(id);
            let place = json!({"kind": row.kind, "host": row.host});
            span.metadata = Some(Json::from_value(&place));
            span
        })
        .collect();
    let by_id = names.iter().map(|name| (id(name), (*name).to_owned()));
    let start = rows.iter().map(|row| row.start).min().unwrap();
    let tree = TraceTree::build(Trace::new(trace, at(start)), spans);
    (tree, by_id.collect())
}

fn sections(
    tree: &TraceTree,
    path: &CriticalPath,
    names: &HashMap<SpanId, String>,
) -> Vec<(String, i64, i64)> {
    path.segments
        .iter()
        .map(|segment| {
            let name = segment
                .node
                .map_or("-".to_owned(), |node| names[&tree.span(node).id].clone());
            (
                name,
                segment.start.as_micros() - BASE,
                segment.end.as_micros() - BASE,
            )
        })
        .collect()
}

fn assert_partition(path: &CriticalPath) {
    let mut at = path.interval.end;
    for segment in &path.segments {
        assert_eq!(segment.end, at);
        assert!(segment.start < segment.end);
        at = segment.start;
    }
    assert_eq!(at, path.interval.start);
}

/// Segments by name of the case, written by an independent, recursive implementation.
fn reference() -> HashMap<String, Vec<(String, i64, i64)>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/critical_path_segments.jsonl.gz");
    read_lines(&path)
        .iter()
        .map(|case| {
            let segments: Vec<(i64, i64, String)> =
                serde_json::from_value(case["segments"].clone()).unwrap();
            let segments = segments
                .into_iter()
                .map(|(start, end, id)| (id, start, end));
            (
                case["source"].as_str().unwrap().to_owned(),
                segments.collect(),
            )
        })
        .collect()
}

fn crisp(file: &str, cases: usize) {
    let mut seen = 0;
    let reference = reference();
    for case in read(file) {
        let source = case["source"].as_str().unwrap();
        let spans = case["spans"].as_array().unwrap();
        // Times are taken relative to the root, so that all numbers fit beside `BASE`.
        let root = case["root"].as_str().unwrap();
        let zero = spans.iter().find(|span| span["id"] == root).unwrap()["start_us"]
            .as_i64()
            .unwrap();
        let rows: Vec<Row<'_>> = spans
            .iter()
            .map(|span| Row {
                id: span["id"].as_str().unwrap(),
                parent: span["parent"].as_str(),
                start: span["start_us"].as_i64().unwrap() - zero,
                end: span["end_us"].as_i64().unwrap() - zero,
                kind: span["kind"].as_str(),
                host: span["host"].as_str(),
            })
            .collect();
        let (tree, names) = build(&rows);
        let path = critical_path(&tree);
        assert_partition(&path);
        assert_eq!(
            path.interval.micros(),
            case["root_duration_us"].as_i64().unwrap(),
            "{source}"
        );
        let found = sections(&tree, &path, &names);
        assert_eq!(found, reference[source], "{source}");
        let mut own: BTreeMap<&str, i64> = BTreeMap::new();
        for (name, start, end) in &found {
            *own.entry(name).or_default() += end - start;
        }
        let crisp: BTreeMap<&str, i64> = case["exclusive_us"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, micros)| (name.as_str(), micros.as_i64().unwrap()))
            .filter(|(_, micros)| *micros > 0)
            .collect();
        assert!(own.keys().eq(crisp.keys()), "{source}");
        // CRISP counts the overlap of two siblings twice, so its times are off by a little.
        let off: i64 = own
            .iter()
            .map(|(name, own)| (own - crisp[name]).abs())
            .sum();
        assert!(off * 100 <= path.interval.micros(), "{source}: {off}");
        seen += 1;
    }
    assert_eq!(seen, cases);
}

#[test]
fn same_spans_and_times_as_the_crisp_cases() {
    crisp("crisp_cases.jsonl", 20);
}

#[test]
fn same_spans_and_times_as_the_nezha_traces() {
    crisp("nezha.jsonl.gz", 45);
}

#[test]
fn same_sections_as_the_jaeger_cases() {
    let cases = read("jaeger_ui_cases.jsonl");
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let spans = case["trace"]["spans"].as_array().unwrap();
        let rows: Vec<Row<'_>> = spans
            .iter()
            .map(|span| {
                let tags = span["tags"].as_array().into_iter().flatten();
                let mut kinds = tags.filter(|tag| tag["key"] == "span.kind");
                let start = span["startTime"].as_i64().unwrap();
                Row {
                    id: span["spanID"].as_str().unwrap(),
                    parent: span["references"][0]["spanID"].as_str(),
                    start,
                    end: start + span["duration"].as_i64().unwrap(),
                    kind: kinds.next().and_then(|tag| tag["value"].as_str()),
                    host: None,
                }
            })
            .collect();
        let (tree, names) = build(&rows);
        let path = critical_path(&tree);
        let expected: Vec<(String, i64, i64)> = case["expected_sections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|section| {
                (
                    section["spanID"].as_str().unwrap().to_owned(),
                    section["sectionStart"].as_i64().unwrap(),
                    section["sectionEnd"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            sections(&tree, &path, &names),
            expected,
            "{}",
            case["source"]
        );
    }
}

fn row<'a>(id: &'a str, parent: Option<&'a str>, start: i64, end: i64) -> Row<'a> {
    Row {
        id,
        parent,
        start,
        end,
        kind: None,
        host: None,
    }
}

#[test]
fn parallel_children_have_slack_and_limit_what_a_faster_span_saves() {
    let (tree, names) = build(&[
        row("root", None, 0, 1_000),
        row("slow", Some("root"), 100, 900),
        row("beside", Some("root"), 100, 600),
        row("tail", Some("root"), 950, 1_400),
    ]);
    let path = critical_path(&tree);
    assert_partition(&path);
    assert_eq!(
        sections(&tree, &path, &names),
        [
            ("tail".to_owned(), 950, 1_000),
            ("root".to_owned(), 900, 950),
            ("slow".to_owned(), 100, 900),
            ("root".to_owned(), 0, 100),
        ]
    );
    let node = |name: &str| {
        let id = names.iter().find(|(_, other)| *other == name).unwrap().0;
        tree.find(*id).unwrap()
    };
    assert_eq!(path.parallel.len(), 1);
    assert_eq!(path.parallel[0].node, node("beside"));
    assert_eq!(path.parallel[0].beside, Some(node("slow")));
    assert_eq!(path.parallel[0].slack, 300);
    assert_eq!(path.saving(&tree, node("slow"), 0.25), 200);
    assert_eq!(
        path.saving(&tree, node("slow"), 1.0),
        300,
        "then `beside` is the slow one"
    );
    assert_eq!(path.saving(&tree, node("beside"), 1.0), 0);
    assert_eq!(path.saving(&tree, node("root"), 1.0), 150);
    assert_eq!(path.tail.len(), 1);
    assert_eq!(
        (path.tail[0].node, path.tail[0].micros),
        (node("tail"), 400)
    );
}

#[test]
fn time_between_several_roots_is_uninstrumented() {
    let (tree, names) = build(&[row("a", None, 0, 300), row("b", None, 500, 1_000)]);
    let path = critical_path(&tree);
    assert_eq!(
        sections(&tree, &path, &names),
        [
            ("b".to_owned(), 500, 1_000),
            ("-".to_owned(), 300, 500),
            ("a".to_owned(), 0, 300),
        ]
    );
    assert_eq!(path.uninstrumented(), 200);
}

#[test]
fn a_chain_of_fifty_thousand_spans_needs_no_stack() {
    let trace = TraceId::from_bytes([7; 16]);
    let id = |n: u64| SpanId::from_bytes(u128::from(n + 1).to_be_bytes());
    let spans: Vec<Span> = (0..50_000u64)
        .map(|n| {
            let start = BASE + i64::try_from(n).unwrap();
            let mut span = Span::new(id(n), trace, Timestamp::from_micros(start));
            span.end_time = Some(Timestamp::from_micros(BASE + 100_000));
            span.parent_span_id = n.checked_sub(1).map(id);
            span
        })
        .collect();
    let tree = TraceTree::from_spans(trace, spans);
    let path = critical_path(&tree);
    assert_partition(&path);
    assert_eq!(path.segments.len(), 50_000);
}

prop_compose! {
    fn any_spans()(rows in prop::collection::vec((0u8..40, -50i64..1_000, -20i64..600, any::<bool>()), 1..40))
        -> Vec<Span> {
        let trace = TraceId::from_bytes([7; 16]);
        let id = |n: u8| SpanId::from_bytes([n + 1; 16]);
        rows.into_iter().zip(0u8..).map(|((parent, start, length, ends), n)| {
            let at = Timestamp::from_micros(BASE + start);
            let mut span = Span::new(id(n), trace, at);
            span.end_time = ends.then(|| at.plus_micros(length));
            span.parent_span_id = (parent != n && parent < 36).then(|| id(parent));
            span
        }).collect()
    }
}

proptest! {
    #[test]
    fn segments_partition_the_root_of_any_forest(spans in any_spans()) {
        let tree = TraceTree::from_spans(TraceId::from_bytes([7; 16]), spans);
        let path = critical_path(&tree);
        assert_partition(&path);
        let own: i64 = path.own.iter().sum();
        let length = |parts: &[Segment], of_none: bool| -> i64 {
            let parts = parts.iter().filter(|part| part.node.is_none() || !of_none);
            parts.map(Segment::micros).sum()
        };
        prop_assert_eq!(own + length(&path.segments, true), path.interval.micros());
        let outside = length(&path.outside, false);
        prop_assert_eq!(path.interval.micros() + outside, tree.wall().micros());
        for node in tree.nodes() {
            let saving = path.saving(&tree, node, 1.0);
            prop_assert!(0 <= saving && saving <= path.own.at(node));
        }
    }
}
