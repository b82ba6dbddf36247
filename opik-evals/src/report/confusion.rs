//! Which labels are taken for which.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::experiment::{Run, visible};

/// Most labels of a matrix that was not asked for.
const FEW: usize = 12;
/// Most labels of any matrix.
const MOST: usize = 60;

/// Which labels are taken for which.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Confusion {
    /// The labels, in order.
    pub labels: Vec<String>,
    /// Trials by what is expected (row) and what was answered (column).
    pub counts: Vec<Vec<usize>>,
    /// Trials without an answer or an expectation, which are not in the matrix.
    pub left_out: usize,
    /// The share of the trials in the matrix that agree.
    pub accuracy: f64,
    /// The mean of F1 over labels that are expected.
    pub macro_f1: f64,
    /// The figures of each label.
    pub figures: Vec<LabelFigures>,
}

/// The figures of a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelFigures {
    /// The label.
    pub label: String,
    /// Of the trials that were given it, the share that should have been; absent when none was.
    pub precision: Option<f64>,
    /// Of the trials that should have been given it, the share that was; absent when none should.
    pub recall: Option<f64>,
    /// The harmonic mean of both.
    pub f1: f64,
    /// How many trials should have been given it.
    pub expected: usize,
}

impl Confusion {
    /// The matrix of these fields, or of `reference` and `output` when both hold few labels. `None`
    /// when they hold none, or too many.
    pub(super) fn of(run: &Run, fields: Option<&(String, String)>) -> Option<Self> {
        let items = run.items_by_id();
        let (expected, output) = match fields {
            Some((expected, output)) => (expected.as_str(), output.as_str()),
            None => ("reference", "output"),
        };
        let pairs: Vec<Option<(String, String)>> = run
            .trials()
            .iter()
            .map(|trial| {
                let item = items.get(trial.item_id.as_str())?;
                let fields = visible(item, trial.output.as_ref()?, &run.info().mapping);
                let label = |name| fields.get(name).and_then(label);
                Some((label(expected)?, label(output)?))
            })
            .collect();
        let labels: BTreeSet<&String> = pairs.iter().flatten().flat_map(|(a, b)| [a, b]).collect();
        let most = if fields.is_some() { MOST } else { FEW };
        if labels.len() < 2 || labels.len() > most {
            return None;
        }
        let labels: Vec<String> = labels.into_iter().cloned().collect();
        let place = |label: &String| labels.binary_search(label).ok();
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        for (expected, output) in pairs.iter().flatten() {
            let cell = counts.get_mut(place(expected)?)?.get_mut(place(output)?)?;
            *cell += 1;
        }
        let inside = pairs.iter().flatten().count();
        let right = pairs.iter().flatten().filter(|(a, b)| a == b).count();
        let figures: Vec<LabelFigures> =
            labels.iter().map(|label| figures(label, &pairs)).collect();
        let known: Vec<f64> = figures
            .iter()
            .filter(|of| of.expected > 0)
            .map(|of| of.f1)
            .collect();
        Some(Self {
            counts,
            left_out: pairs.len() - inside,
            accuracy: right as f64 / inside as f64,
            macro_f1: known.iter().sum::<f64>() / known.len() as f64,
            figures,
            labels,
        })
    }
}

fn label(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn figures(label: &str, pairs: &[Option<(String, String)>]) -> LabelFigures {
    let count = |test: &dyn Fn(&str, &str) -> bool| {
        pairs.iter().flatten().filter(|(a, b)| test(a, b)).count()
    };
    let both = count(&|a, b| a == label && b == label);
    let expected = count(&|a, _| a == label);
    let given = count(&|_, b| b == label);
    let share = |of: usize| (of > 0).then(|| both as f64 / of as f64);
    LabelFigures {
        label: label.to_owned(),
        precision: share(given),
        recall: share(expected),
        f1: 2.0 * both as f64 / ((expected + given).max(1) as f64),
        expected,
    }
}
