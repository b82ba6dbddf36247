//! Whether a text keeps a friendly tone.

use super::ngrams::real;
use super::phrases::Phrases;
use super::word_map::WordMap;
use super::words;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "tone_metric";

/// 1 when a text keeps four rules of tone, else 0.
///
/// - Sentiment (positive - negative words)/(both) is at least -0.2; 0 without such a word.
/// - At most 0.3 of the letters are capitals.
/// - There are at most 3 exclamation marks.
/// - No forbidden phrase occurs.
///
/// The words are a few dozen English ones, the same as in the Python SDK; give your own for
/// anything else.
#[derive(Debug, Clone)]
pub struct Tone {
    min_sentiment: f64,
    max_capitals: f64,
    max_exclamations: usize,
    /// Words of positive and of negative sentiment; a word may be both.
    sentiment: WordMap<Sentiment>,
    forbidden: Phrases,
}

const POSITIVE: &str = "appreciate assist excellent glad great happy helpful please support thank \
                        welcome wonderful";
const NEGATIVE: &str = "angry awful bad complain frustrated hate idiot incompetent stupid terrible \
                        useless";
const FORBIDDEN: [&str; 4] = [
    "i refuse to assist",
    "not my problem",
    "shut up",
    "this is pointless",
];

impl Default for Tone {
    fn default() -> Self {
        Self {
            min_sentiment: -0.2,
            max_capitals: 0.3,
            max_exclamations: 3,
            sentiment: WordMap::default(),
            forbidden: Phrases::new(FORBIDDEN),
        }
        .positive(POSITIVE.split(' '))
        .negative(NEGATIVE.split(' '))
    }
}

#[derive(Debug, Clone, Default)]
struct Sentiment {
    positive: bool,
    negative: bool,
}

impl Tone {
    /// The default rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The lowest sentiment, from -1 to 1.
    #[must_use]
    pub fn min_sentiment(mut self, sentiment: f64) -> Self {
        self.min_sentiment = sentiment;
        self
    }

    /// The highest share of capitals, from 0 to 1.
    #[must_use]
    pub fn max_capitals(mut self, share: f64) -> Self {
        self.max_capitals = share;
        self
    }

    /// The most exclamation marks.
    #[must_use]
    pub fn max_exclamations(mut self, count: usize) -> Self {
        self.max_exclamations = count;
        self
    }

    /// Words of positive sentiment, instead of the default ones.
    #[must_use]
    pub fn positive<S: AsRef<str>>(self, words: impl IntoIterator<Item = S>) -> Self {
        self.rate(words, |sentiment| &mut sentiment.positive)
    }

    /// Words of negative sentiment, instead of the default ones.
    #[must_use]
    pub fn negative<S: AsRef<str>>(self, words: impl IntoIterator<Item = S>) -> Self {
        self.rate(words, |sentiment| &mut sentiment.negative)
    }

    /// Phrases that must not occur, instead of the default ones.
    #[must_use]
    pub fn forbidden<S: AsRef<str>>(mut self, phrases: impl IntoIterator<Item = S>) -> Self {
        self.forbidden = Phrases::new(phrases);
        self
    }

    /// These words, instead of those before, have one of the sentiments.
    fn rate<S: AsRef<str>>(
        mut self,
        words: impl IntoIterator<Item = S>,
        which: fn(&mut Sentiment) -> &mut bool,
    ) -> Self {
        self.sentiment.retain(|sentiment| {
            *which(sentiment) = false;
            sentiment.positive || sentiment.negative
        });
        for word in words {
            *which(self.sentiment.entry(word.as_ref().to_lowercase())) = true;
        }
        self
    }

    /// The sentiment of a text in lower case; `None` without words.
    fn sentiment_of(&self, text: &str) -> Option<f64> {
        let (mut words, mut positive, mut negative) = (0_usize, 0, 0);
        for word in words::word_runs(text) {
            words += 1;
            if let Some(sentiment) = self.sentiment.get(word) {
                positive += usize::from(sentiment.positive);
                negative += usize::from(sentiment.negative);
            }
        }
        let (positive, negative) = (real(positive), real(negative));
        if words == 0 {
            None
        } else if positive + negative == 0.0 {
            Some(0.0)
        } else {
            Some((positive - negative) / (positive + negative))
        }
    }
}

impl Metric for Tone {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let text = words::lower(output);
        let Some(sentiment) = self.sentiment_of(&text) else {
            return Err(MetricError::input("the output has no words"));
        };
        let (letters, capitals) = words::letters(output);
        let share = if letters == 0 {
            0.0
        } else {
            real(capitals) / real(letters)
        };
        let mut broken = Vec::new();
        if sentiment < self.min_sentiment {
            broken.push("negative sentiment");
        }
        if share > self.max_capitals {
            broken.push("too many capitals");
        }
        if memchr::memchr_iter(b'!', output.as_bytes()).count() > self.max_exclamations {
            broken.push("too many exclamation marks");
        }
        if self.forbidden.any_in(&text) {
            broken.push("a forbidden phrase");
        }
        let score = Score::fixed(NAME, f64::from(u8::from(broken.is_empty())));
        Ok(if broken.is_empty() {
            score
        } else {
            score.because(broken.join(", "))
        })
    }
}
