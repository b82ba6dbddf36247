//! Answers about differences.
//!
//! Compared are, in this order: the two spans that were given, two spans that the question names,
//! one named span with its namesake in the second trace, the first and the last span of a name
//! that the question names, the two traces.

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::mention::can_be_named;
use super::{AnswerContext, Parts};
use crate::diff::{diff_spans, diff_traces};
use crate::figures::count;
use crate::finding::{Finding, FindingId};
use crate::quote::{clean, quoted};

/// Findings in an answer.
const MOST: usize = 7;

pub(super) fn difference(ctx: &AnswerContext<'_>, named: &[NodeId], by_name: bool) -> Parts {
    let mut pair = given(ctx).or_else(|| in_question(ctx, named));
    let mut among = String::new();
    if let (None, None, &[only]) = (pair, ctx.spans, named)
        && by_name
        && let Some((first, last, number)) = namesakes(ctx.tree, only)
    {
        pair = Some((first, ctx.tree, last));
        if number > 2 {
            let name = ctx.tree.span(only).name.as_deref().unwrap_or_default();
            among = format!(
                "There are {} named {}; these are the first and the last. ",
                count(number, "span"),
                quoted(name, 60)
            );
        }
    }
    if let Some((first, tree, second)) = pair {
        let head = if std::ptr::eq(tree, ctx.tree) {
            "The two spans compared, the first to the second:"
        } else {
            "The span compared with that of the second trace:"
        };
        return parts(
            ctx,
            &format!("{among}{head}"),
            diff_spans(ctx.tree, first, tree, second).findings(),
        );
    }
    if ctx.spans.is_some() {
        return nothing("At least one of the two spans is not in these traces.");
    }
    match ctx.other {
        Some((other, _)) => {
            let found = diff_traces(ctx.tree, other).findings();
            parts(
                ctx,
                "The two traces compared, the first to the second:",
                found,
            )
        }
        None => nothing(&hint(ctx.tree)),
    }
}

/// The first and the last span with the name of this one, and how many there are; `None`
/// for a single one.
fn namesakes(tree: &TraceTree, node: NodeId) -> Option<(NodeId, NodeId, usize)> {
    let span = tree.span(node);
    let mut nodes: Vec<NodeId> = tree
        .nodes()
        .filter(|&node| tree.span(node).name == span.name)
        .collect();
    nodes.sort_by_key(|&node| (tree.interval(node).start, node));
    match nodes.as_slice() {
        &[first, .., last] => Some((first, last, nodes.len())),
        _ => None,
    }
}

/// How to ask for a difference, with names of this trace.
fn hint(tree: &TraceTree) -> String {
    let mut names: Vec<&str> = Vec::new();
    for node in tree.nodes().skip(1) {
        let name = tree.span(node).name.as_deref().unwrap_or_default();
        if can_be_named(name) && name.chars().count() <= 40 && !names.contains(&name) {
            names.push(name);
        }
        if names.len() == 2 {
            break;
        }
    }
    let example = match names.as_slice() {
        &[first, second] => format!(
            ", for example: what is the difference between {} and {}?",
            clean(first, 40),
            clean(second, 40)
        ),
        _ => ".".to_owned(),
    };
    format!(
        "There is nothing to compare this trace with. Give a second trace, or name two of its spans by their names or ids{example}"
    )
}

/// The spans that the caller gave.
fn given<'a>(ctx: &AnswerContext<'a>) -> Option<(NodeId, &'a TraceTree, NodeId)> {
    let (first, second) = ctx.spans?;
    let first = ctx.tree.find(first)?;
    let in_other = ctx
        .other
        .and_then(|(tree, _)| Some((tree, tree.find(second)?)));
    let (tree, second) = in_other.or_else(|| Some((ctx.tree, ctx.tree.find(second)?)))?;
    Some((first, tree, second))
}

/// The spans that the question names.
fn in_question<'a>(
    ctx: &AnswerContext<'a>,
    named: &[NodeId],
) -> Option<(NodeId, &'a TraceTree, NodeId)> {
    match (named, ctx.other) {
        (&[first, second, ..], _) => Some((first, ctx.tree, second)),
        (&[first], Some((other, _))) => {
            let span = ctx.tree.span(first);
            let is_namesake = |&node: &NodeId| {
                let found = other.span(node);
                found.name == span.name && found.kind() == span.kind()
            };
            Some((first, other, other.nodes().find(is_namesake)?))
        }
        _ => None,
    }
}

/// Numbers the findings after those of the evidence.
fn parts(ctx: &AnswerContext<'_>, head: &str, mut findings: Vec<Finding>) -> Parts {
    let more = findings.len().saturating_sub(MOST);
    findings.truncate(MOST);
    let last = u32::try_from(ctx.evidence.findings.len()).unwrap_or(u32::MAX);
    for (finding, number) in findings.iter_mut().zip(last.saturating_add(1)..) {
        finding.id = FindingId(number);
    }
    let note = if more > 0 {
        format!("There are {more} more differences.")
    } else {
        String::new()
    };
    Parts {
        head: head.to_owned(),
        findings,
        note,
        sufficient: true,
    }
}

fn nothing(head: &str) -> Parts {
    Parts {
        head: head.to_owned(),
        findings: Vec::new(),
        note: String::new(),
        sufficient: false,
    }
}
