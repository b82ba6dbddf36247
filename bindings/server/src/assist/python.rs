//! JSON as Python's `json.dumps` writes it, in the form that the page's reader needs.
//!
//! The page takes what stands between the first and the second `data:` of a line, so an event whose
//! text contains `data:` would be lost. Inside of strings it is written as `dat\u0061:`, which means
//! the same.

/// Appends a string with its quotes; everything outside of printable ASCII is escaped.
pub(crate) fn push_str(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let begin = out.len();
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b':');
    let mut rest = text;
    loop {
        let plain = rest.bytes().take_while(|&byte| is_plain(byte)).count();
        let (run, other) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        out.push_str(run);
        let mut letters = other.chars();
        let Some(c) = letters.next() else { break };
        rest = letters.as_str();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // What the colon ends is looked at backwards.
            ':' if out.get(begin..).is_some_and(|text| text.ends_with("data")) => {
                out.truncate(out.len() - 1);
                out.push_str("\\u0061:");
            }
            ' '..='~' => out.push(c),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// Seconds since 1970 as Python prints a float.
pub(crate) fn seconds(micros: i64) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of this century fit 53 bits"
    )]
    let seconds = micros as f64 / 1e6;
    format!("{seconds:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(text: &str) -> String {
        let mut out = String::new();
        push_str(&mut out, text);
        out
    }

    #[test]
    fn strings_are_pythons() {
        assert_eq!(dumped("a\"b\\c\n\r\t\u{8}\u{c}"), r#""a\"b\\c\n\r\t\b\f""#);
        assert_eq!(
            dumped("h\u{e9}llo \u{2603} \u{1f600}"),
            r#""h\u00e9llo \u2603 \ud83d\ude00""#
        );
        assert_eq!(dumped("\u{0}\u{7f}"), r#""\u0000\u007f""#);
    }

    #[test]
    fn the_word_that_ends_a_line_for_the_page_is_spelled_otherwise() {
        assert_eq!(dumped("metadata: x"), r#""metadat\u0061: x""#);
        assert_eq!(dumped("data:data:"), r#""dat\u0061:dat\u0061:""#);
        for text in ["data: {\"a\": 1}", "data:data: data", "dat\u{61}:"] {
            assert!(!dumped(text).contains("data:"));
            assert_eq!(serde_json::from_str::<String>(&dumped(text)).unwrap(), text);
        }
    }

    #[test]
    fn times_are_pythons_floats() {
        assert_eq!(seconds(1_795_170_533_746_171), "1795170533.746171");
        assert_eq!(seconds(1_795_170_533_000_000), "1795170533.0");
        assert_eq!(seconds(1_795_170_533_700_000), "1795170533.7");
    }
}
