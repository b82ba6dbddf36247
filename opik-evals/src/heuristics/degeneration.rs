//! Whether an assistant repeats itself or gives up.

use super::conversation::messages;
use super::ngrams::{Ngrams, real};
use super::numbering::Numbering;
use super::phrases::Phrases;
use super::words;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "conversation_degeneration_metric";

/// How far the worst answer of a conversation has degenerated, from 0 to 1. Low is good.
///
/// Each answer of the assistant gets the mean of four shares: of its word 3-grams that occur more
/// than once; of words in common with the previous answer (Jaccard); 1 if it holds a phrase of
/// giving up; and 1 - H/log₂ V, where H is the entropy of its V different words. An answer of one
/// word, or of none, has no diversity. The field `conversation` holds the messages.
#[derive(Debug, Clone)]
pub struct ConversationDegeneration {
    order: usize,
    phrases: Phrases,
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
            phrases: Phrases::new(PHRASES),
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
        self.phrases = Phrases::new(phrases);
        self
    }

    /// The shares of an answer that need only its words: repeats, and lack of diversity.
    fn sameness(&self, words: Vec<u32>, distinct: usize) -> (f64, f64) {
        let length = words.len();
        let diversity = diversity(&words, distinct);
        if length < self.order {
            return (0.0, 1.0 - diversity);
        }
        let total = real(length + 1 - self.order);
        let triples = (self.order == 3).then(|| repeated_triples(&words));
        let repeated = match triples.flatten() {
            Some(repeated) => repeated,
            None => {
                let mut grams = Ngrams::numbered(vec![words], distinct);
                for _ in 1..self.order {
                    grams.advance();
                }
                grams.counts(0).iter().filter(|count| **count > 1).sum()
            }
        };
        (real(repeated) / total, 1.0 - diversity)
    }
}

/// H/log₂ V of words by number, of which so many are different; 0 below two.
fn diversity(words: &[u32], distinct: usize) -> f64 {
    let mut counts = vec![0_usize; distinct];
    for word in words {
        if let Some(count) = counts.get_mut(*word as usize) {
            *count += 1;
        }
    }
    let total = real(words.len());
    // Most words occur once or twice, and a logarithm takes longer than to look it up.
    let mut known = [None; 8];
    let term = |count: &usize| {
        let share = real(*count) / total;
        let term = || -share * share.log2();
        match known.get_mut(*count) {
            Some(known) => *known.get_or_insert_with(term),
            None => term(),
        }
    };
    let entropy: f64 = counts.iter().map(term).sum();
    if distinct < 2 {
        0.0
    } else {
        (entropy / real(distinct).log2()).min(1.0)
    }
}

/// The most triples that are compared with each other, which for so few is quicker than a table.
const FEW: usize = 64;

/// How many triples of words occur more than once, counted as often as they occur; `None` of many.
fn repeated_triples(words: &[u32]) -> Option<usize> {
    let mut triples = [0_u32; FEW];
    let count = words.len().saturating_sub(2);
    let triples = triples.get_mut(..count)?;
    for (triple, words) in triples.iter_mut().zip(words.windows(3)) {
        // So few words have numbers below 2^10.
        *triple = words.iter().fold(0, |all, word| all << 10 | word);
    }
    let triples = &*triples;
    // Most are alone in their group and need not be compared.
    let group = |triple: &u32| usize::from(triple.wrapping_mul(0x9e37_79b1).to_be_bytes()[0]);
    let mut groups = [0_u8; 256];
    for triple in triples {
        if let Some(size) = groups.get_mut(group(triple)) {
            *size += 1;
        }
    }
    let alone = |triple: &u32| groups.get(group(triple)).is_some_and(|size| *size < 2);
    let equal = |one: &u32| triples.iter().filter(|other| one == *other).count();
    let repeated = triples.iter().filter(|one| !alone(one) && equal(one) > 1);
    Some(repeated.count())
}

impl Metric for ConversationDegeneration {
    fn name(&self) -> &str {
        NAME
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
            let mut words = Vec::with_capacity(answer.len() / 4);
            own.word_runs(answer, |number| words.push(number));
            let (repeats, monotony) = self.sameness(words, own.len());
            let gives_up = self.phrases.any_in(answer);
            let common = own.common(&previous);
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
        Ok(Score::fixed(NAME, worst.min(1.0)).because(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_triples_are_counted_as_many_are(words in prop::collection::vec(0_u32..4, 0..70)) {
            let mut grams = Ngrams::numbered(vec![words.clone()], 4);
            grams.advance();
            grams.advance();
            let expected: usize = grams.counts(0).iter().filter(|count| **count > 1).sum();
            match repeated_triples(&words) {
                Some(repeated) => prop_assert_eq!(repeated, expected),
                None => prop_assert!(words.len() > FEW + 2),
            }
        }
    }

    #[test]
    fn a_wordless_answer_does_not_hide_a_loop() {
        let answers = ["I'm sorry, not today", "...", "I'm sorry, not today"];
        let case = Case::conversation(answers.map(|answer| ("assistant", answer)));
        let score = ConversationDegeneration::new().score(&case).unwrap();
        // A phrase of giving up and all words of the answer before: two of four shares.
        assert_eq!(score.value(), 0.5);
    }
}
