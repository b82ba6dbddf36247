//! Finding long runs of base64 in a JSON text without reading all of it.
//!
//! A run of at least `min` characters covers one of any `min` positions in a row. So one byte in `min` is
//! looked at, and only around a byte that is a character of base64 the text is read in both
//! directions, up to the ends of that word.

use std::ops::Range;

use super::Run;

/// The runs of at least `min` characters (of which a remainder of 4 is dropped) inside of texts
/// that are no names of fields, in order. They do not overlap.
pub(super) fn of(json: &str, min: usize) -> impl Iterator<Item = Run> {
    let text = json.as_bytes();
    let min = (min / 4).max(1) * 4;
    // Where the text that a run is in ends, once that is known, and where the last run ended.
    let (mut known_until, mut is_name) = (0, false);
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let word = next_word(text, from, min)?;
            from = word.end;
            let start = word.start + escaped(text, word.start);
            let Some(base64) = whole_groups(text, start..word.end, min) else {
                continue;
            };
            if base64.end > known_until {
                (known_until, is_name) = end_of_string(text, base64.end);
            }
            if is_name {
                continue;
            }
            let whole = data_url(text, base64.start)..base64.end;
            from = from.max(base64.end);
            return Some(Run { base64, whole });
        }
    })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// The next longest sequence of at least `min` characters of base64.
fn next_word(text: &[u8], mut from: usize, min: usize) -> Option<Range<usize>> {
    loop {
        let probe = from.checked_add(min - 1)?;
        if !is_base64(*text.get(probe)?) {
            from = probe + 1;
            continue;
        }
        let other = text
            .get(from..probe)?
            .iter()
            .rposition(|byte| !is_base64(*byte));
        let start = other.map_or(from, |other| from + other + 1);
        let end = probe + length_of_word(text.get(probe..)?);
        if end - start >= min {
            return Some(start..end);
        }
        from = end;
    }
}

/// How many characters of base64 a text begins with.
fn length_of_word(text: &[u8]) -> usize {
    // Whole blocks without a branch per byte, which the compiler turns into vector instructions.
    let block = |block: &&[u8]| block.iter().fold(true, |all, byte| all & is_base64(*byte));
    let blocks = text.chunks_exact(64).take_while(block).count() * 64;
    let rest = text.get(blocks..).unwrap_or_default();
    let more = rest.iter().position(|byte| !is_base64(*byte));
    blocks + more.unwrap_or(rest.len())
}

/// How many of the characters at `start` belong to an escape such as `\n` or `\u000a`.
fn escaped(text: &[u8], start: usize) -> usize {
    let before = text.get(..start).unwrap_or_default().iter().rev();
    let slashes = before.take_while(|byte| **byte == b'\\').count();
    match text.get(start) {
        _ if slashes.is_multiple_of(2) => 0,
        Some(b'u') => 5,
        _ => 1,
    }
}

/// The groups of four in a word, with the padding after it; `None` when they are too few.
fn whole_groups(text: &[u8], word: Range<usize>, min: usize) -> Option<Range<usize>> {
    let length = word.end.checked_sub(word.start)?;
    let after = text.get(word.end..).unwrap_or_default();
    let end = match length % 4 {
        2 if after.starts_with(b"==") => word.end + 2,
        3 if after.starts_with(b"=") => word.end + 1,
        rest => word.end - rest,
    };
    (length / 4 * 4 >= min).then_some(word.start..end)
}

/// Where the `data:` URL begins whose bytes begin at `start`; `start` itself where there is none.
fn data_url(text: &[u8], start: usize) -> usize {
    let Some(before) = text
        .get(..start)
        .and_then(|text| text.strip_suffix(b";base64,"))
    else {
        return start;
    };
    let value = before
        .iter()
        .rposition(|byte| matches!(byte, b',' | b'"'))
        .map_or(0, |other| other + 1);
    let head = before.get(value..).unwrap_or_default();
    let url = head.windows(5).position(|window| window == b"data:");
    url.map_or(start, |url| value + url)
}

/// Where the JSON text that goes on at `from` ends, and whether it is the name of a field.
fn end_of_string(text: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest.get(found) == Some(&b'\\') => at += found + 2,
            Some(found) => {
                let after = rest.get(found + 1..).unwrap_or_default();
                let next = after.iter().find(|byte| !byte.is_ascii_whitespace());
                return (at + found, next == Some(&b':'));
            }
            None => return (text.len(), false),
        }
    }
}
