//! The builders in their own mode: what Vyasa's scripts lose is kept, and what cannot be kept is said.

use std::fs;
use std::path::Path;

use opik_core::query::{Filter, TraceQuery, oql};
use opik_core::{Batch, Exporter as _, Json};
use opik_evals::dataset::{
    AtomicFile, BuildReport, DatasetError, Input, Item, Lexicon, Manifests, Node, PrecisionBuilder,
    PrecisionRule, ReadOptions, ToneBuilder, TraceItems,
};
use opik_testkit::{MemoryStore, records};

const LEXICON: &str = "terms:\n\
    - {word: shocking, severity: fail, replacement: notable, category: alarm}\n\
    - {word: critical, severity: fail}\n\
    - {word: state, severity: warn}\n\
    - {word: state of the art, severity: fail}\n\
    - {word: 100%, severity: fail}\n\
    - {word: naïve, severity: fail}\n\
    - {word: Strasse, severity: fail}\n";

fn tone() -> ToneBuilder {
    ToneBuilder::new(Lexicon::parse("l", LEXICON).unwrap()).unwrap()
}

fn input(text: &str) -> Input {
    Input::reader("in", std::io::Cursor::new(text.to_owned()))
}

fn records_of(output: &[u8]) -> Vec<Node> {
    let text = std::str::from_utf8(output).unwrap();
    text.lines()
        .map(|line| Node::parse(line).unwrap())
        .collect()
}

fn field(record: &Node, name: &str) -> String {
    record.get(name).unwrap().to_python()
}

fn built(builder: &ToneBuilder, text: &str) -> (Vec<Node>, BuildReport) {
    let mut output = Vec::new();
    let report = builder.build([input(text)], &mut output).unwrap();
    (records_of(&output), report)
}

fn reasons(report: &BuildReport) -> Vec<(u64, String)> {
    let first = report.skipped().first().iter();
    first
        .map(|skip| (skip.place.line(), skip.reason.clone()))
        .collect()
}

#[test]
fn words_are_found_in_any_writing_at_the_borders_of_words() {
    for (text, label) in [
        ("A SHOCKING find", "sensational"),
        ("a state", "neutral"),
        ("state of the art", "sensational"),
        ("A 100% match", "sensational"),
        ("100%", "sensational"),
        ("naï\u{308}ve", "neutral"),
        ("nai\u{308}ve NAI\u{308}VE", "sensational"),
        ("die STRASSE", "sensational"),
        ("die Straße", "sensational"),
        ("critically", "neutral"),
        ("uncritical", "neutral"),
        ("cr\u{131}tical", "neutral"),
        ("日本語shocking", "neutral"),
        ("日本語 shocking", "sensational"),
        ("shocking_x", "neutral"),
        ("", "neutral"),
    ] {
        let line = format!("{{\"content\": {}}}", Node::from(text).to_json());
        let (records, _) = built(&tone(), &line);
        assert_eq!(field(&records[0], "label"), label, "{text}");
        assert_eq!(field(&records[0], "text"), text);
    }
}

#[test]
fn a_manifest_passes_on_its_job_and_its_rigour_in_every_layout() {
    let manifest = r#"{"project_id": "p", "job_id": "j", "rigor_level": "conservative", "blocks": [
        {"block_id": "a", "content": "Shocking."},
        {"block_id": "b", "text": "Calm.", "job_id": "own", "rigor_level": null},
        {"block_id": "c"}, "junk", {"block_id": "d", "content": 5}]}"#;
    let node = Node::parse(manifest).unwrap();
    let line = node.to_json();
    let expected = built(&tone(), manifest).0;
    assert_eq!(expected.len(), 2);
    for (record, job) in expected.iter().zip(["j", "own"]) {
        assert_eq!(field(record, "job_id"), job);
        assert_eq!(field(record, "project_id"), "p");
        assert_eq!(field(record, "rigor_level"), "conservative");
    }
    for text in [
        line.clone(),
        format!("[{line}]"),
        format!("\u{feff}{line}\r\n"),
    ] {
        let (records, report) = built(&tone(), &text);
        assert_eq!(records, expected);
        assert_eq!(report.skipped().count(), 3);
        let labels: Vec<_> = report.labels().collect();
        assert_eq!(
            labels,
            [
                ("neutral", "conservative", 1),
                ("sensational", "conservative", 1)
            ]
        );
    }
}

#[test]
fn lines_without_a_use_are_named_with_a_reason() {
    let (records, report) = built(
        &tone(),
        "{\"content\": \"a\"}\n{bad\n\n[1]\n5\n{\"content\": \"x\", \"rigor_level\": NaN}\n\
         {\"event_type\": \"node_execution\", \"job_id\": \"j\"}\n{\"tables\": []}\n\
         {\"content\": \"\\ud800\"}\n{\"content\": null, \"text\": \"b\"}\n",
    );
    assert_eq!(records.len(), 2);
    let found = reasons(&report);
    let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 4, 5, 6, 7, 8, 9]);
    for (reason, part) in found.iter().zip([
        "not JSON",
        "a list, not an object",
        "a number, not an object",
        "not finite",
        "telemetry",
        "neither",
        "surrogate",
    ]) {
        assert!(reason.1.contains(part), "{reason:?}");
    }
    let strict = tone().options(ReadOptions::new().strict(true));
    let error = strict
        .build([input("{\"content\": \"a\"}\n{bad\n")], &mut Vec::new())
        .unwrap_err();
    assert_eq!(error.to_string(), "in:2: not JSON");
}

#[test]
fn an_empty_lexicon_is_refused_unless_it_is_meant() {
    let empty = || Lexicon::parse("empty.yaml", "").unwrap();
    let error = ToneBuilder::new(empty()).unwrap_err();
    assert!(matches!(error, DatasetError::EmptyLexicon { .. }));
    let builder = ToneBuilder::allow_empty(empty()).unwrap();
    let (records, _) = built(&builder, "{\"content\": \"shocking\"}");
    assert_eq!(field(&records[0], "label"), "neutral");
}

#[test]
fn manifests_complete_blocks_and_tables_that_are_read_from_elsewhere() {
    let text = "{\"job_id\": \"j1\", \"rigor_level\": \"conservative\", \
        \"blocks\": [{\"block_id\": \"a\", \"tone_flags\": [{\"word\": \"x\", \"severity\": \"hard\"}]}, {\"block_id\": \"twice\"}], \
        \"tables\": [{\"table_id\": \"t\", \"flags\": [\"EXCESSIVE_PRECISION\", \"INCONSISTENT_DECIMALS\"]}]}\n\
        {\"job_id\": \"j2\", \"blocks\": [{\"block_id\": \"twice\"}]}\n{\"other\": 1}\n";
    let manifests = Manifests::read([input(text)], ReadOptions::new()).unwrap();
    assert_eq!((manifests.len(), manifests.skipped().count()), (4, 1));

    let builder = tone().manifests(manifests.clone());
    let (records, _) = built(
        &builder,
        "{\"block_id\": \"a\", \"content\": \"calm\"}\n{\"block_id\": \"twice\", \"content\": \"calm\"}\n\
         {\"block_id\": \"twice\", \"content\": \"calm\", \"job_id\": \"j2\"}\n",
    );
    let found: Vec<_> = records
        .iter()
        .map(|record| (field(record, "job_id"), field(record, "label")))
        .collect();
    let expected = [
        ("j1", "sensational"),
        ("None", "neutral"),
        ("j2", "neutral"),
    ];
    assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));

    let mut output = Vec::new();
    let table = "{\"table_id\": \"t\", \"rows\": [{\"a\": \"1.234\"}, {\"a\": \"2.345\"}]}";
    PrecisionBuilder::new()
        .manifests(manifests)
        .build([input(table)], &mut output)
        .unwrap();
    let found: Vec<_> = records_of(&output)
        .iter()
        .map(|record| ["column", "issue", "rigor_level", "source"].map(|name| field(record, name)))
        .collect();
    assert_eq!(
        found,
        [
            ["a", "EXCESSIVE_PRECISION", "conservative", "recorded"],
            ["None", "INCONSISTENT_DECIMALS", "conservative", "recorded"],
        ]
    );
}

#[test]
fn flags_are_taken_where_they_are_and_computed_where_they_are_not() {
    let lines = r#"{"table_id": "t1", "rows": [{"a": "1.234", "b": true}, {"a": null}], "precision_flags": [{"column": "a", "issue": "X"}, {"column": "a", "issue": "X"}]}
{"table_id": "t2", "rows": [{"a": 1.2345}, {"a": 2.5}], "precision_flags": null}
{"table_id": "t3", "rows": [{"a": 1.2345}], "precision_flags": []}
{"table_id": "t4", "rows": [{"a": "1234.5"}], "precision_contract": {"max_sig_figs": 3}}
{"table_id": "t5"}
{"table_id": "t6", "precision_flags": "abc"}
{"table_id": "t7", "precision_flags": [5]}
{"table_id": "t8", "precision_flags": [{}, {"column": "b", "issue": "Y"}]}
"#;
    let mut output = Vec::new();
    let report = PrecisionBuilder::new()
        .rule(PrecisionRule::new().max_decimals(3))
        .build([input(lines)], &mut output)
        .unwrap();
    let found: Vec<_> = records_of(&output)
        .iter()
        .map(|record| {
            ["table_id", "column", "label", "count", "source", "values"]
                .map(|name| field(record, name))
                .join(" ")
        })
        .collect();
    assert_eq!(
        found,
        [
            "t1 a X 2 recorded ['1.234']",
            "t2 a EXCESSIVE_PRECISION 1 computed ['1.2345', '2.5']",
            "t2 a INCONSISTENT_DECIMALS 1 computed ['1.2345', '2.5']",
            "t3 None clean 0 recorded []",
            "t4 a SIGFIG_VIOLATION 1 computed ['1234.5']",
            "t8 b Y 1 recorded []",
        ]
    );
    let lines: Vec<_> = reasons(&report).iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [5, 6, 7, 8]);
    let columns: Vec<_> = report.columns().collect();
    assert_eq!(columns, [("a", 4), ("b", 1)]);
}

#[test]
fn what_a_builder_writes_is_a_dataset() {
    let mut output = Vec::new();
    tone()
        .build(
            [input("{\"content\": \"shocking\", \"block_id\": 1}")],
            &mut output,
        )
        .unwrap();
    let value = serde_json::from_slice(&output).unwrap();
    let item = Item::from_value(value).unwrap();
    let case = item.case("sensational");
    assert_eq!(case.text("reference").unwrap(), "sensational");
    assert_eq!(case.text("text").unwrap(), "shocking");
}

#[test]
fn a_suggestion_replaces_a_word_but_not_in_a_citation() {
    use opik_evals::dataset::ToneScanner;
    let lexicon = Lexicon::parse("l", LEXICON).unwrap();
    let scanner = ToneScanner::new(&lexicon).unwrap();
    assert_eq!(
        scanner.neutralise("Shocking, critical and “shocking” [a shocking title] Shocking [open"),
        "notable, critical and “notable” [a shocking title] notable [open"
    );
}

#[tokio::test]
async fn recorded_traces_become_records_and_items() {
    let store = MemoryStore::new();
    let traces = [
        (
            Json::string("A shocking answer"),
            Some(r#"{"job_id": "j", "rigor_level": "conservative"}"#),
        ),
        (Json::parse(r#"{"output": "calm"}"#).unwrap(), None),
        (
            Json::parse(
                r#"{"blocks": [{"block_id": "b", "content": "shocking"}, {"block_id": "c"}]}"#,
            )
            .unwrap(),
            None,
        ),
        (
            Json::parse(r#"{"tables": [{"table_id": "t", "rows": [{"a": "1.234"}]}]}"#).unwrap(),
            None,
        ),
    ];
    let traces: Vec<_> = (1..)
        .zip(traces)
        .map(|(number, (output, metadata))| {
            let mut trace = records::trace(number);
            trace.output = Some(output);
            trace.metadata = metadata.map(|text| Json::parse(text).unwrap());
            trace.tags = vec![if number == 2 { "calm" } else { "other" }.to_owned()];
            trace
        })
        .collect();
    store.export(&Batch::new(traces, vec![])).await.unwrap();

    let mut output = Vec::new();
    let report = tone()
        .build_traces(&store, TraceQuery::default(), &mut output)
        .await
        .unwrap();
    assert_eq!((report.written(), report.skipped().count()), (3, 2));
    let jobs: Vec<_> = records_of(&output)
        .iter()
        .map(|record| field(record, "job_id") == "j")
        .collect();
    assert_eq!(jobs.iter().filter(|own| **own).count(), 1);

    let mut output = Vec::new();
    let report = PrecisionBuilder::new()
        .build_traces(&store, TraceQuery::default(), &mut output)
        .await
        .unwrap();
    assert_eq!(report.written(), 1);

    let mut query = TraceQuery::default();
    let filters: Vec<Filter> =
        oql::parse(opik_core::query::Entity::Trace, "tags contains \"calm\"").unwrap();
    query.filters = filters;
    let mut items = TraceItems::new(&store, query);
    let item = items.next().await.unwrap().unwrap();
    assert_eq!(item.tags(), ["calm"]);
    assert!(items.next().await.unwrap().is_none());
    let mut three = TraceItems::new(&store, TraceQuery::default()).limit(3);
    let mut count = 0;
    while three.next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn output_replaces_its_target_whole_and_never_an_input() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.jsonl");
    let link = folder.path().join("link.jsonl");
    fs::write(&input, "precious").unwrap();
    fs::hard_link(&input, &link).unwrap();
    let refused = |target: &Path, inputs: &[&Path]| {
        matches!(
            AtomicFile::create(target, inputs),
            Err(DatasetError::SameFile { .. })
        )
    };
    assert!(refused(&input, &[&input]));
    assert!(refused(&link, &[&input]));
    assert!(refused(&folder.path().join("./in.jsonl"), &[&input]));
    assert!(refused(&folder.path().join("new.jsonl"), &[folder.path()]));
    assert_eq!(fs::read_to_string(&input).unwrap(), "precious");

    let target = folder.path().join("out.jsonl");
    fs::write(&target, "old").unwrap();
    let mut dropped = AtomicFile::create(&target, &[&input]).unwrap();
    dropped.write_all(b"half").unwrap();
    drop(dropped);
    assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    let mut file = AtomicFile::create(&target, &[&input]).unwrap();
    file.write_all(b"new").unwrap();
    file.finish().unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);

    let packed = folder.path().join("out.jsonl.gz");
    let mut file = AtomicFile::create(&packed, &[]).unwrap();
    file.write_all(b"small").unwrap();
    file.finish().unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(packed).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "small");
}
