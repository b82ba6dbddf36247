//! Whether one of a few phrases is in a text.

use aho_corasick::packed;
use memchr::memmem::Finder;

/// Phrases that a text in lower case is searched for.
#[derive(Debug, Clone)]
pub(super) enum Phrases {
    /// All in one pass, 16 letters at a time.
    Together(packed::Searcher),
    /// One after another: too many for one search, or the processor has no instructions for it.
    Each(Vec<Finder<'static>>),
}

impl Phrases {
    /// Phrases in any case.
    pub(super) fn new<S: AsRef<str>>(phrases: impl IntoIterator<Item = S>) -> Self {
        let lower = phrases
            .into_iter()
            .map(|phrase| phrase.as_ref().to_lowercase());
        let lower: Vec<String> = lower.collect();
        match packed::Searcher::new(&lower) {
            Some(all) => Self::Together(all),
            None => {
                let finder = |phrase: &String| Finder::new(phrase).into_owned();
                Self::Each(lower.iter().map(finder).collect())
            }
        }
    }

    /// Whether one of them is in a text in lower case.
    pub(super) fn any_in(&self, text: &str) -> bool {
        match self {
            Self::Together(all) => all.find(text).is_some(),
            Self::Each(each) => each
                .iter()
                .any(|phrase| phrase.find(text.as_bytes()).is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_phrase_is_found() {
        let phrases = Phrases::new(["Shut up", "not my problem"]);
        assert!(phrases.any_in("oh, shut up!") && phrases.any_in("not my problem"));
        assert!(!phrases.any_in("shut the door"));
        assert!(!Phrases::new([""; 0]).any_in("shut up"));
        assert!(Phrases::new([""]).any_in(""));
    }
}
