//! Agreement of two rankings.

use foldhash::{HashMap, HashMapExt};
use serde_json::Value;

use super::ngrams::real;
use crate::{Case, Metric, MetricError, Score};

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

fn items<'a>(case: &'a Case, field: &'static str) -> Result<Vec<Ranked<'a>>, MetricError> {
    let ranked = |item: &'a Value| match item {
        Value::String(text) => Ranked::Text(text),
        other => Ranked::Json(other.to_string()),
    };
    match case.require(field)? {
        Value::Array(items) => Ok(items.iter().map(ranked).collect()),
        _ => Err(MetricError::input(format!("`{field}` is not a list"))),
    }
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

impl Metric for SpearmanRanking {
    fn name(&self) -> &str {
        "spearman_ranking_metric"
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let (output, reference) = (items(case, "output")?, items(case, "reference")?);
        if output.len() != reference.len() {
            return Err(MetricError::input("the rankings are not of equal length"));
        }
        if output.is_empty() {
            return Err(MetricError::input("the rankings are empty"));
        }
        places(&output)?;
        let expected = places(&reference)?;
        let mut squares = 0.0;
        for (place, item) in output.iter().enumerate() {
            let expected = expected
                .get(item)
                .ok_or_else(|| MetricError::input("the rankings are not of the same items"))?;
            squares += real(place.abs_diff(*expected)).powi(2);
        }
        let n = real(output.len());
        let rho = if output.len() == 1 {
            1.0
        } else {
            1.0 - 6.0 * squares / (n * (n * n - 1.0))
        };
        Ok(Score::new(self.name(), f64::midpoint(rho, 1.0)))
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
