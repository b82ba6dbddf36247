//! `str(value)` of Python for JSON values, which `Equals` compares.

use serde_json::{Number, Value};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The text of a value: texts are themselves, the rest is as Python prints it.
pub(super) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => {
            let mut out = String::new();
            write_repr(&mut out, other);
            Cow::Owned(out)
        }
    }
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (i, (name, field)) in fields.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_text(out, name);
                out.push_str(": ");
                write_repr(out, field);
            }
            out.push('}');
        }
    }
}

/// Both languages print the shortest digits that read back; Python turns to exponents below 1e-4
/// and from 1e16 on, with two digits at least.
fn write_number(out: &mut String, number: &Number) {
    let (false, Some(value)) = (number.is_i64() || number.is_u64(), number.as_f64()) else {
        out.push_str(&number.to_string());
        return;
    };
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = value.to_string();
        let dot = if plain.contains('.') { "" } else { ".0" };
        out.push_str(&plain);
        out.push_str(dot);
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a String cannot fail.
        write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs()).unwrap_or_default();
    }
}

fn write_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_ascii_control() || ('\u{80}'..='\u{a0}').contains(&c) => {
                write!(out, "\\x{:02x}", u32::from(c)).unwrap_or_default();
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_in_python() {
        for (value, expected) in [
            (json!(null), "None"),
            (json!([true, false]), "[True, False]"),
            (json!(12), "12"),
            (json!(1.0), "1.0"),
            (json!(-0.0), "-0.0"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001234), "1.234e-05"),
            (json!(1e15), "1000000000000000.0"),
            (json!(1e16), "1e+16"),
            (json!(1.5e300), "1.5e+300"),
            (json!("as it is\n"), "as it is\n"),
            (
                json!(["it's", "a\"'b", "\n\u{1}\u{a0}é"]),
                r#"["it's", 'a"\'b', '\n\x01\xa0é']"#,
            ),
            (json!({ "a": [1, "b"] }), "{'a': [1, 'b']}"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }
}
