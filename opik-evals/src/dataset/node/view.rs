//! Looking at a value without owning it.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt as _};

use super::Node;
use super::tape::Stretch;

/// A value that lies elsewhere: in a [`Node`], or in a document that was just read.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Null,
    Bool(bool),
    Int(&'a str),
    Float(f64),
    Text(&'a str),
    Torn(&'a str),
    List(Items<'a>),
    Object(Fields<'a>),
}

/// The elements of a list.
#[derive(Clone, Copy)]
pub(crate) enum Items<'a> {
    Nodes(&'a [Node]),
    Read(Stretch<'a>),
}

/// The fields of an object, each key once.
#[derive(Clone, Copy)]
pub(crate) enum Fields<'a> {
    Nodes(&'a [(String, Node)]),
    Read(Stretch<'a>),
}

impl<'a> From<Stretch<'a>> for Items<'a> {
    fn from(stretch: Stretch<'a>) -> Self {
        Self::Read(stretch)
    }
}

impl<'a> From<Stretch<'a>> for Fields<'a> {
    fn from(stretch: Stretch<'a>) -> Self {
        Self::Read(stretch)
    }
}

impl Items<'_> {
    /// No elements.
    pub(crate) const NONE: Items<'static> = Items::Nodes(&[]);

    fn is_empty(&self) -> bool {
        match self {
            Self::Nodes(nodes) => nodes.is_empty(),
            Self::Read(stretch) => stretch.is_empty(),
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = View<'a>;

    fn next(&mut self) -> Option<View<'a>> {
        match self {
            Self::Nodes(nodes) => {
                let (first, rest) = nodes.split_first()?;
                *nodes = rest;
                Some(first.view())
            }
            Self::Read(stretch) if stretch.is_empty() => None,
            Self::Read(stretch) => Some(stretch.next_value()),
        }
    }
}

impl Fields<'_> {
    /// Whether they stand as they were read: no key twice, no `-0` that became `0`.
    pub(crate) fn are_as_read(&self) -> bool {
        match self {
            Self::Nodes(_) => false,
            Self::Read(stretch) => !stretch.has_negative_zero(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Nodes(nodes) => nodes.is_empty(),
            Self::Read(stretch) => stretch.is_empty(),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Nodes(nodes) => {
                let ((name, value), rest) = nodes.split_first()?;
                *nodes = rest;
                Some((name, value.view()))
            }
            Self::Read(stretch) if stretch.is_empty() => None,
            Self::Read(stretch) => Some((stretch.next_key(), stretch.next_value())),
        }
    }
}

impl<'a> View<'a> {
    /// The value of a key of an object.
    pub(crate) fn get(self, key: &str) -> Option<View<'a>> {
        match self.fields()? {
            Fields::Nodes(nodes) => {
                let mut nodes = nodes.iter();
                nodes.find_map(|(name, value)| (name == key).then(|| value.view()))
            }
            Fields::Read(stretch) => stretch.find(key),
        }
    }

    /// The fields, if it is an object.
    pub(crate) fn fields(self) -> Option<Fields<'a>> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub(crate) fn list(self) -> Option<Items<'a>> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if it is one; of a torn one the replaced form.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) | Self::Torn(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// What Python's `bool()` says.
    pub(crate) fn is_truthy(self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => truth,
            Self::Int(digits) => digits != "0",
            Self::Float(number) => number != 0.0,
            Self::Text(text) | Self::Torn(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Object(fields) => !fields.is_empty(),
        }
    }

    /// Whether a text in it is torn. The depth is that of what was read, at most 500.
    pub(crate) fn is_torn(self) -> bool {
        match self {
            Self::Torn(_) => true,
            Self::List(mut items) => items.any(Self::is_torn),
            Self::Object(mut fields) => fields.any(|(_, value)| value.is_torn()),
            _ => false,
        }
    }

    /// Whether all numbers in it are finite.
    #[cfg(feature = "rest")]
    pub(crate) fn is_finite(self) -> bool {
        match self {
            Self::Float(number) => number.is_finite(),
            Self::List(mut items) => items.all(Self::is_finite),
            Self::Object(mut fields) => fields.all(|(_, value)| value.is_finite()),
            _ => true,
        }
    }

    /// A word for what it is.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Torn(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// What Python's `str()` makes of it.
    pub(crate) fn to_python(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) | Self::Torn(text) | Self::Int(text) => Cow::Borrowed(text),
            other => {
                let mut out = String::new();
                other.write_repr(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// A value of its own. The depth is that of what was read, at most 500.
    pub(crate) fn to_node(self) -> Node {
        match self {
            Self::Null => Node::Null,
            Self::Bool(truth) => Node::Bool(truth),
            Self::Int(digits) => Node::Int(digits.to_owned()),
            Self::Float(number) => Node::Float(number),
            Self::Text(text) => Node::Text(text.to_owned()),
            Self::Torn(text) => Node::Torn(text.to_owned()),
            Self::List(items) => Node::List(items.map(Self::to_node).collect()),
            Self::Object(Fields::Read(stretch)) if stretch.is_repeated() => {
                Node::Object(merged(Fields::Read(stretch)))
            }
            Self::Object(fields) => {
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_node()));
                Node::Object(fields.collect())
            }
        }
    }
}

/// The fields with each key once: of one that comes twice the last value, at the first place.
fn merged(fields: Fields<'_>) -> Vec<(String, Node)> {
    let mut found: Vec<(String, Node)> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for (name, value) in fields {
        let at = *index.entry(name).or_insert(found.len());
        match found.get_mut(at) {
            Some(field) => field.1 = value.to_node(),
            None => found.push((name.to_owned(), value.to_node())),
        }
    }
    found
}

impl PartialEq for View<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Int(a), Self::Int(b))
            | (Self::Text(a), Self::Text(b))
            | (Self::Torn(a), Self::Torn(b)) => a == b,
            (Self::List(a), Self::List(b)) => a.eq(b),
            (Self::Object(a), Self::Object(b)) => a.eq(b),
            _ => false,
        }
    }
}
