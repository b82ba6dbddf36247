//! The rows of a batch, read with pauses in which other threads may go first.
//!
//! Reading a thousand rows takes some milliseconds, and for so long a thread that computes keeps its
//! core, also from one that was just woken to answer a short question.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// How many rows are read between two pauses: about a tenth of a millisecond.
const AT_ONCE: usize = 32;

/// A list of rows.
#[derive(Debug)]
pub(super) struct RowList<T>(pub(super) Vec<T>);

struct Rows<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
    type Value = RowList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RowList<T>, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element()? {
            rows.push(row);
            if rows.len().is_multiple_of(AT_ONCE) {
                std::thread::yield_now();
            }
        }
        Ok(RowList(rows))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for RowList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Rows(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_in_its_order_and_a_wrong_one_is_an_error_with_its_place() {
        let text = serde_json::to_string(&(0..100).collect::<Vec<u32>>()).unwrap();
        let list: RowList<u32> = serde_json::from_str(&text).unwrap();
        assert_eq!(list.0, (0..100).collect::<Vec<u32>>());
        let list: Option<RowList<u32>> = serde_json::from_str("null").unwrap();
        assert!(list.is_none());
        for wrong in ["[1, \"2\"]", "{}", "[1"] {
            let mine = serde_json::from_str::<RowList<u32>>(wrong).unwrap_err();
            let plain = serde_json::from_str::<Vec<u32>>(wrong).unwrap_err();
            assert_eq!(mine.to_string(), plain.to_string());
        }
    }
}
