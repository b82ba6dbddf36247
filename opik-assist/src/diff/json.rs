//! Difference of two JSON values, by path.
//!
//! Objects are compared key by key. Lists are aligned first: by `id`, `key` or `name` when every
//! element is an object that has one and none occurs twice, else by the longest common
//! subsequence of equal elements, so that one inserted message does not make all later ones
//! differ. Numbers are equal when their values are (`1` and `1.0`).

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use similar::{Algorithm, capture_diff_slices_deadline};

use super::text::{TextDiff, diff_texts, excerpt};

/// Most changes that a [`JsonDiff`] lists.
pub const MAX_CHANGES: usize = 200;

/// Texts longer than this, in bytes, get a [`TextDiff`].
const LONG_TEXT: usize = 60;
/// After this long a list's alignment settles for a coarser, still correct, answer.
const DEADLINE: Duration = Duration::from_millis(200);
/// Members that identify an element of a list.
const KEYS: [&str; 3] = ["id", "key", "name"];

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JsonOp {
    /// Only the second document has it.
    Added,
    /// Only the first document has it.
    Removed,
    /// Both have it, with different values.
    Replaced,
    /// A list with the same keyed elements in another order.
    Reordered,
}

/// A JSON text, shortened when it is long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Excerpt {
    /// The text, or its head and tail.
    pub text: String,
    /// Length of the whole text in bytes.
    pub bytes: usize,
}

impl Excerpt {
    fn of(value: &Value) -> Self {
        let text = value.to_string();
        Self {
            bytes: text.len(),
            text: excerpt(&text),
        }
    }
}

/// One difference between two JSON documents.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JsonChange {
    /// Where: a JSON Pointer (RFC 6901) into the first document, or into the second for what was
    /// added.
    pub path: String,
    /// Where in the second document, when that differs because a list has shifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_path: Option<String>,
    /// What happened.
    pub op: JsonOp,
    /// The value in the first document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Excerpt>,
    /// The value in the second document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Excerpt>,
    /// Where two long texts differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextDiff>,
}

/// The differences between two JSON documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JsonDiff {
    /// In order of the documents, at most [`MAX_CHANGES`].
    pub changes: Vec<JsonChange>,
    /// Changes that are not listed.
    pub omitted: usize,
}

impl JsonDiff {
    /// Whether the documents are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Compares two JSON values.
///
/// ```
/// use opik_assist::diff::diff_json;
/// use serde_json::json;
///
/// let diff = diff_json(&json!({"k": 5, "q": "x"}), &json!({"k": 9, "q": "x"}));
/// assert_eq!(diff.changes[0].path, "/k");
/// ```
#[must_use]
pub fn diff_json(before: &Value, after: &Value) -> JsonDiff {
    let mut diff = JsonDiff::default();
    // Steps are pushed in reverse, so that changes come out in the order of the document.
    let mut stack = vec![Step::Both(Place::root(), before, after)];
    while let Some(step) = stack.pop() {
        match step {
            Step::Added(place, value) => {
                diff.push(&place, JsonOp::Added, None, Some(value));
            }
            Step::Removed(place, value) => {
                diff.push(&place, JsonOp::Removed, Some(value), None);
            }
            Step::Both(place, old, new) => match (old, new) {
                (Value::Object(a), Value::Object(b)) => {
                    let mark = stack.len();
                    for (key, value) in a {
                        let at = place.child(key, key);
                        stack.push(match b.get(key) {
                            Some(other) => Step::Both(at, value, other),
                            None => Step::Removed(at, value),
                        });
                    }
                    let added = b.iter().filter(|(key, _)| !a.contains_key(*key));
                    stack.extend(
                        added.map(|(key, value)| Step::Added(place.child(key, key), value)),
                    );
                    stack.split_at_mut(mark).1.reverse();
                }
                (Value::Array(a), Value::Array(b)) => {
                    let mark = stack.len();
                    if !align_by_key(&place, a, b, &mut stack, &mut diff) {
                        align_by_content(&place, a, b, &mut stack);
                    }
                    stack.split_at_mut(mark).1.reverse();
                }
                (old, new) if same(old, new) => {}
                (old, new) => diff.push(&place, JsonOp::Replaced, Some(old), Some(new)),
            },
        }
    }
    diff
}

enum Step<'v> {
    Both(Place, &'v Value, &'v Value),
    Added(Place, &'v Value),
    Removed(Place, &'v Value),
}

/// A path in each document.
struct Place {
    before: String,
    /// `None` while it is the same.
    after: Option<String>,
}

impl Place {
    fn root() -> Self {
        Self {
            before: String::new(),
            after: None,
        }
    }

    fn child(&self, before: &str, after: &str) -> Self {
        let step =
            |path: &str, key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        let shifted = self.after.is_some() || before != after;
        Self {
            before: step(&self.before, before),
            after: shifted.then(|| step(self.after.as_deref().unwrap_or(&self.before), after)),
        }
    }

    fn element(&self, before: usize, after: usize) -> Self {
        self.child(&before.to_string(), &after.to_string())
    }
}

impl JsonDiff {
    fn push(&mut self, place: &Place, op: JsonOp, before: Option<&Value>, after: Option<&Value>) {
        if self.changes.len() >= MAX_CHANGES {
            self.omitted += 1;
            return;
        }
        let text = match (before, after) {
            (Some(Value::String(a)), Some(Value::String(b)))
                if op == JsonOp::Replaced && a.len().max(b.len()) > LONG_TEXT =>
            {
                Some(diff_texts(a, b))
            }
            _ => None,
        };
        let (path, after_path) = match op {
            JsonOp::Added => (place.after.as_ref().unwrap_or(&place.before).clone(), None),
            JsonOp::Removed => (place.before.clone(), None),
            JsonOp::Replaced | JsonOp::Reordered => (place.before.clone(), place.after.clone()),
        };
        self.changes.push(JsonChange {
            path,
            after_path,
            op,
            before: before.map(Excerpt::of),
            after: after.map(Excerpt::of),
            text,
        });
    }
}

/// Pairs elements by their unique key; `false` when the lists have none.
fn align_by_key<'v>(
    place: &Place,
    a: &'v [Value],
    b: &'v [Value],
    stack: &mut Vec<Step<'v>>,
    diff: &mut JsonDiff,
) -> bool {
    let Some((old, new)) = KEYS
        .iter()
        .find_map(|key| Some((keys_of(a, key)?, keys_of(b, key)?)))
    else {
        return false;
    };
    let place_of: HashMap<&str, usize> =
        new.iter().enumerate().map(|(at, key)| (*key, at)).collect();
    let known: HashSet<&str> = old.iter().copied().collect();
    let mut last = None;
    let mut reordered = false;
    for (at, (key, value)) in old.iter().zip(a).enumerate() {
        match place_of.get(key).and_then(|&to| Some((to, b.get(to)?))) {
            Some((to, other)) => {
                reordered |= last.is_some_and(|last| to < last);
                last = Some(to);
                stack.push(Step::Both(place.element(at, to), value, other));
            }
            None => stack.push(Step::Removed(place.element(at, at), value)),
        }
    }
    for (at, (key, value)) in new.iter().zip(b).enumerate() {
        if !known.contains(key) {
            stack.push(Step::Added(place.element(at, at), value));
        }
    }
    if reordered {
        diff.push(place, JsonOp::Reordered, None, None);
    }
    true
}

/// The text under `key` in every element, when all have one and no two are equal.
fn keys_of<'v>(list: &'v [Value], key: &str) -> Option<Vec<&'v str>> {
    let keys: Option<Vec<&str>> = list.iter().map(|value| value.get(key)?.as_str()).collect();
    let keys = keys.filter(|keys| !keys.is_empty())?;
    let distinct: HashSet<&str> = keys.iter().copied().collect();
    (distinct.len() == keys.len()).then_some(keys)
}

/// Pairs equal elements in order; between them, first with first, second with second.
fn align_by_content<'v>(place: &Place, a: &'v [Value], b: &'v [Value], stack: &mut Vec<Step<'v>>) {
    let hashes = |list: &[Value]| list.iter().map(value_hash).collect::<Vec<u64>>();
    let deadline = Instant::now().checked_add(DEADLINE);
    let (old, new) = (hashes(a), hashes(b));
    for op in capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline) {
        let (mut from, mut to) = (op.old_range(), op.new_range());
        loop {
            let step = match (from.next(), to.next()) {
                (Some(i), Some(j)) => a
                    .get(i)
                    .zip(b.get(j))
                    .map(|(x, y)| Step::Both(place.element(i, j), x, y)),
                (Some(i), None) => a
                    .get(i)
                    .map(|value| Step::Removed(place.element(i, i), value)),
                (None, Some(j)) => b
                    .get(j)
                    .map(|value| Step::Added(place.element(j, j), value)),
                (None, None) => break,
            };
            stack.extend(step);
        }
    }
}

/// Whether two values are equal, numbers by value.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Number(a), Value::Number(b)) => number(a) == number(b),
        (a, b) => a == b,
    }
}

/// A whole number as itself, any other by its bits.
fn number(number: &serde_json::Number) -> (bool, i128) {
    if let Some(whole) = number.as_i64() {
        return (true, whole.into());
    }
    if let Some(whole) = number.as_u64() {
        return (true, whole.into());
    }
    let real = number.as_f64().unwrap_or(f64::NAN);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and in range"
    )]
    if real.fract() == 0.0 && real.abs() < 9.0e15 {
        return (true, real as i128);
    }
    (false, real.to_bits().into())
}

/// A hash that is equal for values that are [`same`]. The nesting that a parsed value can have is
/// bounded, so the recursion is.
pub(super) fn value_hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Null => 0u8.hash(&mut hasher),
        Value::Bool(flag) => (1u8, flag).hash(&mut hasher),
        Value::Number(n) => (2u8, number(n)).hash(&mut hasher),
        Value::String(text) => (3u8, text).hash(&mut hasher),
        Value::Array(list) => {
            (4u8, list.len()).hash(&mut hasher);
            for element in list {
                value_hash(element).hash(&mut hasher);
            }
        }
        Value::Object(map) => {
            // A sum, so that the order of keys does not matter whatever map serde_json uses.
            let sum = map.iter().fold(0u64, |sum, (key, value)| {
                let mut member = DefaultHasher::new();
                (key, value_hash(value)).hash(&mut member);
                sum.wrapping_add(member.finish())
            });
            (5u8, map.len(), sum).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn listing(diff: &JsonDiff) -> Vec<String> {
        let text = |value: &Option<Excerpt>| {
            value
                .as_ref()
                .map_or("-".to_owned(), |value| value.text.clone())
        };
        diff.changes
            .iter()
            .map(|c| {
                let path = c
                    .after_path
                    .as_ref()
                    .map_or(c.path.clone(), |after| format!("{} => {after}", c.path));
                format!(
                    "{:?} {path}: {} -> {}",
                    c.op,
                    text(&c.before),
                    text(&c.after)
                )
            })
            .collect()
    }

    #[test]
    fn members_are_compared_by_pointer() {
        let a = json!({"a/b": 1, "m~n": {"x": [1, 2]}, "same": 1, "gone": null});
        let b = json!({"a/b": "1", "m~n": {"x": [1, 3]}, "same": 1.0, "new": true});
        insta::assert_snapshot!(listing(&diff_json(&a, &b)).join("\n"), @r#"
        Replaced /a~1b: 1 -> "1"
        Removed /gone: null -> -
        Replaced /m~0n/x/1: 2 -> 3
        Added /new: - -> true
        "#);
    }

    #[test]
    fn an_inserted_element_does_not_shift_the_rest() {
        let a = json!([{"role": "system"}, {"role": "user", "n": 1}, {"role": "tool"}]);
        let b = json!([{"role": "system"}, {"role": "hint"}, {"role": "user", "n": 2}, {"role": "tool"}]);
        insta::assert_snapshot!(listing(&diff_json(&a, &b)).join("\n"), @r#"
        Removed /1/n: 1 -> -
        Replaced /1/role: "user" -> "hint"
        Added /2: - -> {"n":2,"role":"user"}
        "#);
    }

    #[test]
    fn elements_with_ids_are_followed_through_a_new_order() {
        let a = json!({"docs": [{"id": "a", "score": 1}, {"id": "b"}, {"id": "c"}]});
        let b = json!({"docs": [{"id": "b"}, {"id": "a", "score": 2}, {"id": "d"}]});
        insta::assert_snapshot!(listing(&diff_json(&a, &b)).join("\n"), @r#"
        Reordered /docs: - -> -
        Replaced /docs/0/score => /docs/1/score: 1 -> 2
        Removed /docs/2: {"id":"c"} -> -
        Added /docs/2: - -> {"id":"d"}
        "#);
    }

    #[test]
    fn changes_are_bounded_and_the_rest_is_counted() {
        let list = |by: i64| Value::from((0..1000).map(|n| n * by).collect::<Vec<i64>>());
        let diff = diff_json(&list(2_000), &list(3_000));
        assert_eq!(diff.changes.len(), MAX_CHANGES);
        assert!(diff.omitted > 100);
    }

    #[test]
    fn long_texts_are_compared_word_by_word() {
        let text = |word: &str| json!({"value": format!("{} {word} end", "lorem ".repeat(30))});
        let diff = diff_json(&text("red"), &text("blue"));
        let inner = diff.changes[0].text.as_ref().unwrap();
        assert_eq!(
            (
                inner.hunks[0].before.as_str(),
                inner.hunks[0].after.as_str()
            ),
            ("red", "blue")
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[abi]|id", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_diff_is_empty_exactly_for_equal_documents(a in any_json(), b in any_json()) {
            prop_assert!(diff_json(&a, &a).is_empty());
            prop_assert_eq!(diff_json(&a, &b).is_empty(), same(&a, &b));
            prop_assert_eq!(value_hash(&a) == value_hash(&b), same(&a, &b));
        }

        #[test]
        fn paths_lead_to_the_values_they_are_about(a in any_json(), b in any_json()) {
            for change in diff_json(&a, &b).changes {
                let old = a.pointer(&change.path);
                let new = b.pointer(change.after_path.as_ref().unwrap_or(&change.path));
                match change.op {
                    JsonOp::Added => prop_assert!(new.is_some()),
                    JsonOp::Removed => prop_assert!(old.is_some()),
                    JsonOp::Replaced => {
                        prop_assert_eq!(old.map(Excerpt::of), change.before);
                        prop_assert_eq!(new.map(Excerpt::of), change.after);
                    }
                    JsonOp::Reordered => prop_assert!(old.is_some_and(Value::is_array)),
                }
            }
        }
    }
}
