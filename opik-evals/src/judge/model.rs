//! Asking a model: attempts, deadlines, budget.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::{ChatEvent, ChatModel, ChatRequest, Message, ModelError, Usage};
use sha2::{Digest, Sha256};

use super::memory::{KEPT, Memory};
use super::{Budget, JudgeError, Price, Verdict};

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A chat model as judges use it: with attempts, a deadline, a budget and a memory. Clones share
/// budget and memory.
///
/// Defaults: three attempts, 60 seconds for each question with all its attempts, temperature 0, at
/// most 1024 tokens a reply, 60,000 characters a field, 10,000 verdicts kept.
#[derive(Debug, Clone)]
pub struct JudgeModel {
    model: Arc<dyn ChatModel>,
    attempts: u32,
    pause: Duration,
    timeout: Duration,
    temperature: Option<f32>,
    max_tokens: u32,
    max_field: usize,
    price: Price,
    budget: Arc<Budget>,
    memory: Arc<Memory<Verdict>>,
}

/// What a model said, and what it took.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) usage: Usage,
    pub(super) cost: f64,
}

impl JudgeModel {
    /// A model with the defaults.
    #[must_use]
    pub fn new(model: Arc<dyn ChatModel>) -> Self {
        Self {
            model,
            attempts: 3,
            pause: Duration::from_millis(500),
            timeout: Duration::from_secs(60),
            temperature: Some(0.0),
            max_tokens: 1_024,
            max_field: 60_000,
            price: Price::default(),
            budget: Arc::new(Budget::new()),
            memory: Arc::new(Memory::new(KEPT)),
        }
    }

    /// How often a question is put when the model fails in a way that may pass; at least once.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The pause before the second attempt; it doubles from there. What the model asks for counts
    /// more. Default 0.5 seconds.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The deadline of a question with all its attempts. Default 60 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The randomness of replies, or `None` for the model's default, which some models insist on.
    /// Default 0.
    #[must_use]
    pub fn temperature(mut self, temperature: Option<f32>) -> Self {
        self.temperature = temperature;
        self
    }

    /// The most tokens of a reply. Default 1024; models that think need more.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// The most characters of a field; longer ones lose their middle. Default 60,000.
    #[must_use]
    pub fn max_field_chars(mut self, chars: usize) -> Self {
        self.max_field = chars;
        self
    }

    /// What tokens cost. Default nothing.
    #[must_use]
    pub fn price(mut self, price: Price) -> Self {
        self.price = price;
        self
    }

    /// A budget, which may be shared with other models. Default none.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = budget;
        self
    }

    /// How many verdicts are kept in memory; 0 keeps none. Default 10,000.
    #[must_use]
    pub fn keep(mut self, verdicts: usize) -> Self {
        self.memory = Arc::new(Memory::new(verdicts));
        self
    }

    /// The name of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// What was spent so far.
    #[must_use]
    pub fn spent(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn max_field(&self) -> usize {
        self.max_field
    }

    pub(super) fn memory(&self) -> &Memory<Verdict> {
        &self.memory
    }

    /// What replies depend on besides the question.
    pub(super) fn settings(&self) -> String {
        format!(
            "{}|{:?}|{}|{}",
            self.name(),
            self.temperature,
            self.max_tokens,
            self.max_field
        )
    }

    /// The key of a question.
    pub(super) fn key(&self, judge: &str, messages: &[Message]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [judge, &self.settings()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for message in messages {
            hash.update(format!("{:?}", message.role).as_bytes());
            hash.update([0]);
            hash.update(message.words().as_bytes());
            hash.update([0]);
        }
        hash.finalize().into()
    }

    /// Asks until there is a whole answer, the attempts are used up, or time is.
    pub(super) async fn ask(&self, messages: Vec<Message>) -> Result<Answer, JudgeError> {
        let mut request = ChatRequest::new(messages);
        request.temperature = self.temperature;
        request.max_tokens = Some(self.max_tokens);
        match tokio::time::timeout(self.timeout, self.attempt(&request)).await {
            Ok(answer) => answer,
            Err(_) => Err(JudgeError::Timeout),
        }
    }

    async fn attempt(&self, request: &ChatRequest) -> Result<Answer, JudgeError> {
        let mut pause = self.pause;
        let mut left = self.attempts;
        loop {
            if self.budget.is_spent() {
                return Err(JudgeError::Budget);
            }
            left -= 1;
            let error = match self.once(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if left == 0 || !error.is_retryable() {
                return Err(error.into());
            }
            tokio::time::sleep(error.retry_after().unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause = pause.saturating_mul(2);
        }
    }

    async fn once(&self, request: &ChatRequest) -> Result<Answer, ModelError> {
        let mut usage = Usage::default();
        let outcome = self.listen(request, &mut usage).await;
        if usage.is_empty() {
            let text = outcome.as_ref().map_or("", String::as_str);
            usage = estimated(request, text);
        }
        let cost = self.price.of(&usage);
        self.budget.add(&usage, cost);
        outcome.map(|text| Answer { text, usage, cost })
    }

    async fn listen(&self, request: &ChatRequest, usage: &mut Usage) -> Result<String, ModelError> {
        let mut stream = self.model.stream(request).await?;
        let mut text = String::new();
        let mut finish = None;
        while let Some(event) = stream.next().await {
            match event? {
                ChatEvent::Text(part) => text.push_str(&part),
                ChatEvent::Usage(counted) => *usage = counted,
                ChatEvent::Finish(reason) => finish = Some(reason),
                _ => {}
            }
        }
        match finish {
            Some(FinishReason::ContentFilter) => Err(ModelError::new(
                ModelErrorKind::InvalidRequest,
                "the provider withheld the reply",
            )),
            Some(_) => Ok(text),
            None => Err(ModelError::new(
                ModelErrorKind::Truncated,
                "the reply broke off",
            )),
        }
    }
}

/// Tokens where the provider counts none: a quarter of the bytes, so that a budget still ends.
fn estimated(request: &ChatRequest, reply: &str) -> Usage {
    let asked: usize = request.messages.iter().map(|m| m.words().len()).sum();
    let tokens = |bytes: usize| i64::try_from(bytes.div_ceil(4)).unwrap_or(i64::MAX);
    Usage::of_tokens(tokens(asked), tokens(reply.len()))
}
