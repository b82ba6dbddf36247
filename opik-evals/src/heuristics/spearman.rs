//! Agreement of two rankings.

use foldhash::{HashMap, HashMapExt};
use serde_json::Value;

use super::ngrams::real;
use super::numbering::Numbering;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "spearman_ranking_metric";

/// How far two rankings of the same items agree, from 0 (reversed) to 1 (equal): (ρ + 1)/2 with
/// Spearman's ρ = 1 - 6 Σ d² / (n (n² - 1)), where d is how many places an item moved.
///
/// Output and reference are lists of the same items in two orders, each item once. Items are equal
/// when their JSON is: 1 is not 1.0.
#[derive(Debug, Clone, Default)]
pub struct SpearmanRanking {}

impl SpearmanRanking {
    /// The metric.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// An item, which can be compared and hashed: a text, or the JSON of something else.
#[derive(PartialEq, Eq, Hash)]
enum Ranked<'a> {
    Text(&'a str),
    Json(String),
}

fn list<'a>(case: &'a Case, field: &'static str) -> Result<&'a [Value], MetricError> {
    match case.require(field)? {
        Value::Array(items) => Ok(items),
        _ => Err(MetricError::input(format!("`{field}` is not a list"))),
    }
}

fn items(list: &[Value]) -> Vec<Ranked<'_>> {
    let ranked = list.iter().map(|item| match item {
        Value::String(text) => Ranked::Text(text),
        other => Ranked::Json(other.to_string()),
    });
    ranked.collect()
}

fn places<'a>(items: &'a [Ranked<'a>]) -> Result<HashMap<&'a Ranked<'a>, usize>, MetricError> {
    let mut places = HashMap::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        if places.insert(item, place).is_some() {
            return Err(MetricError::input("a ranking has an item twice"));
        }
    }
    Ok(places)
}

/// Σ d² of two rankings of equal length.
fn squares(output: &[Ranked<'_>], reference: &[Ranked<'_>]) -> Result<f64, MetricError> {
    places(output)?;
    let expected = places(reference)?;
    let mut squares = 0.0;
    for (place, item) in output.iter().enumerate() {
        let expected = expected
            .get(item)
            .ok_or_else(|| MetricError::input("the rankings are not of the same items"))?;
        squares += real(place.abs_diff(*expected)).powi(2);
    }
    Ok(squares)
}

/// The same of rankings of texts; `None` when they are not, or are no rankings of the same.
fn squares_of_texts<'a>(output: &'a [Value], reference: &'a [Value]) -> Option<f64> {
    let mut expected = Numbering::new();
    // Keys first: so the processor fetches many items at once, which lie all over the memory.
    let keys = |list: &'a [Value]| {
        let mut keys = Vec::with_capacity(list.len());
        for item in list {
            let text = item.as_str()?;
            keys.push((expected.key(text), text));
        }
        Some(keys)
    };
    let (output, reference) = (keys(output)?, keys(reference)?);
    for (place, (key, item)) in (0..).zip(&reference) {
        if expected.number_of(*key, item) != place {
            return None;
        }
    }
    let mut seen = vec![false; reference.len()];
    let mut squares = 0.0;
    for (place, (key, item)) in output.iter().enumerate() {
        let expected = expected.find(*key, item)?;
        if std::mem::replace(seen.get_mut(expected)?, true) {
            return None;
        }
        squares += real(place.abs_diff(expected)).powi(2);
    }
    Some(squares)
}

impl Metric for SpearmanRanking {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let (output, reference) = (list(case, "output")?, list(case, "reference")?);
        if output.len() != reference.len() {
            return Err(MetricError::input("the rankings are not of equal length"));
        }
        if output.is_empty() {
            return Err(MetricError::input("the rankings are empty"));
        }
        let squares = match squares_of_texts(output, reference) {
            Some(squares) => squares,
            None => squares(&items(output), &items(reference))?,
        };
        let n = real(output.len());
        let rho = if output.len() == 1 {
            1.0
        } else {
            1.0 - 6.0 * squares / (n * (n * n - 1.0))
        };
        Ok(Score::fixed(NAME, f64::midpoint(rho, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_comes_twice_in_either_ranking_is_an_error() {
        for (output, reference) in [(["a", "a"], ["a", "b"]), (["a", "b"], ["b", "b"])] {
            let case = Case::new(output.to_vec()).with_reference(reference.to_vec());
            assert!(SpearmanRanking::new().score(&case).is_err());
        }
    }
}
