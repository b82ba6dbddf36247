//! Sums and averages over the records of a search, as Opik's statistics name them.

use std::collections::BTreeMap;

use opik_core::catalog::ExperimentItem;
use opik_core::series::nearest_ranks;
use opik_core::{FeedbackScore, ProjectId, Span, Trace, Usage};
use serde_json::{Value, json};

/// What is added up while records go by.
#[derive(Debug, Default)]
pub(super) struct Stats {
    records: u64,
    spans: u64,
    llm_spans: u64,
    tags: u64,
    errors: u64,
    failed_guardrails: u64,
    cost: f64,
    durations: Vec<f64>,
    first_tokens: Vec<f64>,
    usage: BTreeMap<String, Mean>,
    scores: BTreeMap<String, Mean>,
    threads: std::collections::BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn get(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / float(self.count)
        }
    }
}

impl Stats {
    fn count(&mut self, usage: &Usage, scores: &[FeedbackScore], cost: Option<f64>, tags: usize) {
        self.records += 1;
        self.cost += cost.unwrap_or(0.0);
        self.tags += u64::try_from(tags).unwrap_or(0);
        for (name, tokens) in &usage.0 {
            #[expect(
                clippy::cast_precision_loss,
                reason = "counts of tokens are far below 2^53"
            )]
            self.usage
                .entry(name.clone())
                .or_default()
                .add(*tokens as f64);
        }
        for score in scores {
            let mean = self.scores.entry(score.name.clone()).or_default();
            mean.add(score.value);
        }
    }

    pub(super) fn count_trace(&mut self, trace: &Trace) {
        self.count(
            &trace.usage,
            &trace.feedback_scores,
            trace.total_estimated_cost,
            trace.tags.len(),
        );
        self.spans += trace.span_count.unwrap_or(0);
        self.llm_spans += trace.llm_span_count.unwrap_or(0);
        self.errors += u64::from(trace.error_info.is_some());
        self.durations.extend(trace.duration);
        self.first_tokens.extend(trace.ttft);
        self.threads.extend(trace.thread_id.clone());
        let failed = trace
            .guardrails_validations
            .iter()
            .flat_map(|validation| &validation.checks)
            .filter(|check| check.result == "failed")
            .count();
        self.failed_guardrails += u64::try_from(failed).unwrap_or(0);
    }

    pub(super) fn count_span(&mut self, span: &Span) {
        self.count(
            &span.usage,
            &span.feedback_scores,
            span.total_estimated_cost,
            span.tags.len(),
        );
        self.errors += u64::from(span.error_info.is_some());
        self.durations.extend(span.duration);
        self.first_tokens.extend(span.ttft);
    }

    fn shared(&mut self, counted: &str) -> Vec<Value> {
        let records = float(self.records).max(1.0);
        let mut stats = vec![
            json!({"name": counted, "type": "COUNT", "value": self.records}),
            json!({"name": "duration", "type": "PERCENTAGE", "value": nearest_ranks(&mut self.durations)}),
            json!({"name": "total_estimated_cost", "type": "AVG", "value": self.cost / records}),
            json!({"name": "total_estimated_cost_sum", "type": "AVG", "value": self.cost}),
            json!({"name": "tags", "type": "AVG", "value": float(self.tags) / records}),
            json!({"name": "error_count", "type": "COUNT", "value": self.errors}),
        ];
        if !self.first_tokens.is_empty() {
            stats.push(json!({"name": "ttft", "type": "PERCENTAGE", "value": nearest_ranks(&mut self.first_tokens)}));
        }
        for (name, mean) in &self.usage {
            stats
                .push(json!({"name": format!("usage.{name}"), "type": "AVG", "value": mean.get()}));
        }
        for (name, mean) in &self.scores {
            stats.push(json!({"name": format!("feedback_scores.{name}"), "type": "AVG", "value": mean.get()}));
        }
        stats
    }

    pub(super) fn of_traces(mut self) -> Value {
        let mut stats = self.shared("trace_count");
        let records = float(self.records).max(1.0);
        stats.push(
            json!({"name": "span_count", "type": "AVG", "value": float(self.spans) / records}),
        );
        stats.push(json!({"name": "llm_span_count", "type": "AVG", "value": float(self.llm_spans) / records}));
        stats.push(json!({"name": "thread_count", "type": "COUNT", "value": self.threads.len()}));
        stats.push(json!({"name": "guardrails_failed_count", "type": "COUNT", "value": self.failed_guardrails}));
        json!({"stats": stats})
    }

    /// The same as an entry of the list of projects.
    pub(super) fn of_project(mut self, id: ProjectId) -> Value {
        let means = |means: &BTreeMap<String, Mean>| -> Vec<Value> {
            let named = |(name, mean): (&String, &Mean)| json!({"name": name, "value": mean.get()});
            means.iter().map(named).collect()
        };
        let usage: BTreeMap<&String, f64> = self
            .usage
            .iter()
            .map(|(name, mean)| (name, mean.get()))
            .collect();
        json!({
            "project_id": id,
            "trace_count": self.records,
            "thread_count": self.threads.len(),
            "feedback_scores": means(&self.scores),
            "usage": usage,
            "duration": nearest_ranks(&mut self.durations),
            "total_estimated_cost": self.cost / float(self.records).max(1.0),
            "total_estimated_cost_sum": self.cost,
            "guardrails_failed_count": self.failed_guardrails,
            "error_count": {"count": self.errors, "deviation": 0},
        })
    }

    /// Sums and means over runs of experiments.
    pub(super) fn of_runs<'r>(runs: impl Iterator<Item = &'r ExperimentItem>) -> Value {
        let mut stats = Self::default();
        let none = Usage::default();
        let mut traces = std::collections::BTreeSet::new();
        for run in runs {
            traces.insert(run.trace_id);
            stats.count(
                run.usage.as_ref().unwrap_or(&none),
                &run.feedback_scores,
                run.total_estimated_cost,
                0,
            );
            stats.durations.extend(run.duration);
        }
        let mut all = vec![json!({"name": "trace_count", "type": "COUNT", "value": traces.len()})];
        let shared = stats.shared("experiment_items_count").into_iter();
        all.extend(shared.filter(|one| {
            let name = one.get("name").and_then(Value::as_str);
            !matches!(name, Some("tags" | "error_count"))
        }));
        json!({"stats": all})
    }

    pub(super) fn of_spans(mut self) -> Value {
        json!({"stats": self.shared("span_count")})
    }
}
