//! Whether the last answer still knows what the user said.

use std::sync::LazyLock;

use super::conversation::messages;
use super::ngrams::real;
use super::numbering::Numbering;
use super::word_map::WordMap;
use super::words;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "knowledge_retention_metric";

/// The share of the words of the user's first five statements that the last answer holds, from 0
/// to 1.
///
/// A statement is a message of the user without a question mark and without a word of asking.
/// Words have at least four letters and are no stop words; punctuation and pictures are left out.
/// Without a statement there is nothing to retain and the score is 1; without an answer it is 0.
/// The field `conversation` holds the messages. The lists are English, the same as in the Python
/// SDK.
#[derive(Debug, Clone)]
pub struct KnowledgeRetention {
    statements: usize,
}

/// The fewest letters of a word that counts.
const MIN_LETTERS: usize = 4;

static STOP_WORDS: LazyLock<WordMap<()>> = LazyLock::new(|| {
    WordMap::of(&[
        "about", "could", "from", "have", "name", "number", "should", "that", "the", "there",
        "this", "which", "with", "would",
    ])
});

static ASKING: LazyLock<WordMap<()>> = LazyLock::new(|| {
    WordMap::of(&[
        "allow", "can", "could", "explain", "give", "help", "let", "may", "might", "need",
        "please", "provide", "request", "shall", "should", "show", "tell", "want", "would",
    ])
});

impl Default for KnowledgeRetention {
    fn default() -> Self {
        Self { statements: 5 }
    }
}

impl KnowledgeRetention {
    /// For the first five statements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many statements are read, from the first on.
    #[must_use]
    pub fn statements(mut self, count: usize) -> Self {
        self.statements = count;
        self
    }
}

/// The bare text of a message that asks nothing.
fn statement(text: &str) -> Option<String> {
    if text.contains('?') {
        return None;
    }
    let bare = words::bare(text);
    let asks = words::split(&bare).any(|word| ASKING.contains(word));
    (!asks).then_some(bare)
}

/// The words of a bare text that count.
fn terms(bare: &str) -> impl Iterator<Item = &str> {
    words::split(bare)
        .filter(|word| word.chars().nth(MIN_LETTERS - 1).is_some() && !STOP_WORDS.contains(word))
}

impl Metric for KnowledgeRetention {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let messages = messages(case)?;
        let answer = messages.iter().rfind(|(role, _)| *role == "assistant");
        let Some((_, answer)) = answer else {
            return Ok(Score::fixed(NAME, 0.0).because("no answer"));
        };
        let statements: Vec<String> = messages
            .iter()
            .filter(|(role, _)| *role == "user")
            .filter_map(|(_, text)| statement(text))
            .take(self.statements)
            .collect();
        let mut facts = Numbering::new();
        for term in statements.iter().flat_map(|text| terms(text)) {
            facts.number(term);
        }
        if facts.len() == 0 {
            return Ok(Score::fixed(NAME, 1.0).because("nothing to retain"));
        }
        let answer = words::bare(answer);
        let mut held = Numbering::new();
        for term in terms(&answer) {
            held.number(term);
        }
        let known = facts.common(&held);
        let reason = format!("{known} of {} words", facts.len());
        Ok(Score::fixed(NAME, real(known) / real(facts.len())).because(reason))
    }
}
