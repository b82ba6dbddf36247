//! Walks the elements of a JSON list without collecting them.

use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `each` with the text of every element. `null` is an empty list.
///
/// # Errors
/// When the text is not a list.
pub(crate) fn for_each<'d>(
    list: &'d str,
    each: impl FnMut(&'d RawValue),
) -> Result<(), serde_json::Error> {
    struct Walk<F>(F);
    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Walk<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(element) = list.next_element::<&'de RawValue>()? {
                (self.0)(element);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(list).deserialize_any(Walk(each))
}
