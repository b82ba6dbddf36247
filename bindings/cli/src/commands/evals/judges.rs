//! The model that judges ask, and what they may spend.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use opik_core::prices;
use opik_evals::judge::{Budget, JudgeModel, Price};
use opik_models::{HttpClient, ModelSettings, Models, Retries};
use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::render::numbers::{count, dollars};
use crate::render::text::clean;

/// Options of the commands that judge.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct JudgeArgs {
    /// The language model that judges ask, for example openai/gpt-4.1-mini or ollama/llama3.2; keys
    /// and addresses are read from the provider's own variables
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    /// Ask no judge after this many US dollars
    #[arg(long, value_name = "DOLLARS", requires = "model", value_parser = amount)]
    judge_budget: Option<f64>,

    /// Ask no judge after this many tokens of questions and replies
    #[arg(long, value_name = "NUMBER", requires = "model")]
    judge_tokens: Option<u64>,

    /// What a million tokens cost in US dollars, of questions and of replies, such as 0.40,1.60
    /// [default: the list price of the model, where it is known]
    #[arg(long, value_name = "IN,OUT", requires = "model", value_parser = price)]
    judge_price: Option<Price>,

    /// The randomness of replies; `default` is the model's own, which some models insist on
    #[arg(long, value_name = "NUMBER", requires = "model", default_value = "0")]
    judge_temperature: Temperature,

    /// Most tokens of a reply; models that think need more
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "model",
        default_value_t = 1_024
    )]
    judge_reply: u32,
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount >= 0.0 => Ok(amount),
        _ => Err("it has to be an amount of dollars".to_owned()),
    }
}

fn price(text: &str) -> Result<Price, String> {
    let (prompt, reply) = text
        .split_once(',')
        .ok_or("it has to be two amounts, such as 0.40,1.60")?;
    Ok(Price::per_million(
        amount(prompt.trim())?,
        amount(reply.trim())?,
    ))
}

/// How random replies are; `None` leaves it to the model.
#[derive(Debug, Clone, Copy)]
struct Temperature(Option<f32>);

impl FromStr for Temperature {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "default" {
            return Ok(Self(None));
        }
        match text.parse::<f32>() {
            Ok(number) if (0.0..=2.0).contains(&number) => Ok(Self(Some(number))),
            _ => Err("it has to be a number from 0 to 2, or default"),
        }
    }
}

/// The model of the judges, and what they have spent.
#[derive(Debug)]
pub(super) struct Judges {
    model: JudgeModel,
    /// Whether dollars are known at all.
    priced: bool,
}

impl JudgeArgs {
    /// The model of the judges; `None` when none is named.
    pub(super) fn find(&self, timeout: Duration) -> Result<Option<Judges>, Failure> {
        let Some(name) = self.model.as_deref().map(str::trim) else {
            return Ok(None);
        };
        let unusable = |error| {
            Failure::new(Code::Usage, "the model of the judges cannot be used").cause(error)
        };
        // A judge repeats its question itself, and asks its budget before.
        let http = HttpClient::builder().retries(Retries::none()).build();
        let settings = ModelSettings::from_process_env();
        let model = http
            .and_then(|http| Models::over(http, settings))
            .and_then(|models| models.model(name))
            .map_err(unusable)?;
        let listed = || {
            let price = prices::of(model.name())?;
            Some(Price::per_million(price.input, price.output))
        };
        let price = self.judge_price.or_else(listed);
        if self.judge_budget.is_some() && price.is_none() {
            let text = format!("the price of {} is not known", model.name());
            return Err(Failure::new(Code::Usage, text)
                .hint("--judge-price IN,OUT states it, --judge-tokens limits tokens instead"));
        }
        let mut budget = Budget::new();
        if let Some(tokens) = self.judge_tokens {
            budget = budget.max_tokens(tokens);
        }
        if let Some(dollars) = self.judge_budget {
            budget = budget.max_dollars(dollars);
        }
        let model = JudgeModel::new(model)
            .timeout(timeout)
            .temperature(self.judge_temperature.0)
            .max_tokens(self.judge_reply)
            .price(price.unwrap_or_default())
            .budget(Arc::new(budget));
        Ok(Some(Judges {
            model,
            priced: price.is_some(),
        }))
    }
}

impl Judges {
    pub(super) fn model(&self) -> &JudgeModel {
        &self.model
    }

    /// What they spent, for people.
    pub(super) fn text(&self) -> String {
        let spent = self.model.spent();
        let money = if self.priced {
            dollars(spent.dollars())
        } else {
            "at an unknown price".to_owned()
        };
        let end = if spent.is_spent() {
            "; the budget is spent"
        } else {
            ""
        };
        let name = clean(self.model.name());
        format!(
            "judges: {name}, {} tokens, {money}{end}\n",
            count(spent.tokens())
        )
    }

    pub(super) fn document(&self) -> Value {
        let spent = self.model.spent();
        json!({
            "model": self.model.name(),
            "tokens": spent.tokens(),
            "dollars": self.priced.then(|| spent.dollars()),
            "budget_spent": spent.is_spent(),
        })
    }
}
