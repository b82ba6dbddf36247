//! Finding the words of a lexicon in a text.
//!
//! A word is found whatever its case, also where the text is decomposed (`e` and a combining
//! accent), at the borders of words only. Where several terms begin at one place, the longest is
//! found. Offsets count code points of the text as it was given.

mod fold;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::DatasetError;
use super::lexicon::{Lexicon, Severity, Term};
use super::node::{Record, View};
use fold::Folded;

/// A word of the lexicon in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToneFlag {
    /// The word as it is written in the text.
    pub word: String,
    /// How much it weighs.
    pub severity: Severity,
    /// Where it begins, in code points.
    pub start: usize,
    /// Where it ends, in code points.
    pub end: usize,
    /// What to write instead.
    pub suggestion: Option<String>,
    /// What kind of word it is.
    pub category: Option<String>,
}

impl ToneFlag {
    /// The fields of the flag as a JSON object.
    pub(super) fn write<'a>(&self, record: Record<'a>) -> Record<'a> {
        record
            .text("word", &self.word)
            .text("severity", self.severity.as_str())
            .number("start", self.start)
            .number("end", self.end)
            .value("suggestion", self.suggestion.as_deref().map(View::Text))
            .value("category", self.category.as_deref().map(View::Text))
    }
}

/// Finds the words of a lexicon.
///
/// ```
/// use opik_evals::dataset::{Lexicon, ToneScanner};
///
/// let lexicon = Lexicon::parse("mine", "hard_ban: [state of the art, state]")?;
/// let scanner = ToneScanner::new(&lexicon)?;
/// let flags = scanner.scan("It is State of the Art.");
/// assert_eq!((flags.len(), flags[0].start, flags[0].end), (1, 6, 22));
/// assert!(scanner.is_sensational("the state"));
/// assert!(!scanner.is_sensational("the statement"));
/// # Ok::<(), opik_evals::dataset::DatasetError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ToneScanner {
    terms: Vec<Term>,
    folded: Vec<String>,
    /// Finds whether and where the first term is, which is quicker than all of them.
    first: AhoCorasick,
    machine: AhoCorasick,
}

impl ToneScanner {
    /// Prepares the words of a lexicon.
    ///
    /// # Errors
    ///
    /// When the lexicon is too large to search for.
    pub fn new(lexicon: &Lexicon) -> Result<Self, DatasetError> {
        let terms: Vec<_> = lexicon.terms().to_vec();
        let folded: Vec<_> = terms
            .iter()
            .map(|term| Folded::new(&term.word).text)
            .collect();
        let machine = |kind| {
            let machine = AhoCorasick::builder().match_kind(kind).build(&folded);
            machine.map_err(|_| DatasetError::Lexicon {
                file: lexicon.name().to_owned(),
                reason: "it is too large".to_owned(),
            })
        };
        Ok(Self {
            first: machine(MatchKind::LeftmostFirst)?,
            machine: machine(MatchKind::Standard)?,
            terms,
            folded,
        })
    }

    /// The words that are in a text, in order and without overlap.
    #[must_use]
    pub fn scan(&self, text: &str) -> Vec<ToneFlag> {
        let folded = Folded::new(text);
        self.matches(&folded)
            .into_iter()
            .filter_map(|found| {
                let term = self.terms.get(found.term)?;
                let (start, from) = folded.origin(found.start)?;
                let (end, to) = folded.origin(found.end)?;
                Some(ToneFlag {
                    word: text.get(from..to)?.to_owned(),
                    severity: term.severity,
                    start,
                    end,
                    suggestion: term.suggestion.clone(),
                    category: term.category.clone(),
                })
            })
            .collect()
    }

    /// Whether a word that weighs heavily is in a text.
    #[must_use]
    pub fn is_sensational(&self, text: &str) -> bool {
        self.matches(&Folded::new(text))
            .iter()
            .filter_map(|found| self.terms.get(found.term))
            .any(|term| term.severity == Severity::Hard)
    }

    /// The text with the words for which the lexicon has something to write instead replaced. What
    /// stands in square brackets stays as it is: citations are not prose.
    ///
    /// ```
    /// use opik_evals::dataset::{Lexicon, ToneScanner};
    ///
    /// let lexicon = Lexicon::parse("mine", "terms: [{word: huge, replacement: large}]")?;
    /// let scanner = ToneScanner::new(&lexicon)?;
    /// assert_eq!(scanner.neutralise("A huge gain [Huge 2020]."), "A large gain [Huge 2020].");
    /// # Ok::<(), opik_evals::dataset::DatasetError>(())
    /// ```
    #[must_use]
    pub fn neutralise(&self, text: &str) -> String {
        let folded = Folded::new(text);
        let mut out = String::with_capacity(text.len());
        let (mut done, mut open) = (0, 0_usize);
        for found in self.matches(&folded) {
            let place = folded.origin(found.start).zip(folded.origin(found.end));
            let Some(((_, from), (_, to))) = place else {
                continue;
            };
            let between = text.get(done..from).unwrap_or_default();
            for c in between.chars() {
                match c {
                    '[' => open += 1,
                    ']' => open = open.saturating_sub(1),
                    _ => {}
                }
            }
            out.push_str(between);
            let suggestion = self
                .terms
                .get(found.term)
                .and_then(|term| term.suggestion.as_deref());
            let cited = open > 0 && text.get(to..).is_some_and(|rest| rest.contains(']'));
            match suggestion {
                Some(suggestion) if !cited => out.push_str(suggestion),
                _ => out.push_str(text.get(from..to).unwrap_or_default()),
            }
            done = to;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }

    /// The leftmost of all matches at borders of words, of those the longest, without overlap.
    fn matches(&self, folded: &Folded) -> Vec<Match> {
        // Most texts have none.
        let Some(first) = self.first.find(&folded.text) else {
            return Vec::new();
        };
        let mut all: Vec<_> = self
            .machine
            .find_overlapping_iter(Input::new(&folded.text).range(first.start()..))
            .map(|found| Match {
                term: found.pattern().as_usize(),
                start: found.start(),
                end: found.end(),
            })
            .filter(|found| self.is_whole(&folded.text, *found))
            .collect();
        all.sort_unstable_by_key(|found| (found.start, usize::MAX - found.end));
        let mut end = 0;
        all.retain(|found| {
            let keep = found.start >= end && found.end > found.start;
            if keep {
                end = found.end;
            }
            keep
        });
        all
    }

    /// Whether no word goes on at an end of the match at which the term has a letter or digit.
    fn is_whole(&self, text: &str, found: Match) -> bool {
        let Some(term) = self.folded.get(found.term) else {
            return false;
        };
        let before = text
            .get(..found.start)
            .and_then(|text| text.chars().next_back());
        let after = text.get(found.end..).and_then(|text| text.chars().next());
        let glued = |inside: Option<char>, outside: Option<char>| {
            inside.is_some_and(is_word) && outside.is_some_and(is_word)
        };
        !glued(term.chars().next(), before) && !glued(term.chars().next_back(), after)
    }
}

#[derive(Debug, Clone, Copy)]
struct Match {
    term: usize,
    start: usize,
    end: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || unicode_normalization::char::is_combining_mark(c)
}
