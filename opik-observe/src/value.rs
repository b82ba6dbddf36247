//! Values of metadata.

use std::borrow::Cow;
use std::fmt;

/// A value of one metadata key: a text, a number, a truth value or any JSON.
///
/// Made with `From`; writing a text, number or truth value allocates nothing. `Debug` prints the
/// kind only.
#[derive(Clone)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number; `NaN` and the infinities become `null`.
    Float(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Anything else.
    Json(Cow<'a, serde_json::Value>),
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool(_) => "Bool",
            Self::Int(_) => "Int",
            Self::Float(_) => "Float",
            Self::Text(_) => "Text",
            Self::Json(_) => "Json",
        })
    }
}

macro_rules! from_numbers {
    ($($variant:ident: $($number:ty),+);+) => {
        $($(impl From<$number> for Value<'_> {
            #[inline]
            fn from(number: $number) -> Self {
                Self::$variant(number.into())
            }
        })+)+
    };
}
from_numbers!(Int: i8, i16, i32, i64, u8, u16, u32; Float: f32, f64; Bool: bool);

macro_rules! from_wide_numbers {
    ($($number:ty),+) => {
        $(impl From<$number> for Value<'_> {
            #[inline]
            fn from(number: $number) -> Self {
                i64::try_from(number).map_or_else(
                    |_| Self::Json(Cow::Owned(serde_json::Value::from(number))),
                    Self::Int,
                )
            }
        })+
    };
}
from_wide_numbers!(u64, usize);

impl From<isize> for Value<'_> {
    #[inline]
    fn from(number: isize) -> Self {
        Self::Json(Cow::Owned(serde_json::Value::from(number)))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    #[inline]
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a serde_json::Value> for Value<'a> {
    #[inline]
    fn from(value: &'a serde_json::Value) -> Self {
        Self::Json(Cow::Borrowed(value))
    }
}

impl From<serde_json::Value> for Value<'_> {
    #[inline]
    fn from(value: serde_json::Value) -> Self {
        Self::Json(Cow::Owned(value))
    }
}
