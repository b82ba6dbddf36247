//! Experiments in groups, by fields that they share.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{CatalogError, Experiment, NamedValue, Percentiles};
use crate::query::matches;

/// What experiments are grouped by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct GroupBy {
    /// `dataset_id`, `project_id`, `type`, `tags` or `metadata`.
    pub field: String,
    /// The path in the metadata.
    #[serde(default)]
    pub key: Option<String>,
}

impl GroupBy {
    /// Reads the list as it travels: `[{"field": "metadata", "key": "model"}]`.
    ///
    /// # Errors
    /// [`CatalogError`] when the text is no such list, is empty, or names an unknown field.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, CatalogError> {
        let wrong = || CatalogError::invalid(format!("Invalid groups query parameter '{text}'"));
        let list: Vec<Self> = serde_json::from_str(text).map_err(|_| wrong())?;
        let is_known = |it: &Self| match it.field.as_str() {
            "metadata" => it.key.as_deref().is_some_and(|key| !key.trim().is_empty()),
            field => matches!(field, "dataset_id" | "project_id" | "type" | "tags"),
        };
        // Groups nest, and nobody looks at more levels than these.
        if (1..=8).contains(&list.len()) && list.iter().all(is_known) {
            Ok(list)
        } else {
            Err(wrong())
        }
    }

    fn value(&self, experiment: &Experiment) -> (String, Option<String>) {
        match self.field.as_str() {
            "dataset_id" => (
                shown(experiment.dataset_id),
                experiment.dataset_name.clone(),
            ),
            "project_id" => (
                shown(experiment.project_id),
                experiment.project_name.clone(),
            ),
            "type" => (experiment.r#type.clone(), None),
            "tags" => {
                let tags: BTreeSet<_> = experiment.tags.iter().map(String::as_str).collect();
                (tags.into_iter().collect::<Vec<_>>().join(","), None)
            }
            _ => {
                let metadata = experiment.metadata.as_ref();
                let key = self.key.as_deref().unwrap_or_default();
                let text = metadata.and_then(|json| matches::text_at(json.as_str(), key));
                (text.map(|text| text.into_owned()).unwrap_or_default(), None)
            }
        }
    }
}

fn shown(id: Option<impl ToString>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// A group, with the groups inside it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExperimentGroup {
    /// What people call it, where its value is an identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The groups inside, by value; the empty text is what has no value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, ExperimentGroup>,
    /// What the experiments of an innermost group add up to, where that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregations: Option<GroupTotals>,
}

/// What the experiments of a group add up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupTotals {
    /// How many experiments.
    pub experiment_count: u64,
    /// How many traces.
    pub trace_count: u64,
    /// What the traces cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost: Option<f64>,
    /// What a trace costs on average, in dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost_avg: Option<f64>,
    /// Means of the experiments' spreads, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Percentiles>,
    /// Means of the experiments' mean scores.
    pub feedback_scores: Vec<NamedValue>,
    /// Means of the scores of experiments as a whole.
    pub experiment_scores: Vec<NamedValue>,
    /// Mean of the experiments' pass rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_rate_avg: Option<f64>,
    /// Items that passed.
    pub passed_count_sum: u64,
    /// Items that have assertions.
    pub total_count_sum: u64,
}

/// Experiments in nested groups, one level for each of `by`.
#[must_use]
pub fn group_experiments(
    experiments: &[Experiment],
    by: &[GroupBy],
    with_totals: bool,
) -> BTreeMap<String, ExperimentGroup> {
    let mut root = ExperimentGroup::default();
    let mut members: BTreeMap<Vec<String>, Vec<&Experiment>> = BTreeMap::new();
    for experiment in experiments {
        let mut place = &mut root;
        let mut path = Vec::with_capacity(by.len());
        for level in by {
            let (value, label) = level.value(experiment);
            path.push(value.clone());
            place = place.groups.entry(value).or_default();
            place.label = place.label.take().or(label);
        }
        members.entry(path).or_default().push(experiment);
    }
    if with_totals {
        for (path, experiments) in members {
            let mut place = Some(&mut root);
            for value in &path {
                place = place.and_then(|group| group.groups.get_mut(value));
            }
            if let Some(group) = place {
                group.aggregations = Some(GroupTotals::of(&experiments));
            }
        }
    }
    root.groups
}

impl GroupTotals {
    fn of(experiments: &[&Experiment]) -> Self {
        let total = |of: fn(&Experiment) -> u64| experiments.iter().map(|it| of(it)).sum();
        let costs = experiments.iter().filter_map(|it| it.total_estimated_cost);
        let cost: f64 = costs.sum();
        let traces: u64 = total(|it| it.trace_count);
        let spreads = |of: fn(Percentiles) -> f64| {
            mean(experiments.iter().filter_map(|it| it.duration.map(of)))
        };
        let duration = || {
            Some(Percentiles::new(
                spreads(|it| it.p50)?,
                spreads(|it| it.p90)?,
                spreads(|it| it.p99)?,
            ))
        };
        Self {
            experiment_count: u64::try_from(experiments.len()).unwrap_or(u64::MAX),
            trace_count: traces,
            total_estimated_cost: (cost > 0.0).then_some(cost),
            total_estimated_cost_avg: (cost > 0.0).then(|| cost / float(traces.max(1))),
            duration: duration(),
            feedback_scores: means(experiments.iter().flat_map(|it| &it.feedback_scores)),
            experiment_scores: means(experiments.iter().flat_map(|it| &it.experiment_scores)),
            pass_rate_avg: mean(experiments.iter().filter_map(|it| it.pass_rate)),
            passed_count_sum: total(|it| it.passed_count.unwrap_or(0)),
            total_count_sum: total(|it| it.total_count.unwrap_or(0)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / float(count))
}

fn means<'n>(values: impl Iterator<Item = &'n NamedValue>) -> Vec<NamedValue> {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for one in values {
        by_name.entry(&one.name).or_default().push(one.value);
    }
    let named = |(name, values): (&str, Vec<f64>)| {
        mean(values.into_iter()).map(|value| NamedValue::new(name, value))
    };
    by_name.into_iter().filter_map(named).collect()
}
