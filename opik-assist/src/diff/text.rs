//! Difference of two texts, token by token.
//!
//! What both texts share at the head and the tail is set aside first, so one edit in a text of
//! many megabytes is as cheap as in a short one. What is left is compared by words and
//! punctuation marks, by lines when that would be too much, and beyond that only its ends and its
//! hash are given. A result never holds more than [`MAX_HUNKS`] hunks of a few hundred characters.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// Most places that a [`TextDiff`] lists.
pub const MAX_HUNKS: usize = 20;

/// Differing middles up to this many bytes (of both texts) are compared by tokens.
const TOKEN_LIMIT: usize = 128 * 1024;
/// Differing middles up to this many bytes (of both texts) are compared by lines.
const LINE_LIMIT: usize = 4 * 1024 * 1024;
/// Longest excerpt, in characters.
const EXCERPT: usize = 240;
/// Characters shown before and after a difference.
const CONTEXT: usize = 32;
/// Equal runs shorter than this, in bytes, do not separate two hunks.
const GLUE: usize = 4;
/// After this long the comparison settles for a coarser, still correct, answer.
const DEADLINE: Duration = Duration::from_millis(200);

/// How two texts were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TextMethod {
    /// Word by word.
    Tokens,
    /// Line by line.
    Lines,
    /// Only where they begin and end to differ, and their hashes.
    Ends,
}

/// One place where two texts differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hunk {
    /// Byte offset in the first text.
    pub before_at: usize,
    /// Byte offset in the second text.
    pub after_at: usize,
    /// The shared text just before the difference, without what the hunk before has as its
    /// `trail`.
    pub lead: String,
    /// What only the first text has; the middle of a long piece is left out.
    pub before: String,
    /// What only the second text has; the middle of a long piece is left out.
    pub after: String,
    /// The shared text just after the difference.
    pub trail: String,
}

/// Where two texts differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TextDiff {
    /// How they were compared.
    pub method: TextMethod,
    /// Length of the first text in bytes.
    pub before_bytes: usize,
    /// Length of the second text in bytes.
    pub after_bytes: usize,
    /// Share of the bytes that both have in the same order, 0 to 1.
    pub similarity: f64,
    /// The differences in order, at most [`MAX_HUNKS`].
    pub hunks: Vec<Hunk>,
    /// Differences that are not listed.
    pub omitted: usize,
    /// FNV-1a hashes of both texts in hexadecimal, where they were too large to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hashes: Option<[String; 2]>,
}

/// Compares two texts.
///
/// ```
/// use opik_assist::diff::diff_texts;
///
/// let diff = diff_texts("the cat sat", "the dog sat");
/// assert_eq!((diff.hunks[0].before.as_str(), diff.hunks[0].after.as_str()), ("cat", "dog"));
/// ```
#[must_use]
pub fn diff_texts(before: &str, after: &str) -> TextDiff {
    let (head, tail) = shared_ends(before, after);
    let middle = |text: &str| head..text.len().saturating_sub(tail).max(head);
    let (old, new) = (middle(before), middle(after));
    let work = old.len() + new.len();
    let (method, ops) = if work <= TOKEN_LIMIT {
        let ops = compare(before, &old, after, &new, &tokens);
        (TextMethod::Tokens, ops)
    } else if work <= LINE_LIMIT {
        let ops = compare(before, &old, after, &new, &lines);
        (TextMethod::Lines, ops)
    } else {
        (TextMethod::Ends, vec![(old, new)])
    };
    let changed: usize = ops.iter().map(|(old, new)| old.len() + new.len()).sum();
    let total = before.len() + after.len();
    let ops = glue(ops);
    let mut hunks = Vec::with_capacity(ops.len().min(MAX_HUNKS));
    let mut shown_to = 0;
    for (index, (old, new)) in ops.iter().enumerate().take(MAX_HUNKS) {
        let shared_to = ops
            .get(index + 1)
            .map_or(before.len(), |(next, _)| next.start);
        // What the hunk before shows behind it is not shown again.
        let lead = before.get(shown_to..old.start).unwrap_or_default();
        let trail = before.get(old.end..shared_to).unwrap_or_default();
        let lead_at = lead.char_indices().rev().take(CONTEXT).last();
        let lead_at = lead_at.map_or(0, |(at, _)| at);
        let trail_end = trail.char_indices().nth(CONTEXT);
        let trail_end = trail_end.map_or(trail.len(), |(at, _)| at);
        hunks.push(Hunk {
            before_at: old.start,
            after_at: new.start,
            lead: lead.get(lead_at..).unwrap_or_default().to_owned(),
            before: excerpt(before.get(old.clone()).unwrap_or_default()),
            after: excerpt(after.get(new.clone()).unwrap_or_default()),
            trail: trail.get(..trail_end).unwrap_or_default().to_owned(),
        });
        shown_to = old.end + trail_end;
    }
    TextDiff {
        method,
        before_bytes: before.len(),
        after_bytes: after.len(),
        similarity: share(total - changed, total),
        hunks,
        omitted: ops.len().saturating_sub(MAX_HUNKS),
        hashes: (method == TextMethod::Ends).then(|| [before, after].map(fnv_hex)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// Lengths of the equal head and tail, cut back to where tokens begin and end.
fn shared_ends(a: &str, b: &str) -> (usize, usize) {
    let equal = |(x, y): &(u8, u8)| x == y;
    let mut head = a.bytes().zip(b.bytes()).take_while(equal).count();
    while head > 0 && !(splits(a, head) && splits(b, head)) {
        head -= 1;
    }
    let room = a.len().min(b.len()) - head;
    let backwards = a.bytes().rev().zip(b.bytes().rev()).take(room);
    let mut tail = backwards.take_while(equal).count();
    while tail > 0 && !(splits(a, a.len() - tail) && splits(b, b.len() - tail)) {
        tail -= 1;
    }
    (head, tail)
}

/// Whether a token may end at this offset.
fn splits(text: &str, at: usize) -> bool {
    let (Some(left), Some(right)) = (text.get(..at), text.get(at..)) else {
        return false;
    };
    match (left.chars().next_back(), right.chars().next()) {
        (Some(left), Some(right)) => class(left) != class(right) || class(left) == Class::Mark,
        _ => true,
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Class {
    Word,
    Space,
    Mark,
}

fn class(c: char) -> Class {
    if c.is_alphanumeric() || c == '_' {
        Class::Word
    } else if c.is_whitespace() {
        Class::Space
    } else {
        Class::Mark
    }
}

/// Splits into words, runs of white space and single marks.
fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::with_capacity(text.len() / 4);
    let mut from = 0;
    let mut last: Option<Class> = None;
    for (at, c) in text.char_indices() {
        let kind = class(c);
        if last.is_some_and(|last| last != kind || kind == Class::Mark) {
            found.extend(text.get(from..at));
            from = at;
        }
        last = Some(kind);
    }
    found.extend(text.get(from..).filter(|rest| !rest.is_empty()));
    found
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

type Edit = (Range<usize>, Range<usize>);

/// The byte ranges that differ, in order, within the given middles.
fn compare(
    before: &str,
    old: &Range<usize>,
    after: &str,
    new: &Range<usize>,
    split: &dyn Fn(&str) -> Vec<&str>,
) -> Vec<Edit> {
    let old_parts = split(before.get(old.clone()).unwrap_or_default());
    let new_parts = split(after.get(new.clone()).unwrap_or_default());
    let deadline = Instant::now().checked_add(DEADLINE);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old_parts, &new_parts, deadline);
    let (old_at, new_at) = (
        offsets(&old_parts, old.start),
        offsets(&new_parts, new.start),
    );
    let bytes = |at: &[usize], range: Range<usize>| {
        let end = |index: usize| at.get(index).copied().unwrap_or_default();
        end(range.start)..end(range.end)
    };
    ops.iter()
        .filter(|op| !matches!(op, DiffOp::Equal { .. }))
        .map(|op| {
            (
                bytes(&old_at, op.old_range()),
                bytes(&new_at, op.new_range()),
            )
        })
        .collect()
}

/// Where each part begins, and where the last one ends.
fn offsets(parts: &[&str], from: usize) -> Vec<usize> {
    let ends = parts.iter().scan(from, |at, part| {
        *at += part.len();
        Some(*at)
    });
    std::iter::once(from).chain(ends).collect()
}

/// Joins edits that only a few equal bytes separate: "cat, dog" to "bird, fish" is one edit.
fn glue(edits: Vec<Edit>) -> Vec<Edit> {
    let mut joined: Vec<Edit> = Vec::with_capacity(edits.len());
    for (old, new) in edits {
        if old.is_empty() && new.is_empty() {
            continue;
        }
        match joined.last_mut() {
            Some((last_old, last_new)) if old.start - last_old.end < GLUE => {
                last_old.end = old.end;
                last_new.end = new.end;
            }
            _ => joined.push((old, new)),
        }
    }
    joined
}

/// The text, or its head and tail with a mark in between that says how much is left out.
pub(super) fn excerpt(text: &str) -> String {
    let end_of = |chars: usize| text.char_indices().nth(chars).map(|(at, _)| at);
    if end_of(EXCERPT).is_none() {
        return text.to_owned();
    }
    let head = end_of(EXCERPT * 2 / 3).unwrap_or(text.len());
    let tail = text.char_indices().rev().nth(EXCERPT / 3 - 1);
    let tail = tail.map_or(text.len(), |(at, _)| at);
    format!(
        "{} … [{} bytes] … {}",
        text.get(..head).unwrap_or_default(),
        tail - head,
        text.get(tail..).unwrap_or_default()
    )
}

/// FNV-1a: the same on every machine and in every version, which is what a printed hash is for.
fn fnv_hex(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::string_slice, reason = "a wrong offset must fail the test")]
    /// Applies the hunks of a diff whose pieces are all short to the first text.
    fn patched(before: &str, diff: &TextDiff) -> String {
        let (mut text, mut at) = (String::new(), 0);
        for hunk in &diff.hunks {
            text.push_str(&before[at..hunk.before_at]);
            assert!(before[hunk.before_at..].starts_with(&hunk.before));
            let rest = &before[hunk.before_at + hunk.before.len()..];
            assert!(rest.starts_with(&hunk.trail), "{hunk:?}");
            assert!(text.ends_with(&hunk.lead), "{hunk:?}");
            text.push_str(&hunk.after);
            at = hunk.before_at + hunk.before.len();
        }
        text.push_str(&before[at..]);
        text
    }

    proptest! {
        #[test]
        fn the_hunks_turn_one_text_into_the_other(
            a in "[ab é,.\n]{0,60}", b in "[ab é,.\n]{0,60}",
        ) {
            let diff = diff_texts(&a, &b);
            prop_assert_eq!(diff.omitted, 0);
            prop_assert_eq!(patched(&a, &diff), b.as_str());
            prop_assert_eq!(diff.hunks.is_empty(), a == b);
            prop_assert!((0.0..=1.0).contains(&diff.similarity));
        }
    }

    #[test]
    fn whole_words_are_compared_and_near_edits_joined() {
        let diff = diff_texts("Total: 1999 dollars, ok", "Total: 1899 euros, ok");
        assert_eq!(diff.method, TextMethod::Tokens);
        let [hunk] = diff.hunks.as_slice() else {
            panic!("{diff:?}")
        };
        assert_eq!(
            (
                hunk.lead.as_str(),
                hunk.before.as_str(),
                hunk.after.as_str()
            ),
            ("Total: ", "1999 dollars", "1899 euros")
        );
        assert_eq!(hunk.trail, ", ok");
    }

    #[test]
    fn one_edit_in_a_huge_text_is_found_exactly() {
        let before = "lorem ipsum ".repeat(2_000_000);
        let mut after = before.clone();
        after.insert_str(12_000_000, "needle ");
        let diff = diff_texts(&before, &after);
        assert_eq!(diff.method, TextMethod::Tokens);
        assert_eq!(diff.hunks.len(), 1);
        assert!(diff.hunks[0].after.contains("needle"));
    }

    #[test]
    fn huge_texts_with_nothing_in_common_cost_little_and_say_how_large_they_are() {
        let diff = diff_texts(&"a b ".repeat(1_000_000), &"c d ".repeat(1_000_000));
        assert_eq!(diff.method, TextMethod::Ends);
        assert!(diff.hashes.is_some_and(|[a, b]| a != b));
        assert!(diff.hunks[0].before.len() < 400);
        let by_line = diff_texts(&"one line\n".repeat(20_000), &"other line\n".repeat(20_000));
        assert_eq!(by_line.method, TextMethod::Lines);
    }
}
