//! Experiments, joined with traces.

use opik_core::catalog::{
    BulkUpload, CatalogErrorKind, CompareQuery, Condition, DatasetCatalog as _,
    ExperimentCatalog as _, ExperimentQuery, ExperimentUpdate, NamedValue, NewDataset,
    NewExperiment, NewExperimentItem, NewItem, NewOptimization, Numbered, OptimizationCatalog as _,
    OptimizationQuery, ProjectChoice, PutItems, record_bulk,
};
use opik_core::model::ScoreTarget;
use opik_core::{Batch, EntityId, Exporter as _, Span, Timestamp, Trace, TraceId};
use opik_store::Store;
use opik_testkit::records;

use crate::{block_on, id, json, kind, store};

async fn dataset_of(store: &Store, count: u64) -> EntityId {
    let home = store.create_dataset(NewDataset::new("ds")).await.unwrap();
    let items = (0..count)
        .map(|n| NewItem::new(json(&format!(r#"{{"q": {n}}}"#))).with_id(id(n)))
        .collect();
    let put = PutItems::into_dataset(home, items).in_group(id(1_000));
    store.put_items(put).await.unwrap();
    home
}

/// A trace of some milliseconds with a span that cost something.
fn trace_of(number: u64, millis: i64, cost: f64) -> (Trace, Span) {
    let start = Timestamp::from_micros(1_800_000_000_000_000);
    let trace_id = TraceId::from_parts(start, number << 8);
    let mut trace = Trace::new(trace_id, start);
    trace.end_time = Some(start.plus_micros(millis * 1_000));
    trace.output = Some(json(&format!(r#"{{"answer": {number}}}"#)));
    let mut span = records::full_span(1, 1);
    span.id = opik_core::SpanId::from_parts(start, number << 8);
    span.trace_id = trace_id;
    span.total_estimated_cost = Some(cost);
    (trace, span)
}

#[test]
fn an_experiment_sums_up_its_traces_also_those_that_come_late() {
    block_on(async {
        let store = store();
        dataset_of(&store, 3).await;
        let new = NewExperiment::on("DS").named("first");
        let experiment = store.create_experiment(new).await.unwrap();
        let mut links = Vec::new();
        let mut batch = Batch::default();
        for (n, millis, cost, score) in
            [(0, 100, 0.5, 1.0), (1, 300, 0.25, 0.0), (2, 200, 0.0, 1.0)]
        {
            let (trace, span) = trace_of(n, millis, cost);
            links.push(NewExperimentItem::new(experiment, id(n), trace.id));
            batch
                .scores
                .push(records::score(ScoreTarget::Trace(trace.id), "ok", score));
            batch.traces.push(trace);
            batch.spans.push(span);
        }
        // Items may come before their traces.
        store.put_experiment_items(links).await.unwrap();
        let before = store.experiment(experiment).await.unwrap().unwrap();
        assert_eq!((before.trace_count, before.feedback_scores.len()), (3, 0));
        store.export(&batch).await.unwrap();

        let seen = store.experiment(experiment).await.unwrap().unwrap();
        assert_eq!((seen.trace_count, seen.dataset_item_count), (3, 3));
        assert_eq!(seen.feedback_scores, [NamedValue::new("ok", 0.666_666_667)]);
        assert_eq!(seen.total_estimated_cost, Some(0.75));
        assert_eq!(seen.total_estimated_cost_avg, Some(0.25));
        let spread = seen.duration.unwrap();
        assert_eq!((spread.p50, spread.p90), (200.0, 280.0));
        assert_eq!(seen.dataset_version_summary.unwrap().version_name, "v1");
        assert_eq!(seen.dataset_name.as_deref(), Some("ds"));
        assert_eq!(store.experiment_score_names(&[]).await.unwrap(), ["ok"]);
    });
}

#[test]
fn items_are_compared_over_experiments_by_what_their_runs_say() {
    block_on(async {
        let store = store();
        let home = dataset_of(&store, 3).await;
        let mut experiments = Vec::new();
        for run in 0..2_u64 {
            let new = NewExperiment::on("ds").named(format!("run {run}"));
            let experiment = store.create_experiment(new).await.unwrap();
            let mut batch = Batch::default();
            let mut links = Vec::new();
            for n in 0..3_u64 {
                let (trace, span) = trace_of(run * 10 + n, 10, 0.0);
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let score = n as f64;
                batch
                    .scores
                    .push(records::score(ScoreTarget::Trace(trace.id), "rank", score));
                links.push(NewExperimentItem::new(experiment, id(n), trace.id));
                batch.traces.push(trace);
                batch.spans.push(span);
            }
            store.export(&batch).await.unwrap();
            store.put_experiment_items(links).await.unwrap();
            experiments.push(experiment);
        }
        let mut query = CompareQuery::of(home, experiments.clone());
        query.page = Numbered::all();
        let all = store.compare(&query).await.unwrap();
        let ids: Vec<_> = all.items.iter().map(|it| it.item.id).collect();
        assert_eq!(ids, [id(2), id(1), id(0)]);
        assert!(all.items.iter().all(|it| it.experiment_items.len() == 2));
        let output = all.items[0].experiment_items[0].output.as_ref().unwrap();
        assert_eq!(output.as_str(), r#"{"answer": 2}"#);

        let conditions = |text: &str| Condition::parse_list(CompareQuery::FIELDS, text).unwrap();
        query.conditions = conditions(
            r#"[{"field": "feedback_scores", "key": "rank", "operator": ">", "value": "0.5"},
                {"field": "data.q", "operator": "=", "value": "1"}]"#,
        );
        let found = store.compare(&query).await.unwrap();
        assert_eq!((found.total, found.items[0].item.id), (1, id(1)));
        query.conditions =
            conditions(r#"[{"field": "output", "operator": "contains", "value": "12"}]"#);
        let found = store.compare(&query).await.unwrap();
        assert_eq!(found.total, 1);
        assert_eq!(found.items[0].experiment_items.len(), 1);

        // An item is shown as it was when the experiment began, also after it changed or went.
        let changed = PutItems::into_dataset(
            home,
            vec![NewItem::new(json(r#"{"q": "new"}"#)).with_id(id(0))],
        );
        store.put_items(changed.in_group(id(1_001))).await.unwrap();
        let mut query = CompareQuery::of(home, experiments);
        query.page = Numbered::all();
        let all = store.compare(&query).await.unwrap();
        assert_eq!(all.items[2].item.data.as_str(), r#"{"q": 0}"#);
        let text = serde_json::to_value(&all.items[2]).unwrap();
        assert_eq!(text["data"]["q"], 0);
    });
}

#[test]
fn what_does_not_exist_is_a_conflict() {
    block_on(async {
        let store = store();
        dataset_of(&store, 1).await;
        let mut new = NewExperiment::on("ds");
        new.dataset_version_id = Some(id(77));
        assert_eq!(
            kind(store.create_experiment(new).await),
            Some(CatalogErrorKind::Conflict)
        );
        let link = NewExperimentItem::new(id(5), id(0), TraceId::generate());
        let refused = store.put_experiment_items(vec![link]).await;
        assert_eq!(kind(refused), Some(CatalogErrorKind::Conflict));
        let mut new = NewExperiment::on("ds");
        new.id = Some(id(9));
        store.create_experiment(new.clone()).await.unwrap();
        assert_eq!(
            kind(store.create_experiment(new).await),
            Some(CatalogErrorKind::Conflict)
        );
    });
}

#[test]
fn experiments_are_found_changed_finished_and_deleted() {
    block_on(async {
        let store = store();
        let mut made = Vec::new();
        for name in ["one", "two", "Two b"] {
            let mut new = NewExperiment::on("made on the way").named(name);
            new.project_name = Some("p".to_owned());
            made.push(store.create_experiment(new).await.unwrap());
        }
        let mut query = ExperimentQuery::default();
        query.name = Some("tWO".to_owned());
        query.project_name = Some("P".to_owned());
        let found = store.experiments(&query).await.unwrap();
        let names: Vec<_> = found.items.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["Two b", "two"]);
        query.after = Some(made[2]);
        assert_eq!(store.experiments(&query).await.unwrap().total, 1);
        query.project_name = Some("nowhere".to_owned());
        assert_eq!(store.experiments(&query).await.unwrap().total, 0);

        let mut update = ExperimentUpdate::default();
        update.tags_to_add = Some(vec!["t".to_owned()]);
        update.experiment_scores = Some(vec![NamedValue::new("mean", 0.5)]);
        store
            .update_experiments(&made[..1], update, false)
            .await
            .unwrap();
        store.finish_experiments(&made[..1]).await.unwrap();
        let seen = store.experiment(made[0]).await.unwrap().unwrap();
        assert_eq!(seen.tags, ["t"]);
        assert_eq!(seen.experiment_scores, [NamedValue::new("mean", 0.5)]);
        assert!(seen.finished_at.is_some());
        assert_eq!(store.delete_experiments(&made).await.unwrap(), 3);
        assert!(store.experiment(made[0]).await.unwrap().is_none());
    });
}

#[test]
fn a_bulk_upload_makes_traces_spans_scores_and_items() {
    block_on(async {
        let store = store();
        let home = dataset_of(&store, 2).await;
        let start = "2026-11-20T10:00:00Z";
        let upload = || -> BulkUpload {
            serde_json::from_value(serde_json::json!({
                "experiment_name": "bulk", "dataset_name": "ds", "project_name": "p",
                "items": [
                    {"dataset_item_id": id(0), "evaluate_task_result": {"answer": "x"},
                     "feedback_scores": [{"name": "m", "value": 0.5, "source": "sdk"}]},
                    {"dataset_item_id": id(1),
                     "trace": {"id": null, "name": "own", "start_time": start, "output": {"n": 1.50}},
                     "spans": [{"name": "inner", "type": "llm", "start_time": start}]},
                ],
            }))
            .unwrap()
        };
        record_bulk(&store, &store, upload()).await.unwrap();
        // A second upload of the name goes to the same experiment.
        record_bulk(&store, &store, upload()).await.unwrap();
        let all = store
            .experiments(&ExperimentQuery::default())
            .await
            .unwrap();
        assert_eq!((all.total, all.items[0].trace_count), (1, 4));
        assert_eq!(all.items[0].status, "completed");
        assert_eq!(all.items[0].feedback_scores, [NamedValue::new("m", 0.5)]);
        let items = store
            .experiment_items("bulk", &ProjectChoice::default(), None, 100)
            .await
            .unwrap();
        assert_eq!(items.len(), 4);
        let own = items.iter().find(|it| it.dataset_item_id == id(1)).unwrap();
        assert_eq!(own.output.as_ref().unwrap().as_str(), r#"{"n":1.5}"#);
        assert_eq!(store.stats().unwrap().spans, 2);
        let mut elsewhere = upload();
        elsewhere.dataset_name = "other".to_owned();
        let refused = record_bulk(&store, &store, elsewhere).await;
        assert_eq!(kind(refused), Some(CatalogErrorKind::Conflict));
        let mut both = upload();
        both.items[1].evaluate_task_result = Some(json("{}"));
        let refused = record_bulk(&store, &store, both).await;
        assert_eq!(kind(refused), Some(CatalogErrorKind::Invalid));
        assert_eq!(
            store
                .compare(&CompareQuery::of(home, vec![all.items[0].id]))
                .await
                .unwrap()
                .total,
            2
        );
    });
}

#[test]
fn an_optimization_says_what_its_experiments_came_to() {
    block_on(async {
        let store = store();
        dataset_of(&store, 1).await;
        let new = json(
            r#"{"name": "tuned", "dataset_name": "ds", "objective_name": "goal", "status": "running"}"#,
        );
        let new = new.decode::<NewOptimization>().unwrap();
        let optimization = store.create_optimization(new, false).await.unwrap();
        for (n, goal, cost) in [(0_u64, 0.5, 0.25), (1, 0.75, 0.5)] {
            let mut new = NewExperiment::on("ds").named(format!("trial {n}"));
            new.r#type = Some("trial".to_owned());
            new.optimization_id = Some(optimization);
            new.experiment_scores = Some(vec![NamedValue::new("goal", goal)]);
            let experiment = store.create_experiment(new).await.unwrap();
            let (trace, span) = trace_of(n, 2_000, cost);
            let link = NewExperimentItem::new(experiment, id(0), trace.id);
            let mut batch = Batch::default();
            let score = records::score(ScoreTarget::Trace(trace.id), "ok", goal);
            batch.scores.push(score);
            batch.traces.push(trace);
            batch.spans.push(span);
            store.export(&batch).await.unwrap();
            store.put_experiment_items(vec![link]).await.unwrap();
        }
        let query = OptimizationQuery::default();
        let page = store.optimizations(&query).await.unwrap();
        let alone = store.optimization(optimization).await.unwrap();
        for seen in page.items.into_iter().chain(alone) {
            let totals = &seen.totals;
            assert_eq!(seen.num_trials, 2);
            assert_eq!(totals.baseline_objective_score, Some(0.5));
            assert_eq!(totals.best_objective_score, Some(0.75));
            assert_eq!(
                (totals.baseline_cost, totals.best_cost),
                (Some(0.25), Some(0.5))
            );
            assert_eq!(totals.total_optimization_cost, Some(0.75));
            assert_eq!(totals.best_duration, Some(2.0));
            assert_eq!(totals.feedback_scores, [NamedValue::new("ok", 0.75)]);
            assert_eq!(totals.experiment_scores, [NamedValue::new("goal", 0.75)]);
        }
    });
}
