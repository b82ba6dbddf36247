//! When two spans are "the same call".
//!
//! The content of a span is its input, or the hash of it that the recorder left in the metadata
//! (`prompt_hash`), or its output where neither was recorded.
//!
//! - **Exact**: equal kind, name and content, compared as JSON: white space and the order of keys
//!   do not count.
//! - **Loose**: equal kind, name and content after every run of letters and digits that has a
//!   digit was masked; only the first 2,048 bytes count.
//!
//! Contents are compared by 64-bit hash. Texts are parsed only where two different ones of the
//! same kind and name consist of the same bytes, which is what another order of keys looks like.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use opik_core::tree::NodeId;
use opik_core::{Json, Span, TraceTree};

use crate::PerNode;

/// Bytes that a loose signature looks at.
const LOOSE: usize = 2_048;

/// What a signature was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    Input,
    Output,
    /// Kind and name only.
    Name,
}

/// Signatures of all spans, as numbers that are equal for equal signatures.
#[derive(Debug)]
pub(crate) struct Signatures {
    pub(crate) exact: PerNode<u32>,
    pub(crate) loose: PerNode<u32>,
    pub(crate) basis: PerNode<Basis>,
}

impl Signatures {
    pub(crate) fn new(tree: &TraceTree) -> Self {
        let mut exact = Exact::default();
        let mut loose = Loose::default();
        let mut signatures = Self {
            exact: PerNode::filled(tree, 0),
            loose: PerNode::filled(tree, 0),
            basis: PerNode::filled(tree, Basis::Name),
        };
        for node in tree.nodes() {
            let span = tree.span(node);
            let (basis, content) = content(span);
            let content = Hashable::new(&content);
            signatures.basis.set(node, basis);
            let number = exact.number(tree, node, basis, content);
            signatures.exact.set(node, number);
            let number = loose.number(tree, node, basis, content);
            signatures.loose.set(node, number);
        }
        signatures
    }
}

fn content(span: &Span) -> (Basis, Cow<'_, str>) {
    let told = |json: &&Json| !matches!(json.as_str(), "null" | "{}" | "\"\"" | "[]");
    if let Some(input) = span.input.as_ref().filter(told) {
        (Basis::Input, Cow::Borrowed(input.as_str()))
    } else if let Some(hash) = prompt_hash(span) {
        (Basis::Input, Cow::Owned(hash))
    } else if let Some(output) = span.output.as_ref().filter(told) {
        (Basis::Output, Cow::Borrowed(output.as_str()))
    } else {
        (Basis::Name, Cow::Borrowed(""))
    }
}

fn prompt_hash(span: &Span) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Fields {
        prompt_hash: String,
    }
    let metadata = span.metadata.as_ref()?;
    // Most metadata has none, and parsing it is what would cost.
    let has = metadata.as_str().contains("\"prompt_hash\"");
    let fields: Fields = has.then(|| metadata.decode().ok()).flatten()?;
    // A text without digits: two prompts must differ loosely too.
    let letter = |byte: u8| char::from(b'a' + byte % 16);
    Some(fields.prompt_hash.bytes().map(letter).collect())
}

/// A content with its hash.
#[derive(Clone, Copy)]
struct Hashable<'a> {
    text: &'a str,
    hash: u64,
}

impl<'a> Hashable<'a> {
    fn new(text: &'a str) -> Self {
        let mut mix = Mix::default();
        mix.text(text);
        Self { text, hash: mix.0 }
    }
}

/// Numbers for exact signatures. Keys are hashes of what they stand for.
#[derive(Default)]
struct Exact {
    /// By kind, name and text.
    texts: Numbers<u32>,
    /// By kind and name: the only text and its number, or that there are several.
    only: Numbers<Option<(NodeId, u32)>>,
    /// By kind, name and bytes in any order, where there are several texts: the first one, and its
    /// number.
    first: Numbers<(NodeId, u32)>,
    /// By kind, name and value, for those that had to be parsed.
    values: Numbers<u32>,
    count: u32,
}

impl Exact {
    fn number(
        &mut self,
        tree: &TraceTree,
        node: NodeId,
        basis: Basis,
        content: Hashable<'_>,
    ) -> u32 {
        let span = tree.span(node);
        let mut name = Mix::default();
        name.text(span.kind().as_str());
        name.text(span.name.as_deref().unwrap_or_default());
        name.add(basis as u64);
        let name = name.0;
        let mut exact = Mix(name);
        exact.add(content.hash);
        if let Some(&known) = self.texts.get(&exact.0) {
            return known;
        }
        let number = match self.only.entry(name) {
            Entry::Vacant(place) => {
                place.insert(Some((node, self.count)));
                self.count += 1;
                self.count - 1
            }
            Entry::Occupied(mut place) => {
                if let Some((first, number)) = place.get_mut().take() {
                    let earlier = self::content(tree.span(first)).1;
                    let bytes = bytes_hash(name, &earlier);
                    self.first.insert(bytes, (first, number));
                }
                self.one_of_several(tree, node, name, content.text)
            }
        };
        self.texts.insert(exact.0, number);
        number
    }

    /// The number of a text that differs from all others of its kind and name, but perhaps only in
    /// the order of keys.
    fn one_of_several(&mut self, tree: &TraceTree, node: NodeId, name: u64, text: &str) -> u32 {
        match self.first.entry(bytes_hash(name, text)) {
            Entry::Vacant(place) => {
                place.insert((node, self.count));
                self.count += 1;
                self.count - 1
            }
            Entry::Occupied(place) => {
                let &(first, number) = place.get();
                let earlier = content(tree.span(first)).1;
                self.values
                    .entry(value_hash(name, &earlier))
                    .or_insert(number);
                let next = self.count;
                let number = *self.values.entry(value_hash(name, text)).or_insert(next);
                self.count += u32::from(number == next);
                number
            }
        }
    }
}

/// Numbers for loose signatures.
#[derive(Default)]
struct Loose {
    /// By kind and masked name: the only span and its number, or that there are several.
    only: Numbers<Option<(NodeId, u32)>>,
    /// By kind, masked name and masked content, where there are several.
    numbers: Numbers<u32>,
    /// Masked contents by content, as many calls are about the same.
    masked: Numbers<u64>,
    count: u32,
}

impl Loose {
    fn number(
        &mut self,
        tree: &TraceTree,
        node: NodeId,
        basis: Basis,
        content: Hashable<'_>,
    ) -> u32 {
        let span = tree.span(node);
        let mut name = Masked::default();
        name.write(span.name.as_deref().unwrap_or_default().as_bytes());
        name.add(u64::from(basis as u8));
        name.write(span.kind().as_str().as_bytes());
        let name = name.0;
        match self.only.entry(name) {
            Entry::Vacant(place) => {
                place.insert(Some((node, self.count)));
                self.count += 1;
                return self.count - 1;
            }
            Entry::Occupied(mut place) => {
                if let Some((first, number)) = place.get_mut().take() {
                    let earlier = self::content(tree.span(first)).1;
                    let key = self.key(name, Hashable::new(&earlier));
                    self.numbers.insert(key, number);
                }
            }
        }
        let key = self.key(name, content);
        let next = self.count;
        let number = *self.numbers.entry(key).or_insert(next);
        self.count += u32::from(number == next);
        number
    }

    fn key(&mut self, name: u64, content: Hashable<'_>) -> u64 {
        let masked = *self.masked.entry(content.hash).or_insert_with(|| {
            let bytes = content.text.as_bytes();
            let mut masked = Masked::default();
            masked.write(bytes.get(..LOOSE).unwrap_or(bytes));
            masked.0
        });
        let mut mix = Mix(name);
        mix.add(masked);
        mix.0
    }
}

/// A table whose keys are hashes already.
pub(crate) type Numbers<T> = HashMap<u64, T, BuildHasherDefault<Hashed>>;

/// Passes a key on that is a hash already.
#[derive(Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A running hash over words of eight bytes: quick, and good enough where nobody attacks.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mix(u64);

impl Mix {
    /// The hash of what was added so far.
    pub(crate) fn value(self) -> u64 {
        self.0
    }

    pub(crate) fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xda94_2042_e4dd_58b5;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let folded = (product >> 64) as u64 ^ product as u64;
        self.0 = folded.rotate_left(23).wrapping_add(word);
    }

    pub(crate) fn text(&mut self, text: &str) {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for &word in words {
            self.add(u64::from_le_bytes(word));
        }
        let last = rest
            .iter()
            .fold(0, |last, &byte| last << 8 | u64::from(byte));
        self.add(last);
        self.add(text.len() as u64);
    }
}

fn text_hash(seed: u64, text: &str) -> u64 {
    let mut mix = Mix(seed);
    mix.text(text);
    mix.0
}

/// The same for any order of keys: how many bytes are not white space, and their sum.
fn bytes_hash(seed: u64, text: &str) -> u64 {
    let (mut count, mut sum) = (0u64, 0u64);
    for byte in text.bytes() {
        let counts = u64::from(byte > b' ');
        count += counts;
        sum += counts * u64::from(byte);
    }
    let mut mix = Mix(seed);
    mix.add(count);
    mix.add(sum);
    mix.0
}

fn value_hash(seed: u64, text: &str) -> u64 {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        return text_hash(seed, text);
    };
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    let mut mix = Mix(seed);
    mix.add(hasher.finish());
    mix.0
}

/// A running hash in which runs of letters and digits with a digit are all the same.
#[derive(Default)]
struct Masked(u64);

/// What a byte is to a run.
#[derive(Clone, Copy)]
enum Kind {
    Letter,
    Digit,
    Space,
    Other,
}

#[expect(
    clippy::indexing_slicing,
    reason = "the compiler evaluates it, and a byte is a place"
)]
const KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut byte = 0_u8;
    loop {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => Kind::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Kind::Letter,
            _ if byte.is_ascii_whitespace() => Kind::Space,
            _ => Kind::Other,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    kinds
};

impl Masked {
    /// Adds a text, which ends the run that it ends with.
    fn write(&mut self, bytes: &[u8]) {
        let (mut run, mut in_run, mut has_digit) = (0_u64, false, false);
        for &byte in bytes {
            let kind = KINDS.get(usize::from(byte)).copied();
            if let Some(Kind::Letter | Kind::Digit) = kind {
                in_run = true;
                has_digit |= matches!(kind, Some(Kind::Digit));
                run = (run ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                continue;
            }
            if in_run {
                self.add(if has_digit { u64::from(b'#') } else { run });
                (run, in_run, has_digit) = (0, false, false);
            }
            if !matches!(kind, Some(Kind::Space)) {
                self.add(u64::from(byte));
            }
        }
        if in_run {
            self.add(if has_digit { u64::from(b'#') } else { run });
        }
    }

    fn add(&mut self, value: u64) {
        let mixed = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 = mixed ^ (mixed >> 29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{SpanId, Timestamp, TraceId};
    use proptest::prelude::*;

    fn same(a: (&str, &str), b: (&str, &str)) -> (bool, bool) {
        let trace = TraceId::from_bytes([1; 16]);
        let span = |number: u8, (name, input): (&str, &str)| {
            let id = SpanId::from_bytes([number; 16]);
            let mut span = Span::new(id, trace, Timestamp::from_micros(i64::from(number)));
            span.name = Some(name.to_owned());
            span.input = Some(Json::parse(input).unwrap());
            span
        };
        let tree = TraceTree::from_spans(trace, vec![span(1, a), span(2, b)]);
        let signatures = Signatures::new(&tree);
        let nodes: Vec<NodeId> = tree.nodes().collect();
        let equal = |table: &PerNode<u32>| table.at(nodes[0]) == table.at(nodes[1]);
        (equal(&signatures.exact), equal(&signatures.loose))
    }

    #[test]
    fn order_and_white_space_do_not_count() {
        let (a, b) = (r#"{"a": 1, "b": [2, 3]}"#, r#"{"b":[2,3],"a":1}"#);
        assert_eq!(same(("f", a), ("f", b)), (true, false));
        assert!(!same(("f", r#"{"a":[1,2]}"#), ("f", r#"{"a":[2,1]}"#)).0);
        assert!(!same(("f", r#"{"a":"b c"}"#), ("f", r#"{"a":"bc "}"#)).0);
    }

    #[test]
    fn numbers_do_not_count_loosely() {
        assert_eq!(
            same(("get", r#"{"page": 1}"#), ("get", r#"{"page": 22}"#)),
            (false, true)
        );
        assert_eq!(
            same(("step 1", r#"{"id":"a7f"}"#), ("step 2", r#"{"id":"b81"}"#)),
            (false, true)
        );
        assert_eq!(
            same(("get", r#"{"q": "cat"}"#), ("get", r#"{"q": "dog"}"#)),
            (false, false)
        );
        assert_eq!(same(("get", "1"), ("put", "1")), (false, false));
    }

    /// Runs of letters and digits, those with a digit masked, and other characters.
    fn masked(text: &str) -> Vec<String> {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let mut parts: Vec<String> = Vec::new();
        let mut in_word = false;
        for letter in text.chars() {
            match parts.last_mut() {
                Some(last) if in_word && is_word(letter) => last.push(letter),
                _ if letter.is_whitespace() => {}
                _ => parts.push(letter.to_string()),
            }
            in_word = is_word(letter);
        }
        for part in &mut parts {
            if part.chars().any(|letter| letter.is_ascii_digit()) {
                *part = "#".to_owned();
            }
        }
        parts
    }

    proptest! {
        #[test]
        fn spans_are_the_same_whatever_came_before_them(
            rows in proptest::collection::vec((0..4_usize, 0..7_usize), 0..9),
        ) {
            let names = ["get", "get_1", "get_2", "put"];
            let inputs = [
                r#"{"a":1,"b":2}"#, r#"{"b":2, "a":1}"#, r#"{"a":2,"b":1}"#, r#""x 1""#, r#""x 22""#, r#""y""#, r#""x""#,
            ];
            let trace = TraceId::from_bytes([1; 16]);
            let spans = rows.iter().zip(1u8..).map(|(&(name, input), number)| {
                let at = Timestamp::from_micros(i64::from(number));
                let mut span = Span::new(SpanId::from_bytes([number; 16]), trace, at);
                span.name = Some(names[name].to_owned());
                span.input = Json::parse(inputs[input]).ok();
                span
            });
            let tree = TraceTree::from_spans(trace, spans.collect());
            let signatures = Signatures::new(&tree);
            let value = |input: usize| serde_json::from_str::<serde_json::Value>(inputs[input]).unwrap();
            for (node, &(name, input)) in tree.nodes().zip(&rows) {
                for (other, &(its_name, its_input)) in tree.nodes().zip(&rows) {
                    let exact = name == its_name && value(input) == value(its_input);
                    let loose = masked(names[name]) == masked(names[its_name])
                        && masked(inputs[input]) == masked(inputs[its_input]);
                    prop_assert_eq!(signatures.exact.at(node) == signatures.exact.at(other), exact);
                    prop_assert_eq!(signatures.loose.at(node) == signatures.loose.at(other), loose);
                }
            }
        }
    }
}
