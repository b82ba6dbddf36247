//! What traces say about experiments.

use std::collections::{BTreeMap, BTreeSet};

use opik_core::catalog::{
    AssertionOutcome, AssertionResult, AssertionStatus, Experiment, ExperimentItem, NamedValue,
    Scored,
};
use opik_core::{EntityId, TraceId};
use rusqlite::{Connection, params};

use super::{Outcome, from_text, id_from};
use crate::read::Reader;

/// What became of the assertions on a trace.
pub(super) fn assertions(conn: &Connection, trace: TraceId) -> Outcome<Vec<AssertionResult>> {
    let mut statement = conn.prepare_cached(
        "SELECT name, passed, reason FROM assertion WHERE kind = 0 AND target = ?1
         ORDER BY at, name",
    )?;
    let rows = statement.query_map([trace.as_bytes()], |row| {
        Ok(AssertionResult::new(
            row.get::<_, String>(0)?,
            row.get(1)?,
            row.get(2)?,
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts in what an item's trace says.
pub(super) fn fill_item(reader: &mut Reader, item: &mut ExperimentItem) -> Outcome<()> {
    let found = assertions(reader.conn(), item.trace_id)?;
    if let Some(trace) = reader.trace(item.trace_id)? {
        item.join(trace, found);
    }
    Ok(())
}

/// A run as far as sums need it.
struct Run {
    item: EntityId,
    trace: TraceId,
    body: String,
}

fn runs(conn: &Connection, experiment: EntityId) -> Outcome<Vec<Run>> {
    let mut statement = conn.prepare_cached(
        "SELECT item, trace, body FROM experiment_item WHERE experiment = ?1 ORDER BY id",
    )?;
    let rows = statement.query_map([experiment.as_bytes()], |row| {
        Ok(Run {
            item: id_from(row, 0)?,
            trace: row.get(1).map(TraceId::from_bytes)?,
            body: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts in what the traces of an experiment say together.
pub(super) fn fill_experiment(reader: &mut Reader, experiment: &mut Experiment) -> Outcome<()> {
    let runs = runs(reader.conn(), experiment.id)?;
    let mut scored = Scored::default();
    let mut outcomes: BTreeMap<EntityId, AssertionOutcome> = BTreeMap::new();
    let mut held: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let (mut traces, mut items) = (BTreeSet::new(), BTreeSet::new());
    for run in runs {
        items.insert(run.item);
        if !traces.insert(run.trace) {
            continue;
        }
        if let Some(trace) = reader.trace_without_content(run.trace)? {
            scored.trace(trace.total_estimated_cost, trace.duration);
            for score in &trace.feedback_scores {
                scored.score(&score.name, score.value);
            }
            for (name, tokens) in &trace.usage.0 {
                #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 tokens")]
                scored.tokens(name, *tokens as f64);
            }
        }
        let found = assertions(reader.conn(), run.trace)?;
        if found.is_empty() {
            continue;
        }
        let all = found.iter().all(|one| one.passed);
        let stored: ExperimentItem = from_text(&run.body)?;
        outcomes
            .entry(run.item)
            .or_default()
            .run(AssertionStatus::of(all), stored.execution_policy.as_ref());
        for one in found {
            let (passed, total) = held.entry(one.value).or_default();
            *passed += u32::from(one.passed);
            *total += 1;
        }
    }
    experiment.trace_count = u64::try_from(traces.len()).unwrap_or(u64::MAX);
    experiment.dataset_item_count = u64::try_from(items.len()).unwrap_or(u64::MAX);
    experiment.feedback_scores = scored.scores();
    experiment.usage = scored.usage();
    experiment.duration = scored.durations();
    (
        experiment.total_estimated_cost,
        experiment.total_estimated_cost_avg,
    ) = scored.cost().unzip();
    let summaries: Vec<_> = outcomes
        .into_values()
        .filter_map(AssertionOutcome::summary)
        .collect();
    if !summaries.is_empty() {
        let is_passed = |it: &&opik_core::catalog::RunSummary| it.status == AssertionStatus::Passed;
        let passed = u32::try_from(summaries.iter().filter(is_passed).count()).unwrap_or(u32::MAX);
        let total = u32::try_from(summaries.len()).unwrap_or(u32::MAX);
        experiment.pass_rate = Some(f64::from(passed) / f64::from(total));
        experiment.passed_count = Some(passed.into());
        experiment.total_count = Some(total.into());
        let share = |(passed, total): (u32, u32)| f64::from(passed) / f64::from(total.max(1));
        experiment.assertion_scores = held
            .into_iter()
            .map(|(name, counts)| NamedValue::new(name, share(counts)))
            .collect();
    }
    Ok(())
}

/// The names of the scores that the traces of an experiment have.
pub(super) fn score_names(reader: &mut Reader, experiment: EntityId) -> Outcome<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut statement = reader.conn().prepare_cached(
        "SELECT DISTINCT score.name FROM experiment_item JOIN score
         ON score.kind = 0 AND score.target = experiment_item.trace
         WHERE experiment = ?1",
    )?;
    let mut rows = statement.query(params![experiment.as_bytes()])?;
    while let Some(row) = rows.next()? {
        names.insert(row.get(0)?);
    }
    Ok(names)
}
