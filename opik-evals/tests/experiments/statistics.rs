//! The numbers of scipy and statsmodels; `tests/fixtures/statistics.py` wrote them down.

use opik_evals::statistics::{
    Summary, clustered_error, holm, mcnemar, minimum_detectable_effect, normal_quantile,
    paired_bootstrap, pass_all_k, pass_at_k, sign_flip, standard_error,
};
use opik_evals::wilson_at;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn golden<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let all: Value = serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap();
    let rows: Vec<T> = serde_json::from_value(all[name].clone()).unwrap();
    assert!(!rows.is_empty());
    rows
}

#[track_caller]
fn close(ours: f64, theirs: f64, relative: f64) {
    let scale = theirs.abs().max(1e-12);
    assert!(
        (ours - theirs).abs() <= relative * scale,
        "{ours} and {theirs}"
    );
}

#[test]
fn normal_quantiles_are_those_of_scipy() {
    for (p, z) in golden::<(f64, f64)>("normal_quantile") {
        // 1 - 1e-9 is not exact in binary, so its quantile is only as good as that.
        close(normal_quantile(p).unwrap(), z, 1e-13);
    }
}

#[test]
fn the_test_of_mcnemar_is_that_of_statsmodels() {
    for (gained, lost, p) in golden::<(u32, u32, f64)>("mcnemar") {
        close(mcnemar(gained, lost), p, 1e-11);
    }
}

#[test]
fn wilson_intervals_are_those_of_statsmodels() {
    for (x, n, confidence, low, high) in golden::<(u32, u32, f64, f64, f64)>("wilson") {
        let found = wilson_at(x, n, confidence).unwrap();
        assert!((found.low - low).abs() < 1e-12 && (found.high - high).abs() < 1e-12);
    }
    assert_eq!(wilson_at(1, 2, 0.0), None);
    assert_eq!(wilson_at(1, 2, 1.0), None);
}

#[test]
fn holm_corrects_as_statsmodels_does() {
    for (given, corrected) in golden::<(Vec<f64>, Vec<f64>)>("holm") {
        for (ours, theirs) in holm(&given).into_iter().zip(corrected) {
            close(ours, theirs, 1e-12);
        }
    }
}

#[test]
fn sign_flips_of_small_samples_are_exactly_those_of_scipy() {
    for (differences, p) in golden::<(Vec<f64>, f64)>("sign_flip") {
        close(sign_flip(&differences, 0, 0).unwrap(), p, 1e-12);
    }
}

#[test]
fn bootstrap_intervals_are_those_of_scipy_as_far_as_chance_allows() {
    for (differences, confidence, low, high) in
        golden::<(Vec<f64>, f64, f64, f64)>("paired_bootstrap")
    {
        let found = paired_bootstrap(&differences, 10_000, confidence, 11).unwrap();
        let tolerance = (high - low) * 0.03;
        assert!((found.low - low).abs() < tolerance, "{found:?} {low}");
        assert!((found.high - high).abs() < tolerance, "{found:?} {high}");
        assert_eq!(
            paired_bootstrap(&differences, 10_000, confidence, 11),
            Some(found)
        );
    }
}

#[test]
fn clustered_errors_are_those_of_statsmodels() {
    for (groups, values, clustered, plain) in
        golden::<(Vec<u32>, Vec<f64>, f64, f64)>("clustered_error")
    {
        let pairs: Vec<(u32, f64)> = groups.into_iter().zip(values.iter().copied()).collect();
        close(clustered_error(&pairs).unwrap(), clustered, 1e-10);
        close(standard_error(&values).unwrap(), plain, 1e-12);
    }
}

#[test]
fn detectable_effects_are_those_of_scipys_quantiles() {
    for (error, level, power, effect) in golden::<(f64, f64, f64, f64)>("minimum_detectable_effect")
    {
        close(
            minimum_detectable_effect(error, level, power).unwrap(),
            effect,
            1e-12,
        );
    }
}

#[test]
fn chances_over_repetitions_are_the_exact_ones() {
    for (passed, runs, k, any, all) in golden::<(u32, u32, u32, f64, f64)>("repeats") {
        assert!((pass_at_k(passed, runs, k).unwrap() - any).abs() < 1e-12);
        assert!((pass_all_k(passed, runs, k).unwrap() - all).abs() < 1e-12);
    }
}

#[test]
fn figures_are_those_of_numpy() {
    let all: Value = serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap();
    let (values, mean, deviation, median, p95): (Vec<f64>, f64, f64, f64, f64) =
        serde_json::from_value(all["summary"].clone()).unwrap();
    let found = Summary::of(&values).unwrap();
    close(found.mean, mean, 1e-12);
    close(found.deviation.unwrap(), deviation, 1e-12);
    close(found.median, median, 1e-12);
    close(found.p95, p95, 1e-12);
}
