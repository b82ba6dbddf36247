//! Numbers over time: values in hours, days or weeks, added up, averaged or spread.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Timestamp;
use crate::catalog::Percentiles;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// Most points of a line.
const MOST_POINTS: usize = 10_000;

/// How long the steps of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interval {
    /// Hours, in UTC.
    Hourly,
    /// Days, in UTC.
    Daily,
    /// Weeks from Monday on, in UTC.
    Weekly,
    /// One step from the start to the end.
    Total,
}

impl Interval {
    /// The interval with this name on the wire, for example `DAILY`.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Some(match name {
            "HOURLY" => Self::Hourly,
            "DAILY" => Self::Daily,
            "WEEKLY" => Self::Weekly,
            "TOTAL" => Self::Total,
            _ => return None,
        })
    }
}

/// A point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// The start of the step.
    pub time: Timestamp,
    /// The value; none where nothing happened.
    pub value: Option<f64>,
}

/// A line: one point for each step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// The points, in the order of time.
    pub data: Vec<Point>,
}

/// Gathers values over time.
///
/// ```
/// use opik_core::series::{Interval, Series};
///
/// let start = "2026-01-01T00:00:00Z".parse()?;
/// let end = "2026-01-02T12:00:00Z".parse()?;
/// let mut series = Series::new(Interval::Daily, start, end).ok_or("too long")?;
/// series.add("cost", start, 0.25);
/// series.add("cost", start, 0.5);
/// let lines = series.sums();
/// let values: Vec<_> = lines[0].data.iter().map(|point| point.value).collect();
/// assert_eq!(values, [Some(0.75), None]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Series {
    interval: Interval,
    start: Timestamp,
    steps: Vec<Timestamp>,
    values: BTreeMap<String, BTreeMap<Timestamp, Vec<f64>>>,
}

impl Series {
    /// An empty series; `None` when it ends before it starts or has more than 10,000 steps.
    #[must_use]
    pub fn new(interval: Interval, start: Timestamp, end: Timestamp) -> Option<Self> {
        if end <= start {
            return None;
        }
        let first = step_of(interval, start, start);
        let size = match interval {
            Interval::Hourly => HOUR,
            Interval::Daily => DAY,
            Interval::Weekly => 7 * DAY,
            Interval::Total => end.micros_since(first),
        };
        let count = usize::try_from((end.micros_since(first) - 1) / size).ok()? + 1;
        if count > MOST_POINTS {
            return None;
        }
        let mut steps = Vec::with_capacity(count);
        let mut at = first;
        for _ in 0..count {
            steps.push(at);
            at = at.plus_micros(size);
        }
        Some(Self {
            interval,
            start,
            steps,
            values: BTreeMap::new(),
        })
    }

    /// Adds a value to a line.
    pub fn add(&mut self, line: &str, at: Timestamp, value: f64) {
        let step = step_of(self.interval, at, self.start);
        let steps = match self.values.get_mut(line) {
            Some(steps) => steps,
            None => self.values.entry(line.to_owned()).or_default(),
        };
        steps.entry(step).or_default().push(value);
    }

    fn lines(&self, name: impl Fn(&str) -> String, of: impl Fn(&[f64]) -> f64) -> Vec<Line> {
        let line = |(line, values): (&String, &BTreeMap<Timestamp, Vec<f64>>)| Line {
            name: name(line),
            data: self
                .steps
                .iter()
                .map(|&time| Point {
                    time,
                    value: values.get(&time).map(|values| of(values)),
                })
                .collect(),
        };
        self.values.iter().map(line).collect()
    }

    /// The sum of each step.
    #[must_use]
    pub fn sums(&self) -> Vec<Line> {
        self.lines(str::to_owned, |values| values.iter().sum())
    }

    /// The mean of each step.
    #[must_use]
    pub fn means(&self) -> Vec<Line> {
        self.lines(str::to_owned, |values| {
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
            let count = values.len() as f64;
            values.iter().sum::<f64>() / count
        })
    }

    /// The spread of each step: three lines for each, `NAME.p50`, `NAME.p90` and `NAME.p99`.
    #[must_use]
    pub fn spreads(&self) -> Vec<Line> {
        let of = |part: &'static str, value: fn(Percentiles) -> f64| {
            self.lines(
                |name| format!("{name}.{part}"),
                |values| {
                    let mut values = values.to_vec();
                    value(nearest_ranks(&mut values))
                },
            )
        };
        let mut lines = of("p50", |it| it.p50);
        lines.extend(of("p90", |it| it.p90));
        lines.extend(of("p99", |it| it.p99));
        lines
    }
}

/// The start of the step that a moment lies in.
fn step_of(interval: Interval, at: Timestamp, start: Timestamp) -> Timestamp {
    let micros = at.as_micros();
    let floor = |size: i64| micros.div_euclid(size).saturating_mul(size);
    Timestamp::from_micros(match interval {
        Interval::Hourly => floor(HOUR),
        Interval::Daily => floor(DAY),
        // The epoch was a Thursday, three days after a Monday.
        Interval::Weekly => {
            let since_monday = micros.saturating_add(3 * DAY);
            since_monday.div_euclid(7 * DAY).saturating_mul(7 * DAY) - 3 * DAY
        }
        Interval::Total => start.as_micros(),
    })
}

/// The 50th, 90th and 99th percentile by nearest rank: values that occur; zero where none does.
/// Sorts the values.
#[must_use]
pub fn nearest_ranks(values: &mut [f64]) -> Percentiles {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| -> f64 {
        let rank = (values.len() * percent).div_ceil(100).max(1);
        values.get(rank - 1).copied().unwrap_or(0.0)
    };
    Percentiles::new(at(50), at(90), at(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(interval: Interval, start: &str, end: &str) -> Vec<String> {
        let mut series = Series::new(interval, at(start), at(end)).unwrap();
        series.add("x", at(start), 1.0);
        let lines = series.sums();
        let sum: f64 = lines[0].data.iter().filter_map(|point| point.value).sum();
        assert_eq!(sum, 1.0, "a value at the start is in a step");
        lines[0].data.iter().map(|p| p.time.to_string()).collect()
    }

    #[test]
    fn steps_begin_at_full_hours_days_and_mondays() {
        let hours = times(
            Interval::Hourly,
            "2026-11-29T01:30:00Z",
            "2026-11-29T03:00:00Z",
        );
        assert_eq!(
            hours,
            ["2026-11-29T01:00:00.000000Z", "2026-11-29T02:00:00.000000Z"]
        );
        let days = times(
            Interval::Daily,
            "2026-11-28T12:00:00Z",
            "2026-11-29T03:00:00Z",
        );
        assert_eq!(
            days,
            ["2026-11-28T00:00:00.000000Z", "2026-11-29T00:00:00.000000Z"]
        );
        // A Sunday belongs to the week of the Monday before.
        let weeks = times(
            Interval::Weekly,
            "2026-11-29T12:00:00Z",
            "2026-12-01T00:00:00Z",
        );
        assert_eq!(
            weeks,
            ["2026-11-23T00:00:00.000000Z", "2026-11-30T00:00:00.000000Z"]
        );
        let total = times(
            Interval::Total,
            "2026-11-29T12:00:00Z",
            "2026-12-01T00:00:00Z",
        );
        assert_eq!(total, ["2026-11-29T12:00:00.000000Z"]);
    }

    #[test]
    fn a_series_that_is_too_long_or_ends_early_is_refused() {
        let day = at("2026-01-01T00:00:00Z");
        assert!(Series::new(Interval::Daily, day, day).is_none());
        assert!(Series::new(Interval::Hourly, Timestamp::EPOCH, day).is_none());
        assert!(Series::new(Interval::Total, Timestamp::EPOCH, day).is_some());
    }

    #[test]
    fn spreads_are_values_that_occur() {
        let mut series = Series::new(
            Interval::Total,
            at("2026-01-01T00:00:00Z"),
            at("2026-01-02T00:00:00Z"),
        )
        .unwrap();
        for n in 1..=10 {
            series.add("duration", at("2026-01-01T05:00:00Z"), f64::from(n));
        }
        let lines: Vec<_> = series
            .spreads()
            .into_iter()
            .map(|it| (it.name, it.data[0].value.unwrap()))
            .collect();
        let named = |name: &str, value| (name.to_owned(), value);
        assert_eq!(
            lines,
            [
                named("duration.p50", 5.0),
                named("duration.p90", 9.0),
                named("duration.p99", 10.0)
            ]
        );
        assert_eq!(series.means()[0].data[0].value, Some(5.5));
        assert_eq!(nearest_ranks(&mut []), Percentiles::new(0.0, 0.0, 0.0));
    }
}
