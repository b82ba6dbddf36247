//! Patterns that need no search that goes back, as automata for texts of ASCII.
//!
//! Their tables are made beforehand. The general engine makes them while it searches and needs a place
//! to keep them that threads do not share, which for a short text takes as long as the search. And it
//! knows all letters, so that its states are left by too many bytes to leap to the next one.

use std::fmt;

use fancy_regex::{Assertion, Expr};
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::runs;

/// Most bytes of the tables, and of what is in memory while they are made. Patterns that need more
/// are left to the general engine.
const MOST: usize = 1 << 18;

/// Tables of up to so many bytes are made as small as can be, which takes long for large ones.
const SMALL: usize = 1 << 14;

/// The most places from which a pattern is tried, each perhaps up to the end of the text.
const TRIES: usize = 8;

/// A pattern, and from where it is searched for.
#[derive(Clone)]
pub(super) enum Automaton {
    /// From where one of a few texts is with which it begins.
    Forwards(Prefilter, dense::DFA<Vec<u32>>),
    /// From the end of the text, where alone it matches.
    Backwards(dense::DFA<Vec<u32>>),
}

impl Automaton {
    /// The automaton of a pattern of `fancy_regex`; `None` where the general engine is the better way.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let tree = Expr::parse_tree(pattern).ok()?;
        if !is_regular(&tree.expr) || tree.expr.has_descendant(|part| !is_regular(part)) {
            return None;
        }
        let mut regular = String::with_capacity(pattern.len() * 2);
        tree.expr.to_str(&mut regular, 0);
        // Classes and cases of letters in ASCII are the same without those beyond it.
        if !regular.is_ascii() {
            return None;
        }
        let ascii = syntax::Config::new().unicode(false).utf8(false);
        let parsed = syntax::parse_with(&regular, &ascii).ok()?;
        let compile = |reverse| {
            let config = NFA::config()
                .utf8(false)
                .reverse(reverse)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(MOST));
            let compiled = NFA::compiler().configure(config).build_from_hir(&parsed);
            compiled.ok()
        };
        let forwards = compile(false)?;
        if forwards.is_always_start_anchored() {
            return None;
        }
        let begins = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, &parsed);
        if let Some(begins) = begins.filter(Prefilter::is_fast) {
            let config = dense::Config::new().start_kind(StartKind::Anchored);
            return build(config, &forwards).map(|table| Self::Forwards(begins, table));
        }
        let backwards = compile(true).filter(NFA::is_always_start_anchored)?;
        let mut config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::All);
        for byte in 0x80..=0xff {
            config = config.quit(byte, true);
        }
        build(config, &backwards).map(Self::Backwards)
    }

    /// Whether the pattern matches; `None` when it takes more than ASCII to tell, or may take long.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        let all = Input::new(text).anchored(Anchored::Yes).earliest(true);
        match self {
            Self::Forwards(begins, table) => {
                if !runs::is_ascii(text) {
                    return None;
                }
                let mut rest = all.get_span();
                for _ in 0..TRIES {
                    let Some(place) = begins.find(text.as_bytes(), rest) else {
                        return Some(false);
                    };
                    rest.start = place.start;
                    let here = all.clone().span(rest);
                    if table.try_search_fwd(&here).ok()?.is_some() {
                        return Some(true);
                    }
                    rest.start += 1;
                }
                None
            }
            Self::Backwards(table) => Some(table.try_search_rev(&all).ok()?.is_some()),
        }
    }
}

fn build(config: dense::Config, compiled: &NFA) -> Option<dense::DFA<Vec<u32>>> {
    let config = config
        .dfa_size_limit(Some(MOST))
        .determinize_size_limit(Some(MOST));
    let mut builder = dense::Builder::new();
    builder.configure(config);
    let table = builder.build_from_nfa(compiled).ok()?;
    if table.memory_usage() > SMALL {
        return Some(table);
    }
    // Word boundaries make two states where one will do, which then may be left by few bytes.
    let smallest = builder.configure(dense::Config::new().minimize(true));
    smallest.build_from_nfa(compiled).ok()
}

/// Whether a part of a pattern, by itself, is of those that an automaton knows.
fn is_regular(part: &Expr) -> bool {
    match part {
        Expr::Assertion(assertion) => matches!(
            assertion,
            Assertion::StartText
                | Assertion::EndText
                | Assertion::WordBoundary
                | Assertion::NotWordBoundary
        ),
        Expr::Empty
        | Expr::Any { .. }
        | Expr::Literal { .. }
        | Expr::Concat(_)
        | Expr::Alt(_)
        | Expr::Group(_)
        | Expr::Repeat { .. }
        | Expr::Delegate { .. } => true,
        _ => false,
    }
}

impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forwards(..) => "Forwards",
            Self::Backwards(_) => "Backwards",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(pattern: &str) -> String {
        format!("{:?}", Automaton::new(pattern))
    }

    #[test]
    fn patterns_are_searched_for_from_where_they_are_found_soonest() {
        for pattern in [r"\b(revenue|growth)\b.*\.\z", "abc", r"(?i)total: \d+\z"] {
            assert_eq!(way(pattern), "Some(Forwards)", "{pattern}");
        }
        for pattern in [r"\w{2,}\s?\z", r".*\d\z", r"(?:\w|\d\z)\z"] {
            assert_eq!(way(pattern), "Some(Backwards)", "{pattern}");
        }
        for pattern in [
            r"^abc.*\z",
            r"(abc)\1\z",
            r"(?=abc).\z",
            r"(?:abc)++\z",
            "é",
            r"\p{L}\z",
            r"(?m)\w$",
            r"\w+",
            r"(\w{20}\d?){40}\z",
        ] {
            assert_eq!(way(pattern), "None", "{pattern}");
        }
    }

    #[test]
    fn beyond_ascii_nothing_is_said() {
        let end = Automaton::new(r"\w.\z").unwrap();
        assert_eq!(end.is_match("ab"), Some(true));
        assert_eq!(end.is_match("é ab"), Some(true));
        assert_eq!(end.is_match("aé"), None);
        let beginning = Automaton::new("abc").unwrap();
        assert_eq!(beginning.is_match("xabc"), Some(true));
        assert_eq!(beginning.is_match("éabc"), None);
    }

    #[test]
    fn places_are_not_tried_without_end() {
        let sum = Automaton::new(r"abc.*\d\z").unwrap();
        assert_eq!(sum.is_match(&"abc ".repeat(TRIES - 1)), Some(false));
        assert_eq!(sum.is_match(&"abc ".repeat(TRIES)), None);
        assert_eq!(
            sum.is_match(&format!("{}1", "abc ".repeat(TRIES))),
            Some(true)
        );
    }
}
