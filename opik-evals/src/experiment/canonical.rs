//! Names for content: hashes that depend on the values and on nothing else.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::dataset::write_canonical;

/// A JSON text with the keys of objects in order, whatever order they came in.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(&mut text, value);
    text
}

fn hash(parts: &[&str]) -> impl AsRef<[u8]> {
    let mut hash = Sha256::new();
    for part in parts {
        // The length tells ["ab", "c"] from ["a", "bc"].
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()
}

/// SHA-256 of some texts, in hexadecimal.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash(parts).as_ref() {
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// The first 64 bits of the same.
pub(crate) fn number(parts: &[&str]) -> u64 {
    let hash = hash(parts);
    let first = hash.as_ref().first_chunk::<8>();
    first.map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_of_keys_does_not_matter_and_borders_do() {
        let a: Value =
            serde_json::from_str(r#"{"b": [1, {"y": null, "x": "é\n"}], "a": 1.5}"#).unwrap();
        assert_eq!(canonical(&a), r#"{"a":1.5,"b":[1,{"x":"é\n","y":null}]}"#);
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&[]).len(), 64);
        assert_eq!(canonical(&json!({})), "{}");
    }
}
