//! How an answer names spans.
//!
//! The model names them by the labels of its context: `[s12]`, `[s3, F2]`. Whoever reads the answer
//! elsewhere does not know the labels, so they can be written anew while the answer streams. Only
//! labels in square brackets are taken for one: `s3` may be a word.

use std::sync::Arc;

use opik_core::TraceTree;

use crate::context::SpanLabel;
use crate::label::Labels;

/// Longest bracket that is held back until it is whole, in bytes.
const LONGEST: usize = 160;

/// How spans are named in answers of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SpanStyle {
    /// By the labels of the context, `[s12]`: the place of the span in pre-order, from 1. See
    /// [`SpanLabel`].
    #[default]
    Labels,
    /// `{span:01a1f87d-...}`, with the whole id.
    Links,
    /// `llm plan (01a1f87d…3c)`, with type, name and short id, as computed answers do: for readers who
    /// have neither labels nor links.
    Named,
}

/// Writes the names of spans anew in a text that arrives in pieces.
#[derive(Debug)]
pub(super) struct Citer {
    style: SpanStyle,
    tree: Arc<TraceTree>,
    /// An open bracket with what follows.
    held: String,
}

impl Citer {
    pub(super) fn new(style: SpanStyle, tree: Arc<TraceTree>) -> Self {
        Self {
            style,
            tree,
            held: String::new(),
        }
    }

    /// The same before any piece.
    pub(super) fn fresh(&self) -> Self {
        Self::new(self.style, Arc::clone(&self.tree))
    }

    /// A whole text.
    pub(super) fn whole(&self, text: &str) -> String {
        let mut fresh = self.fresh();
        let mut done = fresh.push(text);
        done.push_str(&fresh.finish());
        done
    }

    /// The next piece, as far as it is clear what it is.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.style == SpanStyle::Labels {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for letter in text.chars() {
            if self.held.is_empty() {
                if letter == '[' {
                    self.held.push(letter);
                } else {
                    out.push(letter);
                }
                continue;
            }
            match letter {
                ']' => {
                    let held = std::mem::take(&mut self.held);
                    let inner = held.strip_prefix('[').unwrap_or_default();
                    match self.named(inner) {
                        Some(links) => out.push_str(&links),
                        None => {
                            out.push_str(&held);
                            out.push(letter);
                        }
                    }
                }
                's' | 'F' | ',' | ' ' | '0'..='9' if self.held.len() < LONGEST => {
                    self.held.push(letter);
                }
                _ => {
                    out.push_str(&std::mem::take(&mut self.held));
                    if letter == '[' {
                        self.held.push(letter);
                    } else {
                        out.push(letter);
                    }
                }
            }
        }
        out
    }

    /// What is left when nothing follows.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// What a bracket names, as links; `None` when it names no span, or one that is not there.
    fn named(&self, inner: &str) -> Option<String> {
        let mut links = Vec::new();
        let mut has_span = false;
        for name in inner.split([',', ' ']).filter(|name| !name.is_empty()) {
            if name.starts_with('F') {
                links.push(format!("[{name}]"));
            } else {
                let node = SpanLabel::find(name, &self.tree)?;
                has_span = true;
                links.push(match self.style {
                    SpanStyle::Named => Labels::new(&self.tree).span(node),
                    _ => format!("{{span:{}}}", self.tree.span(node).id),
                });
            }
        }
        let between = if self.style == SpanStyle::Named {
            ", "
        } else {
            " "
        };
        has_span.then(|| links.join(between))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Span, SpanId, Timestamp, TraceId};
    use proptest::prelude::*;

    fn citer(style: SpanStyle) -> Citer {
        let trace = TraceId::from_bytes([1; 16]);
        let span = |byte: u8| {
            Span::new(
                SpanId::from_bytes([byte; 16]),
                trace,
                Timestamp::EPOCH.plus_micros(byte.into()),
            )
        };
        let tree = TraceTree::from_spans(trace, vec![span(1), span(2)]);
        Citer::new(style, Arc::new(tree))
    }

    #[test]
    fn labels_in_brackets_become_links() {
        let links = citer(SpanStyle::Links);
        let first = "{span:01010101-0101-0101-0101-010101010101}";
        let second = "{span:02020202-0202-0202-0202-020202020202}";
        for (text, wanted) in [
            ("slow [s1].", format!("slow {first}.")),
            ("[s1, s2, F3]", format!("{first} {second} [F3]")),
            ("[s3] s1 [F1] [x] [s1", "[s3] s1 [F1] [x] [s1".to_owned()),
            ("[[s2]](s3)", format!("[{second}](s3)")),
            ("a[s1][s2]", format!("a{first}{second}")),
        ] {
            assert_eq!(links.whole(text), wanted);
        }
        assert_eq!(citer(SpanStyle::Labels).whole("[s1]"), "[s1]");
        assert_eq!(
            citer(SpanStyle::Named).whole("Slow: [s1, s2, F3]."),
            "Slow: step without a name (01010101…01), step without a name (02020202…02), [F3]."
        );
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(text in "(\\[|\\]|s1|s2|F1|, | |x|ä){0,40}", cut in 0_usize..40) {
            let mut citer = citer(SpanStyle::Links);
            let (head, tail) = text.split_at(text.floor_char_boundary(cut));
            let pieces = citer.push(head) + &citer.push(tail) + &citer.finish();
            prop_assert_eq!(pieces, citer.whole(&text));
        }
    }
}
