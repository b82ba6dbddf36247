//! Reading holds for any input: no record is lost, no text makes it panic, and JSON is what the
//! standard says it is.

use std::io::BufReader;

use opik_evals::dataset::{Input, Item, ItemReader, Lexicon, Node, ReadOptions, ToneScanner};
use proptest::prelude::*;
use serde_json::{Value, json};

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        r#"[\[\]{}",:\\ \n\ra]{0,12}"#.prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"{]{0,4}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn read(text: String, capacity: usize) -> (Vec<Item>, u64) {
    let reader = BufReader::with_capacity(capacity, std::io::Cursor::new(text));
    let mut items = ItemReader::new([Input::reader("in", reader)], ReadOptions::new());
    let found = items.by_ref().map(Result::unwrap).collect();
    (found, items.skipped().count())
}

proptest! {
    #[test]
    fn every_layout_gives_the_same_items(
        values in prop::collection::vec(value(), 1..6),
        capacity in 1_usize..40,
    ) {
        let records: Vec<Value> = values.into_iter().map(|value| json!({ "v": value })).collect();
        let expected: Vec<Item> = records.iter().cloned().map(|r| Item::from_value(r).unwrap()).collect();
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        let pretty: Vec<String> = records.iter().map(|r| serde_json::to_string_pretty(r).unwrap()).collect();
        for text in [
            lines.join("\n"),
            lines.join("\r\n") + "\r\n",
            format!("\u{feff}{}\n", lines.join("\r")),
            format!("[{}]", lines.join(", ")),
            format!("[\n{}\n]\n", pretty.join(",\n")),
            pretty.join("\n"),
        ] {
            let (found, skipped) = read(text.clone(), capacity);
            prop_assert_eq!(&found, &expected, "{}", text);
            prop_assert_eq!(skipped, 0);
        }
    }

    #[test]
    fn a_broken_line_costs_itself_alone(
        values in prop::collection::vec(value(), 1..5),
        at in 0_usize..6,
        broken in r#"[^\n\r\[{ \t,\]"]{1,10}"#,
    ) {
        let mut lines: Vec<String> = values.into_iter().map(|value| json!({ "v": value }).to_string()).collect();
        let count = lines.len();
        lines.insert(at.min(count), format!("x{broken}"));
        let (found, skipped) = read(lines.join("\n"), 16);
        prop_assert_eq!((found.len(), skipped), (count, 1));
    }

    #[test]
    fn json_is_what_another_reader_takes_for_json(text in r#"[\[\]{}":,0-9.eE+\\u \-ntrfalse]{0,16}"#) {
        // The other reader counts what is too large as an error as well.
        let other = serde_json::from_str::<Value>(&text);
        let own = Node::parse(&text);
        prop_assert_eq!(own.is_ok(), other.is_ok(), "{}", text);
    }

    #[test]
    fn json_is_written_as_it_was_read(value in value()) {
        let node = Node::parse(&value.to_string()).unwrap();
        let back: Value = serde_json::from_str(&node.to_json()).unwrap();
        prop_assert_eq!(back, value);
    }

    #[test]
    fn flags_are_where_their_word_is(text in any::<String>(), tail in "[ a-zİıßſé\u{301}]{0,30}") {
        let lexicon = Lexicon::parse("l", "hard_ban: [a, ss, é, s, i, ıı, 100%]").unwrap();
        let scanner = ToneScanner::new(&lexicon).unwrap();
        let text = text + &tail;
        let chars: Vec<char> = text.chars().collect();
        let mut end = 0;
        for flag in scanner.scan(&text) {
            prop_assert!(flag.start >= end && flag.end > flag.start);
            let word: String = chars[flag.start..flag.end].iter().collect();
            prop_assert_eq!(word, flag.word);
            end = flag.end;
        }
    }
}
