//! A fingerprint of a prompt that joins calls with the same prompt without showing it.
//!
//! Version 2: `v2:` and the SHA-256, in lower-case hexadecimal, of canonical JSON (keys sorted, no
//! white space). Of a list of messages (or of an object with `messages`) only `[role, content]` of
//! each counts, in order and for every role, and the `tools` where there are any; of any other input
//! all of it.
//!
//! A hash is no secret-keeper for short inputs: whoever guesses the prompt can check the guess.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The fingerprint of an input given as JSON text.
///
/// ```
/// use opik_observe::prompt_hash;
///
/// let a = prompt_hash::v2(r#"[{"role": "user", "content": "hi", "name": "ann"}]"#);
/// let b = prompt_hash::v2(r#"{"messages": [{"content": "hi", "role": "user"}], "model": "m"}"#);
/// assert_eq!(a, b);
/// assert!(a.starts_with("v2:"));
/// ```
#[must_use]
pub fn v2(input: &str) -> String {
    let mut canonical = String::with_capacity(input.len());
    match serde_json::from_str::<Value>(input) {
        Ok(value) => write_prompt(&value, &mut canonical),
        // Not readable as JSON (cut, or nested too deeply): the text as it is.
        Err(_) => canonical.push_str(input),
    }
    format!("v2:{}", hex(&Sha256::digest(canonical.as_bytes())))
}

/// The first eight hexadecimal digits of a text's SHA-256.
pub(crate) fn short(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    hex(digest.get(..4).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// `[role, content]` of every message, or `None` when these are no messages.
fn messages(value: &Value) -> Option<Vec<[&Value; 2]>> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    list.iter()
        .map(|message| {
            let role = message.get("role").filter(|role| role.is_string())?;
            Some([role, message.get("content").unwrap_or(&Value::Null)])
        })
        .collect()
}

fn write_prompt(value: &Value, out: &mut String) {
    let (list, tools) = match value.get("messages") {
        Some(list) => (messages(list), value.get("tools")),
        None => (messages(value), None),
    };
    let Some(list) = list else {
        return write_canonical(value, out);
    };
    if tools.is_some() {
        out.push_str("{\"messages\":");
    }
    write_list(&list, out, |pair, out| {
        write_list(pair, out, |value, out| write_canonical(value, out));
    });
    if let Some(tools) = tools {
        out.push_str(",\"tools\":");
        write_canonical(tools, out);
        out.push('}');
    }
}

fn write_list<T>(list: &[T], out: &mut String, mut write: impl FnMut(&T, &mut String)) {
    out.push('[');
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// Keys sorted by code point, whatever map the host's build gives `serde_json`. The depth is that
/// of what `serde_json` reads, at most 128.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(list) => write_list(list, out, write_canonical),
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write!(out, "{}:", Value::from(key.as_str())).ok();
                write_canonical(map.get(key).unwrap_or(&Value::Null), out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            write!(out, "{value}").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = String::new();
        write_prompt(&serde_json::from_str(text).unwrap(), &mut out);
        out
    }

    #[test]
    fn any_input_is_hashed_over_its_canonical_form() {
        assert_eq!(
            canonical(r#"{ "b": [1, 2.0, null], "a": {"z": "é\n", "y": true} }"#),
            "{\"a\":{\"y\":true,\"z\":\"é\\n\"},\"b\":[1,2.0,null]}"
        );
        // `printf '{"a":1}' | sha256sum`
        assert_eq!(
            v2(r#"{ "a" : 1 }"#),
            "v2:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
        );
    }

    #[test]
    fn every_role_and_the_order_count_and_nothing_else_of_a_message() {
        let prompt = canonical(
            r#"{"model": "m", "messages": [
                {"role": "system", "content": "s"},
                {"role": "assistant", "content": null, "tool_calls": [1]},
                {"content": [{"type": "text", "text": "u"}], "role": "user", "id": 3}],
              "tools": [{"name": "t"}]}"#,
        );
        assert_eq!(
            prompt,
            "{\"messages\":[[\"system\",\"s\"],[\"assistant\",null],\
             [\"user\",[{\"text\":\"u\",\"type\":\"text\"}]]],\"tools\":[{\"name\":\"t\"}]}"
        );
        let pair = |a: &str, b: &str| {
            v2(&format!(
                r#"[{{"role":"user","content":"{a}"}},{{"role":"user","content":"{b}"}}]"#
            ))
        };
        assert_ne!(pair("a", "b"), pair("b", "a"));
        assert_ne!(pair("a|b", ""), pair("a", "b"));
    }

    #[test]
    fn what_is_no_json_is_hashed_as_text() {
        assert_ne!(v2("{\"a"), v2("{\"b"));
        assert!(v2(&"[".repeat(100_000)).starts_with("v2:"));
    }
}
