//! Full-text search over names and content.
//!
//! The index is an FTS5 table in a file of its own beside the store, so that filling it never
//! holds up a writer. It knows which words a part or a trace has, not where (`detail=none`), and
//! the records themselves decide. A background thread fills it from what was committed; when it
//! is lost it is built again.
//!
//! A *word* is a run of letters and digits, in lower case, up to [`LONGEST`] bytes. Escapes of
//! JSON are resolved or separate words; keys of objects count as content.

mod index;

use opik_core::Json;
use rusqlite::{Connection, params};

use crate::error::StoreError;
use crate::facet::Entity;

pub(crate) use index::{Progress, TextIndex, open, open_to_read, progress};

/// Bytes of a word that count. Longer runs are keys, hashes and encoded files.
const LONGEST: usize = 64;

/// Calls `each` with every word of a text; `json` resolves escapes.
pub(crate) fn words(text: &str, json: bool, each: &mut dyn FnMut(&str)) {
    let mut word = String::with_capacity(LONGEST);
    let mut flush = |word: &mut String| {
        if !word.is_empty() {
            each(word);
            word.clear();
        }
    };
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        let mut letter = next;
        if json && next == '\\' {
            letter = match chars.next() {
                Some('u') => escaped(&mut chars),
                _ => ' ',
            };
        }
        if !letter.is_alphanumeric() {
            flush(&mut word);
        } else if letter.is_ascii() {
            if word.len() < LONGEST {
                word.push(letter.to_ascii_lowercase());
            }
        } else {
            for lower in letter
                .to_lowercase()
                .filter(|lower| lower.is_alphanumeric())
            {
                if word.len() + lower.len_utf8() <= LONGEST {
                    word.push(lower);
                }
            }
        }
    }
    flush(&mut word);
}

/// The character of `\uXXXX`; halves of pairs separate words.
fn escaped(chars: &mut std::str::Chars<'_>) -> char {
    let mut code = 0;
    for _ in 0..4 {
        let Some(digit) = chars.next().and_then(|digit| digit.to_digit(16)) else {
            return ' ';
        };
        code = code * 16 + digit;
    }
    char::from_u32(code).unwrap_or(' ')
}

/// The words of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let mut all = Vec::new();
        words(text, false, &mut |word| all.push(word.to_owned()));
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of them is in the name or in the content.
    pub(crate) fn all_in(&self, name: Option<&str>, content: [Option<&Json>; 3]) -> bool {
        let mut missing: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let mut strike = |word: &str| missing.retain(|wanted| *wanted != word);
        words(name.unwrap_or_default(), false, &mut strike);
        for json in content.into_iter().flatten() {
            words(json.as_str(), true, &mut strike);
        }
        missing.is_empty()
    }

    /// As FTS5 wants it: every word in quotes, all of them.
    fn expression(&self) -> String {
        let quoted: Vec<String> = self.0.iter().map(|word| format!("\"{word}\"")).collect();
        quoted.join(" ")
    }
}

/// Bits of a document's number that tell rows of one moment apart.
const KEY_BITS: u32 = 21;

/// The number of the document of a row: it sorts by the first 42 bits of the identifier, so that
/// the newest matches come first out of the index.
fn document(bound: i64, key: i64) -> i64 {
    let high = bound.cast_unsigned() ^ (1 << 63);
    let low = key.cast_unsigned() & ((1 << KEY_BITS) - 1);
    (((high >> 22) << KEY_BITS) | low).cast_signed()
}

/// Rows that have all words of a question, newest first.
#[derive(Debug)]
pub(crate) struct Matches {
    sql: &'static str,
    expression: String,
    /// Documents above this were read.
    below: i64,
    highest: i64,
    ready: Vec<(i64, i64)>,
    size: usize,
    done: bool,
}

const SPANS: &str = "SELECT span_text.rowid, key, hi FROM span_text
     JOIN span_doc ON span_doc.doc = span_text.rowid
     WHERE span_text MATCH ?1 AND span_text.rowid <= ?2 ORDER BY span_text.rowid DESC LIMIT ?3";
const TRACES: &str = "SELECT trace_text.rowid, key, hi FROM trace_text
     JOIN trace_doc ON trace_doc.doc = trace_text.rowid
     WHERE trace_text MATCH ?1 AND trace_text.rowid <= ?2 ORDER BY trace_text.rowid DESC LIMIT ?3";

impl Matches {
    pub(crate) fn new(entity: Entity, words: &Words, highest: i64) -> Self {
        Self {
            sql: match entity {
                Entity::Part => SPANS,
                Entity::Trace => TRACES,
            },
            expression: words.expression(),
            below: document(highest, -1),
            highest,
            ready: Vec::new(),
            size: 128,
            done: false,
        }
    }

    /// The next row's bound and key.
    pub(crate) fn next(&mut self, text: &Connection) -> Result<Option<(i64, i64)>, StoreError> {
        while self.ready.is_empty() && !self.done {
            self.fetch(text)?;
        }
        Ok(self.ready.pop())
    }

    /// Reads some documents. Those that share their high bits are in no order among themselves,
    /// so such a group is taken whole and sorted.
    fn fetch(&mut self, text: &Connection) -> Result<(), StoreError> {
        let mut statement = text.prepare_cached(self.sql)?;
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let mut rows: Vec<(i64, i64, i64)> = statement
            .query_map(params![self.expression, self.below, size], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<_, _>>()?;
        let group = |doc: i64| doc >> KEY_BITS;
        self.done = rows.len() < self.size;
        if let (Some(last), false) = (rows.last().map(|row| group(row.0)), self.done) {
            let whole = rows.partition_point(|row| group(row.0) > last);
            if whole == 0 {
                self.size = self.size.saturating_mul(4);
                return Ok(());
            }
            rows.truncate(whole);
            self.below = ((last + 1) << KEY_BITS) - 1;
            self.size = self.size.max(512);
        }
        self.ready = rows
            .into_iter()
            .map(|(_, key, hi)| (hi, key))
            .filter(|(hi, _)| *hi <= self.highest)
            .collect();
        self.ready.sort_unstable();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, json: bool) -> Vec<String> {
        let mut found = Vec::new();
        words(text, json, &mut |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_with_escapes_resolved() {
        assert_eq!(
            all("Tool_call: GPT-4o!", false),
            ["tool", "call", "gpt", "4o"]
        );
        assert_eq!(
            all(r#"{"a":"x\nnew\u00dcber \"q\""}"#, true),
            ["a", "x", "newüber", "q"]
        );
        assert_eq!(all(r"C:\new", false), ["c", "new"]);
        assert_eq!(all(&"x".repeat(500), false), ["x".repeat(LONGEST)]);
        assert_eq!(all(r"\u12", true), Vec::<String>::new());
    }

    #[test]
    fn all_words_have_to_be_there_in_any_place() {
        let words = Words::of("Weather  PARIS weather");
        let input = Json::string("the weather");
        assert!(words.all_in(Some("paris"), [Some(&input), None, None]));
        assert!(!words.all_in(None, [Some(&input), None, None]));
        assert!(!Words::of("weat").all_in(None, [Some(&input), None, None]));
    }

    #[test]
    fn documents_sort_like_identifiers() {
        let bounds = [i64::MIN, -1, 0, 1 << 40, i64::MAX];
        let documents: Vec<i64> = bounds.iter().map(|&bound| document(bound, 7)).collect();
        assert!(documents.is_sorted());
        assert!(documents.iter().all(|&document| document >= 0));
    }
}
