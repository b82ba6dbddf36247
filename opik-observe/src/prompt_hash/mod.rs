//! A fingerprint of a prompt that joins calls with the same prompt without showing it.
//!
//! | function | text | over |
//! |---|---|---|
//! | [`v2`] | `v2:` and 64 digits | canonical JSON of `[role, content]` of every message, and the tools |
//! | [`keyed`] | `v2k:` and 64 digits | the same, with a key of yours |
//! | [`v1`] | 64 digits | what Vyasa hashes: system and user texts, and the tools |
//!
//! All are SHA-256, in lower-case hexadecimal; the keyed form is HMAC-SHA-256. An input is a list of
//! messages or an object with `messages` and perhaps `tools`. Any other input is hashed whole by
//! version 2 and not at all by version 1.
//!
//! Version 2 sees every role and the order of the messages, and its canonical JSON (keys sorted, no
//! white space) has no ambiguous separators. Version 1 ignores all roles but two, loses the order
//! between these, and cannot tell `a|b` from two texts `a` and `b`: use it to join records with those of
//! Vyasa, for nothing else.
//!
//! A hash is no secret-keeper for short inputs: whoever guesses the prompt can check the guess. With
//! the keyed form only those who have the key can.

mod python;

use hmac::{Hmac, KeyInit, Mac};
use opik_core::Secret;
use opik_core::json::escape::escaped_parts;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::redact::{hex_byte, push_text};
use python::Node;

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
    Prompt::Json(input).v2()
}

/// The fingerprint of version 2 under a key: whoever does not have it cannot check a guess.
///
/// Everyone who is to find equal prompts needs the same key.
///
/// ```
/// use opik_core::Secret;
/// use opik_observe::prompt_hash;
///
/// let hash = prompt_hash::keyed("\"hi\"", &Secret::new("kept by the operators"));
/// assert!(hash.starts_with("v2k:") && hash != prompt_hash::keyed("\"hi\"", &Secret::new("other")));
/// ```
#[must_use]
pub fn keyed(input: &str, key: &Secret) -> String {
    Prompt::Json(input).keyed(key)
}

/// The fingerprint that Vyasa computes for the same messages and tools; `None` when the input has no
/// list of messages.
///
/// ```
/// use opik_observe::prompt_hash;
///
/// let input = r#"{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
///                 "tools": [{"name": "t"}]}"#;
/// assert_eq!(
///     prompt_hash::v1(input).as_deref(),
///     Some("133bae97826df1e58cd43924949890e9a9702c50631907fcb2a59a7cc5778639")
/// );
/// ```
#[must_use]
pub fn v1(input: &str) -> Option<String> {
    let input: Node = serde_json::from_str(input).ok()?;
    let messages = input.get("messages").unwrap_or(&input).as_list()?;
    let mut text = String::new();
    for role in ["system", "user"] {
        let mut first = true;
        for message in messages {
            if !message.get("role").is_some_and(|own| own.is_text(role)) {
                continue;
            }
            if !first {
                text.push('|');
            }
            first = false;
            if let Some(content) = message.get("content") {
                content.write_str(&mut text);
            }
        }
        text.push_str("||");
    }
    match input.get("tools") {
        Some(tools) => tools.write_dumps(&mut text),
        None => text.push_str("[]"),
    }
    Some(hex(&Sha256::digest(text.as_bytes())))
}

/// An input to take a fingerprint of.
#[derive(Clone, Copy)]
pub(crate) enum Prompt<'a> {
    /// JSON text.
    Json(&'a str),
    /// A text as it is: the same as its JSON, without making it.
    Text(&'a str),
}

impl Prompt<'_> {
    /// As [`v2`].
    pub(crate) fn v2(self) -> String {
        let mut hash = Sha256::new();
        self.feed(|part| hash.update(part));
        tagged("v2:", &hash.finalize())
    }

    /// As [`keyed`].
    pub(crate) fn keyed(self, key: &Secret) -> String {
        // HMAC takes keys of any length, so there always is one.
        let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
        let mac = mac.map(|mut mac| {
            self.feed(|part| mac.update(part));
            mac.finalize().into_bytes()
        });
        tagged("v2k:", mac.as_ref().map_or(&[], |mac| mac.as_slice()))
    }

    /// As [`v1`].
    pub(crate) fn v1(self) -> Option<String> {
        match self {
            Self::Json(input) => v1(input),
            Self::Text(_) => None,
        }
    }

    /// What version 2 hashes.
    fn feed(self, mut part: impl FnMut(&[u8])) {
        match self {
            Self::Text(text) => {
                part(b"\"");
                escaped_parts(text, |escaped| part(escaped.as_bytes()));
                part(b"\"");
            }
            Self::Json(input) => match serde_json::from_str::<Value>(input) {
                Ok(value) => {
                    let mut canonical = Vec::with_capacity(input.len());
                    write_prompt(&value, &mut canonical);
                    part(&canonical);
                }
                // Not readable as JSON (cut, or nested too deeply): the text as it is.
                Err(_) => part(input.as_bytes()),
            },
        }
    }
}

/// The first bytes of a text's SHA-256, under a key where there is one, in hexadecimal.
pub(crate) fn short(text: &str, key: Option<&Secret>, bytes: usize) -> String {
    let digest = match key {
        Some(key) => mac(text.as_bytes(), key),
        None => Sha256::digest(text.as_bytes()).to_vec(),
    };
    hex(digest.get(..bytes).unwrap_or_default())
}

fn mac(text: &[u8], key: &Secret) -> Vec<u8> {
    // HMAC takes keys of any length, so there always is one.
    Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    tagged("", bytes)
}

/// Bytes in hexadecimal behind a word.
fn tagged(word: &str, bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(word.len() + bytes.len() * 2);
    text.extend_from_slice(word.as_bytes());
    for byte in bytes {
        text.extend_from_slice(&hex_byte(*byte));
    }
    String::from_utf8(text).unwrap_or_default()
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

fn write_prompt(value: &Value, out: &mut Vec<u8>) {
    let (list, tools) = match value.get("messages") {
        Some(list) => (messages(list), value.get("tools")),
        None => (messages(value), None),
    };
    let Some(list) = list else {
        return write_canonical(value, out);
    };
    if tools.is_some() {
        out.extend_from_slice(b"{\"messages\":");
    }
    write_list(&list, out, |pair, out| {
        write_list(pair, out, |value, out| write_canonical(value, out));
    });
    if let Some(tools) = tools {
        out.extend_from_slice(b",\"tools\":");
        write_canonical(tools, out);
        out.push(b'}');
    }
}

fn write_list<T>(list: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Keys sorted by code point, whatever map the host's build gives `serde_json`. The depth is that
/// of what `serde_json` reads, at most 128.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(list) => write_list(list, out, write_canonical),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_text(out, key);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::String(text) => push_text(out, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // Writing to a `Vec` does not fail.
            serde_json::to_writer(out, value).ok();
        }
    }
}

#[cfg(test)]
mod tests;
