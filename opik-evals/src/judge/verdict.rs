//! Judges with a fixed question.

use std::borrow::Cow;

use async_trait::async_trait;
use opik_core::{Message, Role, Usage};

use super::fence::fenced;
use super::prompts::{self, Field, Prompt};
use super::reply::{Format, Parsed, parse};
use super::{JudgeError, JudgeModel};
use crate::experiment::{Scored, Scorer, ScoringError, TaskOutput};
use crate::{Case, Score};

/// What a judge decided, and what it took.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// The score with its reason.
    pub score: Score,
    /// Tokens of all questions; none when the verdict was known.
    pub usage: Usage,
    /// US dollars; 0 when the verdict was known.
    pub cost: f64,
    /// Whether it was known, so that nothing was asked.
    pub known: bool,
}

/// A metric that asks a model.
///
/// | constructor | reads | score |
/// |---|---|---|
/// | [`hallucination`](Self::hallucination) | `output`, perhaps `input` and `context` | how much is made up; low is good |
/// | [`answer_relevance`](Self::answer_relevance) | `input`, `output`, perhaps `context` | how well the question is answered |
/// | [`context_precision`](Self::context_precision) | `input`, `expected_output`, `context` | how much of the context is useful |
/// | [`context_recall`](Self::context_recall) | `input`, `expected_output`, `context` | how much of the expectation the context covers |
/// | [`moderation`](Self::moderation) | `output` | how harmful it is; low is good |
/// | [`usefulness`](Self::usefulness) | `input`, `output` | how much it helps |
/// | [`structured_output`](Self::structured_output) | `output`, perhaps `schema` | 1 when it has the structure |
/// | [`trajectory_accuracy`](Self::trajectory_accuracy) | `goal`, `trajectory`, `final_result` | how sound the way was |
/// | [`session_completeness`](Self::session_completeness) | `conversation` | the share of wishes that were met |
///
/// Scores are from 0 to 1. Names are those of the official Python SDK.
#[derive(Debug, Clone)]
pub struct Judge {
    name: Cow<'static, str>,
    prompt: Prompt,
    model: JudgeModel,
    identity: String,
}

macro_rules! judges {
    ($($(#[$doc:meta])* $name:ident = $prompt:ident;)*) => {
        impl Judge {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(model: JudgeModel) -> Self {
                    Self::new(prompts::$prompt, model)
                }
            )*
        }
    };
}

judges! {
    /// How much of the output is made up, from 0 to 1; low is good.
    hallucination = HALLUCINATION;
    /// How well the output answers the input.
    answer_relevance = ANSWER_RELEVANCE;
    /// How much of the context was worth retrieving for the expected output.
    context_precision = CONTEXT_PRECISION;
    /// How much of the expected output the context covers.
    context_recall = CONTEXT_RECALL;
    /// How harmful the output is, from 0 to 1; low is good.
    moderation = MODERATION;
    /// How much the output helps whoever wrote the input.
    usefulness = USEFULNESS;
    /// Whether the output has the structure that a schema asks for.
    structured_output = STRUCTURED_OUTPUT;
    /// How sound the way of an agent to its goal was.
    trajectory_accuracy = TRAJECTORY;
    /// The share of the user's wishes that a conversation met.
    session_completeness = SESSION_COMPLETENESS;
}

impl Judge {
    fn new(prompt: Prompt, model: JudgeModel) -> Self {
        Self {
            name: Cow::Borrowed(prompt.name),
            identity: format!("{} v{}|{}", prompt.name, prompts::VERSION, model.settings()),
            prompt,
            model,
        }
    }

    /// The same judge under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Cow::Owned(name.into());
        self
    }

    /// The name of its scores.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Judges a case.
    ///
    /// # Errors
    ///
    /// [`JudgeError`]: the case has no score.
    pub async fn judge(&self, case: &Case) -> Result<Verdict, JudgeError> {
        let messages = vec![
            Message::text(
                Role::System,
                prompts::instructions(self.prompt.task, self.prompt.shape),
            ),
            Message::text(Role::User, question(case, self.prompt.fields, &self.model)?),
        ];
        decide(&self.model, &self.name, &self.prompt.format, messages).await
    }
}

/// The fields of a case between tags, and what is to be done.
pub(super) fn question(
    case: &Case,
    fields: &[Field],
    model: &JudgeModel,
) -> Result<String, JudgeError> {
    let mut text = String::new();
    for field in fields {
        let value = if field.required {
            Some(case.require(field.name)?)
        } else {
            case.get(field.name).filter(|value| !value.is_null())
        };
        if let Some(value) = value {
            text.push_str(&fenced(field.name, value, model.max_field()));
        }
    }
    text.push_str(prompts::CLOSING);
    Ok(text)
}

/// Asks, reads the reply, and asks once more when it cannot be read.
pub(super) async fn decide(
    model: &JudgeModel,
    name: &str,
    format: &Format,
    messages: Vec<Message>,
) -> Result<Verdict, JudgeError> {
    let key = model.key(name, &messages);
    if let Some(known) = model.memory().get(&key) {
        return Ok(Verdict {
            usage: Usage::default(),
            cost: 0.0,
            known: true,
            ..known
        });
    }
    let answer = model.ask(messages.clone()).await?;
    let (mut usage, mut cost) = (answer.usage, answer.cost);
    let parsed = match parse(&answer.text, format) {
        Ok(parsed) => parsed,
        Err(_) => {
            let mut messages = messages;
            messages.push(Message::text(Role::Assistant, answer.text));
            messages.push(Message::text(Role::User, prompts::AGAIN));
            let again = model.ask(messages).await?;
            usage = sum(&usage, &again.usage);
            cost += again.cost;
            parse(&again.text, format).map_err(JudgeError::Reply)?
        }
    };
    let verdict = Verdict {
        score: score(name, parsed),
        usage,
        cost,
        known: false,
    };
    model.memory().put(key, verdict.clone());
    Ok(verdict)
}

fn score(name: &str, parsed: Parsed) -> Score {
    let score = Score::new(name, parsed.score);
    match parsed.reason {
        Some(reason) => score.because(reason),
        None => score,
    }
}

pub(super) fn sum(a: &Usage, b: &Usage) -> Usage {
    let both = |count: fn(&Usage) -> Option<i64>| {
        count(a).unwrap_or(0).saturating_add(count(b).unwrap_or(0))
    };
    Usage::of_tokens(both(Usage::prompt_tokens), both(Usage::completion_tokens))
}

#[async_trait]
impl Scorer for Judge {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn lower_is_better(&self) -> bool {
        self.prompt.low
    }

    async fn score(&self, case: &Case, _: &TaskOutput) -> Result<Scored, ScoringError> {
        let verdict = self.judge(case).await?;
        Ok(Scored::from(verdict.score).cost(verdict.cost))
    }
}
