//! What judging may cost.

use std::sync::atomic::{AtomicU64, Ordering};

use opik_core::Usage;

/// What a million tokens cost, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Price {
    prompt: f64,
    completion: f64,
}

impl Price {
    /// Dollars for a million tokens of prompts and of replies.
    #[must_use]
    pub fn per_million(prompt: f64, completion: f64) -> Self {
        Self { prompt, completion }
    }

    /// What these tokens cost, in US dollars.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of tokens are far below 2^52"
    )]
    pub fn of(self, usage: &Usage) -> f64 {
        let part =
            |tokens: Option<i64>, price: f64| tokens.unwrap_or(0).max(0) as f64 * price / 1e6;
        part(usage.prompt_tokens(), self.prompt) + part(usage.completion_tokens(), self.completion)
    }
}

/// How much judges may spend together, and how much they have spent.
///
/// It is checked before each call. Calls that are under way when it is spent are still paid for, so
/// with many at once it may be exceeded by what these cost.
///
/// ```
/// use opik_evals::judge::Budget;
///
/// let budget = Budget::new().max_tokens(1_000_000).max_dollars(2.5);
/// assert!(!budget.is_spent());
/// assert_eq!(budget.tokens(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Budget {
    max_tokens: Option<u64>,
    max_dollars: Option<f64>,
    tokens: AtomicU64,
    /// Billionths of a dollar, so that sums do not depend on their order.
    nanos: AtomicU64,
}

impl Budget {
    /// A budget without a limit, which counts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The most tokens, of prompts and replies together.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// The most US dollars; needs a [`Price`] to be of use.
    #[must_use]
    pub fn max_dollars(mut self, dollars: f64) -> Self {
        self.max_dollars = Some(dollars);
        self
    }

    /// Tokens that were used.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// US dollars that were spent.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to nine million dollars"
    )]
    pub fn dollars(&self) -> f64 {
        self.nanos.load(Ordering::Relaxed) as f64 / 1e9
    }

    /// Whether nothing more may be asked.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.max_tokens.is_some_and(|most| self.tokens() >= most)
            || self.max_dollars.is_some_and(|most| self.dollars() >= most)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cost is not negative, and a conversion from floating point saturates"
    )]
    pub(super) fn add(&self, usage: &Usage, dollars: f64) {
        let tokens = usage.total_tokens().unwrap_or(0);
        self.tokens
            .fetch_add(u64::try_from(tokens).unwrap_or(0), Ordering::Relaxed);
        self.nanos
            .fetch_add((dollars * 1e9).round() as u64, Ordering::Relaxed);
    }
}
