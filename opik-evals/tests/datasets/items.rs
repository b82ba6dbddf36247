//! Items are read from every layout, and what cannot be read is named.

use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use opik_evals::dataset::{DatasetError, Input, Item, ItemReader, ReadOptions};
use serde_json::json;

fn read(text: &'static str) -> (Vec<Item>, Vec<(u64, String)>) {
    let mut reader = ItemReader::from_reader("in", text.as_bytes(), ReadOptions::new());
    let items = reader.by_ref().map(Result::unwrap).collect();
    let skipped = reader.skipped().first().iter();
    let skipped = skipped
        .map(|skip| (skip.place.line(), skip.reason.clone()))
        .collect();
    (items, skipped)
}

#[test]
fn lines_a_list_and_a_document_give_the_same_items() {
    let expected = Item::from_value(json!({ "input": "a", "expected_output": 1 })).unwrap();
    for text in [
        "{\"input\": \"a\", \"expected_output\": 1}\n",
        "\u{feff}\r\n{\"expected_output\": 1, \"input\": \"a\"}",
        "{\n  \"input\": \"a\",\n  \"expected_output\": 1\n}\n",
        "[{\"input\": \"a\", \"expected_output\": 1}]",
        "{\"data\": {\"input\": \"a\"}, \"expected_output\": 1, \"tags\": null}",
        "{\"data\": {\"input\": \"a\", \"expected_output\": 1}}",
    ] {
        let (items, skipped) = read(text);
        assert_eq!(items, std::slice::from_ref(&expected), "{text}");
        assert_eq!(items[0].id(), expected.id());
        assert!(skipped.is_empty(), "{skipped:?}");
    }
}

#[test]
fn a_bad_line_is_named_and_the_others_are_read() {
    let (items, skipped) = read(
        "{\"input\": 1}\n{bad\n\n[1]\n{\"input\": 2} tail\n{\"input\": 3}\n{\"id\": [], \"a\": 1}\n\
         {\"tags\": [1]}\n{\"input\": NaN}\n",
    );
    assert_eq!(items.len(), 2);
    let lines: Vec<_> = skipped.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 4, 5, 7, 8, 9]);
    for (_, reason) in &skipped {
        assert!(
            !reason.contains("tail") && !reason.contains("bad"),
            "{reason}"
        );
    }
}

#[test]
fn strict_reading_stops_at_the_first_bad_line() {
    let options = ReadOptions::new().strict(true);
    let text = "{\"input\": 1}\n\nnope\n{\"input\": 2}\n";
    let mut reader = ItemReader::from_reader("in.jsonl", text.as_bytes(), options);
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err();
    assert!(matches!(error, DatasetError::Unusable { .. }));
    assert!(error.to_string().starts_with("in.jsonl:3: "), "{error}");
    assert!(reader.next().is_none());
}

#[test]
fn a_folder_is_read_in_order_and_gzip_is_seen_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("p/j");
    fs::create_dir_all(&deep).unwrap();
    fs::write(folder.path().join("b.jsonl"), "{\"n\": 3}\n{\"n\": 4}\n").unwrap();
    fs::write(folder.path().join("notes.txt"), "not a record").unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"[{\"n\": 1}, {\"n\": 2}]").unwrap();
    fs::write(folder.path().join("a.json"), packed.finish().unwrap()).unwrap();
    fs::write(deep.join("artifact_manifest.json"), "{\n\"n\": 5\n}").unwrap();

    let inputs = [Input::path(folder.path())];
    let mut reader = ItemReader::new(inputs, ReadOptions::new());
    let numbers: Vec<_> = reader
        .by_ref()
        .map(|item| item.unwrap().data()["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(reader.skipped().is_empty());

    let gone = [Input::path(folder.path().join("gone"))];
    let error = ItemReader::new(gone, ReadOptions::new()).next().unwrap();
    assert!(matches!(error, Err(DatasetError::Missing { .. })));
}

#[test]
fn an_identifier_depends_on_content_alone_and_a_given_one_stays() {
    let item = |value| Item::from_value(value).unwrap();
    let plain = item(json!({ "a": { "x": 1, "y": [1.5, "é"] } }));
    assert_eq!(
        plain.content_hash(),
        "0885f4eea7bda201f2b2d6284defb3b5".to_owned()
    );
    let tagged = plain.clone().with_tags(["t"]);
    assert_eq!(tagged.id(), plain.id());
    assert_ne!(plain.clone().with_expected(1).id(), plain.id());
    assert_ne!(item(json!({ "a": 1 })).id(), item(json!({ "a": 1.0 })).id());
    let named = item(json!({ "id": 7, "a": 1, "tags": ["x"] })).with_expected("e");
    assert_eq!((named.id().as_ref(), named.tags().len()), ("7", 1));
    assert_eq!(item(named.to_value()), named);
    assert!(!format!("{named:?}").contains("\"e\""));
}

#[test]
fn a_case_has_data_expectation_and_output() {
    let item = Item::from_value(json!({ "input": "q", "expected_output": "e" })).unwrap();
    let case = item.case("o");
    for (name, text) in [
        ("input", "q"),
        ("reference", "e"),
        ("expected_output", "e"),
        ("output", "o"),
    ] {
        assert_eq!(case.text(name).unwrap(), text);
    }
    let own = Item::from_value(json!({ "reference": "r", "expected_output": "e" })).unwrap();
    assert_eq!(own.case("o").text("reference").unwrap(), "r");
}
