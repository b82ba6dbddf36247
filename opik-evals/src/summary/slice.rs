//! Parts of the items of a run.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;

use crate::dataset::Item;
use crate::experiment::{Run, Trial};
use crate::statistics::Summary;

/// Most values of a field that are told apart; the rarer ones are one part.
const MOST: usize = 50;

/// The name of the rest.
const REST: &str = "(other)";

/// The figures of the items with one value of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Slice {
    /// The field.
    pub field: String,
    /// The value, as text; `(none)` for items without one.
    pub value: String,
    /// How many items have it.
    pub items: usize,
    /// How many of their trials failed.
    pub failed: usize,
    /// The figures of each metric, in order.
    pub metrics: Vec<SliceMetric>,
}

/// The figures of a metric over a part of the items.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SliceMetric {
    /// The metric.
    pub name: String,
    /// Its scores; absent when there is none.
    pub scores: Option<Summary>,
}

/// What an item has in a field, as text. A dot goes into an object; `tags` are the labels.
pub(crate) fn slice_value(item: &Item, field: &str) -> String {
    if field == "tags" && !item.data().contains_key("tags") {
        return match item.tags() {
            [] => "(none)".to_owned(),
            tags => tags.join(", "),
        };
    }
    let mut names = field.split('.');
    let first = names.next().unwrap_or(field);
    let whole = item.data().get(field);
    let found = whole.or_else(|| names.try_fold(item.data().get(first)?, |at, name| at.get(name)));
    match found {
        None | Some(Value::Null) if field == "expected_output" => plain(item.expected()),
        other => plain(other),
    }
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The identifiers of items by what they have in a field, in order of the values. What is too rare
/// is together at the end.
pub(crate) fn slice_items<'a>(
    items: impl IntoIterator<Item = &'a Item>,
    field: &str,
) -> Vec<(String, Vec<String>)> {
    let mut by_value: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in items {
        let list = by_value.entry(slice_value(item, field)).or_default();
        list.push(item.id().into_owned());
    }
    let mut parts: Vec<(String, Vec<String>)> = by_value.into_iter().collect();
    if parts.len() > MOST {
        parts.sort_by_key(|(value, ids)| (std::cmp::Reverse(ids.len()), value.clone()));
        let rest = parts.split_off(MOST - 1);
        parts.sort();
        parts.push((
            REST.to_owned(),
            rest.into_iter().flat_map(|(_, ids)| ids).collect(),
        ));
    }
    parts
}

pub(super) fn slices(run: &Run, fields: &[String]) -> Vec<Slice> {
    let by_item = run.trials_by_item();
    let parts = fields.iter().flat_map(|field| {
        let parts = slice_items(run.items(), field);
        parts.into_iter().map(move |part| (field, part))
    });
    parts
        .map(|(field, (value, ids))| slice(run, &by_item, field, value, &ids))
        .collect()
}

fn slice(
    run: &Run,
    by_item: &HashMap<&str, Vec<&Trial>>,
    field: &str,
    value: String,
    ids: &[String],
) -> Slice {
    let trials: Vec<&Trial> = ids
        .iter()
        .filter_map(|id| by_item.get(id.as_str()))
        .flatten()
        .copied()
        .collect();
    let metrics = run.metrics().map(|name| {
        let scores: Vec<f64> = trials
            .iter()
            .filter_map(|trial| trial.score(name))
            .collect();
        SliceMetric {
            name: name.to_owned(),
            scores: Summary::of(&scores),
        }
    });
    Slice {
        field: field.to_owned(),
        value,
        items: ids.len(),
        failed: trials.iter().filter(|trial| trial.failed()).count(),
        metrics: metrics.collect(),
    }
}
