//! Thresholds of one metric, by itself and against a baseline.

use super::Checks;
use crate::compare::{Comparison, MetricComparison, Verdict};
use crate::experiment::Run;
use crate::gate::MetricGates;
use crate::summary::{Flakiness, MetricSummary, Passed};

impl Checks {
    pub(super) fn metric(
        &mut self,
        name: &str,
        gates: &MetricGates,
        run: Option<&Run>,
        comparison: Option<&Comparison>,
        confidence: f64,
    ) {
        let known = run.filter(|run| run.info().metric(name).is_some());
        let missing = if run.is_none() {
            "there is no run"
        } else {
            "the run has no such metric"
        };
        let summary = known.map(|run| MetricSummary::of(run, name, confidence));
        let mean = summary
            .as_ref()
            .ok_or(missing)
            .and_then(|summary| summary.mean.ok_or("the metric gave no score"));
        let interval =
            |low: f64, value: f64, high: f64| format!("{value:.4}, between {low:.4} and {high:.4}");
        let note = mean.map_or_else(
            |_| String::new(),
            |mean| interval(mean.low, mean.value, mean.high),
        );
        if let Some(limit) = gates.min_mean {
            let found = mean.map(|mean| if gates.sure { mean.low } else { mean.value });
            self.at_least(format!("{name}: min_mean"), limit, found, note.clone());
        }
        if let Some(limit) = gates.max_mean {
            let found = mean.map(|mean| if gates.sure { mean.high } else { mean.value });
            self.at_most(format!("{name}: max_mean"), limit, found, note);
        }
        let pass_at = gates.pass_at.or_else(|| known?.pass_at(name));
        let unknown = "nothing says which score passes; set pass_at";
        if let Some(limit) = gates.min_pass_rate {
            let passed = match (known, pass_at) {
                (None, _) => Err(missing),
                (_, None) => Err(unknown),
                (Some(run), Some(at)) => {
                    Passed::of(run, name, at, confidence).ok_or("there are no trials")
                }
            };
            let found = passed.map(|passed| {
                if gates.sure {
                    passed.rate.low
                } else {
                    passed.rate.value
                }
            });
            let note = passed.map_or_else(
                |_| String::new(),
                |passed| {
                    let rate = passed.rate;
                    format!(
                        "{} of {}: {}",
                        passed.passed,
                        passed.of,
                        interval(rate.low, rate.value, rate.high)
                    )
                },
            );
            self.at_least(format!("{name}: min_pass_rate"), limit, found, note);
        }
        if let Some(limit) = gates.min_pass_all {
            let flaky = match (known, pass_at) {
                (None, _) => Err(missing),
                (_, None) => Err(unknown),
                (Some(run), Some(at)) => {
                    Flakiness::of(run, name, at).ok_or("items were not run more than once")
                }
            };
            let note = flaky.as_ref().map_or_else(
                |_| String::new(),
                |flaky| {
                    format!(
                        "every one of {} times; {} items pass sometimes",
                        flaky.k,
                        flaky.flaky.len()
                    )
                },
            );
            let found = flaky
                .as_ref()
                .map(|flaky| flaky.pass_all_k)
                .map_err(|reason| *reason);
            self.at_least(format!("{name}: min_pass_all"), limit, found, note);
        }
        if let Some(limit) = gates.max_unscored {
            let found = summary
                .as_ref()
                .ok_or(missing)
                .map(|summary| summary.unscored as f64);
            self.at_most(
                format!("{name}: max_unscored"),
                limit as f64,
                found,
                "trials".to_owned(),
            );
        }
        self.against_baseline(
            name,
            gates,
            comparison.and_then(|comparison| comparison.metric(name)),
        );
    }

    fn against_baseline(
        &mut self,
        name: &str,
        gates: &MetricGates,
        metric: Option<&MetricComparison>,
    ) {
        let metric = metric.ok_or("there is no baseline with this metric");
        let pairs = metric.and_then(|metric| {
            if metric.pairs == 0 {
                Err("no item has a score in both runs")
            } else {
                Ok(metric)
            }
        });
        if let Some(limit) = gates.max_drop {
            let drop = pairs.and_then(|metric| {
                let difference = metric
                    .difference
                    .ok_or("no item has a score in both runs")?;
                let (value, far) = if metric.lower_is_better {
                    (difference.value, difference.high)
                } else {
                    (-difference.value, -difference.low)
                };
                Ok(if gates.sure { far } else { value })
            });
            let note = pairs.map_or_else(
                |_| String::new(),
                |metric| {
                    let mean = |mean: Option<f64>| {
                        mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.4}"))
                    };
                    format!(
                        "mean {} before, {} now, {} items",
                        mean(metric.mean_before),
                        mean(metric.mean_after),
                        metric.pairs
                    )
                },
            );
            self.at_most(format!("{name}: max_drop"), limit, drop, note);
        }
        if gates.no_regression {
            let found =
                pairs.map(|metric| f64::from(u8::from(metric.verdict == Verdict::Regressed)));
            let note = pairs.map_or_else(
                |_| String::new(),
                |metric| {
                    let p = metric.p_corrected.or(metric.p).unwrap_or(1.0);
                    let seen = metric
                        .minimum_detectable_effect
                        .map_or_else(String::new, |effect| {
                            format!("; a true change below {effect:.4} would go unseen")
                        });
                    format!("p = {p:.4}{seen}")
                },
            );
            self.at_most(format!("{name}: no_regression"), 0.0, found, note);
        }
        if let Some(limit) = gates.max_regressed {
            let found = metric.map(|metric| metric.regressed as f64);
            let note = metric.map_or_else(
                |_| String::new(),
                |metric| format!("{} better, {} the same", metric.improved, metric.same),
            );
            self.at_most(format!("{name}: max_regressed"), limit as f64, found, note);
        }
    }
}
