//! Whether what a model says about a trace can be found in what it was given.
//!
//! [`Known`] collects everything that the model was told: the evidence, the answers of its tools,
//! questions, computed answers. What it said itself does not count. [`Known::check`] takes an answer apart and looks up
//!
//! - every **span id**, whole (`01a1f87d-...`), short (`01a1f87d…3c`) or a part of eight digits or
//!   more, or by its label (`s12`): it has to be a span of the trace, or to stand in what the model was
//!   told;
//! - every **finding** (`F3`): the evidence has to have it;
//! - every **number** with its unit: some number that the model was told, in any unit of the same
//!   kind, has to round to it: `1.2 s` is found in `1234 ms`, `1.2k tokens` in `1,234`, `45 %` in
//!   `0.45`. Numbers of dates and times are looked up as they are written.
//!
//! # Where it can be wrong
//!
//! Whole numbers up to 10 without a unit, numbers in names (`gpt-4.1`) and the numbers of lists are
//! not looked at. A number that the model computed itself (a sum, a ratio) is not found although it
//! may be right; a number that is found may be said of the wrong thing. So a mark is a reason to
//! look, and no mark is no proof.

mod number;
#[cfg(test)]
mod tests;
mod told;
mod words;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use opik_core::{SpanId, TraceTree};
use serde::Serialize;

use crate::answer::by_id;
use crate::context::SpanLabel;
use crate::finding::{self, Finding, FindingId};
use number::Quantity;
use told::Told;
use words::{Word, words};

/// Marks that are written out in a note.
const NOTED: usize = 8;
/// Most texts of marks that are kept.
const KEPT: usize = 100;
/// Longest text that is collected or checked, in bytes.
const LONGEST: usize = 4 << 20;

/// What kind of thing was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Checked {
    /// A number.
    Number,
    /// The id of a span.
    Span,
    /// The number of a finding.
    Finding,
}

/// Something in an answer that is nowhere in what the model was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unverified {
    /// What kind of thing it is.
    pub kind: Checked,
    /// How the answer writes it.
    pub text: String,
    /// Where it begins in the answer, in bytes.
    pub at: usize,
}

/// What became of the numbers and ids of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// How many were looked up.
    pub checked: usize,
    /// Those that were not found, in order; at most 100 of them.
    pub unverified: Vec<Unverified>,
    /// The spans that the answer names, each once, in its order.
    pub spans: Vec<SpanId>,
    /// The findings that the answer names, each once, in its order.
    pub findings: Vec<FindingId>,
}

impl Check {
    /// Whether everything was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unverified.is_empty()
    }

    /// A sentence for people about what was not found; `None` when everything was.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let mut texts: Vec<&str> = Vec::new();
        for found in &self.unverified {
            if !texts.contains(&found.text.as_str()) {
                texts.push(&found.text);
            }
        }
        let (shown, more) = texts.split_at_checked(NOTED).unwrap_or((&texts, &[]));
        let mut list = shown.join(", ");
        if !more.is_empty() {
            list.push_str(&format!(" and {} more", more.len()));
        }
        (!texts.is_empty()).then(|| format!("Not found in the evidence: {list}."))
    }

    fn miss(&mut self, kind: Checked, word: &Word<'_>) {
        if self.unverified.len() < KEPT {
            self.unverified.push(Unverified {
                kind,
                text: crate::quote::clean(word.text, 48),
                at: word.at,
            });
        }
    }
}

/// What a model was told.
///
/// Texts are taken apart when the first answer has something to look up in them: many have none.
///
/// ```
/// use opik_assist::check::Known;
///
/// let mut known = Known::new();
/// known.text("llm plan took 1,234 ms, 45 % of the trace");
/// assert!(known.check("It took 1.2 seconds (45%).").is_clean());
/// let check = known.check("It took 7 s.");
/// assert_eq!(check.note().as_deref(), Some("Not found in the evidence: 7 s."));
/// ```
#[derive(Clone, Default)]
pub struct Known {
    trees: Vec<Arc<TraceTree>>,
    findings: HashSet<FindingId>,
    /// What was told before an answer asked for it.
    texts: Vec<String>,
    numbers: Vec<finding::Quantity>,
    /// All of it, taken apart.
    told: OnceLock<Told>,
}

impl fmt::Debug for Known {
    /// Sizes, not the texts: they quote what was recorded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("trees", &self.trees.len())
            .field("findings", &self.findings.len())
            .finish_non_exhaustive()
    }
}

impl Known {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the spans of a trace.
    pub fn trace(&mut self, tree: Arc<TraceTree>) {
        self.trees.push(tree);
    }

    /// Adds findings, with their numbers and claims.
    pub fn findings(&mut self, findings: &[Finding]) {
        let claims = findings.iter().map(|finding| finding.claim.as_str());
        let numbers = findings.iter().flat_map(|finding| &finding.numbers);
        self.findings
            .extend(findings.iter().map(|finding| finding.id));
        match self.told.get_mut() {
            Some(told) => told.add(claims, numbers),
            None => {
                self.texts
                    .extend(claims.map(|claim| head(claim).to_owned()));
                self.numbers.extend(numbers.cloned());
            }
        }
    }

    /// Adds a finding whose text is added elsewhere.
    pub(crate) fn finding(&mut self, id: FindingId) {
        self.findings.insert(id);
    }

    /// The finding with the highest number; `F0` without any.
    pub(crate) fn last_finding(&self) -> FindingId {
        let last = self.findings.iter().max();
        last.copied().unwrap_or(FindingId(0))
    }

    /// Adds a text: evidence, the answer of a tool, a message.
    pub fn text(&mut self, text: &str) {
        match self.told.get_mut() {
            Some(told) => told.add([text], []),
            None => self.texts.push(head(text).to_owned()),
        }
    }

    /// What was told, taken apart now if it was not before.
    fn told(&self) -> &Told {
        self.told.get_or_init(|| {
            let mut told = Told::default();
            told.add(self.texts.iter().map(String::as_str), &self.numbers);
            told
        })
    }

    /// Looks up every number and id of an answer.
    #[must_use]
    pub fn check(&self, answer: &str) -> Check {
        let answer = head(answer);
        let mut check = Check::default();
        let all: Vec<Word<'_>> = words(answer).collect();
        let mut place = 0;
        while let Some(word) = all.get(place) {
            place += 1;
            if !word.has_digit() || word.is_list_number(answer) {
                continue;
            }
            if let Some(finding) = finding_id(word.text) {
                check.checked += 1;
                if !self.findings.contains(&finding) {
                    check.miss(Checked::Finding, word);
                } else if !check.findings.contains(&finding) {
                    check.findings.push(finding);
                }
                continue;
            }
            if let Some(spans) = self.span_ids(word.text) {
                check.checked += 1;
                match spans.first() {
                    Some(span) if !check.spans.contains(span) => check.spans.push(*span),
                    Some(_) => {}
                    None if self.told().has_word(word.text) => {}
                    None => check.miss(Checked::Span, word),
                }
                continue;
            }
            let after = all.get(place..).unwrap_or_default();
            let Some((quantities, used)) = Quantity::read(word, after) else {
                continue;
            };
            if quantities.iter().all(Quantity::is_common) {
                continue;
            }
            check.checked += 1;
            place += used;
            let told = self.told();
            if !told.has_word(word.text) && !quantities.iter().any(|it| told.has(it)) {
                let unit = used.checked_sub(1).and_then(|last| after.get(last));
                let end = unit.map_or(word.at + word.text.len(), |unit| unit.at + unit.text.len());
                let text = answer.get(word.at..end).unwrap_or(word.text);
                check.miss(Checked::Number, &Word { at: word.at, text });
            }
        }
        check
    }

    /// The span that a word names, at most one; `None` when the word is no id.
    fn span_ids(&self, word: &str) -> Option<Vec<SpanId>> {
        let word = word.strip_prefix("span:").unwrap_or(word);
        if is_label(word) {
            let tree = self.trees.first();
            let found = tree.and_then(|tree| Some(tree.span(SpanLabel::find(word, tree)?).id));
            return Some(found.into_iter().collect());
        }
        if let Ok(id) = word.parse::<SpanId>() {
            let is_there = self.trees.iter().any(|tree| tree.find(id).is_some());
            return Some(is_there.then_some(id).into_iter().collect());
        }
        let is_short = word.contains('…') || word.contains("...");
        let is_hex = word
            .chars()
            .all(|letter| letter.is_ascii_hexdigit() || letter == '-');
        let has_letter = word.chars().any(|letter| letter.is_ascii_alphabetic());
        if is_short {
            let parts = word.split(['…', '.']).filter(|part| !part.is_empty());
            let mut parts =
                parts.map(|part| part.chars().all(|it| it.is_ascii_hexdigit() || it == '-'));
            if !parts.all(|is_hex| is_hex) || !has_letter && word.len() < 8 {
                return None;
            }
            let found = self
                .trees
                .iter()
                .flat_map(|tree| by_id(word, tree).into_iter().map(|node| tree.span(node).id));
            return Some(found.take(1).collect());
        }
        if !is_hex || !has_letter || word.len() < 8 {
            return None;
        }
        let part = word.to_ascii_lowercase();
        let fits = |id: SpanId| {
            let whole = id.to_string();
            whole.starts_with(&part) || whole.ends_with(&part) || {
                let digits = whole.replace('-', "");
                digits.starts_with(&part) || digits.ends_with(&part)
            }
        };
        let mut found = Vec::new();
        for tree in &self.trees {
            found.extend(
                tree.nodes()
                    .map(|node| tree.span(node).id)
                    .find(|&id| fits(id)),
            );
        }
        found.truncate(1);
        Some(found)
    }
}

/// As much of a text as is looked at.
fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
}

/// Whether a word has the form of a label: `s12`.
fn is_label(word: &str) -> bool {
    let digits = word.strip_prefix('s').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The finding that a word names.
fn finding_id(word: &str) -> Option<FindingId> {
    let digits = word.strip_prefix('F')?;
    let is_number = !digits.is_empty() && digits.chars().all(|letter| letter.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(FindingId))?
}
