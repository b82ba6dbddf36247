//! Values that turn out to be one text.
//!
//! A prompt is mostly a `String`. Such a value is copied as it is: the worker escapes it once, straight
//! into the row, and nobody has to check that it is JSON. Everything else is written by `serde_json`.

use serde::Serializer;
use serde::ser::{Error as _, Serialize};
use serde_json::Error;
use serde_json::ser::CompactFormatter;

use super::write::Limited;

type Json<'r> = serde_json::Serializer<Limited<'r>>;
type Compound<'s, 'r> = serde_json::ser::Compound<'s, Limited<'r>, CompactFormatter>;

/// A byte of a text is at most so many bytes of JSON.
const ESCAPED: usize = 6;

/// Where the value goes.
pub(super) struct Place<'r> {
    /// Taken by the first thing that is written.
    raw: Option<Limited<'r>>,
    json: Option<Json<'r>>,
    /// A text was copied.
    text: bool,
}

impl<'r> Place<'r> {
    pub(super) fn new(raw: Limited<'r>) -> Self {
        Self {
            raw: Some(raw),
            json: None,
            text: false,
        }
    }

    /// Where it was written, and whether it is a plain text instead of JSON.
    pub(super) fn into_parts(self) -> (Option<Limited<'r>>, bool) {
        let raw = self.raw.or_else(|| self.json.map(Json::into_inner));
        (raw, self.text)
    }

    fn json(&mut self) -> Result<&mut Json<'r>, Error> {
        let raw = self.raw.take();
        let raw = raw.ok_or_else(|| Error::custom("there is a value already"))?;
        Ok(self.json.insert(Json::new(raw)))
    }
}

/// The serializer of the value itself, not of what is inside of it.
pub(super) struct Top<'s, 'r>(pub(super) &'s mut Place<'r>);

macro_rules! plain {
    ($($method:ident: $value:ty),+ $(,)?) => {
        $(fn $method(self, value: $value) -> Result<(), Error> {
            self.0.json()?.$method(value)
        })+
    };
}

impl<'s, 'r> Serializer for Top<'s, 'r> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'s, 'r>;
    type SerializeTuple = Compound<'s, 'r>;
    type SerializeTupleStruct = Compound<'s, 'r>;
    type SerializeTupleVariant = Compound<'s, 'r>;
    type SerializeMap = Compound<'s, 'r>;
    type SerializeStruct = Compound<'s, 'r>;
    type SerializeStructVariant = Compound<'s, 'r>;

    plain!(
        serialize_bool: bool, serialize_char: char, serialize_bytes: &[u8],
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64,
    );

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        let most = value.len().saturating_mul(ESCAPED).saturating_add(2);
        let place = self.0;
        match &mut place.raw {
            Some(raw) if raw.holds(most) => {
                raw.copy(value.as_bytes());
                place.text = true;
                Ok(())
            }
            // Its JSON may have to be cut.
            _ => place.json()?.serialize_str(value),
        }
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.0.json()?.collect_str(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.0.json()?.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.json()?.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.0.json()?.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.0.json()?.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let json = self.0.json()?;
        json.serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        self.0.json()?.serialize_seq(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, Error> {
        self.0.json()?.serialize_tuple(length)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        self.0.json()?.serialize_tuple_struct(name, length)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        let json = self.0.json()?;
        json.serialize_tuple_variant(name, index, variant, length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, Error> {
        self.0.json()?.serialize_map(length)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, Error> {
        self.0.json()?.serialize_struct(name, length)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        let json = self.0.json()?;
        json.serialize_struct_variant(name, index, variant, length)
    }
}
