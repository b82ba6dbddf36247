//! Writing: JSON as Python's `json.dumps(ensure_ascii=False)` does, and what `str()` makes of a value.

use std::fmt::{self, Write as _};

use super::special::special;
use super::{Node, View};

impl Node {
    /// JSON with `", "` and `": "` between its parts, not escaped beyond what JSON asks for.
    ///
    /// Numbers that are not finite become `NaN`, `Infinity` and `-Infinity`, which is no JSON; only
    /// reading as Python reads lets them in.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.view().write_json(&mut out);
        out
    }

    /// As [`to_json`](Self::to_json); `None` when a text in it is torn, which UTF-8 cannot hold.
    #[must_use]
    pub fn to_json_checked(&self) -> Option<String> {
        (!self.view().is_torn()).then(|| self.to_json())
    }

    /// What Python's `str()` makes of it.
    #[must_use]
    pub fn to_python(&self) -> String {
        self.view().to_python().into_owned()
    }
}

impl View<'_> {
    /// JSON behind what is written already. The depth is that of what was read, at most 500.
    pub(crate) fn write_json(self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(number) if number.is_nan() => out.push_str("NaN"),
            Self::Float(number) if number.is_infinite() => {
                out.push_str(if number < 0.0 {
                    "-Infinity"
                } else {
                    "Infinity"
                });
            }
            Self::Float(number) => write_float(out, number),
            Self::Text(text) | Self::Torn(text) => write_quoted(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    write_quoted(out, name);
                    out.push_str(": ");
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    pub(super) fn write_repr(self, out: &mut String) {
        match self {
            Self::Null => out.push_str("None"),
            Self::Bool(truth) => out.push_str(if truth { "True" } else { "False" }),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(number) if number.is_nan() => out.push_str("nan"),
            Self::Float(number) if number.is_infinite() => {
                out.push_str(if number < 0.0 { "-inf" } else { "inf" });
            }
            Self::Float(number) => write_float(out, number),
            Self::Text(text) | Self::Torn(text) => write_repr(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_repr(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    write_repr(out, name);
                    out.push_str(": ");
                    value.write_repr(out);
                }
                out.push('}');
            }
        }
    }
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

/// The shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn write_float(out: &mut String, number: f64) {
    // Most numbers are neither tiny nor huge: `Debug` writes the point also where they are whole.
    if number == 0.0 || (1e-4..1e16).contains(&number.abs()) {
        push(out, format_args!("{number:?}"));
        return;
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    push(
        out,
        format_args!("{digits}e{sign}{:02}", exponent.unsigned_abs()),
    );
}

/// The first byte that is escaped, and where it is.
fn first_special(text: &str) -> Option<(usize, u8)> {
    let at = special(text.as_bytes())?;
    Some((at, *text.as_bytes().get(at)?))
}

/// A text as JSON.
pub(crate) fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // All that is escaped is one byte long.
    while let Some((at, byte)) = first_special(rest) {
        out.push_str(rest.get(..at).unwrap_or_default());
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x8 => out.push_str("\\b"),
            0xc => out.push_str("\\f"),
            other => push(out, format_args!("\\u{other:04x}")),
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

/// A text as Python's `repr` writes it.
fn write_repr(out: &mut String, text: &str) {
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

/// What Python's `str.isprintable` says. The standard library knows, and tells only by escaping;
/// behind another character it leaves combining marks alone, as Python does.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let pair = String::from_iter(['a', c]);
    !pair.escape_debug().any(|escaped| escaped == '\\')
}
