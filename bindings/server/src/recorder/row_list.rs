//! The rows of a batch, read with pauses in which other threads may go first.
//!
//! Reading a thousand rows takes some milliseconds, and for so long a thread that computes keeps its
//! core, also from one that was just woken to answer a short question.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::checks::{self, MOST_ITEMS};
use crate::http::ApiError;

/// How many rows are read between two pauses: about a tenth of a millisecond.
const AT_ONCE: usize = 32;

/// A row as clients write it.
pub(super) trait Row {
    /// What it is a row of.
    type Record;

    /// The record, after the checks that Opik makes.
    fn into_record(self) -> Result<Self::Record, ApiError>;
}

/// A list of rows, made into records as they are read: what was just read is still at hand.
#[derive(Debug)]
pub(super) struct RowList<T: Row> {
    rows: usize,
    /// Or what is wrong with the first row that is wrong.
    records: Result<Vec<T::Record>, ApiError>,
}

impl<T: Row> RowList<T> {
    /// The records of a batch, after the checks on their number.
    pub(super) fn records(field: &str, list: Option<Self>) -> Result<Vec<T::Record>, ApiError> {
        checks::batch_size(field, list.as_ref().map_or(0, |list| list.rows))?;
        list.map_or(Ok(Vec::new()), |list| list.records)
    }
}

struct Rows<T>(PhantomData<T>);

impl<'de, T: Row + Deserialize<'de>> Visitor<'de> for Rows<T> {
    type Value = RowList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RowList<T>, A::Error> {
        let mut rows = 0usize;
        let mut records = Ok(Vec::new());
        // Rows after a wrong one, or too many, are read all the same: text that is no JSON is what is
        // told first.
        while let Some(row) = list.next_element::<T>()? {
            rows += 1;
            if let Ok(known) = &mut records
                && rows <= MOST_ITEMS
            {
                match row.into_record() {
                    Ok(record) => {
                        if rows == AT_ONCE {
                            // Many more usually follow; what stays unused is never touched.
                            known.reserve_exact(MOST_ITEMS);
                        }
                        known.push(record);
                    }
                    Err(error) => records = Err(error),
                }
            }
            if rows.is_multiple_of(AT_ONCE) {
                std::thread::yield_now();
            }
        }
        Ok(RowList { rows, records })
    }
}

impl<'de, T: Row + Deserialize<'de>> Deserialize<'de> for RowList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Rows(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A number that has to be small.
    #[derive(Debug, serde::Deserialize)]
    #[serde(transparent)]
    struct Small(u32);

    impl Row for Small {
        type Record = u32;

        fn into_record(self) -> Result<u32, ApiError> {
            if self.0 < 1_000 {
                Ok(self.0)
            } else {
                Err(ApiError::invalid(format!("{} is large", self.0)))
            }
        }
    }

    fn list(value: &serde_json::Value) -> Option<RowList<Small>> {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    #[test]
    fn every_row_is_read_in_its_order_and_text_that_is_wrong_is_an_error_with_its_place() {
        let numbers: Vec<u32> = (0..100).collect();
        let records = RowList::records("numbers", list(&json!(numbers))).unwrap();
        assert_eq!(records, numbers);
        assert!(list(&json!(null)).is_none());
        for wrong in ["[1, \"2\"]", "{}", "[1", "[5000, x]"] {
            let mine = serde_json::from_str::<RowList<Small>>(wrong).unwrap_err();
            let plain = serde_json::from_str::<Vec<u32>>(wrong).unwrap_err();
            assert_eq!(mine.to_string(), plain.to_string());
        }
    }

    #[test]
    fn the_number_of_rows_is_checked_before_the_first_row_that_is_wrong() {
        let problem = |value| {
            let error = RowList::records("numbers", list(&value)).unwrap_err();
            format!("{error:?}")
        };
        let first = problem(json!([1, 5_000, 6_000]));
        assert!(first.contains("5000 is large"), "{first}");
        for wrong in [json!(null), json!([]), json!(vec![7_000; 1_001])] {
            let error = problem(wrong);
            assert!(error.contains("numbers size must be between"), "{error}");
        }
    }
}
