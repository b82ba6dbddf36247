//! Arguments of tool calls: what a model wrote, and what may be sent back.

use opik_core::Json;

/// What a model wrote as arguments: JSON as it is, nothing as an empty object, and what is no JSON
/// as a JSON string of it.
pub(crate) fn written(text: &str) -> Json {
    let text = text.trim();
    if text.is_empty() {
        return Json::from_value(&serde_json::Value::Object(serde_json::Map::new()));
    }
    Json::parse(text).unwrap_or_else(|_| Json::string(text))
}

/// Whether the text is what a model meant to write, not the half of it.
pub(crate) fn is_whole(text: &str) -> bool {
    text.trim().is_empty() || Json::parse(text.trim()).is_ok()
}

/// Arguments as a server takes them in a conversation: always an object.
pub(crate) fn sent(arguments: &Json) -> Json {
    object(arguments, "invalid_arguments")
}

/// JSON that is no object becomes one with a single field.
pub(crate) fn object(json: &Json, field: &str) -> Json {
    if json.as_str().trim_start().starts_with('{') && json.to_value().is_ok() {
        return json.clone();
    }
    let value = json.to_value().unwrap_or_else(|_| json.as_str().into());
    Json::from_value(&serde_json::json!({ field: value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_arrives_as_a_string_of_it() {
        assert_eq!(written("").as_str(), "{}");
        assert_eq!(
            written(" {\"b\": 1.0, \"a\":2} ").as_str(),
            "{\"b\": 1.0, \"a\":2}"
        );
        assert_eq!(written("{\"a\": ").to_value().unwrap(), "{\"a\":");
        assert_eq!(written("{'a': 1}").to_value().unwrap(), "{'a': 1}");
    }

    #[test]
    fn what_is_sent_back_is_an_object() {
        assert_eq!(sent(&written("{\"a\": 1}")).as_str(), "{\"a\": 1}");
        assert_eq!(
            sent(&written("{\"a")).as_str(),
            "{\"invalid_arguments\":\"{\\\"a\"}"
        );
        assert_eq!(
            sent(&written("[1]")).as_str(),
            "{\"invalid_arguments\":[1]}"
        );
    }
}
