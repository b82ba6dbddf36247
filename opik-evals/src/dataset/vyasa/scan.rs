//! Vyasa's tone guard: one pattern `\b(a|b|...)\b` without regard to case, as Python matches it.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::Raised;
use crate::dataset::{Lexicon, Node, Severity};
use crate::heuristics::runs;

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
    /// A bit for each of those that is ASCII.
    ascii_starts: u128,
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
        let ascii_starts = (starts.keys().filter(|c| c.is_ascii()))
            .fold(0_u128, |bits, c| bits | 1 << u32::from(*c));
        Ok(Self {
            ascii_starts,
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
    if text.is_ascii() {
        scan_ascii(terms, text, &mut found);
    } else {
        scan_letters(terms, text, &mut found);
    }
    Ok(found)
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

/// A text of ASCII, from border to border.
fn scan_ascii(terms: &VyasaTerms, text: &str, found: &mut Vec<VyasaToneFlag>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut runs = runs::words(text);
    while let Some((start, end)) = runs.next_place() {
        for at in [start, end] {
            let begins = |byte: &u8| terms.ascii_starts >> byte.to_ascii_lowercase() & 1 == 1;
            if at < done || !bytes.get(at).is_some_and(begins) {
                continue;
            }
            let Some(end) = terms.end_at(bytes, at, |byte| char::from(*byte)) else {
                continue;
            };
            let word = text.get(at..end).unwrap_or_default().to_owned();
            found.push(terms.flag(word, at));
            done = end;
        }
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
        fn ascii_is_scanned_as_any_text(
            hard in prop::collection::vec("[a-cı_' .-]{1,4}", 1..6),
            text in "[a-cA-CiI_' .-]{0,90}",
        ) {
            let hard = hard.iter().map(|word| Node::from(word.as_str())).collect();
            let config = Node::Object(vec![("hard_ban".to_owned(), Node::List(hard))]);
            let terms = VyasaTerms::from_config(&config).unwrap();
            let (mut fast, mut plain) = (Vec::new(), Vec::new());
            scan_ascii(&terms, &text, &mut fast);
            scan_letters(&terms, &text, &mut plain);
            prop_assert_eq!(fast, plain);
        }
    }
}
