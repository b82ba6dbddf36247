//! Reading a record from a text with an error that may be shown.
//!
//! The messages of `serde_json` quote the value that does not fit, which may be a prompt. Here they
//! are replaced by a kind, the field's name and the place.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::json::JsonError;

/// Fields that a record has to have, each with a value that fits.
type Required = [(&'static str, &'static str)];

pub(super) const TRACE: &Required = &[("id", ID), ("start_time", MOMENT)];
pub(super) const SPAN: &Required = &[("id", ID), ("trace_id", ID), ("start_time", MOMENT)];

const ID: &str = "\"00000000-0000-7000-8000-000000000000\"";
const MOMENT: &str = "\"1970-01-01T00:00:00Z\"";

pub(super) fn from_json<T: DeserializeOwned>(
    text: &str,
    required: &Required,
) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(|error| {
        let known = JsonError::from_serde(&error);
        if !error.is_data() {
            return known;
        }
        explain::<T>(text, required, known)
    })
}

/// Finds the field that does not fit by reading each one beside required ones that do. Only fields
/// that are known can fail, so the name that is told is one of the protocol's.
fn explain<T: DeserializeOwned>(text: &str, required: &Required, known: JsonError) -> JsonError {
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
        return known;
    };
    for (name, value) in &fields {
        let others = required.iter().filter(|(other, _)| other != name);
        let others: String = others
            .map(|(name, value)| format!("\"{name}\":{value},"))
            .collect();
        let Ok(quoted) = serde_json::to_string(name) else {
            continue;
        };
        let alone = format!("{{{others}{quoted}:{value}}}");
        if serde_json::from_str::<T>(&alone).is_err() {
            return known.in_field("the value does not fit", name);
        }
    }
    match required
        .iter()
        .find(|(name, _)| !fields.contains_key(*name))
    {
        Some((name, _)) => known.in_field("nothing is there", name),
        None => known,
    }
}
