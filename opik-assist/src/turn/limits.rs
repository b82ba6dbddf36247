//! What a turn may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a model costs, in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Prices {
    /// A million tokens of the prompt.
    pub prompt: f64,
    /// A million tokens of the reply.
    pub completion: f64,
}

impl Prices {
    /// Prices of a million tokens each.
    #[must_use]
    pub fn new(prompt: f64, completion: f64) -> Self {
        Self { prompt, completion }
    }
}

/// A limit that a turn can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Limit {
    /// Questions to the model.
    Rounds,
    /// Tools that ran.
    ToolCalls,
    /// Tokens, as the provider counts them.
    Tokens,
    /// Cost.
    Cost,
    /// Time.
    Time,
    /// The length of one reply.
    ReplyLength,
}

impl Limit {
    /// The limit in words, for a sentence: `the limit of time`.
    #[must_use]
    pub fn as_words(self) -> &'static str {
        match self {
            Self::Rounds => "the limit of questions to the model",
            Self::ToolCalls => "the limit of tool calls",
            Self::Tokens => "the limit of tokens",
            Self::Cost => "the limit of cost",
            Self::Time => "the limit of time",
            Self::ReplyLength => "the limit of length",
        }
    }
}

/// What a turn may use up. When a limit is reached, the turn ends with what it has and says so.
///
/// ```
/// use std::time::Duration;
/// use opik_assist::turn::{Limits, Prices};
///
/// let limits = Limits::default()
///     .rounds(6)
///     .time(Duration::from_secs(60))
///     .cost(0.05, Prices::new(2.0, 8.0));
/// assert_eq!(limits, limits.clone());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    pub(crate) rounds: usize,
    pub(crate) tool_calls: usize,
    pub(crate) parallel_tools: usize,
    pub(crate) tokens: Option<i64>,
    pub(crate) cost: Option<(f64, Prices)>,
    pub(crate) time: Duration,
    pub(crate) tool_time: Duration,
    pub(crate) tool_result: usize,
    pub(crate) history: usize,
    pub(crate) question: usize,
    pub(crate) reply: usize,
}

impl Default for Limits {
    /// 12 rounds, 32 tool calls of at most 20 s and 16,000 characters each, 4 of them at once,
    /// 500,000 tokens, 300 s, no limit of cost; 60,000 characters of earlier turns, 32,000 of a
    /// question and 200,000 of a reply.
    fn default() -> Self {
        Self {
            rounds: 12,
            tool_calls: 32,
            parallel_tools: 4,
            tokens: Some(500_000),
            cost: None,
            time: Duration::from_secs(300),
            tool_time: Duration::from_secs(20),
            tool_result: 16_000,
            history: 60_000,
            question: 32_000,
            reply: 200_000,
        }
    }
}

impl Limits {
    /// Most questions to the model, at least 1. In the last one it is told to answer.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// Most tools that run in a turn.
    #[must_use]
    pub fn tool_calls(mut self, calls: usize) -> Self {
        self.tool_calls = calls;
        self
    }

    /// Most tools that run at the same time, at least 1.
    #[must_use]
    pub fn parallel_tools(mut self, tools: usize) -> Self {
        self.parallel_tools = tools.max(1);
        self
    }

    /// Most tokens of all questions and replies of a turn, as the provider counts them; `None` for
    /// no limit. It is looked at between questions.
    #[must_use]
    pub fn tokens(mut self, tokens: Option<i64>) -> Self {
        self.tokens = tokens;
        self
    }

    /// Most US dollars of a turn, computed from the provider's tokens with these prices. It is
    /// looked at between questions.
    #[must_use]
    pub fn cost(mut self, dollars: f64, prices: Prices) -> Self {
        self.cost = Some((dollars, prices));
        self
    }

    /// Longest time of a turn.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Longest time of one tool.
    #[must_use]
    pub fn tool_time(mut self, time: Duration) -> Self {
        self.tool_time = time;
        self
    }

    /// Most characters of what one tool answers, at least 500.
    #[must_use]
    pub fn tool_result(mut self, characters: usize) -> Self {
        self.tool_result = characters.max(500);
        self
    }

    /// Most characters of earlier turns that the model is told.
    #[must_use]
    pub fn history(mut self, characters: usize) -> Self {
        self.history = characters;
        self
    }

    /// Most characters of a question; a longer one is refused.
    #[must_use]
    pub fn question(mut self, characters: usize) -> Self {
        self.question = characters;
        self
    }

    /// Most bytes of one reply; the rest is left out.
    #[must_use]
    pub fn reply(mut self, bytes: usize) -> Self {
        self.reply = bytes;
        self
    }

    /// What this many tokens cost; 0 without prices.
    #[expect(clippy::cast_precision_loss, reason = "counts of tokens are small")]
    pub(crate) fn dollars(&self, prompt: i64, completion: i64) -> f64 {
        let Some((_, prices)) = self.cost else {
            return 0.0;
        };
        (prompt as f64 * prices.prompt + completion as f64 * prices.completion) / 1e6
    }
}
