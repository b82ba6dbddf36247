//! Metrics on the command line.

use std::str::FromStr;
use std::sync::Arc;

use opik_core::TraceSource;
use opik_evals::experiment::{MetricScorer, Scorer};
use opik_evals::gate::TraceAnalysis;
use opik_evals::trace_metrics::{self, TraceScorer};
use opik_evals::{MetricError, heuristics, judge};
use opik_store::Store;
use serde_json::{Map, Value};

use super::findings::facts;
use super::judges::Judges;
use crate::exit::{Code, Failure};
use crate::render::text::clean;

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
    /// Whether it asks a model.
    pub(super) fn is_judge(&self) -> bool {
        judge::names().any(|name| name == self.name)
    }

    /// Whether it reads recorded traces.
    pub(super) fn reads_traces(&self) -> bool {
        trace_metrics::names().any(|name| name == self.name)
    }

    /// What scores. Its name and parameters tell it from all others, so that a cache may keep scores
    /// and a run of other metrics is not gone on with.
    pub(super) fn scorer(
        &self,
        judges: Option<&Judges>,
        traces: Option<&Arc<Store>>,
    ) -> Result<Arc<dyn Scorer>, Failure> {
        let name = self.name.as_str();
        if self.is_judge() {
            let judges = judges.ok_or_else(|| {
                Failure::new(Code::Usage, format!("{name} asks a language model"))
                    .hint("--model names one, such as openai/gpt-4.1-mini or ollama/llama3.2")
            })?;
            return judge::by_name(name, &self.parameters, judges.model())
                .map_err(|error| self.wrong(error));
        }
        if self.reads_traces() {
            let traces = traces.ok_or_else(|| {
                Failure::new(Code::Store, format!("{name} reads recorded traces"))
                    .hint("opik-rs import <FILE> makes a store of them")
            })?;
            let analysis: Arc<dyn TraceAnalysis> = Arc::new(facts);
            let metric = trace_metrics::by_name(name, &self.parameters, &analysis);
            let source: Arc<dyn TraceSource> = traces.clone();
            let metric = metric.map_err(|error| self.wrong(error))?;
            return Ok(Arc::new(
                TraceScorer::new(source, metric).identified(self.identity()),
            ));
        }
        let metric = heuristics::by_name(name, &self.parameters).map_err(|error| {
            if heuristics::names().any(|known| known == name) {
                return self.wrong(error);
            }
            Failure::new(Code::Usage, format!("there is no metric {}", clean(name)))
                .hint("opik-rs evals metrics lists them")
        })?;
        let scorer = MetricScorer::new(metric).identified(self.identity());
        Ok(Arc::new(scorer))
    }

    fn wrong(&self, error: MetricError) -> Failure {
        let text = format!("{} does not take these parameters", self.name);
        Failure::new(Code::Usage, text)
            .cause(error)
            .hint("opik-rs evals metrics lists what each takes")
    }

    fn identity(&self) -> String {
        // Keys of a map are in order here, unless some crate of the program wants otherwise.
        let mut parameters: Vec<_> = self.parameters.iter().collect();
        parameters.sort_unstable_by_key(|(name, _)| *name);
        let parameters = serde_json::to_string(&parameters).unwrap_or_default();
        format!("{} {parameters}", self.name)
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
