//! What was computed: critical path, errors, repetitions, spending, differences.

use opik_core::tree::NodeId;
use serde_json::{Value, json};

use super::args::Args;
use super::made::Made;
use super::{Scene, ToolError, bound, records};
use crate::diff::diff_spans;
use crate::errors::{ErrorRole, Outcome};
use crate::figures::{millis, time_share};
use crate::quote::clean;
use crate::spend::Amount;

/// Shares of a span's own time for which the saving is told.
const FASTER: f64 = 0.3;
/// Spans of one repetition that are named.
const NAMED: usize = 8;

/// How two spans differ.
pub(super) fn compare_spans(scene: &Scene, args: &Args, made: &Made) -> Result<Value, ToolError> {
    let (before, first) = args.span("first_span_id", scene)?;
    let (after, second) = args.span("second_span_id", scene)?;
    let diff = diff_spans(before, first, after, second);
    let (name, findings) = made.tell(&diff.findings());
    Ok(json!({
        "first": records::row(scene, before, first),
        "second": records::row(scene, after, second),
        "equal": diff.is_empty(),
        name: findings,
    }))
}

/// The spans that the duration consists of, the largest share first.
pub(super) fn critical_path(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 15, 1, 50)?;
    let (tree, path) = (&*scene.tree, &scene.evidence.critical_path);
    let wall = path.wall.micros();
    let mut nodes: Vec<(i64, NodeId)> = tree
        .nodes()
        .filter_map(|node| Some((*path.own.get(node)?, node)))
        .filter(|(own, _)| *own > 0)
        .collect();
    nodes.sort_by_key(|&(own, node)| (std::cmp::Reverse(own), node));
    let spans: Vec<Value> = nodes
        .iter()
        .take(limit)
        .map(|&(own, node)| {
            let mut row = records::brief(tree, node);
            if let Value::Object(fields) = &mut row {
                fields.insert("on_path_ms".to_owned(), json!(millis(own)));
                let share = time_share(own, wall);
                fields.insert("share_percent".to_owned(), json!(round(share)));
                let saved = millis(path.saving(tree, node, FASTER));
                fields.insert("saved_ms_if_30_percent_faster".to_owned(), json!(saved));
            }
            row
        })
        .collect();
    Ok(json!({
        "duration_ms": millis(wall),
        "spans_on_path": nodes.len(),
        "spans": spans,
    }))
}

/// Where errors began: all of them, or those that a span is involved in.
pub(super) fn error_chain(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 10, 1, 30)?;
    let (tree, errors) = (&*scene.tree, &scene.evidence.errors);
    let about = match args.optional_span("span_id", scene)? {
        Some((found, node)) if std::ptr::eq(found, tree) => Some(node),
        Some(_) => {
            return Err(ToolError::NotRecorded(
                "errors are only computed for spans of the trace itself",
            ));
        }
        None => None,
    };
    let involved: Vec<_> = errors
        .origins
        .iter()
        .filter(|origin| {
            about.is_none_or(|node| origin.node == node || origin.path.contains(&node))
        })
        .collect();
    let chains: Vec<Value> = involved
        .iter()
        .take(limit)
        .map(|origin| {
            let error = errors.spans.iter().find(|error| error.node == origin.node);
            let outcome = match origin.outcome {
                Outcome::FailedTrace => json!({ "what": "failed the trace" }),
                Outcome::Swallowed(by) => json!({
                    "what": "swallowed: no caller reported it",
                    "by": by.map(|node| records::brief(tree, node)),
                }),
                Outcome::Recovered { by, same_input } => json!({
                    "what": "recovered by a later attempt",
                    "by": records::brief(tree, by),
                    "same_input": same_input,
                }),
            };
            json!({
                "origin": records::brief(tree, origin.node),
                "exception_type": error.map(|error| clean(&error.exception_type, 80)),
                "message": error.map(|error| bound::head_and_tail(&error.message, 600)),
                "kind_of_failure": error.and_then(|error| error.class),
                "known_by": error.map(|error| error.source),
                "passed_on_through": origin.path.iter().take(NAMED).map(|&node| records::brief(tree, node)).collect::<Vec<_>>(),
                "outcome": outcome,
                "produced_by_model_call": origin.culprit.map(|culprit| records::brief(tree, culprit.node)),
            })
        })
        .collect();
    let transformed = errors
        .spans
        .iter()
        .filter(|error| matches!(error.role, ErrorRole::Transformed(_)))
        .count();
    Ok(json!({
        "failed_spans": errors.spans.len(),
        "origins": involved.len(),
        "reported_as_another_error": transformed,
        "chains": chains,
    }))
}

/// Retries, loops and other repeated work, the most wasteful first.
pub(super) fn find_loops(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 10, 1, 30)?;
    let (tree, repetitions) = (&*scene.tree, &scene.evidence.repetitions);
    let found: Vec<Value> = repetitions
        .iter()
        .take(limit)
        .map(|repetition| {
            let named = repetition.nodes.iter().take(NAMED);
            json!({
                "kind": repetition.kind,
                "times": repetition.times,
                "spans_in_one_repetition": repetition.period,
                "span_count": repetition.nodes.len(),
                "spans": named.map(|&node| records::brief(tree, node)).collect::<Vec<_>>(),
                "wasted_ms": millis(repetition.wasted_micros),
                "wasted_cost_usd": repetition.wasted.dollars,
                "wasted_tokens": repetition.wasted.tokens,
                "waits_ms": repetition.gaps.iter().take(NAMED).map(|&gap| millis(gap)).collect::<Vec<_>>(),
                "made_progress": repetition.progress,
            })
        })
        .collect();
    Ok(json!({ "found": repetitions.len(), "repetitions": found }))
}

/// Where money and tokens go, by what each span spent itself.
pub(super) fn cost_hotspots(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 10, 1, 50)?;
    let (tree, spend) = (&*scene.tree, &scene.evidence.spend);
    let mut nodes: Vec<(Amount, NodeId)> = tree
        .nodes()
        .filter_map(|node| Some((*spend.own.get(node)?, node)))
        .filter(|(own, _)| own.dollars > 0.0 || own.tokens > 0)
        .collect();
    nodes.sort_by(|(a, first), (b, second)| {
        let order = if spend.has_cost {
            b.dollars.total_cmp(&a.dollars)
        } else {
            b.tokens.cmp(&a.tokens)
        };
        order.then(first.cmp(second))
    });
    let spans: Vec<Value> = nodes
        .iter()
        .take(limit)
        .map(|&(own, node)| {
            let mut row = records::brief(tree, node);
            if let Value::Object(fields) = &mut row {
                let model = tree
                    .span(node)
                    .model
                    .as_deref()
                    .map(|model| clean(model, 80));
                fields.insert("model".to_owned(), json!(model));
                fields.insert("cost_usd".to_owned(), json!(own.dollars));
                fields.insert("prompt_tokens".to_owned(), json!(own.prompt_tokens));
                fields.insert("completion_tokens".to_owned(), json!(own.completion_tokens));
                fields.insert("total_tokens".to_owned(), json!(own.tokens));
            }
            row
        })
        .collect();
    Ok(json!({
        "cost_recorded": spend.has_cost,
        "total_cost_usd": spend.total.dollars,
        "total_tokens": spend.total.tokens,
        "spans_that_spent": nodes.len(),
        "spans": spans,
    }))
}

/// A number with one digit after the point.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
