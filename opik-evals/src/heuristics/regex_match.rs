//! A pattern in a text.

use fancy_regex::{Regex, RegexBuilder};

use super::automaton::Automaton;
use crate::{Case, Metric, MetricError, MetricErrorKind, Score};

const NAME: &str = "regex_match_metric";

/// 1 when a pattern of Python's `re` is found in the output, else 0.
///
/// Groups, look-around and back references work. `$` matches before a final line break and `\Z` at
/// the very end, as in Python. Unlike there, `\w` takes combining marks, `\s` does not take the
/// ASCII separators U+001C to U+001F, and a search that backtracks too often is an error of kind
/// [`TooLarge`](MetricErrorKind::TooLarge) instead of an endless one.
///
/// ```
/// use opik_evals::heuristics::RegexMatch;
/// use opik_evals::{Case, Metric};
///
/// let dated = RegexMatch::new(r"\b\d{4}-\d{2}-\d{2}$")?;
/// assert_eq!(dated.score(&Case::new("due 2031-01-31\n"))?.value(), 1.0);
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RegexMatch {
    regex: Regex,
    /// The same for a text that ends with a line break, before which `$` matches too. To look ahead
    /// for that takes the slower of the engine's two ways.
    broken: Option<Regex>,
    /// What `regex` finds in texts of ASCII, where it need not go back.
    automaton: Option<Automaton>,
}

impl RegexMatch {
    /// A metric of that pattern.
    ///
    /// # Errors
    ///
    /// [`Parameter`](MetricErrorKind::Parameter) when it is not a pattern.
    pub fn new(pattern: &str) -> Result<Self, MetricError> {
        let compile = |ends: &str| {
            RegexBuilder::new(&translate(pattern, ends))
                .seek(true)
                .build()
                .map_err(|error| {
                    MetricError::parameter("the pattern is not a regular expression")
                        .with_source(error)
                })
        };
        let broken = compile(r"(?=\n?\z)")?;
        if !(pattern.contains('$')) {
            return Ok(Self {
                automaton: Automaton::new(broken.as_str()),
                regex: broken,
                broken: None,
            });
        }
        let regex = compile(r"\z")?;
        Ok(Self {
            automaton: Automaton::new(regex.as_str()),
            regex,
            broken: Some(broken),
        })
    }
}

impl Metric for RegexMatch {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        let found = match &self.broken {
            Some(regex) if output.ends_with('\n') => search(regex, output)?,
            _ => {
                let automaton = self.automaton.as_ref();
                match automaton.and_then(|automaton| automaton.is_match(output)) {
                    Some(found) => found,
                    None => search(&self.regex, output)?,
                }
            }
        };
        Ok(Score::fixed(NAME, f64::from(u8::from(found))))
    }
}

/// Whether the general engine finds a pattern.
fn search(regex: &Regex, output: &str) -> Result<bool, MetricError> {
    regex.is_match(output).map_err(|error| {
        MetricError::new(
            MetricErrorKind::TooLarge,
            "the pattern backtracks too often in this output",
        )
        .with_source(error)
    })
}

/// Python's notation in that of the engine: `$`, which becomes `end`, `\Z`, and `{,n}` for at most n.
fn translate(pattern: &str, end: &str) -> String {
    let multi_line = has_flag(pattern, 'm');
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut in_class = false;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('Z') if !in_class => out.push_str(r"\z"),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push(c);
                // A bracket that comes first stands for itself.
                if let Some(caret) = rest.next_if_eq(&'^') {
                    out.push(caret);
                }
                if rest.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            // Classes do not nest in Python.
            '[' => out.push_str(r"\["),
            ']' => {
                in_class = false;
                out.push(c);
            }
            '$' if !in_class && !multi_line => out.push_str(end),
            '{' if !in_class && rest.peek() == Some(&',') => out.push_str("{0"),
            other => out.push(other),
        }
    }
    out
}

/// Whether a group such as `(?im)` or `(?m:` sets a flag.
fn has_flag(pattern: &str, flag: char) -> bool {
    pattern.split("(?").skip(1).any(|group| {
        group
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .take_while(|c| *c != 'P')
            .any(|c| c == flag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(pattern: &str, text: &str) -> bool {
        let metric = RegexMatch::new(pattern).unwrap();
        metric.score(&Case::new(text)).unwrap().value() == 1.0
    }

    #[test]
    fn ends_are_those_of_python() {
        assert!(found("a$", "a\n") && !found("a$", "a\n\n") && !found("a$", "a\nb"));
        assert!(found(r"a\Z", "a") && !found(r"a\Z", "a\n"));
        assert!(found("(?m)a$", "a\nb"));
        assert!(found(r"\$5", "$5") && found("[$]5", "$5"));
    }

    #[test]
    fn classes_are_those_of_python() {
        assert!(found("[]a]b", "]b") && found("[^]]b", "ab") && !found("^[^]]b", "]b"));
        assert!(found("[[]x", "[x"));
    }

    #[test]
    fn a_search_without_end_is_an_error() {
        let text = "a".repeat(60) + "x";
        let metric = RegexMatch::new(r"(?:(a|aa)+)+\1(?!x)x").unwrap();
        let error = metric.score(&Case::new(text)).unwrap_err();
        assert_eq!(error.kind(), MetricErrorKind::TooLarge);
    }

    #[test]
    fn where_nothing_can_match_there_is_no_search() {
        assert!(!found(r"(?:(a|aa)+)+\1x", &"a".repeat(60)));
    }

    proptest! {
        #[test]
        fn automata_find_what_a_plain_search_finds(
            begins in r"(abc?|\\b\(ab\|ca\)\\b|\(\?i\)ab|ab\.\*|\\w|\[\^b\]|)",
            pieces in prop::collection::vec(r"(\(a\|b\+\)|\\w|\\W|\\s|\[\^a-c\]|\\b|\\B|a|b|\.| |\^)[*?+]?", 0..4),
            end in r"(|\$|\\\.\$|\\Z)",
            texts in prop::collection::vec("[aAbc. \n]{0,12}|[abcé .]{0,9}\n?", 8),
        ) {
            let pattern = format!("{begins}{}{end}", pieces.concat());
            let plain = RegexBuilder::new(&translate(&pattern, r"(?=\n?\z)")).seek(false).build();
            if let (Ok(metric), Ok(plain)) = (RegexMatch::new(&pattern), plain) {
                for text in texts {
                    let found = metric.score(&Case::new(text.as_str())).unwrap().value() == 1.0;
                    prop_assert_eq!(found, plain.is_match(text.as_str()).unwrap(), "{} {:?}", &pattern, text);
                }
            }
        }

        /// The engine looks where an approximation may match, and the line break at the end picks one
        /// of two patterns: both find what a search from every place with the whole pattern finds.
        #[test]
        fn short_cuts_find_what_a_plain_search_finds(
            pieces in prop::collection::vec(r"(\(a\|b\+\)|\(\\w\+\)|\(b\?\)|\\1|\(\?=b\)|\(\?!a\)|\(\?<=a\)|\\b|a|b|\.| |\$|\^)[*?+]?", 0..6),
            texts in prop::collection::vec("[ab \n]{0,8}\n?", 8),
        ) {
            // Without a group before it, `\1` is none that Python takes.
            let pattern = format!("(a?)?{}", pieces.concat());
            let plain = RegexBuilder::new(&translate(&pattern, r"(?=\n?\z)")).seek(false).build();
            if let (Ok(metric), Ok(plain)) = (RegexMatch::new(&pattern), plain) {
                for text in texts {
                    let found = metric.score(&Case::new(text.as_str())).unwrap().value() == 1.0;
                    prop_assert_eq!(found, plain.is_match(text.as_str()).unwrap(), "{} {:?}", &pattern, text);
                }
            }
        }
    }
}
