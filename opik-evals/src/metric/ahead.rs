//! Fetching what cases hold before they are scored.
//!
//! The texts of many cases lie all over the memory and are not in the fast cache of the processor. To
//! wait for them takes longer than a cheap metric. Nothing depends on it but time.

use serde_json::Value;

use super::Case;

/// How many cases ahead texts are fetched, and the lists of which they are items.
const TEXTS: usize = 4;
const LISTS: usize = 8;

/// Bytes that are fetched at once.
const LINE: usize = 64;

/// How much of a text or a list is fetched: the processor goes on with the rest by itself.
const LINES: usize = 8;

/// The most items of a list of texts that are fetched.
const ITEMS: usize = 64;

/// Begins to fetch what is scored a few cases after the one of this place.
#[inline]
pub(super) fn fetch(cases: &[Case], place: usize) {
    for value in cases.get(place + LISTS).into_iter().flat_map(Case::common) {
        if let Value::Array(items) = value {
            each_line(items);
        }
    }
    for value in cases.get(place + TEXTS).into_iter().flat_map(Case::common) {
        match value {
            Value::String(text) => each_line(text.as_bytes()),
            Value::Array(items) => {
                let texts = items.iter().take(ITEMS).filter_map(Value::as_str);
                texts
                    .filter_map(|text| text.as_bytes().first())
                    .for_each(line);
            }
            _ => {}
        }
    }
}

fn each_line<T>(items: &[T]) {
    let each = (LINE / size_of::<T>().max(1)).max(1);
    for at in 0..LINES {
        let Some(item) = items.get(at * each) else {
            break;
        };
        line(item);
    }
}

/// Fetches where this lies.
#[inline]
fn line<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(place);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
