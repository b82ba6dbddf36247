//! What members objects have, as user interfaces show them in columns.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::Json;

/// A member that objects of a list have, with the types of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Column {
    /// The member's name.
    pub name: String,
    /// `string`, `number`, `boolean`, `object`, `array` or `null`, each once.
    pub types: Vec<&'static str>,
    /// The field that conditions on it begin with, for example `data`.
    pub filter_field_prefix: &'static str,
    /// The field of a condition on it, for example `data.question`.
    #[serde(rename = "filterField")]
    pub filter_field: String,
}

/// The members of objects, by name. Texts that are no objects have none.
///
/// ```
/// use opik_core::Json;
/// use opik_core::catalog::columns_of;
///
/// let rows = [Json::parse(r#"{"q": "why?", "n": 1}"#)?, Json::parse(r#"{"n": null}"#)?];
/// let columns = columns_of("data", &rows);
/// assert_eq!(columns[0].filter_field, "data.n");
/// assert_eq!(columns[0].types, ["null", "number"]);
/// # Ok::<(), opik_core::json::JsonError>(())
/// ```
pub fn columns_of<'j>(
    prefix: &'static str,
    objects: impl IntoIterator<Item = &'j Json>,
) -> Vec<Column> {
    let mut types: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for object in objects {
        let Ok(Value::Object(members)) = object.to_value() else {
            continue;
        };
        for (name, value) in members {
            let of_name = types.entry(name).or_default();
            let kind = type_of(&value);
            if let Err(place) = of_name.binary_search(&kind) {
                of_name.insert(place, kind);
            }
        }
    }
    types
        .into_iter()
        .map(|(name, types)| Column {
            filter_field: format!("{prefix}.{name}"),
            filter_field_prefix: prefix,
            name,
            types,
        })
        .collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
