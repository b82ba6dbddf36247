//! Other traces: those of the same name in the same project, and those of the same thread.

use opik_core::query::{Entity, Filter, Operator, ProjectSelector, TraceQuery};
use opik_core::source::SourceErrorKind;
use opik_core::{PageRequest, SourceError, Trace, TraceTree};
use serde_json::{Value, json};

use super::args::Args;
use super::evidence::round;
use super::made::Made;
use super::{Scene, ToolError, bound};
use crate::figures::millis;
use crate::peers::{PeerLimits, compare, fetch};
use crate::quote::clean;

/// Traces of the same name that are looked at.
const SIBLINGS: usize = 40;
/// Most spans of all of them.
const SPANS: usize = 20_000;
/// Fewest that say something.
const FEWEST: usize = 5;
/// Scales the median absolute deviation to a standard deviation.
const SCALE: f64 = 0.6745;

/// How this trace compares to the newest others of its name in its project.
pub(super) async fn compare_to_siblings(
    scene: &Scene,
    args: &Args,
    made: &Made,
) -> Result<Value, ToolError> {
    let limit = args.number("limit", SIBLINGS, FEWEST, 200)?;
    let (tree, own) = (&*scene.tree, scene.tree.trace());
    let Some(name) = own.name.as_deref().filter(|name| !name.is_empty()) else {
        return Err(ToolError::NotRecorded(
            "this trace has no name, so others of its kind cannot be found",
        ));
    };
    project(own)?;
    let limits = PeerLimits::default().traces(limit).spans(SPANS);
    let fetched = fetch(&*scene.source, tree, &limits).await;
    let peers = fetched.map_err(|error| told(&error))?;
    let compared = compare(tree, &scene.evidence, &peers);
    let others: Vec<&TraceTree> = peers
        .trees
        .iter()
        .filter(|tree| tree.id() != own.id)
        .collect();
    let failed = others
        .iter()
        .filter(|tree| tree.trace().error_info.is_some())
        .count();
    let tokens = |tree: &TraceTree| tree.trace().usage.total_tokens().map(real);
    let cost = |tree: &TraceTree| tree.trace().total_estimated_cost;
    let duration = |tree: &TraceTree| Some(millis(tree.wall().micros()));
    let spans = |tree: &TraceTree| Some(count(tree.len() as u64));
    let spend = &scene.evidence.spend;
    let own_tokens = spend.has_tokens.then(|| real(spend.total.tokens));
    let own_cost = spend.has_cost.then_some(spend.total.dollars);
    let figures = [
        measure("duration_ms", duration(tree), &others, duration),
        measure("total_tokens", own_tokens, &others, tokens),
        measure("cost_usd", own_cost, &others, cost),
        measure("span_count", spans(tree), &others, spans),
    ];
    let (list, findings) = made.tell(&compared.findings);
    Ok(json!({
        "name": clean(name, 120),
        "siblings": others.len(),
        "enough_to_compare": others.len() >= FEWEST,
        "siblings_left_out_for_their_size": peers.left_out,
        "siblings_that_failed": failed,
        "this_trace_failed": own.error_info.is_some(),
        "figures": figures.into_iter().flatten().collect::<Vec<_>>(),
        list: findings,
    }))
}

/// A figure of this trace beside the median of the others, with its robust score.
fn measure(
    what: &str,
    own: Option<f64>,
    others: &[&TraceTree],
    figure: impl Fn(&TraceTree) -> Option<f64>,
) -> Option<Value> {
    let own = own.filter(|own| own.is_finite())?;
    let mut values: Vec<f64> = others
        .iter()
        .filter_map(|tree| figure(tree))
        .filter(|value| value.is_finite())
        .collect();
    let median = median(&mut values)?;
    let mut away: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
    let spread = self::median(&mut away)?;
    let below = values.iter().filter(|&&value| value < own).count();
    let share = real(i64::try_from(below).unwrap_or(0)) / count(values.len() as u64) * 100.0;
    Some(json!({
        "figure": what,
        "this_trace": own,
        "median_of_siblings": median,
        "largest_of_siblings": values.iter().copied().fold(f64::MIN, f64::max),
        "ratio_to_median": (median > 0.0).then(|| round(own / median)),
        "robust_score": (spread > 0.0).then(|| round(SCALE * (own - median) / spread)),
        "percent_of_siblings_below": round(share),
    }))
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// The other turns of the conversation that the trace is a part of, oldest first.
pub(super) async fn thread(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 20, 1, 50)?;
    let own = scene.tree.trace();
    let Some(thread) = own.thread_id.as_deref().filter(|id| !id.is_empty()) else {
        return Err(ToolError::NotRecorded("this trace is not part of a thread"));
    };
    let mut traces = search(scene, "thread_id", thread, limit).await?;
    traces.sort_by_key(|trace| (trace.start_time, trace.id));
    let turns: Vec<Value> = traces
        .iter()
        .map(|trace| {
            let error = trace.error_info.as_ref();
            json!({
                "trace_id": trace.id,
                "is_this_trace": trace.id == own.id,
                "name": clean(trace.name.as_deref().unwrap_or_default(), 120),
                "start_time": trace.start_time,
                "duration_ms": trace.duration,
                "error": error.map(|error| clean(&error.exception_type, 80)),
                "input": bound::preview(trace.input.as_ref(), 300),
                "output": bound::preview(trace.output.as_ref(), 300),
            })
        })
        .collect();
    Ok(json!({ "thread_id": clean(thread, 120), "turns": turns }))
}

/// The newest traces of the trace's own project in which a field has this value.
async fn search(
    scene: &Scene,
    field: &'static str,
    value: &str,
    limit: usize,
) -> Result<Vec<Trace>, ToolError> {
    let project = project(scene.tree.trace())?;
    let filter = Filter::new(Entity::Trace, field, Operator::Equal, None, value)
        .map_err(|_| ToolError::NotRecorded("the name cannot be searched for"))?;
    let mut query = TraceQuery::default();
    query.project = project;
    query.filters = vec![filter];
    query.page = PageRequest::first(limit);
    let page = scene
        .source
        .search_traces(&query)
        .await
        .map_err(|error| told(&error))?;
    Ok(page.items)
}

/// The project of the trace, outside of which nothing is read.
fn project(own: &Trace) -> Result<ProjectSelector, ToolError> {
    match (&own.project_id, &own.project_name) {
        (Some(id), _) => Ok(ProjectSelector::Id(*id)),
        (None, Some(name)) => Ok(ProjectSelector::Name(name.clone())),
        (None, None) => Err(ToolError::NotRecorded(
            "the project of this trace is not known, so no other traces are read",
        )),
    }
}

/// A failure of the source without what its text may say.
fn told(error: &SourceError) -> ToolError {
    ToolError::Source(match error.kind() {
        SourceErrorKind::Timeout => "no answer in time",
        SourceErrorKind::RateLimited => "too many requests",
        SourceErrorKind::Unauthorized => "not allowed",
        SourceErrorKind::InvalidQuery => "this search is not supported",
        _ => "unavailable",
    })
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn real(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn count(value: u64) -> f64 {
    value as f64
}
