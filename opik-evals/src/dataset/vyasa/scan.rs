//! Vyasa's tone guard: one pattern `\b(a|b|...)\b` without regard to case, as Python matches it.

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use regex::Regex;

use super::Raised;
use crate::dataset::{Lexicon, Node, Severity};

/// A word that Vyasa's tone guard found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VyasaToneFlag {
    /// The word as it is written.
    pub word: String,
    /// The weight that its lower-case form has; soft where that form is not in the lexicon.
    pub severity: Severity,
    /// Where it begins, in code points.
    pub location: usize,
    /// What to write instead.
    pub suggestion: Option<String>,
}

/// The terms of a lexicon as Vyasa's tone guard reads them: `hard_ban` and `soft_ban`, nothing else.
#[derive(Debug, Clone)]
pub struct VyasaTerms {
    /// In the order of the pattern, by their folded characters.
    terms: Vec<Vec<char>>,
    /// Which terms begin with a character, in order.
    starts: foldhash::HashMap<char, Vec<usize>>,
    /// Finds where in a folded text a term may begin; `None` where they are too many for it.
    machine: Option<AhoCorasick>,
    severities: HashMap<String, Severity>,
    suggestions: HashMap<String, Option<String>>,
    /// There are terms, and all of them are blank.
    blank: bool,
}

impl VyasaTerms {
    /// Reads the terms of a lexicon.
    ///
    /// # Errors
    ///
    /// [`Raised`] where Python raises, for example for `hard_ban: null`.
    pub fn new(lexicon: &Lexicon) -> Result<Self, Raised> {
        Self::from_config(lexicon.document())
    }

    /// Reads the terms of a configuration.
    ///
    /// # Errors
    ///
    /// [`Raised`] where Python raises.
    pub fn from_config(config: &Node) -> Result<Self, Raised> {
        if !config.is_null() && config.fields().is_none() {
            return Err(Raised::new("AttributeError", "the lexicon is no object"));
        }
        let mut order = Vec::new();
        let mut severities = HashMap::new();
        let mut any = false;
        for (name, severity) in [("hard_ban", Severity::Hard), ("soft_ban", Severity::Soft)] {
            for word in words(config.get(name))? {
                any = true;
                let word = strip(&word).to_lowercase();
                if severities.insert(word.clone(), severity).is_none() {
                    order.push(word);
                }
            }
        }
        let suggestions = match config.get("suggestions") {
            Some(Node::Object(fields)) => fields
                .iter()
                .map(|(word, suggestion)| (word.clone(), suggestion.text().map(str::to_owned)))
                .collect(),
            _ => HashMap::new(),
        };
        let terms: Vec<Vec<char>> = order
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| word.chars().map(lower).collect())
            .collect();
        let mut starts: foldhash::HashMap<char, Vec<usize>> = foldhash::HashMap::default();
        for (index, term) in terms.iter().enumerate() {
            if let Some(first) = term.first() {
                starts.entry(same(*first)).or_default().push(index);
            }
        }
        let folded = terms.iter().map(|term| term.iter().map(|c| same(*c)));
        let folded = folded.map(Iterator::collect::<String>);
        let machine = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(folded);
        Ok(Self {
            machine: machine.ok(),
            blank: any && terms.is_empty(),
            terms,
            starts,
            severities,
            suggestions,
        })
    }

    /// Whether nothing can ever be found, so that not even the type of a text matters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && !self.blank
    }
}

/// The words of a list as Python iterates over it: what is no text is left out.
fn words(list: Option<&Node>) -> Result<Vec<String>, Raised> {
    match list {
        None => Ok(Vec::new()),
        Some(Node::List(items)) => Ok(items
            .iter()
            .filter_map(|item| item.text().map(str::to_owned))
            .collect()),
        Some(Node::Text(text)) => Ok(text.chars().map(String::from).collect()),
        Some(Node::Object(fields)) => Ok(fields.iter().map(|(name, _)| name.clone()).collect()),
        Some(_) => Err(Raised::new("TypeError", "a list of words is no list")),
    }
}

/// What Vyasa's `scan_text` finds.
///
/// Offsets count code points. A term that ends in something else than a letter, a digit or `_`
/// needs one of these behind it; of two terms that begin alike the first of the list is found; `İ`
/// and `ı` match `i` but then weigh nothing. All that is as it is there.
///
/// # Errors
///
/// [`Raised`] where Python raises: an empty text with a lexicon of blank terms.
pub fn scan_text(terms: &VyasaTerms, text: &str) -> Result<Vec<VyasaToneFlag>, Raised> {
    if terms.blank && (text.is_empty() || text == "\n") {
        return Err(Raised::new(
            "IndexError",
            "the lexicon has blank terms only",
        ));
    }
    let mut found = Vec::new();
    if terms.terms.is_empty() {
        return Ok(found);
    }
    let is_ascii = text.is_ascii();
    match &terms.machine {
        Some(machine) if is_ascii => scan_ascii(terms, machine, text, &mut found),
        // Most texts have no term at all.
        Some(machine) if !machine.is_match(&folded(text)) => {}
        _ => scan_letters(terms, text, &mut found),
    }
    Ok(found)
}

/// The text with each letter as it is compared.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !c.is_ascii()) {
        let last = part.chars().next_back().filter(|c| !c.is_ascii());
        let plain = part.len() - last.map_or(0, char::len_utf8);
        out.push_str(part.get(..plain).unwrap_or_default());
        out.extend(last.map(|c| same(lower(c))));
    }
    out.make_ascii_lowercase();
    out
}

/// Any text, letter by letter.
fn scan_letters(terms: &VyasaTerms, text: &str, found: &mut Vec<VyasaToneFlag>) {
    let text: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < text.len() {
        // Borders are fewer than letters that a term begins with, and quicker to see.
        let end = Some(at)
            .filter(|at| is_border(&text, *at))
            .and_then(|at| terms.end_at(&text, at, |c| *c));
        let Some(end) = end else {
            at += 1;
            continue;
        };
        let word = text.get(at..end).unwrap_or_default().iter().collect();
        found.push(terms.flag(word, at));
        at = end;
    }
}

/// A text of ASCII, from one place at which a term may begin to the next.
fn scan_ascii(
    terms: &VyasaTerms,
    machine: &AhoCorasick,
    text: &str,
    found: &mut Vec<VyasaToneFlag>,
) {
    let bytes = text.as_bytes();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(place) = machine.find(Input::new(&lower).range(from..)) {
        let at = place.start();
        let word = |at: usize| bytes.get(at).is_some_and(|byte| is_word(char::from(*byte)));
        let is_border = at.checked_sub(1).is_some_and(word) != word(at);
        let end = is_border
            .then(|| terms.end_at(bytes, at, |byte| char::from(*byte)))
            .flatten();
        if let Some(end) = end {
            let word = text.get(at..end).unwrap_or_default().to_owned();
            found.push(terms.flag(word, at));
        }
        from = end.unwrap_or(at + 1);
    }
}

impl VyasaTerms {
    /// Where the first term of the list ends that begins at a place of a text.
    fn end_at<T>(&self, text: &[T], at: usize, letter: impl Fn(&T) -> char) -> Option<usize> {
        let starts = self.starts.get(&same(lower(letter(text.get(at)?))))?;
        starts.iter().find_map(|index| {
            let term = self.terms.get(*index)?;
            let end = at + term.len();
            let mut part = text.get(at..end)?.iter().zip(term);
            let equal = part.all(|(a, b)| same(lower(letter(a))) == same(*b));
            let word = |at: usize| text.get(at).is_some_and(|c| is_word(letter(c)));
            // A border, as `is_border` has it.
            (equal && word(end - 1) != word(end)).then_some(end)
        })
    }

    fn flag(&self, word: String, location: usize) -> VyasaToneFlag {
        let key = word.to_lowercase();
        let severity = self.severities.get(&key).copied();
        VyasaToneFlag {
            severity: severity.unwrap_or(Severity::Soft),
            suggestion: self.suggestions.get(&key).cloned().flatten(),
            location,
            word,
        }
    }
}

/// Python's `\b`: exactly one side is a word character.
fn is_border(text: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let word = |c: Option<&char>| c.is_some_and(|c| is_word(*c));
    word(before) != word(text.get(at))
}

/// Python's `\w`: letters and numbers, no combining marks, and `_`.
fn is_word(c: char) -> bool {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}]").ok());
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    // Letters and numbers are alphanumeric, which is quick to see, but not the other way round.
    c.is_alphanumeric()
        && WORD
            .as_ref()
            .is_some_and(|word| word.is_match(c.encode_utf8(&mut [0; 4])))
}

/// The lower-case form of one character, one character long.
fn lower(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    c.to_lowercase().next().unwrap_or(c)
}

/// One of each group of lower-case characters that Python takes for the same without regard to case.
fn same(c: char) -> char {
    match c {
        'ı' => 'i',
        'ſ' => 's',
        'μ' => 'µ',
        '\u{345}' | '\u{1fbe}' => 'ι',
        '\u{1fd3}' => '\u{390}',
        '\u{1fe3}' => '\u{3b0}',
        'ϐ' => 'β',
        'ϵ' => 'ε',
        'ϑ' => 'θ',
        'ϰ' => 'κ',
        'ϖ' => 'π',
        'ϱ' => 'ρ',
        'ς' => 'σ',
        'ϕ' => 'φ',
        'ẛ' => 'ṡ',
        'ﬅ' => 'ﬆ',
        'ᲀ' => 'в',
        'ᲁ' => 'д',
        'ᲂ' => 'о',
        'ᲃ' => 'с',
        'ᲄ' | 'ᲅ' => 'т',
        'ᲆ' => 'ъ',
        'ᲇ' => 'ѣ',
        'ᲈ' => 'ꙋ',
        other => other,
    }
}

/// Python's `str.strip`.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the way of any text, with terms that begin and end with anything.
        #[test]
        fn a_text_is_scanned_as_letter_by_letter(
            hard in prop::collection::vec("[a-cıςſk_' .-]{1,4}", 1..6),
            text in "[a-cA-CiI_' .-]{0,90}[ςΣſSkKİ ]{0,3}[a-c]{0,3}",
        ) {
            let hard = hard.iter().map(|word| Node::from(word.as_str())).collect();
            let config = Node::Object(vec![("hard_ban".to_owned(), Node::List(hard))]);
            let terms = VyasaTerms::from_config(&config).unwrap();
            // A term of nothing but spaces is an error for every text.
            prop_assume!(!terms.blank);
            let fast = scan_text(&terms, &text);
            let mut plain = Vec::new();
            scan_letters(&terms, &text, &mut plain);
            prop_assert_eq!(fast, Ok(plain));
        }
    }
}
