//! JSON values as Python prints them: what `str()` and `json.dumps()` make of them.
//!
//! Version 1 of the prompt hash is defined by a Python program, so its texts are Python's. Two
//! corners differ: whole numbers beyond 64 bits, which are read as floating point here, and characters
//! that one side's Unicode tables call printable and the other's do not.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value that keeps the order of its keys, which `repr` shows.
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(own) if own == text)
    }

    /// What `str(value)` is.
    pub(super) fn write_str(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            other => other.write_repr(out),
        }
    }

    fn write_repr(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("None"),
            Self::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
            Self::Int(number) => push(out, format_args!("{number}")),
            Self::Float(number) => write_float(*number, out),
            Self::Text(text) => write_quoted(text, out),
            Self::List(list) => {
                let item = |item: &Self, out: &mut String| item.write_repr(out);
                write_between("[", ", ", "]", list, out, item);
            }
            Self::Map(entries) => {
                write_between("{", ", ", "}", entries, out, |(key, value), out| {
                    write_quoted(key, out);
                    out.push_str(": ");
                    value.write_repr(out);
                });
            }
        }
    }

    /// What `json.dumps(value, sort_keys=True, separators=(",", ":"))` is.
    pub(super) fn write_dumps(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(truth) => push(out, format_args!("{truth}")),
            Self::Int(number) => push(out, format_args!("{number}")),
            Self::Float(number) => write_float(*number, out),
            Self::Text(text) => write_ascii(text, out),
            Self::List(list) => {
                let item = |item: &Self, out: &mut String| item.write_dumps(out);
                write_between("[", ",", "]", list, out, item);
            }
            Self::Map(entries) => {
                let mut sorted: Vec<_> = entries.iter().collect();
                // UTF-8 sorts as code points do, which is how Python compares texts.
                sorted.sort_by(|a, b| a.0.cmp(&b.0));
                write_between("{", ",", "}", &sorted, out, |(key, value), out| {
                    write_ascii(key, out);
                    out.push(':');
                    value.write_dumps(out);
                });
            }
        }
    }
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).ok();
}

fn write_between<T>(
    open: &str,
    comma: &str,
    close: &str,
    items: &[T],
    out: &mut String,
    write: impl Fn(&T, &mut String),
) {
    out.push_str(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(comma);
        }
        write(item, out);
    }
    out.push_str(close);
}

/// The shortest digits that read back as the number, with an exponent below 1e-4 and from 1e16.
fn write_float(number: f64, out: &mut String) {
    let scientific = format!("{number:e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match (scientific.split_once('e'), exponent) {
        (Some((digits, _)), Some(exponent)) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            push(
                out,
                format_args!("{digits}e{sign}{:02}", exponent.unsigned_abs()),
            );
        }
        // `Debug` writes the point also where the number is whole.
        _ => push(out, format_args!("{number:?}")),
    }
}

/// A text as `repr` writes it.
fn write_quoted(text: &str, out: &mut String) {
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
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                code @ ..=0xff => push(out, format_args!("\\x{code:02x}")),
                code @ 0x100..=0xffff => push(out, format_args!("\\u{code:04x}")),
                code => push(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

/// What `str.isprintable` says. The standard library knows and only tells by escaping; behind
/// another character it leaves combining marks alone, as Python does.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let pair = String::from_iter(['a', c]);
    !pair.escape_debug().any(|escaped| escaped == '\\')
}

/// A text as `json.dumps` writes it with its default, ASCII only.
fn write_ascii(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    push(out, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Int(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some((key, value)) = items.next_entry::<String, Node>()? {
            // A key that comes again keeps its place and takes the new value, as in a dict.
            if seen.insert(key.clone()) {
                entries.push((key, value));
            } else if let Some(old) = entries.iter_mut().find(|(name, _)| *name == key) {
                old.1 = value;
            }
        }
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Node {
        serde_json::from_str(json).unwrap()
    }

    // Every expected text was printed by CPython 3.11.
    #[test]
    fn values_print_as_python_prints_them() {
        for (json, printed) in [
            ("null", "None"),
            ("\"it's\"", "it's"),
            ("[\"it's\", \"a \\\"b\\\"\"]", "[\"it's\", 'a \"b\"']"),
            (r#"["'\"", "\\ \n\t\r"]"#, r#"['\'"', '\\ \n\t\r']"#),
            (
                r#"["\u0000\u001b\u007f\u0085\u00a0\u00ad\u200b"]"#,
                r"['\x00\x1b\x7f\x85\xa0\xad\u200b']",
            ),
            (
                r#"["é漢\u0301a\u0301 \ud83d\ude00\ue000\udb40\udc01"]"#,
                "['é漢\u{301}a\u{301} 😀\\ue000\\U000e0001']",
            ),
            (
                r#"{"b": [true, false, {}], "a": 1, "b": 2}"#,
                "{'b': 2, 'a': 1}",
            ),
            (
                "[1, -5, 18446744073709551615]",
                "[1, -5, 18446744073709551615]",
            ),
            (
                "[1.0, 0.1, 1e15, 1e16, 1.5e300, 0.0001, 0.00001, -2.5e-7]",
                "[1.0, 0.1, 1000000000000000.0, 1e+16, 1.5e+300, 0.0001, 1e-05, -2.5e-07]",
            ),
        ] {
            let mut out = String::new();
            read(json).write_str(&mut out);
            assert_eq!(out, printed, "{json}");
        }
    }

    #[test]
    fn dumps_are_compact_sorted_and_ascii() {
        let mut out = String::new();
        read(r#"{"é": "\u007f\b\f\u0001/😀", "b": [1.0, null], "a\"": true}"#)
            .write_dumps(&mut out);
        assert_eq!(
            out,
            r#"{"a\"":true,"b":[1.0,null],"\u00e9":"\u007f\b\f\u0001/\ud83d\ude00"}"#
        );
    }
}
