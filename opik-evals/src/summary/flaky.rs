//! Items that pass sometimes.

use serde::Serialize;

use crate::experiment::Run;
use crate::statistics::{pass_all_k, pass_at_k};

/// How often repetitions of one item agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Flakiness {
    /// How many repetitions the two chances are about.
    pub k: u32,
    /// The chance that an item passes at least once in `k` (pass@k), over items.
    pub pass_at_k: f64,
    /// The chance that an item passes every time in `k` (pass^k), over items.
    pub pass_all_k: f64,
    /// Items that passed sometimes and not always, in order.
    pub flaky: Vec<String>,
}

impl Flakiness {
    /// `None` unless items were run more than once. Items that were run fewer times than others,
    /// because the run was stopped, are left out.
    pub(crate) fn of(run: &Run, metric: &str, pass_at: f64) -> Option<Self> {
        let k = run.info().repeats;
        if k < 2 {
            return None;
        }
        let by_item = run.trials_by_item();
        let (mut any, mut all, mut items, mut flaky) = (0.0, 0.0, 0.0, Vec::new());
        for item in run.items() {
            let id = item.id();
            let Some(trials) = by_item.get(id.as_ref()) else {
                continue;
            };
            let scores = trials.iter().filter_map(|trial| trial.score(metric));
            let passed = scores
                .filter(|score| run.passes(metric, *score, pass_at))
                .count();
            let (runs, passed) = (
                u32::try_from(trials.len()).ok()?,
                u32::try_from(passed).ok()?,
            );
            let Some((once, every)) = pass_at_k(passed, runs, k).zip(pass_all_k(passed, runs, k))
            else {
                continue;
            };
            any += once;
            all += every;
            items += 1.0;
            if passed > 0 && passed < runs {
                flaky.push(id.into_owned());
            }
        }
        (items > 0.0).then(|| Self {
            k,
            pass_at_k: any / items,
            pass_all_k: all / items,
            flaky,
        })
    }
}
