//! Replies that say nearly the same again, whatever was asked.
//!
//! The words of a reply are its JSON texts with at least two words each, keys not counted; pairs of
//! neighbouring words are hashed, and the 64 smallest hashes stand for the reply (a MinHash
//! sketch). Two replies are alike when the sketch says that they share at least 85 % of their
//! pairs. Each reply is compared with the ten before it of calls with the same name.

use foldhash::HashMap;
use opik_core::tree::NodeId;
use opik_core::{Json, SpanType};

use super::{Repetition, RepetitionKind, Scene};
use crate::signature::Mix;

/// Hashes of a sketch.
const SKETCH: usize = 64;
/// Replies before that one is compared with.
const WINDOW: usize = 10;
/// Least words of a reply that can be compared.
const WORDS: usize = 12;
/// Bytes of a reply that are looked at.
const LENGTH: usize = 16 * 1024;
/// Share of pairs that makes replies alike, in percent.
const ALIKE: usize = 85;
/// Least replies in a row.
const LEAST: usize = 4;

pub(super) fn find(scene: &mut Scene<'_>, found: &mut Vec<Repetition>) {
    let mut calls: HashMap<Option<&str>, Vec<NodeId>> = HashMap::default();
    for node in scene.tree.nodes() {
        let span = scene.tree.span(node);
        if span.kind() == &SpanType::Llm && span.output.is_some() && !scene.taken.at(node) {
            calls.entry(span.name.as_deref()).or_default().push(node);
        }
    }
    let mut groups: Vec<Vec<NodeId>> = calls.into_values().collect();
    groups.retain(|group| group.len() >= LEAST);
    groups.sort_unstable();
    for mut group in groups {
        group.sort_by_key(|&node| (scene.tree.interval(node).start, node));
        for run in runs(scene, &group) {
            let again = run.get(1..).unwrap_or_default();
            found.push(Repetition {
                kind: RepetitionKind::SimilarReplies,
                period: 1,
                times: run.len(),
                wasted_micros: scene.micros(again),
                wasted: scene.spent(again),
                gaps: Vec::new(),
                progress: false,
                apart: false,
                said: false,
                nodes: run.clone(),
            });
            scene.take(&run);
        }
    }
}

/// Rows of replies of which each but the first is like one of those before it.
fn runs(scene: &Scene<'_>, group: &[NodeId]) -> Vec<Vec<NodeId>> {
    let sketches: Vec<Option<Sketch>> = group
        .iter()
        .map(|&node| scene.tree.span(node).output.as_ref().and_then(Sketch::of))
        .collect();
    let mut runs: Vec<Vec<NodeId>> = Vec::new();
    let mut run: Vec<NodeId> = Vec::new();
    for (place, (&node, own)) in group.iter().zip(&sketches).enumerate() {
        let before = sketches.get(place.saturating_sub(WINDOW)..place);
        let like = own.as_ref().and_then(|own| {
            let mut before = before?.iter().rev();
            before.position(|other| other.as_ref().is_some_and(|other| own.is_like(other)))
        });
        match like {
            Some(back) if run.is_empty() => {
                run.extend(group.get(place - 1 - back));
                run.push(node);
            }
            Some(_) => run.push(node),
            None => runs.push(std::mem::take(&mut run)),
        }
    }
    runs.push(run);
    runs.retain(|run| run.len() >= LEAST);
    runs
}

/// The smallest hashes of the pairs of words of a text, in order.
#[derive(Debug)]
pub(crate) struct Sketch(Vec<u64>);

impl Sketch {
    /// `None` when the text has too few words.
    pub(crate) fn of(content: &Json) -> Option<Self> {
        let mut hashes = Vec::new();
        let mut words = 0;
        for text in texts(content.as_str()) {
            let mut last = 0;
            for word in text.split(|character: char| !character.is_alphanumeric()) {
                if word.is_empty() {
                    continue;
                }
                let mut mix = Mix::default();
                for byte in word.bytes() {
                    mix.add(u64::from(byte.to_ascii_lowercase()));
                }
                let hash = mix.value();
                mix.add(last);
                hashes.push(mix.value());
                last = hash;
                words += 1;
            }
        }
        if words < WORDS {
            return None;
        }
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(SKETCH);
        Some(Self(hashes))
    }

    /// Whether the texts share most of their pairs: of the smallest hashes of both together, the
    /// share that both have.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let (mut both, mut all) = (0, 0);
        while all < SKETCH {
            match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x == y => {
                    both += 1;
                    a.next();
                    b.next();
                }
                (Some(x), Some(y)) if x < y => {
                    a.next();
                }
                (Some(_), None) => {
                    a.next();
                }
                (_, Some(_)) => {
                    b.next();
                }
                (None, None) => break,
            }
            all += 1;
        }
        all > 0 && both * 100 >= all * ALIKE
    }
}

/// The texts of a JSON document that have a space in them and are no keys, in their order.
fn texts(json: &str) -> impl Iterator<Item = &str> {
    let json = json.get(..json.floor_char_boundary(LENGTH)).unwrap_or(json);
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let (_, inside) = rest.split_once('"')?;
            let end = end_of_text(inside);
            let (text, behind) = inside.split_at_checked(end)?;
            rest = behind.strip_prefix('"').unwrap_or_default();
            let is_key = rest.trim_ascii_start().starts_with(':');
            if !is_key && text.contains(' ') {
                return Some(text);
            }
        }
    })
}

/// Where a JSON text ends: at the first quotation mark without an odd number of backslashes
/// before it, else at its end.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return at,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "I will search the archive for the two numbers and then compare them with the table of the report that was given";

    fn like(a: &str, b: &str) -> bool {
        let of = |text: &str| Sketch::of(&Json::parse(text).unwrap()).unwrap();
        of(a).is_like(&of(b)) && of(b).is_like(&of(a))
    }

    #[test]
    fn words_count_and_keys_do_not() {
        let a = format!(r#"{{"id":"x1","text":"{TEXT}"}}"#);
        assert!(like(&a, &format!(r#"{{"id":"y2","said":"{TEXT} again"}}"#)));
        assert!(like(&a, &format!("\"{}\"", TEXT.to_uppercase())));
        assert!(!like(
            &a,
            &format!(r#"{{"id":"x1","text":"{}"}}"#, TEXT.replace(' ', " no "))
        ));
        assert_eq!(
            texts(r#"{"a b":"c d","e":"f","g":["h\" i"]}"#).collect::<Vec<_>>(),
            ["c d", "h\\\" i"]
        );
        assert!(Sketch::of(&Json::string("Too short to say anything.")).is_none());
    }
}
