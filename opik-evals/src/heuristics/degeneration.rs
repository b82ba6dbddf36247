//! Whether an assistant repeats itself or gives up.

use memchr::memmem::Finder;

use super::conversation::messages;
use super::ngrams::{Ngrams, real};
use super::numbering::Numbering;
use super::words;
use crate::{Case, Metric, MetricError, Score};

/// How far the worst answer of a conversation has degenerated, from 0 to 1. Low is good.
///
/// Each answer of the assistant gets the mean of four shares: of its word 3-grams that occur more
/// than once; of words in common with the previous answer (Jaccard); 1 if it holds a phrase of
/// giving up; and 1 - H/log₂ V, where H is the entropy of its V different words. An answer of one
/// word, or of none, has no diversity. The field `conversation` holds the messages.
#[derive(Debug, Clone)]
pub struct ConversationDegeneration {
    order: usize,
    phrases: Vec<Finder<'static>>,
}

const PHRASES: [&str; 8] = [
    "as an ai language model",
    "could you please clarify",
    "i cannot",
    "i don't have access",
    "i don't understand",
    "i'm sorry",
    "i'm unable",
    "please provide",
];

impl Default for ConversationDegeneration {
    fn default() -> Self {
        Self {
            order: 3,
            phrases: PHRASES.map(Finder::new).into(),
        }
    }
}

impl ConversationDegeneration {
    /// With 3-grams and the phrases of the Python SDK.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many words make a repeat.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) below 2.
    pub fn ngram_size(mut self, words: usize) -> Result<Self, MetricError> {
        if words < 2 {
            return Err(MetricError::parameter("a repeat is of at least 2 words"));
        }
        self.order = words;
        Ok(self)
    }

    /// Phrases of giving up, instead of the default ones.
    #[must_use]
    pub fn phrases<S: AsRef<str>>(mut self, phrases: impl IntoIterator<Item = S>) -> Self {
        let lower = phrases.into_iter().map(|p| p.as_ref().to_lowercase());
        self.phrases = lower
            .map(|phrase| Finder::new(&phrase).into_owned())
            .collect();
        self
    }

    /// The shares of an answer that need only its words: repeats, and lack of diversity.
    fn sameness(&self, words: Vec<u32>, distinct: usize) -> (f64, f64) {
        let length = words.len();
        let mut grams = Ngrams::numbered(vec![words], distinct);
        let counts = grams.counts(0);
        let total = real(length);
        let entropy: f64 = counts
            .iter()
            .map(|count| real(*count) / total)
            .map(|share| -share * share.log2())
            .sum();
        let diversity = if counts.len() < 2 {
            0.0
        } else {
            (entropy / real(counts.len()).log2()).min(1.0)
        };
        if length < self.order {
            return (0.0, 1.0 - diversity);
        }
        for _ in 1..self.order {
            grams.advance();
        }
        let repeated: usize = grams.counts(0).iter().filter(|count| **count > 1).sum();
        (real(repeated) / real(grams.total(0)), 1.0 - diversity)
    }
}

impl Metric for ConversationDegeneration {
    fn name(&self) -> &str {
        "conversation_degeneration_metric"
    }

    fn lower_is_better(&self) -> bool {
        true
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let answers: Vec<String> = messages(case)?
            .into_iter()
            .filter(|(role, _)| *role == "assistant")
            .map(|(_, text)| words::lower(text))
            .collect();
        if answers.is_empty() {
            return Err(MetricError::input("the conversation has no answer"));
        }
        let mut worst: f64 = 0.0;
        // The last answer that had words: a wordless one must not hide a loop.
        let mut previous = Numbering::new();
        for answer in &answers {
            let mut own = Numbering::new();
            let words = words::word_runs(answer).map(|word| own.number(word));
            let words: Vec<u32> = words.collect();
            let (repeats, monotony) = self.sameness(words, own.len());
            let text = answer.as_bytes();
            let gives_up = self
                .phrases
                .iter()
                .any(|phrase| phrase.find(text).is_some());
            let common = own.words().filter(|word| previous.contains(word)).count();
            let union = own.len() + previous.len() - common;
            let overlap = if common == 0 {
                0.0
            } else {
                real(common) / real(union)
            };
            let shares = [repeats, overlap, f64::from(u8::from(gives_up)), monotony];
            worst = worst.max(shares.iter().sum::<f64>() / 4.0);
            if own.len() > 0 {
                previous = own;
            }
        }
        let reason = format!("worst of {} answers", answers.len());
        Ok(Score::new(self.name(), worst.min(1.0)).because(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wordless_answer_does_not_hide_a_loop() {
        let answers = ["I'm sorry, not today", "...", "I'm sorry, not today"];
        let case = Case::conversation(answers.map(|answer| ("assistant", answer)));
        let score = ConversationDegeneration::new().score(&case).unwrap();
        // A phrase of giving up and all words of the answer before: two of four shares.
        assert_eq!(score.value(), 0.5);
    }
}
