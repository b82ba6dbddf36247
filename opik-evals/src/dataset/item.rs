//! One example of a dataset.

mod line;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::node::write_quoted;
use crate::Case;
pub(crate) use line::write_item;

/// One example: an object of data, what is expected, and labels.
///
/// The identifier is the given one, else a hash of data and expectation, so that the same example
/// has the same identifier in every run and every file. `Debug` shows names, not content; it
/// serialises as [`to_value`](Self::to_value) gives it, without a copy.
///
/// ```
/// use opik_evals::dataset::Item;
/// use serde_json::json;
///
/// let item = Item::from_value(json!({ "input": "2 + 2?", "expected_output": "4" }))?;
/// let same = Item::from_value(json!({ "expected_output": "4", "input": "2 + 2?" }))?;
/// assert_eq!(item.id(), same.id());
/// assert_eq!(item.data().len(), 1);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Item {
    given: Option<String>,
    data: Map<String, Value>,
    expected: Option<Value>,
    tags: Vec<String>,
}

impl Item {
    /// An example of which only the data is known.
    #[must_use]
    pub fn new(data: Map<String, Value>) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }

    /// With an identifier of its own.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.given = Some(id.into());
        self
    }

    /// With what is expected.
    #[must_use]
    pub fn with_expected(mut self, expected: impl Into<Value>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// With labels.
    #[must_use]
    pub fn with_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Reads an example from JSON. `id` is the identifier, `expected_output` what is expected,
    /// `tags` (a list of texts) the labels, and `data` (an object) the data; where there is no
    /// `data`, everything else is the data.
    ///
    /// # Errors
    ///
    /// What is wrong with the value, without quoting it.
    pub fn from_value(value: Value) -> Result<Self, &'static str> {
        let Value::Object(mut fields) = value else {
            return Err("not an object");
        };
        let given = match fields.remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if !id.trim().is_empty() => Some(id),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(_) => return Err("`id` is neither a text nor a number"),
        };
        let tags = match fields.remove("tags") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(tags)) => tags
                .into_iter()
                .map(|tag| match tag {
                    Value::String(tag) => Ok(tag),
                    _ => Err("`tags` is not a list of texts"),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err("`tags` is not a list of texts"),
        };
        let outer = fields.remove("expected_output");
        let mut data = match fields.remove("data") {
            Some(Value::Object(data)) => data,
            Some(other) => {
                fields.insert("data".to_owned(), other);
                fields
            }
            None => fields,
        };
        let expected = match outer {
            None => data.remove("expected_output"),
            outer => outer,
        };
        Ok(Self {
            given,
            data,
            expected,
            tags,
        })
    }

    /// The example as [`from_value`](Self::from_value) reads it, with `data` as an object.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("id".into(), Value::String(self.id().into_owned()));
        fields.insert("data".into(), Value::Object(self.data.clone()));
        if let Some(expected) = &self.expected {
            fields.insert("expected_output".into(), expected.clone());
        }
        if !self.tags.is_empty() {
            fields.insert("tags".into(), self.tags.clone().into());
        }
        Value::Object(fields)
    }

    /// The identifier: the given one, else [`content_hash`](Self::content_hash). The hash is made
    /// anew at each call; keep it where it is needed often.
    #[must_use]
    pub fn id(&self) -> Cow<'_, str> {
        match &self.given {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(self.content_hash()),
        }
    }

    /// A hash of data and expectation: 32 hexadecimal digits of SHA-256 over their JSON with sorted
    /// keys and no white space. Identifier and labels do not count.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let mut text = String::new();
        write_object(&mut text, &self.data);
        text.push('\n');
        if let Some(expected) = &self.expected {
            write_canonical(&mut text, expected);
        }
        let mut digits = String::with_capacity(32);
        write_digest(&mut digits, &Sha256::digest(text.as_bytes()));
        digits
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &Map<String, Value> {
        &self.data
    }

    /// What is expected.
    #[must_use]
    pub fn expected(&self) -> Option<&Value> {
        self.expected.as_ref()
    }

    /// The labels.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// What a metric scores: the data, the expectation as `reference` and `expected_output` where
    /// the data has no fields of these names, and an output.
    #[must_use]
    pub fn case(&self, output: impl Into<Value>) -> Case {
        Case::from(self.fields()).with("output", output)
    }

    /// The data, and the expectation as `reference` and `expected_output` where the data has no
    /// fields of these names.
    #[must_use]
    pub fn fields(&self) -> Map<String, Value> {
        let mut fields = self.data.clone();
        if let Some(expected) = &self.expected {
            for name in ["reference", "expected_output"] {
                fields.entry(name).or_insert_with(|| expected.clone());
            }
        }
        fields
    }
}

/// What is written of an item; the keys are in the order that they have in a value.
#[derive(Serialize)]
struct Line<'a> {
    data: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_output: Option<&'a Value>,
    id: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = Line {
            data: &self.data,
            expected_output: self.expected.as_ref(),
            id: &self.id(),
            tags: &self.tags,
        };
        line.serialize(serializer)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("id", &self.id())
            .field("data", &self.data.keys().collect::<Vec<_>>())
            .field("expected", &self.expected.is_some())
            .field("tags", &self.tags.len())
            .finish()
    }
}

/// The first 16 bytes as hexadecimal digits.
fn write_digest(out: &mut String, digest: &[u8]) {
    let mut digits = [0; 32];
    for (two, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *two = [byte >> 4, byte & 15].map(|half| half + if half < 10 { b'0' } else { b'a' - 10 });
    }
    out.push_str(str::from_utf8(&digits).unwrap_or_default());
}

/// JSON with sorted keys and no white space. Written here because whether a map is sorted depends
/// on a feature of `serde_json` that any crate of a program may switch.
pub(crate) fn write_canonical(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write_canonical(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => write_object(out, fields),
        Value::String(text) => write_quoted(out, text),
        leaf => write!(out, "{leaf}").unwrap_or_default(),
    }
}

fn write_object(out: &mut String, fields: &Map<String, Value>) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        write_quoted(out, name);
        out.push(':');
        write_canonical(out, value);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn an_item_is_written_as_its_value() {
        for value in [
            json!({ "a": 1, "b": [null] }),
            json!({ "id": "x", "data": { "q": "é" }, "expected_output": null, "tags": ["t"] }),
        ] {
            let item = Item::from_value(value).unwrap();
            let written = serde_json::to_string(&item).unwrap();
            assert_eq!(written, item.to_value().to_string());
        }
    }

    proptest! {
        /// Hashes are identifiers, so no text may change the bytes that they are made of.
        #[test]
        fn canonical_texts_are_those_of_the_other_writer(
            letters in prop::collection::vec(prop_oneof![any::<char>(), prop::char::range('\0', '\u{7f}')], 0..40),
        ) {
            let text = String::from_iter(letters);
            let mut canonical = String::new();
            let value = json!({ text.as_str(): text });
            write_canonical(&mut canonical, &value);
            prop_assert_eq!(canonical, value.to_string());
        }
    }
}
