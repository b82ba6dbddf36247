//! JSON with the order of its keys and exact whole numbers.
//!
//! The columns of a table come in the order of their first appearance, and what Vyasa's scripts
//! write depends on how Python reads and prints JSON. `serde_json::Value` keeps neither the order
//! (unless a feature is on that any crate of a program may switch) nor whole numbers beyond 64 bits.

mod parse;
mod print;
mod record;
mod special;
mod tape;
mod view;

use std::fmt;

pub use parse::NodeError;
pub(crate) use print::write_quoted;
pub(crate) use record::Record;
pub(crate) use tape::Document;
pub(crate) use view::{Fields, Items, View};

/// From this number of fields on a set finds keys that come again.
const MANY: usize = 16;

/// A JSON value that keeps the order of its keys and every digit of its whole numbers. `Debug`
/// shows its kind, not its content.
///
/// ```
/// use opik_evals::dataset::Node;
///
/// let row = Node::parse(r#"{"b": 12345678901234567890, "a": [1.50, null]}"#)?;
/// assert_eq!(row.to_json(), r#"{"b": 12345678901234567890, "a": [1.5, null]}"#);
/// assert_eq!(row.get("a").map(Node::to_python), Some("[1.5, None]".to_owned()));
/// assert!(Node::parse("NaN").is_err() && Node::parse_python("NaN").is_ok());
/// # Ok::<(), opik_evals::dataset::NodeError>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Node {
    /// null.
    Null,
    /// true or false.
    Bool(bool),
    /// A whole number: its digits, and a sign where it is negative.
    Int(String),
    /// A number with a point or an exponent; not finite only when read as Python reads.
    Float(f64),
    /// A text.
    Text(String),
    /// A text with halves of surrogate pairs, which no UTF-8 can hold; they are replaced here.
    Torn(String),
    /// A list.
    List(Vec<Self>),
    /// An object; of a key that came twice the last value stands at the first place.
    Object(Vec<(String, Self)>),
}

impl Node {
    /// The value of a key of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.fields()?
            .iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// The fields, if it is an object.
    #[must_use]
    pub fn fields(&self) -> Option<&[(String, Self)]> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if it is one; of a torn one the replaced form.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Torn(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What Python's `bool()` says: false for null, false, zero and what is empty.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        self.view().is_truthy()
    }

    /// A word for what it is.
    pub(crate) fn kind(&self) -> &'static str {
        self.view().kind()
    }

    /// The value without owning it.
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::Null => View::Null,
            Self::Bool(truth) => View::Bool(*truth),
            Self::Int(digits) => View::Int(digits),
            Self::Float(number) => View::Float(*number),
            Self::Text(text) => View::Text(text),
            Self::Torn(text) => View::Torn(text),
            Self::List(items) => View::List(Items::Nodes(items)),
            Self::Object(fields) => View::Object(Fields::Nodes(fields)),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.kind())
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<&Self>> for Node {
    /// Null where there is nothing.
    fn from(value: Option<&Self>) -> Self {
        value.cloned().unwrap_or(Self::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_reading_takes_what_the_standard_takes() {
        for (text, expected) in [
            (" null ", Some("null")),
            ("[1,-0,-0.0,1E2,12e-1]", Some("[1, 0, -0.0, 100.0, 1.2]")),
            (r#"{"a":1,"b":{},"a":[]}"#, Some(r#"{"a": [], "b": {}}"#)),
            (
                r#""\u00e9\ud83d\ude00\/\b\f\n\r\t\u0001\"\\é""#,
                Some("\"é😀/\\b\\f\\n\\r\\t\\u0001\\\"\\\\é\""),
            ),
            ("", None),
            ("01", None),
            ("1.", None),
            (".5", None),
            ("+1", None),
            ("1e", None),
            ("-", None),
            ("[1,]", None),
            ("{\"a\":1,}", None),
            ("{a:1}", None),
            ("{\"a\" 1}", None),
            ("\"\t\"", None),
            ("\"\\x\"", None),
            ("\"\\u12g4\"", None),
            ("\"open", None),
            ("'a'", None),
            ("nul", None),
            ("1 2", None),
            ("NaN", None),
            ("-Infinity", None),
            ("1e400", None),
            ("\"\\ud800\"", None),
            ("\u{feff}1", None),
        ] {
            let found = Node::parse(text).ok().map(|node| node.to_json());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn python_takes_more() {
        for (text, json, printed) in [
            ("NaN", Some("NaN"), "nan"),
            (
                "[-Infinity, 1e400]",
                Some("[-Infinity, Infinity]"),
                "[-inf, inf]",
            ),
            ("\"\\ud800x\"", None, "\u{fffd}x"),
            ("[\"\\udc00\\ud83d\\ude00\"]", None, "['\u{fffd}😀']"),
        ] {
            let node = Node::parse_python(text).unwrap();
            assert_eq!(node.to_json_checked().as_deref(), json, "{text}");
            assert_eq!(node.to_python(), printed, "{text}");
        }
        assert!(Node::parse_python("\u{feff}1").is_err());
        assert!(Node::parse_python("-NaN").is_err());
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_value_stands_at_the_first_place() {
        let names = |from, to| {
            (from..to)
                .map(|n| format!("\"k{n}\": {n}"))
                .collect::<Vec<_>>()
        };
        let mut many = names(0, 40);
        many.push("\"k3\": true".to_owned());
        let mut kept = names(0, 40);
        kept[3] = "\"k3\": true".to_owned();
        let object = |fields: &[String]| format!("{{{}}}", fields.join(", "));
        let mut document = Document::default();
        for (text, expected) in [
            (
                r#"{"a":1,"\u0061":2,"b":[{"c":0,"c":1}]}"#.to_owned(),
                r#"{"a": 2, "b": [{"c": 1}]}"#.to_owned(),
            ),
            (object(&many), object(&kept)),
            // What was read before leaves nothing behind.
            (
                r#"{"b":"\n","a":2.5}"#.to_owned(),
                r#"{"b": "\n", "a": 2.5}"#.to_owned(),
            ),
        ] {
            let view = document.read(&text).unwrap();
            let mut json = String::new();
            view.write_json(&mut json);
            assert_eq!(json, expected);
            assert!(view == view.to_node().view());
        }
    }

    #[test]
    fn nesting_beyond_the_limit_is_an_error_and_no_crash() {
        for open in ["[", "{\"a\":"] {
            let deep = open.repeat(100_000);
            assert_eq!(Node::parse(&deep), Err(NodeError::TooDeep));
        }
        let fine = format!("{}{}", "[".repeat(400), "]".repeat(400));
        assert!(Node::parse(&fine).is_ok());
    }
}
