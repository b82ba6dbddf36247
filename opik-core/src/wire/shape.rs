//! Content in the shapes that Opik's readers accept.
//!
//! `input` and `output` have to be an object, a list of objects or a text, and `metadata` an
//! object: the server stores anything, but the official clients fail on the rest or drop the whole
//! record. What does not fit is wrapped in an object under the field's own name, as the official
//! clients do with results of functions.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Json;

/// The value of `input` or `output` (whose name is given) as it is sent; `null` is left out.
pub(crate) fn content<'a>(field: &str, json: Option<&'a Json>) -> Option<Cow<'a, Json>> {
    let json = json?;
    let fits = match first_byte(json) {
        b'n' => return None,
        b'{' | b'"' => true,
        b'[' => is_list_of_objects(json.as_str()),
        _ => false,
    };
    Some(if fits {
        Cow::Borrowed(json)
    } else {
        wrapped(field, json)
    })
}

/// The value of `metadata` as it is sent; `null` is left out.
pub(crate) fn metadata(json: Option<&Json>) -> Option<Cow<'_, Json>> {
    let json = json?;
    match first_byte(json) {
        b'n' => None,
        b'{' => Some(Cow::Borrowed(json)),
        _ => Some(wrapped("metadata", json)),
    }
}

fn first_byte(json: &Json) -> u8 {
    json.as_str().trim_start().bytes().next().unwrap_or(b'n')
}

fn is_list_of_objects(text: &str) -> bool {
    serde_json::from_str::<Vec<&RawValue>>(text)
        .is_ok_and(|items| items.iter().all(|item| item.get().starts_with('{')))
}

fn wrapped<'a>(field: &str, json: &'a Json) -> Cow<'a, Json> {
    let fields = [(field.to_owned(), json.clone())];
    // An object with one text key always has a JSON form.
    Json::from_serialize(&Object(&fields)).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// An object with its fields in order.
pub(crate) struct Object<'a>(pub(crate) &'a [(String, Json)]);

impl serde::Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Option<String> {
        let json = Json::parse(text).unwrap();
        content("input", Some(&json)).map(|json| json.as_str().to_owned())
    }

    #[test]
    fn readable_shapes_travel_to_the_letter() {
        for text in [
            r#"{"b": 1,  "a": 1.0}"#,
            r#""text""#,
            r#"[{"a":1}, {}]"#,
            "[]",
        ] {
            assert_eq!(sent(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_shapes_are_wrapped_and_null_is_absent() {
        for text in ["5", "true", "1.0e2", r#"["a","b"]"#, r#"[{"a":1},2]"#] {
            assert_eq!(sent(text), Some(format!(r#"{{"input":{text}}}"#)));
        }
        assert_eq!(sent(" null"), None);
        let list = Json::parse(r#"[{"a":1}]"#).unwrap();
        assert_eq!(
            metadata(Some(&list)).unwrap().as_str(),
            r#"{"metadata":[{"a":1}]}"#
        );
    }
}
