//! Input that is not what it should be: named, counted, never a panic, never quoted.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use opik_formats::{Item, ReadError, ReadOptions, Reader};

const GOOD: &str = r#"{"trace": {"id": "01941f29-7c00-7493-9838-62c3f1790444", "start_time": "2025-01-01T00:00:00Z"}}"#;

/// Traces that were read, and problems.
fn read_with(bytes: &[u8], options: ReadOptions) -> (usize, Vec<String>) {
    let mut traces = 0;
    let mut problems = Vec::new();
    let mut reader = Reader::new(bytes, options);
    for item in &mut reader {
        match item.unwrap() {
            Item::Batch(batch) => traces += batch.traces.len(),
            Item::Problem(problem) => problems.push(problem.to_string()),
        }
    }
    assert_eq!(reader.summary().problems, problems.len() as u64);
    (traces, problems)
}

fn read(bytes: impl AsRef<[u8]>) -> (usize, Vec<String>) {
    read_with(bytes.as_ref(), ReadOptions::default())
}

/// A trace with this text as its input.
fn with_input(input: &str) -> String {
    GOOD.replace(
        "\"start_time\"",
        &format!("\"input\": {input}, \"start_time\""),
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One bad line between two good ones costs itself, and its reason is as expected.
fn one_bad_line(bad: &[u8], reason: &str) {
    let mut file = GOOD.as_bytes().to_vec();
    file.push(b'\n');
    file.extend_from_slice(bad);
    file.push(b'\n');
    file.extend_from_slice(GOOD.as_bytes());
    for bytes in [file.clone(), gzip(&file)] {
        let (traces, problems) = read(bytes);
        assert_eq!(traces, 2);
        assert_eq!(problems, [format!("line 2: {reason}")]);
    }
}

#[test]
fn a_bad_line_is_named_and_the_others_are_read() {
    one_bad_line(b"secret", "not JSON: syntax error at column 1");
    one_bad_line(b"<html>", "not JSON: syntax error at column 1");
    one_bad_line(b"5", "not an object");
    one_bad_line(b"{}", "no known trace format: the members fit none");
    one_bad_line(b"{\"trace\": {\"id\"", "not JSON: the text ends too early");
    one_bad_line(b"{\"trace\": \xff}", "not UTF-8 at byte 11");
    one_bad_line(
        b"{\"trace\": 5}",
        "trace: a member is of type integer, expected an object",
    );
    let line = |input: &str| with_input(input).into_bytes();
    one_bad_line(
        &line("NaN"),
        "not JSON: NaN is no number of JSON, at column 67",
    );
    one_bad_line(
        &line(r#""\ud800 secret""#),
        "trace: input: half of a surrogate pair in a string at column 8",
    );
    one_bad_line(
        &line("[1e999]"),
        "trace: input: a number out of range at column 6",
    );
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    one_bad_line(
        &line(&deep),
        "trace: input: nested more than 127 levels deep at column 128",
    );
    let unknown = with_input(&deep).replace("input", "inputs");
    one_bad_line(
        unknown.as_bytes(),
        "trace: nested more than 127 levels deep at column 184",
    );
    let very_deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    one_bad_line(
        &line(&very_deep),
        "trace: input: nested more than 127 levels deep at column 128",
    );
}

#[test]
fn an_empty_input_is_said_to_be_empty() {
    for bytes in [
        Vec::new(),
        b"\n \r\n".to_vec(),
        gzip(b""),
        "\u{feff}".into(),
    ] {
        let (traces, problems) = read(&bytes);
        assert_eq!(traces, 0);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems.iter().all(|it| it.contains("the input is empty")));
    }
}

#[test]
fn a_large_string_is_no_problem() {
    let line = with_input(&format!("\"{}\"", "x".repeat(50 << 20)));
    assert_eq!(read(gzip(line.as_bytes())), (1, Vec::new()));
}

#[test]
fn a_document_over_the_limit_is_skipped_in_bounded_memory() {
    let options = || ReadOptions::default().max_document_bytes(1 << 20);
    // 200 MB of one line in 200 kB of gzip.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..200 {
        encoder.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    encoder.write_all(format!("\n{GOOD}\n").as_bytes()).unwrap();
    let bomb = encoder.finish().unwrap();
    let (traces, problems) = read_with(&bomb, options());
    assert_eq!(traces, 1);
    assert_eq!(
        problems,
        ["line 1: longer than 1048576 bytes, the limit for one document"]
    );
}

#[test]
fn a_cut_or_damaged_archive_yields_what_came_before() {
    let mut file = String::new();
    for number in 0..20_000 {
        file.push_str(&with_input(&(number * 7919 % 10_007).to_string()));
        file.push('\n');
    }
    let archive = gzip(file.as_bytes());
    let (traces, problems) = read(archive.get(..archive.len() / 2).unwrap());
    assert!((5_000..20_000).contains(&traces), "{traces}");
    assert_eq!(problems.len(), 1);
    assert!(
        problems
            .iter()
            .all(|it| it.contains("the compressed data ends too early"))
    );
    let mut damaged = archive;
    let middle = damaged.len() / 2;
    damaged.get_mut(middle..middle + 64).unwrap().fill(0xff);
    let (traces, problems) = read(&damaged);
    assert!(traces < 20_000, "{traces}");
    assert!(
        problems
            .iter()
            .any(|it| it.contains("the compressed data is damaged")),
        "{problems:?}"
    );
}

#[test]
fn a_strict_reader_stops_at_the_first_problem() {
    let file = format!("{GOOD}\nsecret\n{GOOD}\n");
    let mut reader = Reader::new(file.as_bytes(), ReadOptions::default().strict(true));
    assert!(matches!(reader.next(), Some(Ok(Item::Batch(_)))));
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2: not JSON: syntax error at column 1"
    );
    assert!(reader.next().is_none());
}

#[test]
fn a_source_that_fails_is_an_error_that_names_how_far_it_came() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "is a directory",
            ))
        }
    }
    let source = Cursor::new(format!("{GOOD}\n")).chain(Failing);
    let mut reader = Reader::new(source, ReadOptions::default());
    assert!(matches!(reader.next(), Some(Ok(Item::Batch(_)))));
    let error = reader.next().unwrap().unwrap_err();
    let ReadError::Io { bytes, source } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (bytes, source.kind()),
        (GOOD.len() as u64 + 1, io::ErrorKind::IsADirectory)
    );
    assert!(reader.next().is_none());
}

#[cfg(unix)]
#[test]
fn a_directory_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(directory.path()).unwrap();
    let first = Reader::new(file, ReadOptions::default()).next().unwrap();
    assert!(matches!(first, Err(ReadError::Io { bytes: 0, .. })));
}

#[test]
fn a_document_with_very_many_bad_parts_lists_the_first_and_counts_the_rest() {
    let file = format!("{{\"spans\": [{}]}}", vec!["{}"; 5_000].join(",\n"));
    let (_, problems) = read(file);
    assert_eq!(problems.len(), 1_001);
    assert_eq!(
        problems.get(500).unwrap(),
        "line 501: span: member `id` is missing"
    );
    assert_eq!(
        problems.last().unwrap(),
        "line 1: 4000 more problems of this document"
    );
}

#[test]
fn documents_join_into_batches_and_problems_stay_in_order() {
    let file = format!("{GOOD}\n{GOOD}\n{GOOD}\nx\n{GOOD}\n");
    let options = ReadOptions::default().batch_records(2);
    let sizes: Vec<_> = Reader::new(file.as_bytes(), options)
        .map(|item| match item.unwrap() {
            Item::Batch(batch) => batch.len(),
            Item::Problem(_) => 0,
        })
        .collect();
    assert_eq!(sizes, [2, 1, 0, 1]);
}
