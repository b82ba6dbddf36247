//! JSON as providers write it.

use serde_json::Value;

use crate::failure::Failure;

/// Reads the JSON of a frame. Halves of surrogate pairs, which some servers send when they cut a
/// character in two, become replacement characters.
pub(crate) fn parse(text: &str) -> Result<Value, Failure> {
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let Some(mended) = mend(text)
        && let Ok(value) = serde_json::from_str(&mended)
    {
        return Ok(value);
    }
    let (line, column) = (error.line(), error.column());
    Err(Failure::protocol(format!(
        "an event of the reply is not JSON (line {line}, column {column}, {} bytes)",
        text.len()
    )))
}

/// Replaces escapes of lone surrogates; `None` when there are none.
pub(crate) fn mend(text: &str) -> Option<String> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return None;
    }
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        mended.push_str(before);
        let length = match code(escape) {
            Some(0xD800..=0xDBFF) => {
                let second = escape.get(6..).and_then(code);
                if matches!(second, Some(0xDC00..=0xDFFF)) {
                    12
                } else {
                    mended.push_str("\\ufffd");
                    rest = escape.get(6..).unwrap_or_default();
                    continue;
                }
            }
            Some(0xDC00..=0xDFFF) => {
                mended.push_str("\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            Some(_) => 6,
            None => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        let (kept, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        mended.push_str(kept);
        rest = after;
    }
    mended.push_str(rest);
    Some(mended)
}

/// The number of an escape `\uXXXX` at the beginning of a text.
fn code(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

/// A text of an object, empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number of an object, also when it is written as a text or with a point.
pub(crate) fn number(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::String(text) => text.trim().parse().ok(),
        number => number.as_i64().or_else(|| {
            let number = number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() < 9.0e15)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be whole and in range"
            )]
            let whole = number as i64;
            Some(whole)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_replaced_and_the_rest_is_kept() {
        for (text, expected) in [
            (r#""\ud83e\udd80""#, "🦀"),
            (r#""a\ud83e""#, "a\u{fffd}"),
            (r#""\udd80b""#, "\u{fffd}b"),
            (
                r#""\ud83ex\\ud83e \ud83e\ud83e\udd80""#,
                "\u{fffd}x\\ud83e \u{fffd}🦀",
            ),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        let error = parse("{\"secret\": \\ud8").unwrap_err();
        assert_eq!(
            error.what,
            "an event of the reply is not JSON (line 1, column 12, 15 bytes)"
        );
    }
}
