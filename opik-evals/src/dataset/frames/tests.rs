use super::*;
use std::io::BufReader;

fn cut(text: &str, capacity: usize) -> Vec<(u64, String)> {
    let mut frames = Frames::new(BufReader::with_capacity(capacity, text.as_bytes()), 200);
    let mut records = Vec::new();
    while let Some(frame) = frames.advance().unwrap() {
        let text = frame.damage.map_or_else(
            || String::from_utf8(frames.bytes().to_vec()).unwrap(),
            |damage| format!("! {damage}"),
        );
        records.push((frame.line, text.trim().to_owned()));
    }
    records
}

#[test]
fn every_layout_is_cut_into_its_records_whatever_the_size_of_the_buffer() {
    let long = format!("\"{}\"\n1\n", "x".repeat(300));
    for (text, expected) in [
        ("", vec![]),
        (" \n\t\r\n", vec![]),
        (
            "{\"a\":1}\n\n{\"b\":2}",
            vec![(1, "{\"a\":1}"), (3, "{\"b\":2}")],
        ),
        ("\u{feff}1\r2\r\n3\n", vec![(1, "1"), (2, "2"), (3, "3")]),
        ("{\"a\n{\"b\":2}\n", vec![(1, "{\"a"), (2, "{\"b\":2}")]),
        (
            "{\"a\": [\n{\"b\":2}\n",
            vec![(1, "{\"a\": ["), (2, "{\"b\":2}")],
        ),
        (
            "{\"a\": [\n{\"b\":2},\n{\"c\":3}\n]}\n{\"d\":4}",
            vec![
                (1, "{\"a\": [\n{\"b\":2},\n{\"c\":3}\n]}"),
                (5, "{\"d\":4}"),
            ],
        ),
        (
            "\n{\n\"a\": \"}\\\"]\"\n}\n\n{\"b\":\n2} x\n",
            vec![(2, "{\n\"a\": \"}\\\"]\"\n}"), (6, "{\"b\":\n2}"), (7, "x")],
        ),
        ("{\n \"a\": 1", vec![(1, "! it ends in the middle")]),
        (
            "[{\"a\": \"],\"},\n[1, 2] , 3]\n{\"b\":1}\n",
            vec![
                (1, "{\"a\": \"],\"}"),
                (2, "[1, 2]"),
                (2, "3"),
                (3, "{\"b\":1}"),
            ],
        ),
        ("[]", vec![]),
        ("[1,\n", vec![(1, "1"), (2, "! the list is not closed")]),
        (
            "[1",
            vec![
                (1, "! it ends in the middle"),
                (1, "! the list is not closed"),
            ],
        ),
        (
            &long,
            vec![(1, "! longer than the limit of a record"), (2, "1")],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(line, record): (u64, &str)| (line, record.to_owned()))
            .collect();
        for capacity in [1, 2, 3, 7, 4_096] {
            let found = cut(text, capacity);
            assert_eq!(found, expected, "{text:?} by {capacity}");
        }
    }
}
