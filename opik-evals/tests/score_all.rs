//! Many cases at once get the answers of one after the other.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use opik_evals::heuristics::{by_name, names};
use opik_evals::metric::{Aggregated, FnMetric, conformance, score_all};
use opik_evals::{Case, Metric, MetricError, MetricErrorKind, Score};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::{Map, Value};

/// What tells two answers apart.
type Answer = Result<Score, (MetricErrorKind, String)>;

fn answers(scores: Vec<Result<Score, MetricError>>) -> Vec<Answer> {
    let answer = |score: Result<Score, MetricError>| {
        score.map_err(|error| (error.kind(), error.to_string()))
    };
    scores.into_iter().map(answer).collect()
}

fn one_by_one(metric: &dyn Metric, cases: &[Case]) -> Vec<Answer> {
    answers(cases.iter().map(|case| metric.score(case)).collect())
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
}

/// Cases of one number each.
fn numbered(count: usize) -> Vec<Case> {
    (0..count).map(Case::new).collect()
}

fn number(case: &Case) -> Option<usize> {
    usize::try_from(case.get("output")?.as_u64()?).ok()
}

/// A metric that gives the number of a case, and an error where it is a multiple of seven.
fn sevenths() -> impl Metric {
    FnMetric::new("sevenths", |case: &Case| {
        let number = number(case).unwrap();
        if number.is_multiple_of(7) {
            let message = format!("number {number}");
            return Err(MetricError::new(MetricErrorKind::Input, message));
        }
        Ok(number as f64)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn answers_are_those_of_one_after_the_other(count in 0_usize..3_000, threads in 1_usize..6) {
        let (metric, cases) = (sevenths(), numbered(count));
        let all = pool(threads).install(|| score_all(&metric, &cases));
        prop_assert_eq!(answers(all), one_by_one(&metric, &cases));
    }
}

#[test]
fn every_metric_of_the_catalog_gives_the_same_at_once() {
    let cases: Vec<Case> = conformance::cases();
    // Above and below what is scored at once.
    assert!(cases.len() > 400, "{}", cases.len());
    let pool = pool(3);
    for name in names() {
        let mut parameters = Map::new();
        if name == "RegexMatch" {
            parameters.insert("regex".into(), Value::from(r"(\w) \1|m[ao]t$"));
        }
        let metric = by_name(name, &parameters).unwrap();
        for cases in [&cases[..], &cases[..200]] {
            let all = pool.install(|| score_all(&*metric, cases));
            assert_eq!(answers(all), one_by_one(&*metric, cases), "{name}");
        }
    }
}

#[test]
fn metrics_of_ones_own_keep_the_order() {
    let longer: Box<dyn Metric> = Box::new(sevenths().named("longer"));
    let mean = Aggregated::mean("mean", vec![longer, Box::new(sevenths())]).unwrap();
    let cases = numbered(10_000);
    let all = score_all(&mean, &cases);
    assert_eq!(all.len(), cases.len());
    for (place, answer) in all.into_iter().enumerate() {
        match answer {
            Ok(score) => assert_eq!((score.name(), score.value()), ("mean", place as f64)),
            Err(error) => assert_eq!(error.to_string(), format!("number {place}")),
        }
    }
}

/// The threads that score so many cases.
fn threads_of(count: usize) -> HashSet<ThreadId> {
    let seen = Mutex::new(HashSet::new());
    let metric = FnMetric::new("threads", |_: &Case| {
        seen.lock().unwrap().insert(thread::current().id());
        Ok(0.0)
    });
    assert_eq!(score_all(&metric, &numbered(count)).len(), count);
    drop(metric);
    seen.into_inner().unwrap()
}

#[test]
fn few_cases_stay_with_the_thread_that_asks() {
    assert!(threads_of(0).is_empty());
    for count in [1, 100, 255] {
        assert_eq!(threads_of(count), HashSet::from([thread::current().id()]));
    }
}

#[test]
fn many_cases_are_scored_at_once() {
    let cases = numbered(1_000);
    let (last_done, told) = (Mutex::new(false), Condvar::new());
    // The first case waits for the last, which no single thread comes to.
    let metric = FnMetric::new("together", |case: &Case| match number(case) {
        Some(0) => {
            let waiting = last_done.lock().unwrap();
            let limit = Duration::from_secs(60);
            let (done, _) = told
                .wait_timeout_while(waiting, limit, |done| !*done)
                .unwrap();
            Ok(f64::from(u8::from(*done)))
        }
        Some(999) => {
            *last_done.lock().unwrap() = true;
            told.notify_all();
            Ok(1.0)
        }
        _ => Ok(1.0),
    });
    let all = pool(2).install(|| score_all(&metric, &cases));
    assert!(all.into_iter().all(|score| score.unwrap().value() == 1.0));
}

#[test]
fn the_first_panic_is_passed_on() {
    for (count, broken) in [
        (100, [17, 60]),
        (5_000, [17, 4_900]),
        (5_000, [3_000, 4_999]),
    ] {
        let metric = FnMetric::new("broken", |case: &Case| {
            let number = number(case).unwrap();
            if broken.contains(&number) {
                std::panic::resume_unwind(Box::new(number));
            }
            Ok(0.0)
        });
        let cases = numbered(count);
        for threads in [1, 2, 4] {
            let scored = || pool(threads).install(|| score_all(&metric, &cases));
            let panic = catch_unwind(AssertUnwindSafe(scored)).unwrap_err();
            assert_eq!(panic.downcast_ref::<usize>(), broken.first());
        }
        // The threads are there for the next.
        assert!(score_all(&sevenths(), &cases).len() == count);
    }
}
