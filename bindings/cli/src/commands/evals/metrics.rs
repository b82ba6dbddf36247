//! Metrics on the command line.

use std::str::FromStr;

use opik_evals::experiment::MetricScorer;
use opik_evals::heuristics::by_name;
use serde_json::{Map, Value};

use crate::exit::{Code, Failure};

/// A metric and its parameters: `Equals`, `ROUGE={"rouge_type":"rougeL"}`.
#[derive(Debug, Clone)]
pub(super) struct MetricSpec {
    name: String,
    parameters: Map<String, Value>,
}

impl FromStr for MetricSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, parameters) = text.split_once('=').unwrap_or((text, "{}"));
        let parameters = serde_json::from_str(parameters)
            .map_err(|error| format!("the parameters are no JSON object: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            parameters,
        })
    }
}

impl MetricSpec {
    /// The metric. Its name and parameters tell it from all others, so that a cache may keep scores.
    pub(super) fn scorer(&self) -> Result<MetricScorer, Failure> {
        let metric = by_name(&self.name, &self.parameters).map_err(|error| {
            let text = format!("there is no metric {} with these parameters", self.name);
            Failure::new(Code::Usage, text).cause(error)
        })?;
        // Keys of a map are in order here, unless some crate of the program wants otherwise.
        let mut parameters: Vec<_> = self.parameters.iter().collect();
        parameters.sort_unstable_by_key(|(name, _)| *name);
        let parameters = serde_json::to_string(&parameters).unwrap_or_default();
        Ok(MetricScorer::new(metric).identified(format!("{} {parameters}", self.name)))
    }
}

/// `name=field`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("it has to be NAME=VALUE".to_owned()),
    }
}

/// `name=value`, where the value is JSON if it can be, else a text.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = pair(text)?;
    let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
    Ok((name, value))
}

/// `metric=score`.
pub(super) fn score(text: &str) -> Result<(String, f64), String> {
    let (name, value) = pair(text)?;
    match value.parse::<f64>() {
        Ok(score) if score.is_finite() => Ok((name, score)),
        _ => Err("the score has to be a number".to_owned()),
    }
}
