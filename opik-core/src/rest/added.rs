//! What the server adds to records when they are read.

use crate::Json;
use crate::wire::shape::Object;

/// Takes out the key that the server adds to `metadata` on reading (`provider` of a span,
/// `providers` of a trace), always as the first, and returns what was written. Metadata that is
/// left empty was none.
pub(super) fn without_added(json: Json, added: &str) -> Option<Json> {
    let Ok(fields) = serde_json::from_str::<Fields>(json.as_str()) else {
        return Some(json);
    };
    match fields.0.split_first() {
        Some(((name, _), rest)) if name == added => {
            if rest.is_empty() {
                return None;
            }
            Json::from_serialize(&Object(rest)).ok().or(Some(json))
        }
        _ => Some(json),
    }
}

/// The fields of an object in their order.
struct Fields(Vec<(String, Json)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_adds_to_metadata_is_taken_out_again() {
        let read = |text: &str| {
            let json = without_added(Json::parse(text).unwrap(), "provider");
            json.map(|json| json.as_str().to_owned())
        };
        assert_eq!(
            read(r#"{"provider":"openai","z":1.0,"a":[ 2 ]}"#).as_deref(),
            Some(r#"{"z":1.0,"a":[ 2 ]}"#)
        );
        assert_eq!(read(r#"{"provider":"openai"}"#), None);
        for own in [r#"{"z":1,"provider":"mine"}"#, "[1]", r#""x""#, "{}"] {
            assert_eq!(read(own).as_deref(), Some(own));
        }
    }
}
