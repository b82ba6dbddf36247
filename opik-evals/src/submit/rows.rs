//! A trial as Opik's records.

use opik_core::model::{RecordSource, ScoreTarget};
use opik_core::{
    Batch, ErrorInfo, FeedbackScore, Json, ScoreRecord, Span, SpanType, Timestamp, Trace,
};
use serde_json::{Map, Value, json};

use super::ids::RunIds;
use crate::dataset::Item;
use crate::experiment::{Run, TaskErrorKind, Trial, visible};

/// The mark of spans that Opik's interface hides.
const INTERNAL: &str = "__opik_eval_internal__";

/// The content of an item as the dataset holds it.
pub(super) fn item_data(item: &Item) -> Map<String, Value> {
    let mut data = item.data().clone();
    if let Some(expected) = item.expected() {
        data.entry("expected_output")
            .or_insert_with(|| expected.clone());
    }
    data
}

/// How an item is to be run, as Opik writes it.
pub(super) fn policy(run: &Run) -> Value {
    json!({ "runs_per_item": run.info().repeats, "pass_threshold": 1 })
}

/// Everything of a trial that goes into a batch.
pub(super) struct TrialRows<'a> {
    pub(super) run: &'a Run,
    pub(super) ids: &'a RunIds<'a>,
    pub(super) project: Option<&'a str>,
}

impl TrialRows<'_> {
    /// Adds the trace of a trial with its spans and scores.
    pub(super) fn push(&self, batch: &mut Batch, item: &Item, item_id: &str, trial: &Trial) {
        let mut content = item_data(item);
        content.insert("id".to_owned(), item_id.into());
        let task_end = trial.started_at.plus_micros(micros(trial.duration_us));
        let end = task_end.plus_micros(micros(trial.scoring_us));
        let id = self.ids.trace(trial);
        let mut trace = Trace::new(id, trial.started_at);
        trace.name = Some("evaluation_task".to_owned());
        trace.project_name = self.project.map(str::to_owned);
        trace.end_time = Some(end);
        trace.last_updated_at = Some(end);
        trace.source = Some(RecordSource::Experiment);
        trace.input = Some(object(&content));
        let mut task = self.span(trial, "task", trial.started_at, task_end);
        task.input = Some(Json::from_value(&json!({ "item": content })));
        if let Some(output) = &trial.output {
            trace.output = Some(object(&output.fields));
            task.output = Some(object(&output.fields));
            task.total_estimated_cost = output.cost;
            if let Some(recorded) = output.trace_id {
                trace.metadata = Some(Json::from_value(
                    &json!({ "recorded_trace_id": recorded.to_string() }),
                ));
            }
            let mapped = self.mapped(item, item_id, trial);
            self.push_metrics(batch, &content, item_id, &mapped, trial, (task_end, end));
        }
        if let Some(error) = &trial.error {
            let info = ErrorInfo::new(kind_name(error.kind), error.message.clone());
            trace.error_info = Some(info.clone());
            task.error_info = Some(info);
        }
        batch.spans.push(task);
        for score in &trial.scores {
            let mut feedback = FeedbackScore::new(score.name.as_str(), score.value);
            feedback.reason.clone_from(&score.reason);
            let mut record = ScoreRecord::new(ScoreTarget::Trace(id), feedback);
            record.project_name = self.project.map(str::to_owned);
            batch.scores.push(record);
        }
        batch.traces.push(trace);
    }

    /// What the metrics saw.
    fn mapped(&self, item: &Item, item_id: &str, trial: &Trial) -> Map<String, Value> {
        let mut fields = match &trial.output {
            Some(output) => visible(item, output, &self.run.info().mapping),
            None => Map::new(),
        };
        fields.insert("id".to_owned(), item_id.into());
        fields
    }

    fn push_metrics(
        &self,
        batch: &mut Batch,
        content: &Map<String, Value>,
        item_id: &str,
        mapped: &Map<String, Value>,
        trial: &Trial,
        (start, end): (Timestamp, Timestamp),
    ) {
        let mut all = self.span(trial, "metrics_calculation", start, end);
        let mut results = Vec::new();
        for metric in self.run.metrics() {
            let scored = trial.scores.iter().find(|score| score.name == metric);
            let failed = trial
                .failed_scores
                .iter()
                .find(|failed| failed.name == metric);
            let result = match (scored, failed) {
                (Some(score), _) => result(metric, score.value, score.reason.as_deref(), false),
                (None, Some(failed)) => result(metric, 0.0, Some(&failed.message), true),
                (None, None) => continue,
            };
            let mut check = self.span_of(
                "check",
                trial,
                &format!("{metric}_arg_validation"),
                start,
                start,
            );
            check.parent_span_id = Some(all.id);
            check.input = Some(Json::from_value(&json!({ "metric_name": metric })));
            check.output = Some(Json::from_value(&json!({ "output": [[], mapped] })));
            check.tags = vec![INTERNAL.to_owned()];
            let mut span = self.span_of("metric", trial, metric, start, end);
            span.parent_span_id = Some(all.id);
            span.input = Some(object(mapped));
            match failed {
                Some(failed) => {
                    span.error_info = Some(ErrorInfo::new("MetricError", failed.message.clone()));
                }
                None => span.output = Some(Json::from_value(&json!({ "output": result }))),
            }
            batch.spans.extend([check, span]);
            results.push(result);
        }
        let case = self.test_case(content, item_id, mapped, trial);
        all.input = Some(Json::from_value(
            &json!({ "test_case_": case, "trial_id": trial.repeat }),
        ));
        all.output = Some(Json::from_value(&json!({ "output": {
            "test_case": case,
            "score_results": results,
            "trial_id": trial.repeat,
            "task_execution_time": seconds(trial.duration_us),
            "scoring_time": seconds(trial.scoring_us),
        }})));
        all.tags = vec![INTERNAL.to_owned()];
        batch.spans.push(all);
    }

    fn test_case(
        &self,
        content: &Map<String, Value>,
        item_id: &str,
        mapped: &Map<String, Value>,
        trial: &Trial,
    ) -> Value {
        let mut item = json!({
            "id": item_id,
            "trace_id": null,
            "span_id": null,
            "source": "sdk",
            "description": null,
            "evaluators": null,
            "execution_policy": policy(self.run),
        });
        if let Some(fields) = item.as_object_mut() {
            for (name, value) in content {
                fields.entry(name.as_str()).or_insert_with(|| value.clone());
            }
        }
        json!({
            "trace_id": self.ids.trace(trial).to_string(),
            "dataset_item_id": item_id,
            "task_output": trial.output.as_ref().map(|output| &output.fields),
            "dataset_item_content": content,
            "mapped_scoring_inputs": mapped,
            "dataset_item": item,
        })
    }

    fn span(&self, trial: &Trial, name: &str, start: Timestamp, end: Timestamp) -> Span {
        self.span_of("", trial, name, start, end)
    }

    /// A span with a part that tells it from others of its name: a metric may be called `task`.
    fn span_of(
        &self,
        part: &str,
        trial: &Trial,
        name: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Span {
        let id = self.ids.span(trial, part, name);
        let mut span = Span::new(id, self.ids.trace(trial), start);
        span.project_name = self.project.map(str::to_owned);
        span.name = Some(name.to_owned());
        span.r#type = Some(SpanType::General);
        span.end_time = Some(end);
        span.last_updated_at = Some(end);
        span.source = Some(RecordSource::Experiment);
        span
    }
}

fn result(name: &str, value: f64, reason: Option<&str>, failed: bool) -> Value {
    json!({
        "name": name,
        "value": value,
        "reason": reason,
        "category_name": null,
        "metadata": null,
        "scoring_failed": failed,
    })
}

fn object(fields: &Map<String, Value>) -> Json {
    Json::from_value(&Value::Object(fields.clone()))
}

fn kind_name(kind: TaskErrorKind) -> &'static str {
    match kind {
        TaskErrorKind::Failed => "TaskError",
        TaskErrorKind::Timeout => "TimeoutError",
        TaskErrorKind::Panicked => "Panic",
        TaskErrorKind::Program => "ProgramError",
        TaskErrorKind::Source => "SourceError",
    }
}

fn micros(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
