//! Answers about differences.
//!
//! Compared are, in this order: the two spans that were given, two spans that the question names,
//! one named span with its namesake in the second trace, the two traces.

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::{AnswerContext, Parts};
use crate::diff::{diff_spans, diff_traces};
use crate::finding::{Finding, FindingId};

/// Findings in an answer.
const MOST: usize = 7;

pub(super) fn difference(ctx: &AnswerContext<'_>, named: &[NodeId]) -> Parts {
    let pair = given(ctx).or_else(|| in_question(ctx, named));
    if let Some((first, tree, second)) = pair {
        let head = if std::ptr::eq(tree, ctx.tree) {
            "The two spans compared, the first to the second:"
        } else {
            "The span compared with that of the second trace:"
        };
        return parts(
            ctx,
            head,
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
        None => nothing("To compare, name two spans of this trace, or give a second trace."),
    }
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
