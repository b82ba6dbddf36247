//! Two runs compared.

use opik_evals::compare::{Change, CompareOptions, Comparison, Verdict};
use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask, Run, TaskError};
use opik_evals::metric::FnMetric;
use opik_evals::summary::RunSummary;
use opik_evals::{Case, MetricError};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A run whose score of an item is what this says; no score without one.
pub(crate) async fn run(name: &str, scores: &[(u64, Option<f64>)]) -> Run {
    let items = scores.iter().map(|(n, score)| {
        // The score is not part of the item, or the items would differ.
        let topic = if n % 2 == 0 { "even" } else { "odd" };
        let item =
            Item::from_value(json!({ "id": format!("q{n}"), "topic": topic, "doc": n / 10 }))
                .unwrap();
        (item, *score)
    });
    let (items, scores): (Vec<Item>, Vec<Option<f64>>) = items.unzip();
    let ids: Vec<String> = items.iter().map(|item| item.id().into_owned()).collect();
    let task = FnTask::new(move |call| {
        let place = ids.iter().position(|id| *id == *call.item.id()).unwrap();
        let score = scores[place];
        async move {
            score
                .map(|score| json!(score).into())
                .ok_or_else(|| TaskError::new("no luck"))
        }
    });
    let metric = FnMetric::new("good", |case: &Case| {
        Ok::<f64, MetricError>(case.get("output").and_then(Value::as_f64).unwrap())
    });
    Experiment::new(name, items)
        .task(task)
        .metric(metric)
        .run()
        .await
        .unwrap()
}

fn even(count: u64, score: impl Fn(u64) -> f64) -> Vec<(u64, Option<f64>)> {
    (0..count).map(|n| (n, Some(score(n)))).collect()
}

#[tokio::test]
async fn every_item_is_better_worse_the_same_new_or_gone() {
    let before = run(
        "old",
        &[
            (1, Some(0.5)),
            (2, Some(0.5)),
            (3, Some(0.5)),
            (4, Some(0.5)),
            (5, None),
            (6, None),
            (7, Some(1.0)),
        ],
    )
    .await;
    let after = run(
        "new",
        &[
            (1, Some(0.7)),
            (2, Some(0.2)),
            (3, Some(0.5)),
            (4, None),
            (5, Some(0.1)),
            (6, None),
            (8, Some(1.0)),
        ],
    )
    .await;
    let comparison = Comparison::of(&before, &after, &CompareOptions::default().slice("topic"));
    let of = |item: &str| {
        comparison
            .cases
            .iter()
            .find(|case| case.item == item)
            .unwrap()
            .change
    };
    for (item, change) in [
        ("q1", Change::Improved),
        ("q2", Change::Regressed),
        ("q3", Change::Same),
        ("q4", Change::Regressed),
        ("q5", Change::Improved),
        ("q6", Change::Same),
        ("q7", Change::Gone),
        ("q8", Change::New),
    ] {
        assert_eq!(of(item), change, "{item}");
    }
    let good = comparison.metric("good").unwrap();
    assert_eq!(
        (
            good.improved,
            good.regressed,
            good.same,
            good.new,
            good.gone
        ),
        (2, 2, 2, 1, 1)
    );
    assert_eq!(
        (good.pairs, good.unscored_before, good.unscored_after),
        (3, 2, 2)
    );
    // A score that is gone is the largest change for the worse.
    assert_eq!(comparison.cases[0].item, "q4");
    let parts: Vec<(&str, usize)> = comparison
        .slices
        .iter()
        .map(|slice| {
            (
                slice.value.as_str(),
                slice.metrics[0].improved + slice.metrics[0].regressed,
            )
        })
        .collect();
    assert_eq!(parts, [("even", 2), ("odd", 2)]);
}

#[tokio::test]
async fn a_metric_that_one_run_does_not_have_is_neither_better_nor_worse() {
    let before = run("old", &even(6, |_| 1.0)).await;
    let items = before.items().to_vec();
    let task = FnTask::new(async |_call| Ok::<_, TaskError>(json!(1.0).into()));
    let fresh = FnMetric::new("fresh", |_: &Case| Ok::<f64, MetricError>(0.25));
    let after = Experiment::new("new", items)
        .task(task)
        .metric(fresh)
        .run()
        .await
        .unwrap();
    let comparison = Comparison::of(&before, &after, &CompareOptions::default());
    let counts = |name: &str| {
        let found = comparison.metric(name).unwrap();
        assert_eq!(
            (found.pairs, found.change(), found.verdict),
            (0, None, Verdict::NoEvidence)
        );
        (found.improved, found.regressed, found.new, found.gone)
    };
    assert_eq!(counts("good"), (0, 0, 0, 6));
    assert_eq!(counts("fresh"), (0, 0, 6, 0));
}

#[tokio::test]
async fn a_real_change_is_found_and_noise_is_not() {
    let before = run("old", &even(60, |n| (n * 7 % 10) as f64 / 10.0)).await;
    let better = run(
        "better",
        &even(60, |n| (n * 7 % 10) as f64 / 10.0 + 0.1 * (n % 3) as f64),
    )
    .await;
    let noise = run(
        "noise",
        &even(60, |n| {
            (n * 7 % 10) as f64 / 10.0 + if n % 2 == 0 { 0.1 } else { -0.1 }
        }),
    )
    .await;
    let compare = |a: &Run, b: &Run| {
        Comparison::of(a, b, &CompareOptions::default())
            .metric("good")
            .unwrap()
            .clone()
    };
    let found = compare(&before, &better);
    assert_eq!(found.verdict, Verdict::Improved);
    assert!(found.difference.unwrap().low > 0.0 && found.p.unwrap() < 0.001);
    assert_eq!(compare(&better, &before).verdict, Verdict::Regressed);
    let nothing = compare(&before, &noise);
    assert_eq!(nothing.verdict, Verdict::NoEvidence);
    let interval = nothing.difference.unwrap();
    assert!(interval.low < 0.0 && 0.0 < interval.high);
    // What it could have seen is about what the interval is wide.
    let effect = nothing.minimum_detectable_effect.unwrap();
    assert!(effect > 0.02 && effect < 0.1, "{effect}");
    assert_eq!(compare(&before, &before).p, Some(1.0));
}

#[tokio::test]
async fn groups_that_go_together_are_weaker_evidence() {
    // Ten items of a document always go the same way.
    let sign = |n: u64| {
        if [0, 2, 3].contains(&(n / 10)) {
            0.2
        } else {
            -0.05
        }
    };
    let before = run("old", &even(60, |_| 0.5)).await;
    let after = run("new", &even(60, |n| 0.5 + sign(n))).await;
    let single = Comparison::of(&before, &after, &CompareOptions::default());
    let grouped = Comparison::of(&before, &after, &CompareOptions::default().cluster("doc"));
    let (single, grouped) = (
        single.metric("good").unwrap(),
        grouped.metric("good").unwrap(),
    );
    assert_eq!(single.verdict, Verdict::Improved);
    assert_eq!(grouped.verdict, Verdict::NoEvidence);
    assert!(grouped.standard_error.unwrap() > 2.0 * single.standard_error.unwrap());
}

#[tokio::test]
async fn passing_is_compared_case_by_case_and_low_can_be_good() {
    let flags = |lost: u64, gained: u64| {
        move |n: u64| {
            if n < lost {
                0.0
            } else if n < 40 + gained {
                1.0
            } else {
                0.0
            }
        }
    };
    let before = run("old", &even(60, flags(0, 0))).await;
    let after = run("new", &even(60, flags(12, 1))).await;
    let comparison = Comparison::of(&before, &after, &CompareOptions::default());
    let good = comparison.metric("good").unwrap();
    let passes = good.passes.as_ref().unwrap();
    assert_eq!((passes.gained, passes.lost), (1, 12));
    assert!((passes.p - opik_evals::statistics::mcnemar(1, 12)).abs() < 1e-15);
    assert_eq!(good.verdict, Verdict::Regressed);
    assert!(comparison.has_regressed());

    let low = |name: &'static str, value: f64| async move {
        let item = Item::from_value(json!({ "id": "q", "x": 1 })).unwrap();
        let metric = FnMetric::new("distance", move |_: &Case| Ok(value));
        let task = FnTask::new(|_| async { Ok("".into()) });
        Experiment::new(name, [item])
            .task(task)
            .metric(metric)
            .lower_is_better("distance")
            .run()
            .await
            .unwrap()
    };
    let comparison = Comparison::of(
        &low("old", 0.5).await,
        &low("new", 0.1).await,
        &CompareOptions::default(),
    );
    assert_eq!(comparison.metric("distance").unwrap().improved, 1);
}

#[tokio::test]
async fn an_item_that_was_edited_under_its_identifier_is_said() {
    let one = |text: &'static str| async move {
        let item = Item::from_value(json!({ "id": "q", "text": text })).unwrap();
        let task = FnTask::new(|_| async { Ok("".into()) });
        let metric = FnMetric::new("good", |_: &Case| Ok(1.0));
        Experiment::new("one", [item])
            .task(task)
            .metric(metric)
            .run()
            .await
            .unwrap()
    };
    let comparison = Comparison::of(&one("a").await, &one("b").await, &CompareOptions::default());
    assert_eq!(comparison.edited, 1);
    assert!(comparison.cases[0].edited);
}

#[tokio::test]
async fn repetitions_show_what_is_flaky() {
    let items: Vec<Item> = (0..4)
        .map(|n| Item::from_value(json!({ "id": format!("q{n}"), "n": n })).unwrap())
        .collect();
    let task = FnTask::new(|call| async move {
        let n = call.get("n").and_then(Value::as_u64).unwrap();
        // 0 never passes, 1 once in three, 2 twice, 3 always.
        Ok(json!(if u64::from(call.repeat) < n { 1 } else { 0 }).into())
    });
    let metric = FnMetric::new("good", |case: &Case| {
        Ok(case.get("output").and_then(Value::as_f64).unwrap())
    });
    let run = Experiment::new("flaky", items)
        .task(task)
        .metric(metric)
        .repeats(3)
        .run()
        .await
        .unwrap();
    let summary = RunSummary::of(&run, &["n".to_owned()]);
    let metric = &summary.metrics[0];
    let flaky = metric.flakiness.as_ref().unwrap();
    assert_eq!(
        (flaky.k, flaky.flaky.clone()),
        (3, vec!["q1".to_owned(), "q2".to_owned()])
    );
    assert!((flaky.pass_at_k - 0.75).abs() < 1e-12 && (flaky.pass_all_k - 0.25).abs() < 1e-12);
    assert_eq!(metric.passed.unwrap().passed, 6);
    assert_eq!(summary.slices.len(), 4);
    // The interval is over four items, not over twelve trials.
    let rate = metric.passed.unwrap().rate;
    assert!(rate.low < 0.2 && rate.high > 0.8, "{rate:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn nothing_is_counted_twice_or_left_out(
        before in prop::collection::btree_map(0..30_u64, prop::option::of(0.0..1.0f64), 1..20),
        after in prop::collection::btree_map(0..30_u64, prop::option::of(0.0..1.0f64), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (old, new): (Vec<_>, Vec<_>) = (before.into_iter().collect(), after.into_iter().collect());
        let (old, new) = runtime.block_on(async { (run("old", &old).await, run("new", &new).await) });
        let options = CompareOptions::default().resamples(200);
        let forth = Comparison::of(&old, &new, &options);
        let back = Comparison::of(&new, &old, &options);
        let (a, b) = (&forth.metrics[0], &back.metrics[0]);
        let all: std::collections::BTreeSet<_> = old.items().iter().chain(new.items()).map(|item| item.id()).collect();
        prop_assert_eq!(a.improved + a.regressed + a.same + a.new + a.gone, all.len());
        prop_assert_eq!((a.improved, a.new, a.same, a.pairs), (b.regressed, b.gone, b.same, b.pairs));
        if let (Some(x), Some(y)) = (a.change(), b.change()) {
            prop_assert!((x + y).abs() < 1e-12);
            let interval = a.difference.unwrap();
            prop_assert!(interval.low <= interval.value + 1e-12 && interval.value <= interval.high + 1e-12);
        }
        prop_assert!(a.p.is_none_or(|p| (0.0..=1.0).contains(&p)));
        prop_assert_eq!(a.p_corrected, a.p);
    }
}
