//! Which findings answer which question about one trace.

use opik_core::tree::NodeId;

use super::{AnswerContext, Intent, Parts};
use crate::errors::{ErrorRole, Outcome};
use crate::figures::{count, duration, millis, percent, time_share};
use crate::finding::{Finding, FindingId, FindingKind as Kind};
use crate::label::Labels;
use crate::localise::{self, localise};
use crate::quote::quoted;

/// Characters of a quoted input or output.
const QUOTE: usize = 160;

/// Suspects in an answer without a fatal error.
const SUSPECTS: usize = 2;

/// Kinds of findings in the order of the answer, each with how many of it at most.
type Menu = &'static [(Kind, usize)];

const ERROR: Menu = &[
    (Kind::ErrorOrigin, 2),
    (Kind::SwallowedError, 2),
    (Kind::Culprit, 1),
    (Kind::RecoveredError, 1),
    (Kind::TypedFailure, 2),
];
const SLOW: Menu = &[
    (Kind::CriticalPath, 2),
    (Kind::WhatIf, 2),
    (Kind::Loop, 1),
    (Kind::Retry, 1),
    (Kind::ManySmallCalls, 1),
    (Kind::Uninstrumented, 1),
    (Kind::Outlier, 1),
];
const COST: Menu = &[
    (Kind::CostHotSpot, 1),
    (Kind::TokenHotSpot, 1),
    (Kind::ContextGrowth, 1),
    (Kind::CacheablePrompt, 1),
    (Kind::UnusedTools, 1),
    (Kind::CostAfterError, 1),
    (Kind::Loop, 1),
    (Kind::NearLoop, 1),
    (Kind::DuplicateCall, 2),
    (Kind::Retry, 1),
];
const ANOMALIES: Menu = &[
    (Kind::Outlier, 3),
    (Kind::SwallowedError, 1),
    (Kind::Loop, 1),
    (Kind::NearLoop, 1),
    (Kind::ContextGrowth, 1),
    (Kind::AsyncTail, 1),
    (Kind::Uninstrumented, 1),
    (Kind::DataQuality, 4),
];
const LOOPS: Menu = &[
    (Kind::Loop, 2),
    (Kind::Retry, 2),
    (Kind::NearLoop, 2),
    (Kind::SimilarReplies, 1),
    (Kind::PingPong, 1),
    (Kind::Recursion, 1),
    (Kind::ManySmallCalls, 2),
    (Kind::DuplicateCall, 2),
];
const SUMMARY: Menu = &[
    (Kind::Overview, 1),
    (Kind::ErrorOrigin, 1),
    (Kind::SwallowedError, 1),
    (Kind::CriticalPath, 1),
    (Kind::CostHotSpot, 1),
    (Kind::Loop, 1),
];

pub(super) fn choose(
    intent: Intent,
    ctx: &AnswerContext<'_>,
    labels: &Labels<'_>,
    named: &[NodeId],
) -> Parts {
    let menu = match intent {
        Intent::Error => ERROR,
        Intent::Slow => SLOW,
        Intent::Cost => COST,
        Intent::Anomalies => ANOMALIES,
        Intent::Loops => LOOPS,
        Intent::Summary | Intent::Difference => SUMMARY,
    };
    let mut findings = pick(menu, ctx, None);
    if let Some(&node) = named.first() {
        let about = pick(menu, ctx, Some(node));
        if !about.is_empty() {
            findings = about;
        }
    }
    let mut parts = match intent {
        Intent::Error => error(ctx, labels, findings),
        Intent::Slow => slow(ctx, labels, findings),
        Intent::Cost => cost(ctx, findings),
        Intent::Anomalies => plain(
            findings,
            "What stands out in this trace:",
            "Nothing stands out: no span took much longer than others of its name, nothing repeats without need, and the data has no defect.",
        ),
        Intent::Loops => plain(
            findings,
            "Repeated work in this trace:",
            "Nothing repeats without need: no retries, no loops, no rows of equal calls.",
        ),
        Intent::Summary | Intent::Difference => summary(ctx, findings),
    };
    if let Some(&node) = named.first() {
        let about = match intent {
            Intent::Error => about_error(ctx, labels, node),
            Intent::Slow | Intent::Summary => about_time(ctx, labels, node),
            _ => String::new(),
        };
        if !about.is_empty() {
            parts.head = about;
        }
    }
    parts
}

/// The findings on a menu, at most so many of each kind, all or those that speak of a span.
fn pick(menu: Menu, ctx: &AnswerContext<'_>, about: Option<NodeId>) -> Vec<Finding> {
    let id = about.map(|node| ctx.tree.span(node).id);
    let of = |&(kind, most): &(Kind, usize)| {
        let findings = ctx.evidence.of_kind(kind);
        findings
            .filter(move |finding| id.is_none_or(|id| finding.spans.contains(&id)))
            .take(most)
            .cloned()
    };
    menu.iter().flat_map(of).collect()
}

fn error(ctx: &AnswerContext<'_>, labels: &Labels<'_>, mut findings: Vec<Finding>) -> Parts {
    let origins = &ctx.evidence.errors.origins;
    let fatal = origins
        .iter()
        .find(|origin| origin.outcome == Outcome::FailedTrace);
    let lost = origins
        .iter()
        .filter(|origin| matches!(origin.outcome, Outcome::Swallowed(_)));
    let lost = lost.count();
    let trace_failed = ctx.tree.trace().error_info.is_some();
    let head = match (fatal, lost) {
        (Some(origin), _) => format!("The error began in {}.", labels.span(origin.node)),
        (None, _) if trace_failed => "The trace failed.".to_owned(),
        (None, 0) if !origins.is_empty() => {
            "The trace reports no failure: after every error in it, a later call of the same name succeeded.".to_owned()
        }
        (None, 0) => {
            // What else may have gone wrong is better than nothing.
            findings.extend(ctx.evidence.of_kind(Kind::Loop).take(1).cloned());
            format!(
                "No error was found in {}: none has error_info, and no tool returned an error as its output.",
                count(ctx.tree.len(), "span")
            )
        }
        (None, lost) => format!(
            "The trace reports no failure, but {} in it got lost.",
            count(lost, "error")
        ),
    };
    let sufficient = !origins.is_empty();
    let suspects = if fatal.is_none() {
        suspects(ctx)
    } else {
        Vec::new()
    };
    let note = match (sufficient, suspects.is_empty()) {
        (true, true) => "",
        (true, false) => {
            "The suspects are a guess from clues in the text, in case the result is wrong."
        }
        (false, true) => {
            "The evidence is not enough to say what went wrong: if the result is bad, a call may have succeeded with a wrong content, which rules cannot see."
        }
        (false, false) => {
            "The evidence is not enough to say what went wrong. If the result is bad, these steps are the first to read; they are a guess from clues in the text."
        }
    };
    findings.extend(suspects);
    Parts {
        head,
        findings,
        note: note.to_owned(),
        sufficient,
    }
}

/// The steps that are most likely wrong, numbered after the findings of the evidence.
fn suspects(ctx: &AnswerContext<'_>) -> Vec<Finding> {
    let ranked = localise(ctx.tree);
    // Among few steps the ranking says nothing.
    if ranked.len() < 3 {
        return Vec::new();
    }
    let mut findings = localise::findings(ctx.tree, &ranked, SUSPECTS);
    let last = u32::try_from(ctx.evidence.findings.len()).unwrap_or(u32::MAX);
    for (finding, number) in findings.iter_mut().zip(last.saturating_add(1)..) {
        finding.id = FindingId(number);
    }
    findings
}

fn slow(ctx: &AnswerContext<'_>, labels: &Labels<'_>, mut findings: Vec<Finding>) -> Parts {
    let path = &ctx.evidence.critical_path;
    let total = ctx.tree.wall().micros();
    // Repeats that cost no time are no reason for slowness.
    findings.retain(|finding| {
        let wasted = finding.quantity("wasted");
        wasted.is_none_or(|wasted| wasted * 20.0 >= millis(total))
    });
    let synthetic = is_synthetic(ctx);
    let top = ctx
        .tree
        .nodes()
        .max_by_key(|&node| (path.own.at(node), std::cmp::Reverse(node)));
    let head = match top {
        _ if total > 0 && path.uninstrumented() > top.map_or(0, |top| path.own.at(top)) => format!(
            "The trace took {}; in {} of it no span ran.",
            duration(total),
            percent(time_share(path.uninstrumented(), total))
        ),
        Some(top) if total > 0 => {
            let (name, share) = (labels.span(top), time_share(path.own.at(top), total));
            let took = format!("The trace took {}", duration(total));
            let within = path.longest_hidden(ctx.tree, top);
            if let Some((micros, child)) = within.filter(|_| share >= 10.0) {
                format!(
                    "{took}; for {} of it, it waited for {name}, in {} of which {} ran.",
                    percent(share),
                    duration(micros),
                    labels.span(child)
                )
            } else if share >= 10.0 {
                format!(
                    "{took}; for {} of it, it waited for {name} itself.",
                    percent(share)
                )
            } else {
                format!(
                    "{took}; no single span dominates it, the largest, {name}, has {}.",
                    percent(share)
                )
            }
        }
        _ => "The trace has no duration: no span has both a start and a later end.".to_owned(),
    };
    let head = if synthetic {
        findings.retain(|finding| finding.kind == Kind::CriticalPath);
        "The times of this trace are synthetic, so nothing can be said about its real speed. By its order alone:".to_owned()
    } else {
        head
    };
    Parts {
        head,
        findings,
        note: String::new(),
        sufficient: total > 0 && !synthetic,
    }
}

/// Whether the metadata says that the times were made up.
fn is_synthetic(ctx: &AnswerContext<'_>) -> bool {
    ctx.evidence
        .of_kind(Kind::DataQuality)
        .any(|finding| finding.method.contains("synthetic_time"))
}

fn cost(ctx: &AnswerContext<'_>, findings: Vec<Finding>) -> Parts {
    let spend = &ctx.evidence.spend;
    let (head, note) = match (spend.has_cost, spend.has_tokens) {
        (true, _) => ("Where the money goes, and what could be saved:", ""),
        (false, true) => (
            "Where the tokens go, and what could be saved:",
            "No cost was recorded, so this counts tokens.",
        ),
        (false, false) if findings.is_empty() => (
            "No cost and no token counts were recorded in this trace.",
            "The evidence is not enough: record the usage of model calls.",
        ),
        (false, false) => (
            "No cost and no token counts were recorded. What could be saved are these calls:",
            "The evidence is not enough to say how much: record the usage of model calls.",
        ),
    };
    Parts {
        head: head.to_owned(),
        findings,
        note: note.to_owned(),
        sufficient: spend.has_cost || spend.has_tokens,
    }
}

fn plain(findings: Vec<Finding>, some: &str, none: &str) -> Parts {
    Parts {
        head: if findings.is_empty() { none } else { some }.to_owned(),
        findings,
        note: String::new(),
        sufficient: true,
    }
}

fn summary(ctx: &AnswerContext<'_>, mut findings: Vec<Finding>) -> Parts {
    if is_synthetic(ctx) {
        findings.retain(|finding| finding.kind != Kind::CriticalPath);
    }
    let trace = ctx.tree.trace();
    let root = ctx.tree.roots().next().map(|root| ctx.tree.span(root));
    let input = trace
        .input
        .as_ref()
        .or_else(|| root.and_then(|root| root.input.as_ref()));
    let output = trace.output.as_ref().or_else(|| answer_of_roots(ctx));
    let mut head = String::new();
    if let Some(input) = input {
        head += &format!("Asked: {}.", quoted(&main_text(input), QUOTE));
    }
    if let Some(output) = output {
        let gap = if head.is_empty() { "" } else { " " };
        head += &format!("{gap}Answered: {}.", quoted(&main_text(output), QUOTE));
    }
    if !head.is_empty() && output.is_none() {
        head += " No answer was recorded.";
    }
    if head.is_empty() {
        head = "No input or output of the trace was recorded.".to_owned();
    }
    Parts {
        head,
        findings,
        note: String::new(),
        sufficient: !ctx.tree.is_empty(),
    }
}

/// The output of the only root, or of the last one to end unless the trace failed: the first of
/// several is a step on the way.
fn answer_of_roots<'a>(ctx: &AnswerContext<'a>) -> Option<&'a opik_core::Json> {
    let tree = ctx.tree;
    let origins = &ctx.evidence.errors.origins;
    let failed = tree.trace().error_info.is_some()
        || origins
            .iter()
            .any(|origin| origin.outcome == Outcome::FailedTrace);
    if failed && tree.roots().nth(1).is_some() {
        return None;
    }
    let last = tree
        .roots()
        .max_by_key(|&root| (tree.interval(root).end, root))?;
    tree.span(last).output.as_ref()
}

/// The text of an input or output: of a JSON string, of an object around one text, else the JSON.
fn main_text(json: &opik_core::Json) -> String {
    use serde_json::Value;
    match json.to_value() {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(fields)) if fields.len() == 1 => match fields.into_iter().next() {
            Some((_, Value::String(text))) => text,
            _ => json.as_str().to_owned(),
        },
        _ => json.as_str().to_owned(),
    }
}

fn about_error(ctx: &AnswerContext<'_>, labels: &Labels<'_>, node: NodeId) -> String {
    let errors = &ctx.evidence.errors;
    match errors.of(node).map(|error| error.role) {
        None => format!("{} has no error itself.", labels.span(node)),
        Some(ErrorRole::Origin) => {
            format!("The error of {} began in this span.", labels.span(node))
        }
        Some(ErrorRole::Propagated(from) | ErrorRole::Transformed(from)) => {
            // Causes lie below, so the chain ends.
            let cause = |&at: &NodeId| match errors.of(at).map(|error| error.role) {
                Some(ErrorRole::Propagated(from) | ErrorRole::Transformed(from)) => Some(from),
                _ => None,
            };
            let origin = std::iter::successors(Some(from), cause)
                .last()
                .unwrap_or(from);
            format!(
                "The error of {} began in {}.",
                labels.span(node),
                labels.span(origin)
            )
        }
    }
}

fn about_time(ctx: &AnswerContext<'_>, labels: &Labels<'_>, node: NodeId) -> String {
    let path = &ctx.evidence.critical_path;
    let micros = ctx.tree.interval(node).micros();
    let own = path.own.at(node);
    let on_path = if own > 0 {
        format!("{} are on the critical path of the trace", duration(own))
    } else {
        "nothing of its own time is on the critical path of the trace".to_owned()
    };
    let below = match ctx.tree.descendants(node).len() {
        0 => "no span below it".to_owned(),
        some => format!("{} below it", count(some, "span")),
    };
    format!(
        "{} took {}, {} of it itself, with {below}; {on_path}.",
        labels.span(node),
        duration(micros),
        duration(ctx.evidence.self_times.at(node)),
    )
}
