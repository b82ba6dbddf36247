//! What was said in a span: error, output and input, shortened, each on one line.
//!
//! A content that repeats one that is in the pack already is named instead: `same as s4`, or
//! `same as s4 + 312 new tokens` and then what is new. That is what model calls do that send the
//! whole history again.

use opik_core::tree::NodeId;
use opik_core::{Json, TraceTree};

use super::SpanLabel;
use super::excerpt::{Content, Excerpt, escape_floor, of_json, of_text};
use super::fence::clean;
use super::skeleton::indent;
use super::tokens::estimate;
use crate::per_node::NodeMap;

/// Contents shorter than this are written again.
const LEAST: usize = 200;
/// Contents that a new one is compared with.
const COMPARED: usize = 32;
/// Bytes that are compared.
const PREFIX: usize = 256 * 1024;
/// Bytes that are compared at once.
const BLOCK: usize = 64;
/// Bytes of contents that are kept as they were read.
const KEPT: usize = 1 << 20;
/// Bytes behind a common beginning that only close brackets.
const CLOSING: usize = 8;

/// Tokens for the error, the output and the input, by level.
pub(super) const LEVELS: [(usize, usize, usize); 5] = [
    (40, 50, 36),
    (70, 110, 80),
    (160, 300, 220),
    (500, 1_000, 800),
    (1_500, 4_000, 3_000),
];

/// The text of a span in a pack.
#[derive(Debug, Clone, Default)]
pub(super) struct Text {
    /// Lines with their line feeds.
    pub(super) lines: String,
    pub(super) tokens: usize,
    /// Whether a higher level would not show more.
    pub(super) whole: bool,
    /// The contents that it repeats.
    pub(super) repeats: Repeats,
}

/// What the input and the output of a span repeat.
pub(super) type Repeats = [Option<Repeat>; 2];

/// A content whose beginning another span has too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    /// The other span; `None` for the trace itself.
    of: Option<NodeId>,
    /// Bytes that are the same.
    same: usize,
}

/// Contents that are in the pack.
#[derive(Debug, Clone)]
pub(super) struct Texts<'a> {
    tree: &'a TraceTree,
    known: [Vec<(Option<NodeId>, &'a str)>; 2],
}

impl<'a> Texts<'a> {
    pub(super) fn new(tree: &'a TraceTree) -> Self {
        Self {
            tree,
            known: [Vec::new(), Vec::new()],
        }
    }

    /// What the trace itself was given and what it gave back.
    pub(super) fn of_trace(&mut self, tokens: usize) -> String {
        let trace = self.tree.trace();
        let mut lines = String::new();
        let fields = [(&trace.input, "trace in"), (&trace.output, "trace out")];
        for ((content, name), known) in fields.into_iter().zip(&mut self.known) {
            if let Some(content) = content.as_ref().filter(|content| is_telling(content)) {
                known.push((None, content.as_str()));
                for part in [name, ": ", &of_json(content, tokens).text, "\n"] {
                    lines.push_str(part);
                }
            }
        }
        lines
    }

    /// Whether there is anything to say.
    pub(super) fn has(&self, node: NodeId) -> bool {
        let span = self.tree.span(node);
        span.error_info.is_some()
            || [&span.input, &span.output]
                .into_iter()
                .flatten()
                .any(is_telling)
    }

    /// About how many tokens a level takes.
    pub(super) fn guess(&self, node: NodeId, level: usize) -> usize {
        let span = self.tree.span(node);
        let Some(&(error, output, input)) = LEVELS.get(level) else {
            return usize::MAX;
        };
        let of = |content: &Option<Json>, most: usize| {
            content
                .as_ref()
                .map_or(0, |content| (content.as_str().len() / 4).min(most) + 4)
        };
        let failed = span.error_info.as_ref().map_or(0, |_| error / 2);
        failed + of(&span.output, output) + of(&span.input, input)
    }

    /// What a span repeats of the contents that are in the pack.
    pub(super) fn repeats(&self, node: NodeId) -> Repeats {
        let span = self.tree.span(node);
        let mut repeats = [None; 2];
        let contents = [&span.input, &span.output];
        for ((content, repeat), place) in contents.into_iter().zip(&mut repeats).zip(0..) {
            if let Some(content) = content.as_ref().filter(|content| is_telling(content)) {
                *repeat = self.repeat(content.as_str(), place);
            }
        }
        repeats
    }

    /// The text of a span at a level, where it repeats so much of others.
    pub(super) fn of(
        &self,
        node: NodeId,
        level: usize,
        repeats: Repeats,
        read: &mut ReadContents,
    ) -> Text {
        let span = self.tree.span(node);
        let Some(&(error, output, input)) = LEVELS.get(level) else {
            return Text {
                whole: true,
                ..Text::default()
            };
        };
        let mut text = Text {
            whole: true,
            repeats,
            ..Text::default()
        };
        let space = indent(self.tree.depth(node).min(12));
        let mut push = |name: &str, excerpt: Excerpt, whole: &mut bool| {
            *whole &= excerpt.whole;
            let length = space.len() + name.len() + excerpt.text.len() + 5;
            text.lines.reserve(length);
            text.tokens += line_tokens(&space, name, &excerpt);
            for part in [&*space, "| ", name, ": ", &excerpt.text, "\n"] {
                text.lines.push_str(part);
            }
        };
        if let Some(info) = &span.error_info {
            let message = info.message.as_deref().unwrap_or_default();
            let mut said = format!("{}: {message}", info.exception_type);
            if !message.contains(info.traceback.trim()) {
                if level >= 2 || message.is_empty() {
                    said.push('\n');
                    said.push_str(&info.traceback);
                } else {
                    text.whole = false;
                }
            }
            push("err", of_text(&said, error), &mut text.whole);
        }
        let fields = [
            (&span.input, "in", input, 0),
            (&span.output, "out", output, 1),
        ];
        for (content, name, tokens, place) in fields {
            let Some(content) = content.as_ref().filter(|content| is_telling(content)) else {
                continue;
            };
            let excerpt = match repeats.get(place).copied().flatten() {
                Some(repeat) => repeated(content.as_str(), repeat, tokens),
                None => read.excerpt(node, place, content, tokens),
            };
            push(name, excerpt, &mut text.whole);
        }
        text
    }

    /// Remembers the contents of a span that is in the pack now.
    pub(super) fn remember(&mut self, node: NodeId) {
        let span = self.tree.span(node);
        for (content, known) in [&span.input, &span.output].into_iter().zip(&mut self.known) {
            let text = content.as_ref().map_or("", |content| content.as_str());
            if text.len() >= LEAST {
                known.push((Some(node), text));
            }
        }
    }

    /// The content in the pack that shares the longest beginning, when that is half of this one.
    fn repeat(&self, text: &str, place: usize) -> Option<Repeat> {
        if text.len() < LEAST {
            return None;
        }
        let known = self.known.get(place)?;
        let all = text.as_bytes();
        let all = all.get(..all.len().min(PREFIX)).unwrap_or_default();
        let shared = known.iter().rev().take(COMPARED).map(|&(of, other)| {
            // Nearly always all of it is the same, which is one comparison of memory.
            let same = if other.as_bytes().starts_with(all) {
                all.len()
            } else {
                common(text, other)
            };
            Repeat { of, same }
        });
        let best = shared.max_by_key(|repeat| repeat.same)?;
        (best.same >= LEAST.max(text.len().min(PREFIX) / 2)).then_some(best)
    }
}

/// Contents that were read once, as every level of detail reads them again.
#[derive(Debug, Default)]
pub(super) struct ReadContents {
    contents: NodeMap<Content, (NodeId, usize)>,
    bytes: usize,
}

impl ReadContents {
    /// Shortens a content; keeps what was read as long as that is not much.
    fn excerpt(&mut self, node: NodeId, place: usize, content: &Json, tokens: usize) -> Excerpt {
        if let Some(known) = self.contents.get(&(node, place)) {
            return known.excerpt(content, tokens);
        }
        let read = Content::read(content);
        let excerpt = read.excerpt(content, tokens);
        // What is whole will not be asked for again.
        if !excerpt.whole && self.bytes + content.as_str().len() <= KEPT {
            self.bytes += content.as_str().len();
            self.contents.insert((node, place), read);
        }
        excerpt
    }
}

/// Bytes at the beginning that are the same.
fn common(a: &str, b: &str) -> usize {
    let most = a.len().min(b.len()).min(PREFIX);
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let a = a.get(..most).unwrap_or_default();
    let b = b.get(..most).unwrap_or_default();
    // Block by block first: that is one comparison of memory each.
    let (blocks, others) = (a.as_chunks::<BLOCK>().0, b.as_chunks::<BLOCK>().0);
    let equal = |(a, b): &(&[u8; BLOCK], &[u8; BLOCK])| a == b;
    let same = blocks.iter().zip(others).take_while(equal).count() * BLOCK;
    let rest = a.iter().zip(b).skip(same);
    same + rest.take_while(|(a, b)| a == b).count()
}

fn repeated(text: &str, repeat: Repeat, tokens: usize) -> Excerpt {
    let of = repeat
        .of
        .map_or("trace".to_owned(), |node| SpanLabel::of(node).to_string());
    let from = escape_floor(text, repeat.same);
    let new = text.get(from..).unwrap_or_default();
    let begin = ["same as ", &of].concat();
    if new.len() <= CLOSING {
        return Excerpt {
            tokens: estimate(&begin),
            text: begin,
            whole: true,
        };
    }
    // A long text is not counted to the end.
    let counted = new.get(..new.floor_char_boundary(1 << 20)).unwrap_or(new);
    let count = estimate(&clean(counted));
    let begin = format!("{begin} + {count} new tokens: ");
    let part = of_text(new, tokens.saturating_sub(estimate(&begin)));
    let text = begin + &part.text;
    Excerpt {
        tokens: estimate(&text),
        text,
        whole: part.whole,
    }
}

/// The tokens of a line of a text with its line feed.
fn line_tokens(space: &str, name: &str, excerpt: &Excerpt) -> usize {
    let begin = usize::from(!space.is_empty()) + 1 + name.len().div_ceil(4) + 1;
    // A single space before a word takes none.
    let middle = match excerpt.text.as_bytes().first() {
        Some(b' ') => return begin + estimate(&format!(" {}\n", excerpt.text)),
        Some(byte) if byte.is_ascii_alphanumeric() => 0,
        _ => 1,
    };
    begin + middle + excerpt.tokens + 1
}

fn is_telling(content: &Json) -> bool {
    !matches!(content.as_str(), "null" | "{}" | "\"\"" | "[]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tokens_of_a_line_are_those_of_its_parts(
            level in 0_usize..12, name in "in|out|err", text in "[a-zA-Z0-9 .é…]{0,30}|[a-z0-9]{0,30}|\\PC{0,9}",
        ) {
            let space = indent(level);
            let excerpt = Excerpt { tokens: estimate(&text), text, whole: true };
            let line = format!("{space}| {name}: {}\n", excerpt.text);
            prop_assert_eq!(line_tokens(&space, &name, &excerpt), estimate(&line));
        }

        #[test]
        fn what_is_common_is_found_by_blocks_and_bytes(same in "[ab]{0,200}", a in "[ab]{0,9}", b in "[ab]{0,9}") {
            let (a, b) = (format!("{same}{a}"), format!("{same}{b}"));
            let simply = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(common(&a, &b), simply);
        }
    }
}
