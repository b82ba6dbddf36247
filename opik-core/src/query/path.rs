//! The part of a JSON text that a filter's key names.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step<'k> {
    Member(Cow<'k, str>),
    Element(usize),
}

/// Text of the value at `key` in `json`: the content of a string, other values as written.
/// `None` when nothing is there, when it is `null`, or when `json` or `key` is malformed.
///
/// The key is a JSONPath without its `$.`: `a.b`, `a[0].b`, `[0]`, `["a.b"]`. When nothing is
/// at the path, a member of the outermost object whose name is the whole key counts, so that
/// names with points (`http.method`) need no quoting.
pub(super) fn text_at<'j>(json: &'j str, key: &str) -> Option<Cow<'j, str>> {
    parse(key)
        .and_then(|steps| walk(json, &steps))
        .or_else(|| member(json, key))
        .and_then(text)
}

fn walk<'j>(json: &'j str, steps: &[Step<'_>]) -> Option<&'j str> {
    let mut here = json;
    for step in steps {
        here = match step {
            Step::Member(name) => member(here, name)?,
            Step::Element(index) => element(here, *index)?,
        };
    }
    Some(here)
}

fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.trim() {
        "null" => None,
        quoted if quoted.starts_with('"') => match serde_json::from_str::<&str>(quoted) {
            Ok(plain) => Some(Cow::Borrowed(plain)),
            Err(_) => serde_json::from_str(quoted).ok().map(Cow::Owned),
        },
        other => Some(Cow::Borrowed(other)),
    }
}

/// Splits a key into steps; `None` when it is not a path.
fn parse(key: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = key.strip_prefix('$').unwrap_or(key);
    let mut steps = Vec::new();
    // A first name needs no point before it.
    let mut first = true;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (content, after) = inner.split_once(']')?;
            let quoted = ['"', '\'']
                .iter()
                .find_map(|&quote| content.strip_prefix(quote)?.strip_suffix(quote));
            steps.push(match quoted {
                Some(name) => Step::Member(Cow::Borrowed(name)),
                None => Step::Element(content.trim().parse().ok()?),
            });
            rest = after;
        } else {
            let name = match rest.strip_prefix('.') {
                Some(name) => name,
                None if first => rest,
                None => return None,
            };
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at_checked(end)?;
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Member(Cow::Borrowed(name)));
            rest = after;
        }
        first = false;
    }
    (!steps.is_empty()).then_some(steps)
}

/// The value of an object's member, the last of several with that name.
fn member<'j>(json: &'j str, name: &str) -> Option<&'j str> {
    struct Find<'n>(&'n str);
    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                if name == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_map(Find(name))
        .ok()?
        .map(RawValue::get)
}

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// The element of a list.
fn element(json: &str, index: usize) -> Option<&str> {
    struct Find(usize);
    impl<'de> Visitor<'de> for Find {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            for _ in 0..self.0 {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = list.next_element()?;
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(json)
        .deserialize_seq(Find(index))
        .ok()?
        .map(RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"a": {"b": [10, {"c": "x\n"}], "n": null, "e": ""}, "t": true,
        "big": 1.0e2, "a.b": "dotted", "http.method": "GET", "d": 1, "d": 2, "q\"": "quote",
        "o": {"z": 1, "a": 2}}"#;

    #[test]
    fn paths_descend_and_values_are_texts() {
        for (key, expected) in [
            ("a.b[0]", Some("10")),
            ("$.a.b[1].c", Some("x\n")),
            ("a.b[1]['c']", Some("x\n")),
            ("a.n", None),
            ("a.e", Some("")),
            ("t", Some("true")),
            ("big", Some("1.0e2")),
            ("[\"a.b\"]", Some("dotted")),
            ("http.method", Some("GET")),
            ("d", Some("2")),
            ("q\"", Some("quote")),
            ("o", Some(r#"{"z": 1, "a": 2}"#)),
            ("a.b[2]", None),
            ("a.b[-1]", None),
            ("a..b", None),
            ("missing", None),
            ("", None),
            ("a[", None),
        ] {
            assert_eq!(text_at(JSON, key).as_deref(), expected, "{key}");
        }
        assert_eq!(text_at(r#"[{"x": 5}]"#, "[0].x").as_deref(), Some("5"));
        assert_eq!(text_at("\"text\"", "x"), None);
        assert_eq!(text_at("{\"x\": 1", "x"), None);
    }

    #[test]
    fn deep_nesting_is_no_recursion() {
        let deep = format!("{{\"k\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(text_at(&deep, "k").is_some());
        assert_eq!(text_at(&deep, "x"), None);
    }
}
