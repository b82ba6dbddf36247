use opik_core::Json;
use proptest::prelude::*;

use super::*;

#[test]
fn shapes_are_told_apart() {
    for (text, shape) in [
        (r#"{"a": [1, {"b": null}]} "#, Some((true, 3))),
        (r#" [{}, {"a": []}]"#, Some((true, 3))),
        ("[]", Some((false, 1))),
        ("[{}, 1]", Some((false, 2))),
        ("[[{}]]", Some((false, 3))),
        (r#""{""#, Some((false, 0))),
        ("-1.5e-3", Some((false, 0))),
        ("{} {}", None),
        ("", None),
        ("  ", None),
    ] {
        let found = shape_of(text).map(|found| (found.structured, found.depth));
        assert_eq!(found, shape, "{text}");
    }
}

#[test]
fn the_edges_are_those_of_the_parser() {
    let deep = |open: &str, close: &str, n: usize| open.repeat(n) + "1" + &close.repeat(n);
    let long = "9".repeat(308);
    let texts = [
        deep("[", "]", MAX_DEPTH),
        deep("[", "]", MAX_DEPTH + 1),
        deep("{\"a\":", "}", MAX_DEPTH),
        deep("{\"a\":", "}", MAX_DEPTH + 1),
        "[".repeat(100_000),
        long.clone(),
        long + "9",
    ];
    let more = [
        "1e308",
        "1e309",
        "-1e999",
        "1e-999",
        "0",
        "00",
        "01",
        "-",
        "-0",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "tru",
        "nul",
        "true1",
        "NaN",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{1:2}",
        "{:1}",
        "[1 2]",
        "]",
        "}",
        "[}",
        "{]",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\u12\"",
        "\"\\u00e9\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "[\t1\r\n]",
        "[\u{b}1]",
    ];
    for text in texts.iter().map(String::as_str).chain(more) {
        assert_eq!(
            shape_of(text).is_some(),
            Json::parse(text).is_ok(),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn it_accepts_what_the_parser_accepts(
        text in r#"([\[\]{}:, ]|"[a-z\\"nu0-9d]{0,4}"|-?[0-9]{1,2}(\.[0-9])?([eE][-+]?[0-9]{1,3})?|true|null){0,12}"#
    ) {
        prop_assert_eq!(shape_of(&text).is_some(), Json::parse(&text).is_ok(), "{}", text);
    }

    #[test]
    fn it_accepts_what_the_writer_writes(
        keys in proptest::collection::vec(any::<String>(), 0..5), number in any::<f64>(),
    ) {
        let mut value = serde_json::json!([number, 1, null, true]);
        for key in keys {
            value = serde_json::json!({ key.clone(): [value, key], "b": {} });
        }
        let text = value.to_string();
        prop_assert_eq!(shape_of(&text).is_some(), Json::parse(&text).is_ok());
    }
}
