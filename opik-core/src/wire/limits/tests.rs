use std::fmt::Write as _;

use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_795_170_315_351_281);

fn owner() -> FieldOwner<'static> {
    let trace = TraceId::from_parts(START, 8);
    FieldOwner::span(trace, SpanId::from_parts(START, 4), START).in_project(Some("p"))
}

/// Runs of 16 characters are files.
fn small() -> FieldLimits {
    FieldLimits::default().min_base64_chars(16)
}

fn png(length: usize) -> Vec<u8> {
    let noise = (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap());
    b"\x89PNG\r\n\x1a\n".iter().copied().chain(noise).collect()
}

fn apply(limits: &FieldLimits, json: &str) -> (String, Vec<WireAttachment>) {
    let mut files = Vec::new();
    let text = limits.apply(ContentField::Input, json, &owner(), &mut files);
    (text.into_owned(), files)
}

#[test]
fn a_picture_becomes_a_file_under_the_official_name() {
    let bytes = png(192_000);
    let base64 = STANDARD.encode(&bytes);
    assert!(base64.len() >= 256_000);
    for (before, after) in [
        ("", ""),
        ("data:image/png;base64,", ""),
        ("see:\\n", " end"),
        ("see:\\u000a", "\\n"),
    ] {
        let json = format!("{{\"a\": [1, {{\"url\": \"{before}{base64}{after}\"}}],  \"z\": 1.0}}");
        let (text, files) = apply(&FieldLimits::default(), &json);
        let [file] = files.as_slice() else {
            panic!("{before}: {files:?}");
        };
        let number = file
            .file_name
            .strip_prefix("input-attachment-")
            .and_then(|name| name.strip_suffix("-1795170315351-sdk.png"))
            .unwrap();
        assert!((1..=99_999_999).contains(&number.parse::<u32>().unwrap()));
        assert_eq!(
            (file.trace, file.span),
            (owner().trace, owner().span),
            "{before}"
        );
        assert_eq!(file.project_name.as_deref(), Some("p"));
        assert_eq!(file.mime_type, "image/png");
        assert!(file.bytes == bytes);
        let before = before.strip_prefix("data:").map_or(before, |_| "");
        assert_eq!(
            text,
            format!(
                "{{\"a\": [1, {{\"url\": \"{before}[{}]{after}\"}}],  \"z\": 1.0}}",
                file.file_name
            )
        );
        // The same row again names the same file.
        assert!(apply(&FieldLimits::default(), &json) == (text, files));
    }
}

#[test]
fn the_same_bytes_are_one_file_and_other_bytes_another() {
    let (one, other) = (STANDARD.encode(png(40)), STANDARD.encode(png(41)));
    let json = format!("[\"{one}\",\"{other}\",\"{one}\"]");
    let (text, files) = apply(&small(), &json);
    let [first, second] = files.as_slice() else {
        panic!("{files:?}");
    };
    let (first, second) = (&first.file_name, &second.file_name);
    assert_eq!(
        text,
        format!("[\"[{first}]\",\"[{second}]\",\"[{first}]\"]")
    );
}

#[test]
fn a_name_that_is_taken_by_other_bytes_is_left_to_them() {
    let base64 = STANDARD.encode(png(40));
    let json = format!("\"{base64}\"");
    let (_, mut files) = apply(&small(), &json);
    files[0].bytes = vec![1];
    let taken = files[0].file_name.clone();
    let text = small().apply(ContentField::Input, &json, &owner(), &mut files);
    assert_eq!(files.len(), 2);
    assert_ne!(files[1].file_name, taken);
    assert_eq!(text, format!("\"[{}]\"", files[1].file_name));
}

#[test]
fn the_types_of_the_official_clients_are_known_and_others_stay() {
    let filler = vec![b'x'; 60];
    let with = |head: &[u8], tail: &[u8]| [head, &filler, tail].concat();
    for (bytes, expected) in [
        (with(b"\x89PNG\r\n\x1a\n", b""), Some("image/png png")),
        (
            with(b"\xff\xd8\xff\xe0", b"\xff\xd9"),
            Some("image/jpeg jpg"),
        ),
        (with(b"\xff\xd8\xff\xe0", b""), None),
        (with(b"GIF89a", b""), Some("image/gif gif")),
        (
            with(b"RIFF\x01\x02\x03\x04WEBP", b""),
            Some("image/webp webp"),
        ),
        (with(b"RIFF\x01\x02\x03\x04WAVE", b""), None),
        (with(b"%PDF-1.7", b""), Some("application/pdf pdf")),
        (
            with(b"<?xml version=\"1.0\"?><SVG>", b""),
            Some("image/svg+xml svg"),
        ),
        (with(b"\0\0\0\x18ftypmp42", b""), Some("video/mp4 mp4")),
        (with(b" \n[1,", b""), Some("application/json json")),
        (with(b"plain text", b""), None),
        (with(b"\xff\xfb\x90", b""), None),
        (vec![1], None),
    ] {
        let json = format!("\"{}\"", STANDARD.encode(&bytes));
        let (text, files) = apply(&FieldLimits::default().min_base64_chars(4), &json);
        let found = files.first().map(|file| {
            let extension = file.file_name.rsplit('.').next().unwrap();
            format!("{} {extension}", file.mime_type)
        });
        assert_eq!(found.as_deref(), expected, "{bytes:?}");
        assert_eq!(text == json, expected.is_none());
    }
}

#[test]
fn what_is_short_a_name_a_number_or_off_is_left_alone() {
    let base64 = STANDARD.encode(png(40));
    for json in [
        format!("{{\"{base64}\" : 1}}"),
        "1".repeat(400),
        format!("\"x{base64}\""),
        format!("\"{}\"", base64.replace('/', "\\/").replace('A', "\\u0041")),
        String::new(),
    ] {
        assert_eq!(apply(&small(), &json), (json, vec![]));
    }
    let json = format!("\"{base64}\"");
    for limits in [
        FieldLimits::default(),
        small().extract_files(false),
        FieldLimits::none(),
        small().min_base64_chars(base64.len() + 4),
    ] {
        let mut files = Vec::new();
        let kept = limits.apply(ContentField::Output, &json, &owner(), &mut files);
        assert!(matches!(kept, Cow::Borrowed(text) if text == json));
    }
}

/// The marks that the official client sent for 21 MB, and for twice 11 MB.
#[test]
fn the_mark_is_that_of_the_official_client() {
    let captured = include_str!("../../../testkit/fixtures/opik-wire/f15_big.jsonl");
    let rows: Vec<serde_json::Value> = captured
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line.pointer("/body/traces/0").cloned())
        .collect();
    let text = |megabytes: usize| format!("\"{}\"", "x y ".repeat(megabytes * MB / 4));
    let limits = FieldLimits::default();
    let mut files = Vec::new();
    let mut sent = |input: &str, output: &str| {
        let (input, output) = limits.apply_both(Some(input), Some(output), &owner(), &mut files);
        let value = |json: Cow<'_, str>| serde_json::from_str::<serde_json::Value>(&json).unwrap();
        (value(input.unwrap()), value(output.unwrap()))
    };
    assert_eq!(rows.len(), 2);
    for (row, (input, output)) in rows
        .iter()
        .zip([sent(&text(21), "{\"o\": 1}"), sent(&text(11), &text(11))])
    {
        assert_eq!(row["input"], input);
        assert_eq!(row["output"], output);
    }
    let (input, output) = sent("1", &text(21));
    assert_eq!(input, serde_json::json!(1));
    assert!(output["opik_truncated"].as_bool().unwrap());
    assert!(files.is_empty());
    let metadata = text(21);
    let kept = limits.apply(ContentField::Metadata, &metadata, &owner(), &mut files);
    assert!(kept == metadata);
}

/// A piece of a JSON text and what stays of it.
#[derive(Debug, Clone)]
enum Piece {
    Words(String),
    File { url: bool, bytes: Vec<u8> },
}

fn piece() -> impl Strategy<Value = Piece> {
    // Too short between other characters to be taken for a file: four letters can be a JSON.
    let words = "([A-Za-z0-9+/]{0,3}[ -*,.:-@\\[-`{-~äß\\n\\t\"\\\\]){0,15}";
    prop_oneof![
        words.prop_map(Piece::Words),
        (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)).prop_map(|(url, bytes)| {
            let bytes = [b"\x89PNG\r\n\x1a\n".as_slice(), &bytes].concat();
            Piece::File { url, bytes }
        }),
    ]
}

proptest! {
    /// Files go out whole, and putting them back gives the text that was there, to the letter.
    #[test]
    fn files_are_restored_and_everything_else_is_untouched(
        strings in proptest::collection::vec(proptest::collection::vec(piece(), 0..6), 0..6),
        min in 4_usize..40,
    ) {
        let mut json = "{\"k\" : [".to_owned();
        let mut contents = Vec::new();
        for (number, pieces) in strings.iter().enumerate() {
            json.push_str(if number == 0 { "\"" } else { " ,\"" });
            for piece in pieces {
                match piece {
                    Piece::Words(words) => {
                        let quoted = serde_json::to_string(words).unwrap();
                        json.push_str(quoted.get(1..quoted.len() - 1).unwrap());
                    }
                    Piece::File { url, bytes } => {
                        let scheme = if *url { "data:image/png;base64," } else { " " };
                        write!(json, "{scheme}{}", STANDARD.encode(bytes)).unwrap();
                        contents.push(bytes.clone());
                    }
                }
                // A word that ends here does not join what comes next.
                json.push('!');
            }
            json.push('"');
        }
        json.push_str("], \"n\": 1e400}");
        let limits = FieldLimits::default().min_base64_chars(min);
        let (mut text, files) = apply(&limits, &json);
        let valid: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&text);
        prop_assert!(valid.is_ok());
        for file in &files {
            prop_assert!(contents.contains(&file.bytes));
            let place = format!("[{}]", file.file_name);
            prop_assert!(text.contains(&place));
            text = text.replace(&place, &STANDARD.encode(&file.bytes));
        }
        for bytes in &contents {
            let long = STANDARD.encode(bytes).trim_end_matches('=').len() / 4 * 4 >= min / 4 * 4;
            let taken = files.iter().any(|file| file.bytes == *bytes);
            prop_assert!(!long || taken);
        }
        // The beginning of a URL goes with its file, so it is left out of the comparison.
        let scheme = "data:image/png;base64,";
        prop_assert_eq!(text.replace(scheme, ""), json.replace(scheme, ""));
    }

    #[test]
    fn no_text_at_all_makes_it_fail(
        text in any::<String>(),
        runs in proptest::collection::vec("[A-Za-z0-9+/\"\\\\:,;é=]{0,40}", 0..8),
        min in 0_usize..20,
        max in 0_usize..200,
    ) {
        let limits = FieldLimits::default().min_base64_chars(min).max_field_bytes(max);
        let mut files = Vec::new();
        for text in [text, runs.concat()] {
            let (input, output) =
                limits.apply_both(Some(&text), Some(&text), &owner(), &mut files);
            prop_assert!(input.is_some() && output.is_some());
        }
    }

    /// Looking at one byte in `min` finds what reading every byte finds.
    #[test]
    fn no_long_run_is_overlooked(
        words in proptest::collection::vec("[A-Za-z0-9+/]{0,50}", 0..40),
        min in 1_usize..12,
    ) {
        let json = format!("\"{}\"", words.join(" "));
        let min = min * 4;
        let found: Vec<String> = base64_runs::of(&json, min)
            .map(|run| json.get(run.base64).unwrap().to_owned())
            .collect();
        let expected: Vec<String> = words
            .iter()
            .map(|word| word.get(..word.len() / 4 * 4).unwrap().to_owned())
            .filter(|word| word.len() >= min)
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_small_text_is_returned_as_it_is(text in "[ -~]{0,2000}") {
        let mut files = Vec::new();
        let limits = FieldLimits::default();
        let sent = limits.apply(ContentField::Output, &text, &owner(), &mut files);
        prop_assert!(matches!(sent, Cow::Borrowed(sent) if std::ptr::eq(sent, text.as_str())));
        prop_assert!(limits.leave(text.len()));
    }
}
