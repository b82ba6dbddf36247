//! G-Eval: criteria in words, steps that the model derives from them, a grade from 0 to 10.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::{Message, Role, Usage};
use tokio::sync::OnceCell;

use super::prompts::{self, Field};
use super::verdict::{decide, question, sum};
use super::{JudgeError, JudgeModel, Verdict};
use crate::experiment::{Scored, Scorer, ScoringError, TaskOutput};
use crate::{Case, Score};

const FIELDS: &[Field] = &[
    Field {
        name: "input",
        required: false,
    },
    Field {
        name: "context",
        required: false,
    },
    Field {
        name: "expected_output",
        required: false,
    },
    Field {
        name: "output",
        required: true,
    },
];

/// Says how likely a model finds each grade, for models that tell.
///
/// [`ChatModel`](opik_core::ChatModel) has no probabilities of tokens, so a client that knows them
/// implements this. The grade is then their [weighted mean](weighted_score) and no longer a whole
/// number, as in the paper (Liu et al. 2023).
#[async_trait]
pub trait ScoreWeights: Send + Sync + fmt::Debug {
    /// The candidates for the token of the grade with the natural logarithms of their
    /// probabilities, for these messages. `None` when the model does not tell; the grade is then
    /// asked for as a number.
    async fn weights(&self, messages: &[Message]) -> Option<Vec<(String, f64)>>;
}

/// The mean of the grades 0 to 10 among candidates, weighted with their probabilities, as a score
/// from 0 to 1. `None` when no candidate is a grade.
///
/// ```
/// use opik_evals::judge::weighted_score;
///
/// let half = 0.5_f64.ln();
/// let candidates = [("8".to_owned(), half), (" 6".to_owned(), half), ("x".to_owned(), 0.0)];
/// let score = weighted_score(&candidates).ok_or("no grade")?;
/// assert!((score - 0.7).abs() < 1e-12);
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn weighted_score(candidates: &[(String, f64)]) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (token, log) in candidates {
        let Ok(grade @ 0..=10) = token.trim().parse::<u8>() else {
            continue;
        };
        let weight = log.exp();
        if weight.is_finite() && weight > 0.0 {
            sum += f64::from(grade) * weight;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| sum / weights / 10.0)
}

/// A judge with criteria of your own.
///
/// The first question derives steps from the criteria, once for a `GEval` and its clones; each case
/// is then graded along them with a whole number from 0 to 10, a tenth of which is the score. A
/// case needs `output`; `input`, `context` and `expected_output` are shown where it has them.
///
/// ```
/// use std::sync::Arc;
/// use opik_evals::Case;
/// use opik_evals::judge::{GEval, JudgeModel};
/// use opik_testkit::ScriptedModel;
///
/// # let run = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # run.block_on(async {
/// let model = ScriptedModel::new("scripted/judge")
///     .says("1. Read it. 2. Look for a greeting.")
///     .says(r#"{"score": 8, "reason": "It greets."}"#);
/// let polite = GEval::new(
///     JudgeModel::new(Arc::new(model)),
///     "Letters of a shop to its customers.",
///     "Is the letter polite?",
/// );
/// let verdict = polite.judge(&Case::new("Dear Ann, ...")).await?;
/// assert_eq!(verdict.score.value(), 0.8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct GEval {
    name: String,
    task: String,
    criteria: String,
    model: JudgeModel,
    weights: Option<Arc<dyn ScoreWeights>>,
    identity: String,
    steps: Arc<OnceCell<String>>,
}

impl GEval {
    /// A judge of a task by criteria, both in words.
    #[must_use]
    pub fn new(model: JudgeModel, task: impl Into<String>, criteria: impl Into<String>) -> Self {
        let (task, criteria) = (task.into(), criteria.into());
        Self {
            name: "g_eval_metric".to_owned(),
            identity: format!(
                "g_eval v{}|{}|{task}|{criteria}",
                prompts::VERSION,
                model.settings()
            ),
            task,
            criteria,
            model,
            weights: None,
            steps: Arc::new(OnceCell::new()),
        }
    }

    /// The same judge under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// With the steps of the evaluation written down, so that the model is not asked for them.
    #[must_use]
    pub fn steps(mut self, steps: impl Into<String>) -> Self {
        let steps = steps.into();
        self.identity = format!("{}|{steps}", self.identity);
        self.steps = Arc::new(OnceCell::new_with(Some(steps)));
        self
    }

    /// With the probabilities of grades, for models that tell them.
    #[must_use]
    pub fn weights(mut self, weights: Arc<dyn ScoreWeights>) -> Self {
        self.identity = format!("{}|weighted", self.identity);
        self.weights = Some(weights);
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
        // What the case lacks is found out before anything is paid for.
        let question = question(case, FIELDS, &self.model)?;
        let mut spent = (Usage::default(), 0.0);
        let steps = self
            .steps
            .get_or_try_init(|| async {
                let answer = self.model.ask(self.derive()).await?;
                if answer.text.trim().is_empty() {
                    return Err(JudgeError::Reply("there are no steps in it"));
                }
                spent = (answer.usage, answer.cost);
                Ok(answer.text)
            })
            .await?;
        let task = format!(
            "The task: {}\n\nThe criteria: {}\n\nGo through these steps:\n{}\n\n\
             10 means that the criteria are met without exception, 0 that they are not met at all.",
            self.task,
            self.criteria,
            steps.trim()
        );
        let messages = vec![
            Message::text(
                Role::System,
                prompts::instructions(&task, prompts::G_EVAL_SHAPE),
            ),
            Message::text(Role::User, question),
        ];
        if let Some(weights) = &self.weights
            && let Some(candidates) = weights.weights(&messages).await
            && let Some(score) = weighted_score(&candidates)
        {
            return Ok(Verdict {
                score: Score::new(self.name.as_str(), score),
                usage: spent.0,
                cost: spent.1,
                known: false,
            });
        }
        let verdict = decide(&self.model, &self.name, &prompts::G_EVAL, messages).await?;
        Ok(Verdict {
            usage: sum(&verdict.usage, &spent.0),
            cost: verdict.cost + spent.1,
            ..verdict
        })
    }

    /// The question for the steps.
    fn derive(&self) -> Vec<Message> {
        vec![
            Message::text(
                Role::System,
                "You prepare the grading of work that a language model did. From a task and its \
                 criteria you derive the steps that a grader goes through to reach a grade from 0 \
                 to 10. Reply with the numbered steps only, at most eight, each one sentence.",
            ),
            Message::text(
                Role::User,
                format!("The task: {}\n\nThe criteria: {}", self.task, self.criteria),
            ),
        ]
    }
}

#[async_trait]
impl Scorer for GEval {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    async fn score(&self, case: &Case, _: &TaskOutput) -> Result<Scored, ScoringError> {
        let verdict = self.judge(case).await?;
        Ok(Scored::from(verdict.score).cost(verdict.cost))
    }
}
