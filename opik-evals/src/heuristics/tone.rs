//! Whether a text keeps a friendly tone.

use foldhash::HashSet;
use memchr::memmem::Finder;

use super::ngrams::real;
use super::words;
use crate::{Case, Metric, MetricError, Score};

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
    positive: HashSet<String>,
    negative: HashSet<String>,
    forbidden: Vec<Finder<'static>>,
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
            positive: lower(POSITIVE.split(' ')).collect(),
            negative: lower(NEGATIVE.split(' ')).collect(),
            forbidden: FORBIDDEN.map(Finder::new).into(),
        }
    }
}

fn lower<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> impl Iterator<Item = String> {
    words.into_iter().map(|word| word.as_ref().to_lowercase())
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
    pub fn positive<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.positive = lower(words).collect();
        self
    }

    /// Words of negative sentiment, instead of the default ones.
    #[must_use]
    pub fn negative<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.negative = lower(words).collect();
        self
    }

    /// Phrases that must not occur, instead of the default ones.
    #[must_use]
    pub fn forbidden<S: AsRef<str>>(mut self, phrases: impl IntoIterator<Item = S>) -> Self {
        self.forbidden = lower(phrases)
            .map(|phrase| Finder::new(&phrase).into_owned())
            .collect();
        self
    }

    /// The sentiment of a text in lower case; `None` without words.
    fn sentiment(&self, text: &str) -> Option<f64> {
        let (mut words, mut positive, mut negative) = (0_usize, 0, 0);
        for word in words::word_runs(text) {
            words += 1;
            positive += usize::from(self.positive.contains(word));
            negative += usize::from(self.negative.contains(word));
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
        "tone_metric"
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let text = words::lower(output);
        let Some(sentiment) = self.sentiment(&text) else {
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
        let text = text.as_bytes();
        if (self.forbidden.iter()).any(|phrase| phrase.find(text).is_some()) {
            broken.push("a forbidden phrase");
        }
        let score = Score::new(self.name(), f64::from(u8::from(broken.is_empty())));
        Ok(if broken.is_empty() {
            score
        } else {
            score.because(broken.join(", "))
        })
    }
}
