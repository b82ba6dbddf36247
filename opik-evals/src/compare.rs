//! Two runs over the same items: what became better, what became worse, and whether it could be
//! chance.
//!
//! ```
//! use opik_evals::compare::{CompareOptions, Comparison};
//! use opik_evals::dataset::Item;
//! use opik_evals::experiment::{Experiment, FieldTask};
//! use opik_evals::heuristics::Equals;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let items = vec![
//!     Item::from_value(json!({ "old": "4", "new": "4", "expected_output": "4" }))?,
//!     Item::from_value(json!({ "old": "7", "new": "6", "expected_output": "6" }))?,
//! ];
//! let run = async |field| {
//!     let experiment = Experiment::new(field, items.clone()).metric(Equals::new());
//!     experiment.task(FieldTask::new(field)).run().await
//! };
//! let (old, new) = (run("old").await?, run("new").await?);
//! let comparison = Comparison::of(&old, &new, &CompareOptions::default());
//! let equals = comparison.metric("equals_metric").ok_or("no such metric")?;
//! assert_eq!((equals.improved, equals.regressed, equals.same), (1, 0, 1));
//! // Two cases prove nothing.
//! assert!(!equals.is_significant());
//! # Ok(())
//! # }
//! ```
//!
//! Items are matched by identifier. The value of an item is the mean over its repetitions; an item
//! passes when that mean does, and one without a score does not pass.

mod metric;
mod options;

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::dataset::Item;
use crate::experiment::Run;
use crate::statistics::holm;
use crate::summary::{item_means, slice_items, slice_value};

pub use metric::{MetricComparison, PassComparison, Test, Verdict};
pub use options::CompareOptions;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A worse score, or none where there was one.
    Regressed,
    /// A better score, or one where there was none.
    Improved,
    /// The same score, or none in both.
    Same,
    /// Only in the second run: the item, or the metric as a whole.
    New,
    /// Only in the first run: the item, or the metric as a whole.
    Gone,
}

/// An item by one metric, in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CaseChange {
    /// Identifier of the item.
    pub item: String,
    /// The metric.
    pub metric: String,
    /// What became of it.
    pub change: Change,
    /// The score in the first run.
    pub before: Option<f64>,
    /// The score in the second run.
    pub after: Option<f64>,
    /// Whether the item itself is not the same in both runs, though its identifier is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
}

impl CaseChange {
    /// How much the score changed; infinitely much where one is missing.
    pub(crate) fn size(&self) -> f64 {
        match (self.before, self.after) {
            (Some(before), Some(after)) => (after - before).abs(),
            (None, None) => 0.0,
            _ => f64::INFINITY,
        }
    }
}

/// A run, as a comparison names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Side {
    /// Name of the experiment.
    pub name: String,
    /// Identifier of the run.
    pub run: String,
    /// How many items it has.
    pub items: usize,
    /// How many trials failed.
    pub failed: usize,
    /// How many trials were not run.
    pub not_run: usize,
    /// What a trial cost in the mean, in US dollars, where that is known.
    pub cost: Option<f64>,
    /// How long half of the trials took at most, in milliseconds.
    pub median_ms: Option<f64>,
}

impl Side {
    fn of(run: &Run) -> Self {
        let summary = crate::summary::RunSummary::figures(run);
        Self {
            name: run.info().name.clone(),
            run: run.info().id.clone(),
            items: run.items().len(),
            failed: run.failed(),
            not_run: run.not_run(),
            cost: summary.cost.map(|cost| cost.mean),
            median_ms: summary.duration_ms.map(|time| time.median),
        }
    }
}

/// The items with one value of a field, in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SliceComparison {
    /// The field.
    pub field: String,
    /// The value.
    pub value: String,
    /// The metrics over these items. Probabilities are not corrected for the number of parts: read
    /// them as hints.
    pub metrics: Vec<MetricComparison>,
}

/// Two runs, compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The first run.
    pub before: Side,
    /// The second run.
    pub after: Side,
    /// The confidence of the intervals.
    pub confidence: f64,
    /// Items that both have under one identifier and with different content.
    pub edited: usize,
    /// The metrics that either run has.
    pub metrics: Vec<MetricComparison>,
    /// Parts of the items, where a field was named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceComparison>,
    /// Each item by each metric: regressed ones first, the largest change first.
    pub cases: Vec<CaseChange>,
}

impl Comparison {
    /// Compares a run with an earlier one.
    #[must_use]
    pub fn of(before: &Run, after: &Run, options: &CompareOptions) -> Self {
        let pairs = Pairs::new(before, after);
        let mut names: Vec<&str> = before.metrics().collect();
        names.extend(
            after
                .metrics()
                .filter(|name| before.info().metric(name).is_none()),
        );
        let mut cases: Vec<CaseChange> = names
            .iter()
            .flat_map(|name| pairs.cases(name, options.tolerance))
            .collect();
        cases.sort_by(|a, b| {
            let by_size = b.size().total_cmp(&a.size());
            a.change.cmp(&b.change).then(by_size)
        });
        let mut metrics = pairs.metrics(&names, &cases, None, options);
        correct(&mut metrics);
        let mut slices = Vec::new();
        for field in &options.slices {
            let items = pairs.items.iter().map(|(_, item)| *item);
            for (value, ids) in slice_items(items, field) {
                let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
                slices.push(SliceComparison {
                    field: field.clone(),
                    value,
                    metrics: pairs.metrics(&names, &cases, Some(&ids), options),
                });
            }
        }
        Self {
            before: Side::of(before),
            after: Side::of(after),
            confidence: options.confidence,
            edited: pairs.edited.len(),
            metrics,
            slices,
            cases,
        }
    }

    /// The comparison by one metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&MetricComparison> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// Whether any metric became worse beyond chance.
    #[must_use]
    pub fn has_regressed(&self) -> bool {
        self.metrics
            .iter()
            .any(|metric| metric.verdict == Verdict::Regressed)
    }
}

/// Corrects the probabilities of all metrics for their number, and decides.
fn correct(metrics: &mut [MetricComparison]) {
    let given: Vec<f64> = metrics.iter().filter_map(|metric| metric.p).collect();
    let mut corrected = holm(&given).into_iter();
    for metric in &mut *metrics {
        metric.p_corrected = metric.p.and_then(|_| corrected.next());
    }
    for metric in metrics {
        metric.decide();
    }
}

/// The items of two runs side by side.
struct Pairs<'a> {
    before: &'a Run,
    after: &'a Run,
    /// Every item once, with where it is found: in the order of the second run, gone ones last.
    items: Vec<(Where, &'a Item)>,
    edited: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Before,
    After,
    Both,
}

impl<'a> Pairs<'a> {
    fn new(before: &'a Run, after: &'a Run) -> Self {
        let (old, new) = (before.items_by_id(), after.items_by_id());
        let mut items = Vec::new();
        let mut edited = BTreeSet::new();
        for item in after.items() {
            let id = item.id();
            let place = match old.get(&id) {
                None => Where::After,
                Some(same) => {
                    if same.content_hash() != item.content_hash() {
                        edited.insert(id.into_owned());
                    }
                    Where::Both
                }
            };
            items.push((place, item));
        }
        let gone = before
            .items()
            .iter()
            .filter(|item| !new.contains_key(&item.id()));
        items.extend(gone.map(|item| (Where::Before, item)));
        Self {
            before,
            after,
            items,
            edited,
        }
    }

    fn cases(&self, metric: &str, tolerance: f64) -> Vec<CaseChange> {
        let old: HashMap<String, f64> = item_means(self.before, metric).into_iter().collect();
        let new: HashMap<String, f64> = item_means(self.after, metric).into_iter().collect();
        let better = if self.lower_is_better(metric) {
            -1.0
        } else {
            1.0
        };
        // What a run never scored by is neither better nor worse.
        let had = self.before.info().metric(metric).is_some();
        let has = self.after.info().metric(metric).is_some();
        let cases = self.items.iter().map(|(place, item)| {
            let id = item.id().into_owned();
            let (before, after) = (old.get(&id).copied(), new.get(&id).copied());
            let change = match (place, before, after) {
                (Where::Before, ..) => Change::Gone,
                (Where::After, ..) => Change::New,
                (Where::Both, ..) if !has => Change::Gone,
                (Where::Both, ..) if !had => Change::New,
                (Where::Both, None, None) => Change::Same,
                (Where::Both, Some(_), None) => Change::Regressed,
                (Where::Both, None, Some(_)) => Change::Improved,
                (Where::Both, Some(before), Some(after)) => match (after - before) * better {
                    gain if gain > tolerance => Change::Improved,
                    gain if gain < -tolerance => Change::Regressed,
                    _ => Change::Same,
                },
            };
            CaseChange {
                edited: self.edited.contains(&id),
                item: id,
                metric: metric.to_owned(),
                change,
                before,
                after,
            }
        });
        cases.collect()
    }

    fn lower_is_better(&self, metric: &str) -> bool {
        self.before.lower_is_better(metric) || self.after.lower_is_better(metric)
    }

    /// The metrics over all items, or over those of a part.
    fn metrics(
        &self,
        names: &[&str],
        cases: &[CaseChange],
        part: Option<&BTreeSet<&str>>,
        options: &CompareOptions,
    ) -> Vec<MetricComparison> {
        let clusters: Option<HashMap<String, String>> = options.cluster.as_ref().map(|field| {
            let keys = self.items.iter();
            keys.map(|(_, item)| (item.id().into_owned(), slice_value(item, field)))
                .collect()
        });
        let inside = |case: &&CaseChange| part.is_none_or(|ids| ids.contains(case.item.as_str()));
        let metrics = names.iter().map(|name| {
            // In the order of the items, so that the same items give the same draws.
            let mut of_metric: Vec<&CaseChange> = cases
                .iter()
                .filter(|case| case.metric == *name)
                .filter(inside)
                .collect();
            of_metric.sort_by(|a, b| a.item.cmp(&b.item));
            // Scores that happen to be 1 throughout say nothing about what passes.
            let stated = |run: &Run| run.info().metric(name).and_then(|metric| metric.pass_at);
            let pass_at = stated(self.after)
                .or_else(|| stated(self.before))
                .or_else(|| self.before.pass_at(name).and(self.after.pass_at(name)));
            metric::compare(
                name,
                self.lower_is_better(name),
                pass_at,
                &of_metric,
                clusters.as_ref(),
                options,
            )
        });
        metrics.collect()
    }
}
