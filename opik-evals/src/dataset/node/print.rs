//! Writing: JSON as Python's `json.dumps(ensure_ascii=False)` does, and what `str()` makes of a value.

use std::fmt::{self, Write as _};

use super::Node;

impl Node {
    /// JSON with `", "` and `": "` between its parts, not escaped beyond what JSON asks for.
    ///
    /// Numbers that are not finite become `NaN`, `Infinity` and `-Infinity`, which is no JSON; only
    /// reading as Python reads lets them in.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    /// As [`to_json`](Self::to_json); `None` when a text in it is torn, which UTF-8 cannot hold.
    #[must_use]
    pub fn to_json_checked(&self) -> Option<String> {
        (!self.is_torn()).then(|| self.to_json())
    }

    /// What Python's `str()` makes of it.
    #[must_use]
    pub fn to_python(&self) -> String {
        match self {
            Self::Text(text) | Self::Torn(text) => text.clone(),
            other => {
                let mut out = String::new();
                other.write_repr(&mut out);
                out
            }
        }
    }

    /// The depth is that of what was read, at most 500.
    pub(crate) fn is_torn(&self) -> bool {
        match self {
            Self::Torn(_) => true,
            Self::List(items) => items.iter().any(Self::is_torn),
            Self::Object(fields) => fields.iter().any(|(_, value)| value.is_torn()),
            _ => false,
        }
    }

    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(number) if number.is_nan() => out.push_str("NaN"),
            Self::Float(number) if number.is_infinite() => {
                out.push_str(if *number < 0.0 {
                    "-Infinity"
                } else {
                    "Infinity"
                });
            }
            Self::Float(number) => write_float(out, *number),
            Self::Text(text) | Self::Torn(text) => write_quoted(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                write_fields(out, fields.iter().map(|(name, value)| (&**name, value)));
            }
        }
    }

    fn write_repr(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("None"),
            Self::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(number) if number.is_nan() => out.push_str("nan"),
            Self::Float(number) if number.is_infinite() => {
                out.push_str(if *number < 0.0 { "-inf" } else { "inf" });
            }
            Self::Float(number) => write_float(out, *number),
            Self::Text(text) | Self::Torn(text) => write_repr(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write_repr(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
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

/// An object of these fields as JSON.
pub(crate) fn write_fields<'a>(
    out: &mut String,
    fields: impl IntoIterator<Item = (&'a str, &'a Node)>,
) {
    out.push('{');
    for (index, (name, value)) in fields.into_iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        write_quoted(out, name);
        out.push_str(": ");
        value.write_json(out);
    }
    out.push('}');
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

/// The shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn write_float(out: &mut String, number: f64) {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        // `Debug` writes the point also where the number is whole.
        push(out, format_args!("{number:?}"));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        push(
            out,
            format_args!("{digits}e{sign}{:02}", exponent.unsigned_abs()),
        );
    }
}

/// The first byte that is escaped in JSON, and where it is. Most texts have none, which chunks of
/// bytes tell at once.
fn escaped(text: &[u8]) -> Option<(usize, u8)> {
    const CHUNK: usize = 32;
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let plain = |chunk: &&[u8; CHUNK]| {
        !chunk
            .iter()
            .fold(false, |any, byte| any | is_escaped(*byte))
    };
    let chunks = text.as_chunks::<CHUNK>().0;
    let from = chunks.iter().take_while(plain).count() * CHUNK;
    let rest = text.iter().copied().enumerate().skip(from);
    rest.into_iter().find(|(_, byte)| is_escaped(*byte))
}

/// A text as JSON.
fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // All that is escaped is one byte long.
    while let Some((at, byte)) = escaped(rest.as_bytes()) {
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
