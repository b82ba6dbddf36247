//! Errors that a tool returned as its output instead of raising them.
//!
//! The rules look for what tools say by convention, not for the word "error" in prose:
//!
//! 1. a structured output with `error`, `exception` or `traceback` that is not empty, `is_error`
//!    true, `success` or `ok` false, a `status` (or `status_code`, `code`) from 400 to 599 or the
//!    word `error` or `failed`, an exit code that is not 0;
//! 2. a text whose first line has an exit code that is not 0 (an exit code of 0 ends the search);
//! 3. a Python traceback anywhere in the text;
//! 4. a text whose first line begins with `error`, `exception`, `fatal`, `failed` or `HTTP 4xx/5xx`
//!    and a separator, or ends a command with `command not found` and the like.
//!
//! Only outputs of tools and of general spans without children are looked at. A model that writes
//! about an error has not failed.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use opik_core::Json;
use serde_json::Value;

/// Bytes at each end of an output that are searched for words before it is parsed.
const EDGE: usize = 4_096;
/// Outputs longer than this are not parsed.
const LONGEST: usize = 1 << 20;
/// Levels of objects and of JSON inside texts that are looked into.
const LEVELS: usize = 5;

/// An error found in an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SoftError {
    /// The rule that found it.
    pub(crate) rule: &'static str,
    /// Class or kind, where the text names one.
    pub(crate) exception_type: String,
    /// What was said, at most a few hundred characters.
    pub(crate) message: String,
}

/// Words without which no rule applies, and which values behind them make them harmless.
const WORDS: [(&str, Harmless); 18] = [
    ("error", Harmless::Nothing),
    ("exception", Harmless::Nothing),
    ("traceback", Harmless::Nothing),
    ("fatal", Harmless::Never),
    ("fail", Harmless::Never),
    ("exit", Harmless::Never),
    ("returncode", Harmless::Never),
    ("return code", Harmless::Never),
    ("return_code", Harmless::Never),
    ("status", Harmless::Good),
    ("code\"", Harmless::Good),
    ("http ", Harmless::Never),
    ("http/1", Harmless::Never),
    ("success\"", Harmless::Good),
    ("\"ok\"", Harmless::Good),
    ("not found", Harmless::Never),
    ("no such", Harmless::Never),
    ("denied", Harmless::Never),
];

/// When a word says nothing, by the JSON value of the field that it names.
#[derive(Clone, Copy, PartialEq)]
enum Harmless {
    Never,
    /// When the field is null, false or empty.
    Nothing,
    /// When the field is no number from 400 to 599 or other than 0, no false, no bad word.
    Good,
}

static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(WORDS.map(|(word, _)| word))
        .ok()
});

/// Looks for an error in the output of a tool.
pub(crate) fn soft_error(output: &Json) -> Option<SoftError> {
    let raw = output.as_str().as_bytes();
    let suspicious = if raw.len() <= 2 * EDGE {
        is_suspicious(raw)
    } else {
        let (head, _) = raw.split_at_checked(EDGE)?;
        let (_, tail) = raw.split_at_checked(raw.len() - EDGE)?;
        is_suspicious(head) || is_suspicious(tail)
    };
    if !suspicious || raw.len() > LONGEST {
        return None;
    }
    in_value(&output.to_value().ok()?, LEVELS)
}

/// Whether a rule may apply: most outputs need not be parsed.
fn is_suspicious(raw: &[u8]) -> bool {
    let Some(search) = SEARCH.as_ref() else {
        return false;
    };
    search.find_iter(raw).any(|found| {
        let harmless = WORDS
            .get(found.pattern().as_usize())
            .map(|(_, harmless)| *harmless);
        let behind = raw.get(found.end()..).unwrap_or_default();
        harmless.is_none_or(|harmless| !is_harmless(harmless, behind))
    })
}

/// Looks at what follows a word: `": null,` for example.
fn is_harmless(harmless: Harmless, behind: &[u8]) -> bool {
    if harmless == Harmless::Never {
        return false;
    }
    let behind = behind
        .strip_prefix(b"\"")
        .unwrap_or(behind)
        .trim_ascii_start();
    let Some(value) = behind.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else {
        return false;
    };
    let starts = |words: &[&[u8]]| words.iter().any(|word| value.starts_with(word));
    match harmless {
        Harmless::Never => false,
        Harmless::Nothing => starts(&[b"null", b"false", b"\"\"", b"[]", b"{}"]),
        Harmless::Good => starts(&[
            b"null",
            b"true",
            b"\"ok",
            b"\"OK",
            b"\"success",
            b"\"completed",
            b"\"done",
            b"0,",
            b"0}",
            b"1",
            b"2",
            b"3",
        ]),
    }
}

fn in_value(value: &Value, levels: usize) -> Option<SoftError> {
    let levels = levels.checked_sub(1)?;
    match value {
        Value::String(text) => in_text(text, levels),
        Value::Object(fields) => in_fields(fields, levels),
        // Content blocks of a tool result: [{"type": "text", "text": "..."}].
        Value::Array(items) if items.len() <= 4 => {
            items.iter().find_map(|item| in_value(item, levels))
        }
        _ => None,
    }
}

fn found(rule: &'static str, exception_type: &str, message: &str) -> Option<SoftError> {
    Some(SoftError {
        rule,
        exception_type: exception_type.to_owned(),
        message: message.trim().chars().take(400).collect(),
    })
}

fn in_fields(fields: &serde_json::Map<String, Value>, levels: usize) -> Option<SoftError> {
    let message = || {
        let texts = [
            "message",
            "detail",
            "error_message",
            "stderr",
            "reason",
            "output",
            "content",
            "text",
        ];
        let text = texts
            .iter()
            .find_map(|name| fields.get(*name).and_then(Value::as_str));
        text.unwrap_or_default().to_owned()
    };
    for (name, value) in fields {
        match name.as_str() {
            "error" | "exception" | "traceback" | "errors" => {
                if let Some(text) = stated(value) {
                    let kind = text_of(value, &["type", "name", "code"]).unwrap_or_default();
                    let named = last_exception(&text).map_or(kind, |(kind, _)| kind);
                    return found("output field `error`", &named, &text);
                }
            }
            "is_error" | "isError" if value == &Value::Bool(true) => {
                return found("output field `is_error`", "", &message());
            }
            "success" | "ok" if value == &Value::Bool(false) => {
                return found("output field `success` is false", "", &message());
            }
            "exit_code" | "exitcode" | "exitCode" | "returncode" | "return_code"
                if value.as_i64().is_some_and(|code| code != 0) =>
            {
                let text = message();
                let kind = last_exception(&text).map_or("ExitCode".to_owned(), |(kind, _)| kind);
                return found("exit code", &kind, &text);
            }
            "status" | "status_code" | "statusCode" | "code"
                if value
                    .as_u64()
                    .is_some_and(|code| (400..600).contains(&code)) =>
            {
                return found("HTTP status", &format!("HTTP {value}"), &message());
            }
            "status"
                if value.as_str().is_some_and(|word| {
                    ["error", "failed", "failure"]
                        .iter()
                        .any(|bad| word.eq_ignore_ascii_case(bad))
                }) =>
            {
                return found("output field `status`", "", &message());
            }
            _ => {}
        }
    }
    // A wrapper around one text or object: {"value": ...}, {"output": ...}, {"content": ...}.
    let wrapped = ["value", "output", "result", "content", "text", "data"];
    let inner = wrapped.iter().find_map(|name| fields.get(*name));
    inner.and_then(|inner| in_value(inner, levels))
}

/// The text of an error field; `None` for "no error" in all its spellings.
fn stated(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let empty = ["", "none", "null", "false", "no", "0"];
            let text = text.trim();
            (!empty.iter().any(|word| text.eq_ignore_ascii_case(word))).then(|| text.to_owned())
        }
        Value::Object(fields) if !fields.is_empty() => {
            let text = text_of(value, &["message", "detail", "msg", "error", "type"]);
            Some(text.unwrap_or_else(|| "an object".to_owned()))
        }
        Value::Array(items) => items.first().and_then(stated),
        Value::Bool(true) => Some("true".to_owned()),
        _ => None,
    }
}

fn text_of(value: &Value, names: &[&str]) -> Option<String> {
    let text = |name: &&str| value.get(*name).and_then(Value::as_str);
    names.iter().find_map(text).map(str::to_owned)
}

fn in_text(text: &str, levels: usize) -> Option<SoftError> {
    let text = text.trim();
    if text.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        return in_value(&value, levels);
    }
    let first = text.lines().next().unwrap_or_default();
    let lower: String = first
        .chars()
        .take(200)
        .flat_map(char::to_lowercase)
        .collect();
    match exit_code(&lower) {
        Some(0) => return None,
        Some(_) => {
            let named = last_exception(text);
            let (kind, message) =
                named.unwrap_or_else(|| ("ExitCode".to_owned(), first.to_owned()));
            return found("exit code", &kind, &message);
        }
        None => {}
    }
    if text.contains("Traceback (most recent call last)")
        && let Some((kind, message)) = last_exception(text)
    {
        return found("traceback", &kind, &message);
    }
    let begins = ["error", "exception", "fatal", "failed", "failure"]
        .iter()
        .any(|word| {
            let rest = lower.strip_prefix(word);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ', '-', '[', '(']))
        });
    if begins && !lower.starts_with("error rate") && !lower.starts_with("error handling") {
        let (kind, message) = last_exception(first).unwrap_or((String::new(), first.to_owned()));
        return found("first line", &kind, &message);
    }
    if let Some((kind, message)) = last_exception(first)
        && first.starts_with(kind.as_str())
    {
        return found("first line", &kind, &message);
    }
    if let Some(rest) = lower
        .strip_prefix("http ")
        .or_else(|| lower.strip_prefix("http/1.1 "))
    {
        let code = rest
            .split(|character: char| !character.is_ascii_digit())
            .next();
        if code.is_some_and(|code| code.len() == 3 && code.starts_with(['4', '5'])) {
            return found(
                "HTTP status",
                &format!("HTTP {}", code.unwrap_or_default()),
                first,
            );
        }
    }
    let shell = [
        ": command not found",
        ": no such file or directory",
        ": permission denied",
    ];
    if shell.iter().any(|end| lower.ends_with(end)) {
        return found("shell message", "", first);
    }
    None
}

/// The number behind `exitcode:`, `exit code` and the like at the beginning of a line.
fn exit_code(line: &str) -> Option<i64> {
    let names = [
        "exitcode",
        "exit code",
        "exit status",
        "returncode",
        "return code",
        "process exited with code",
        "command exited with code",
    ];
    let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
    let digits = rest.trim_start_matches([':', '=', ' ']);
    let end = digits.find(|character: char| !character.is_ascii_digit() && character != '-');
    digits.get(..end.unwrap_or(digits.len()))?.parse().ok()
}

/// The last line of the form `module.SomeError: message`, which ends a traceback.
pub(crate) fn last_exception(text: &str) -> Option<(String, String)> {
    text.lines().rev().take(200).find_map(|line| {
        let line = line.trim();
        let name_end = line
            .find(|character: char| {
                !(character.is_alphanumeric() || matches!(character, '_' | '.'))
            })
            .unwrap_or(line.len());
        let (name, rest) = line.split_at_checked(name_end)?;
        let kind = name.rsplit('.').next().unwrap_or(name);
        let is_kind = ["Error", "Exception", "Interrupt", "Timeout", "Exit"]
            .iter()
            .any(|end| kind.len() > end.len() && kind.ends_with(end));
        let message = rest.strip_prefix(':')?;
        (is_kind && kind.starts_with(char::is_uppercase))
            .then(|| (kind.to_owned(), message.trim().to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(output: &Value) -> Option<(&'static str, String, String)> {
        soft_error(&Json::from_value(output)).map(|e| (e.rule, e.exception_type, e.message))
    }

    #[test]
    fn errors_that_tools_return() {
        let traceback = "exitcode: 1 (execution failed)\nCode output: Traceback (most recent call last):\n  File \"x.py\", line 1\nopenpyxl.utils.KeyMissingError: no sheet\n";
        for (output, rule, exception, message) in [
            (
                json!({"value": traceback}),
                "exit code",
                "KeyMissingError",
                "no sheet",
            ),
            (
                json!({"value": "Error: user not found"}),
                "first line",
                "",
                "Error: user not found",
            ),
            (
                json!({"error": {"type": "NotFound", "message": "gone"}}),
                "output field `error`",
                "NotFound",
                "gone",
            ),
            (
                json!({"output": "{\"error\": \"bad key\"}"}),
                "output field `error`",
                "",
                "bad key",
            ),
            (
                json!({"status_code": 503, "message": "later"}),
                "HTTP status",
                "HTTP 503",
                "later",
            ),
            (
                json!({"content": [{"type": "text", "text": "ValueError: x"}]}),
                "first line",
                "ValueError",
                "x",
            ),
            (
                json!({"is_error": true, "content": "no"}),
                "output field `is_error`",
                "",
                "no",
            ),
            (
                json!("bash: foo: command not found"),
                "shell message",
                "",
                "bash: foo: command not found",
            ),
        ] {
            let expected = Some((rule, exception.to_owned(), message.to_owned()));
            assert_eq!(kind(&output), expected, "{output}");
        }
    }

    #[test]
    fn outputs_that_only_speak_of_errors() {
        for output in [
            json!({"value": "exitcode: 0 (execution succeeded)\nCode output: Error: not really"}),
            json!({"error": null, "result": "fine"}),
            json!({"errors": [], "ok": true}),
            json!("The paper discusses error rates and failed trials."),
            json!("Error handling in Rust is explained in chapter 9."),
            json!({"status": 200, "code": 7}),
            json!({"results": ["404 pages were read"]}),
        ] {
            assert_eq!(kind(&output), None, "{output}");
        }
    }
}
