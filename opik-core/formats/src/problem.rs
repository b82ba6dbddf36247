//! What could not be read, said without quoting it.

use std::fmt;
use std::io;

/// A part of the input that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Line of the input, counted from 1, where the part begins.
    pub line: u64,
    /// What is wrong with it; never content.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Why reading stopped before the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The input cannot be read, for example because it is a directory.
    #[error("cannot read the input after {bytes} bytes")]
    Io {
        /// Bytes that were read before.
        bytes: u64,
        /// The cause.
        source: io::Error,
    },
    /// A strict reader met a problem.
    #[error("{0}")]
    Strict(Problem),
}

/// Says what a parser found, without the text that it found.
pub(crate) fn json_reason(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let column = error.column();
    match error.classify() {
        Category::Data => match data_reason(&error.to_string()) {
            Some(reason) => reason,
            None => format!("a member has another type than expected, before column {column}"),
        },
        Category::Eof => "not JSON: the text ends too early".to_owned(),
        Category::Syntax | Category::Io => {
            let text = error.to_string();
            // The parser's own words, which quote nothing.
            let known = [
                ("recursion limit", "nested more than 127 levels deep"),
                ("surrogate", "half of a surrogate pair in a string"),
                (
                    "unexpected end of hex escape",
                    "half of a surrogate pair in a string",
                ),
                ("number out of range", "a number out of range"),
                (
                    "control character",
                    "not JSON: a control character in a string",
                ),
                (
                    "trailing characters",
                    "not JSON: more text after the end of the value",
                ),
            ];
            let words = known
                .iter()
                .find_map(|(sign, words)| text.contains(sign).then_some(*words))
                .unwrap_or("not JSON: syntax error");
            format!("{words} at column {column}")
        }
    }
}

/// As [`json_reason`], for an error in this text: names the numbers that JSON does not have.
pub(crate) fn json_reason_in(text: &str, error: &serde_json::Error) -> String {
    let reason = json_reason(error);
    let line = text.lines().nth(error.line().saturating_sub(1));
    // The parser may have taken the first letter already.
    let known = [error.column().checked_sub(1), error.column().checked_sub(2)]
        .into_iter()
        .flatten()
        .filter_map(|at| line.and_then(|line| line.get(at..)))
        .find_map(|rest| {
            let names = ["NaN", "Infinity"];
            names.into_iter().find(|name| rest.starts_with(name))
        });
    match known {
        Some(name) if error.is_syntax() => {
            format!(
                "not JSON: {name} is no number of JSON, at column {}",
                error.column()
            )
        }
        _ => reason,
    }
}

/// The parts of serde's message that are names of ours and kinds of JSON values.
fn data_reason(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("missing field `") {
        let (name, _) = rest.split_once('`')?;
        return Some(format!("member `{name}` is missing"));
    }
    for known in ["not a UUID", "not an ISO 8601 date with time"] {
        if message.starts_with(known) {
            return Some(format!("a member is {known}"));
        }
    }
    let rest = message.strip_prefix("invalid type: ")?;
    // The expectation comes last and is ours; the text found comes before it.
    let (_, expected) = rest.rsplit_once(", expected ")?;
    let (expected, _) = expected.rsplit_once(" at line ").unwrap_or((expected, ""));
    let expected = match expected {
        "i64" | "u64" => "a whole number",
        "f64" => "a number",
        it if it.starts_with("struct ") => "an object",
        it => it,
    };
    let kinds = [
        "null",
        "boolean",
        "integer",
        "floating point",
        "string",
        "map",
        "sequence",
    ];
    let kind = kinds.iter().find(|kind| rest.starts_with(**kind))?;
    Some(format!("a member is of type {kind}, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::Trace;

    #[test]
    fn numbers_that_json_lacks_are_named() {
        let reason = |text: &str| {
            let error = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
            json_reason_in(text, &error)
        };
        for (text, name) in [
            (r#"{"a": NaN}"#, "NaN"),
            ("{\n \"a\": [1, Infinity]}", "Infinity"),
            (r#"{"a":-Infinity}"#, "Infinity"),
        ] {
            let reason = reason(text);
            assert!(
                reason.starts_with(&format!("not JSON: {name} is no number")),
                "{reason}"
            );
        }
        assert!(reason(r#"{"a": Nope}"#).starts_with("not JSON: syntax error"));
    }

    #[test]
    fn reasons_name_members_and_kinds_and_never_content() {
        let reason = |text: &str| json_reason(&serde_json::from_str::<Trace>(text).unwrap_err());
        let id = r#""id": "01941f29-7c00-7493-9838-62c3f1790444""#;
        let secret = r#"secret, expected at line 9"#;
        for (text, expected) in [
            (format!("{{{id}}}"), "member `start_time` is missing"),
            (format!(r#"{{"id": "{secret}"}}"#), "a member is not a UUID"),
            (
                format!(r#"{{{id}, "name": ["{secret}"]}}"#),
                "a member is of type sequence, expected a string",
            ),
            (
                format!(r#"{{{id}, "tags": "{secret}"}}"#),
                "a member is of type string, expected a sequence",
            ),
            (format!("{{{id}"), "not JSON: the text ends too early"),
            (
                format!("{{{id}, NaN}}"),
                "not JSON: syntax error at column 48",
            ),
        ] {
            assert_eq!(reason(&text), expected);
        }
    }
}
