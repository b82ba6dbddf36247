//! Averages of scores over many traces.

use std::collections::BTreeMap;

use super::{NamedValue, Percentiles};

/// Gathers scores, durations, costs and usage of the traces of an experiment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    scores: BTreeMap<String, (f64, u32)>,
    usage: BTreeMap<String, (f64, u32)>,
    durations: Vec<f64>,
    cost: f64,
    traces: u32,
}

impl Scored {
    /// Counts a trace, with its cost in dollars and its duration in milliseconds.
    pub fn trace(&mut self, cost: Option<f64>, duration: Option<f64>) {
        self.traces += 1;
        self.cost += cost.unwrap_or(0.0);
        self.durations.extend(duration);
    }

    /// Counts a score of a trace.
    pub fn score(&mut self, name: &str, value: f64) {
        add(&mut self.scores, name, value);
    }

    /// Counts tokens of a trace.
    pub fn tokens(&mut self, name: &str, count: f64) {
        add(&mut self.usage, name, count);
    }

    /// The mean of each score, by name, to nine decimals.
    #[must_use]
    pub fn scores(&self) -> Vec<NamedValue> {
        let named = |(name, value): (&String, &(f64, u32))| NamedValue::new(name, mean(*value));
        self.scores.iter().map(named).collect()
    }

    /// The mean of each kind of tokens over the traces that have it.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<String, f64> {
        let named = |(name, value): (&String, &(f64, u32))| (name.clone(), mean(*value));
        self.usage.iter().map(named).collect()
    }

    /// The sum of the costs, and their mean over all traces; `None` where nothing was spent.
    #[must_use]
    pub fn cost(&self) -> Option<(f64, f64)> {
        let mean = self.cost / f64::from(self.traces.max(1));
        (self.cost > 0.0).then(|| (round(self.cost), round(mean)))
    }

    /// The spread of the durations, in milliseconds.
    #[must_use]
    pub fn durations(&self) -> Option<Percentiles> {
        let mut sorted = self.durations.clone();
        sorted.sort_by(f64::total_cmp);
        Some(Percentiles {
            p50: quantile(&sorted, 0.5)?,
            p90: quantile(&sorted, 0.9)?,
            p99: quantile(&sorted, 0.99)?,
        })
    }
}

fn add(to: &mut BTreeMap<String, (f64, u32)>, name: &str, value: f64) {
    match to.get_mut(name) {
        Some((sum, count)) => {
            *sum += value;
            *count += 1;
        }
        None => {
            to.insert(name.to_owned(), (value, 1));
        }
    }
}

fn mean((sum, count): (f64, u32)) -> f64 {
    round(sum / f64::from(count.max(1)))
}

/// Nine decimals, as Opik stores scores.
fn round(value: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    if rounded.is_finite() { rounded } else { value }
}

/// Between the two nearest values, in proportion.
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rank; exact up to 2^53 traces"
    )]
    let place = at * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and the length"
    )]
    let below = place.floor() as usize;
    let (low, high) = (sorted.get(below)?, sorted.get((below + 1).min(last))?);
    Some(round(low + (high - low) * place.fract()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_quantiles_are_those_of_the_numbers() {
        let mut all = Scored::default();
        for (value, cost) in [(1.0, Some(0.5)), (0.0, None), (1.0, Some(0.1))] {
            all.trace(cost, Some(value * 100.0));
            all.score("b", value);
        }
        all.score("a", 0.25);
        all.tokens("total_tokens", 10.0);
        let scores = all.scores();
        assert_eq!(
            scores,
            [
                NamedValue::new("a", 0.25),
                NamedValue::new("b", 0.666_666_667)
            ]
        );
        assert_eq!(all.cost(), Some((0.6, 0.2)));
        let spread = all.durations().unwrap();
        assert_eq!((spread.p50, spread.p90, spread.p99), (100.0, 100.0, 100.0));
        assert_eq!(all.usage()["total_tokens"], 10.0);
        assert_eq!(Scored::default().durations(), None);
        assert_eq!(quantile(&[0.0, 10.0], 0.9), Some(9.0));
    }
}
