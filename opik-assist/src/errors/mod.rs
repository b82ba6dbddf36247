//! Where errors began, how far they went, and who stopped them.
//!
//! # Definitions
//!
//! - An **error** is a span with `error_info`, or a tool (or a general span without children)
//!   whose output is an error by the rules of the soft-error classifier.
//! - An error is **propagated** from the nearest error below it with the same template (numbers,
//!   paths and quoted text masked; equal, or one contains the other), or whose exception its
//!   traceback names. It is **transformed** when its direct child failed with another message.
//!   Else it is an **origin**.
//! - An origin **failed the trace** when the errors above it reach a root, or when the trace's own
//!   error repeats one of them. It was **recovered** when, after the topmost of them had ended, a
//!   sibling of the same kind and name succeeded. Else it was **swallowed** by the first span
//!   above that reports no error, or another one. An origin that is neither passed on nor
//!   retried shares the outcome of its parent, when that failed and did not pass on another error.
//! - Errors with equal type and template are one **cluster**.
//!
//! Origins are ordered by outcome (failed the trace, swallowed, recovered), then by time.
//! `O(n log n)`.

use foldhash::HashMap;
use opik_core::tree::NodeId;
use opik_core::{SpanType, Timestamp, TraceTree};
use serde::Serialize;

use crate::PerNode;
use crate::culprit::{Culprit, culprit};
use crate::failure::{FailureClass, classify};
use crate::message::{repeats, template};
use crate::soft_error::soft_error;

/// Origins whose producer is looked for.
const CULPRITS: usize = 32;

/// How it is known that a span failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorSource {
    /// The span has `error_info`.
    Recorded,
    /// Its output is an error.
    Output,
}

/// Where an error of a span comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorRole {
    /// It began here.
    Origin,
    /// A span below failed with the same error.
    Propagated(NodeId),
    /// A child failed with another error.
    Transformed(NodeId),
}

/// The error of one span.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SpanError {
    /// The span.
    pub node: NodeId,
    /// How it is known.
    pub source: ErrorSource,
    /// The rule that found it.
    pub rule: &'static str,
    /// Class or kind; may be empty.
    pub exception_type: String,
    /// What was said, untrusted and not shortened for display.
    pub message: String,
    /// The message without what differs between occurrences.
    pub template: String,
    /// The kind of failure, where it is a known one.
    pub class: Option<FailureClass>,
    /// Where it comes from.
    pub role: ErrorRole,
}

/// What became of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It reached the top of the trace.
    FailedTrace,
    /// The first span above that reports no error; `None` when it reached a root that is one of
    /// several.
    Swallowed(Option<NodeId>),
    /// A later sibling of the same kind and name succeeded.
    Recovered {
        /// The sibling.
        by: NodeId,
        /// Whether it had the same recorded input.
        same_input: bool,
    },
}

/// An error where it began.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Origin {
    /// The span.
    pub node: NodeId,
    /// The spans above that failed because of it, from the bottom to the top.
    pub path: Vec<NodeId>,
    /// What became of it.
    pub outcome: Outcome,
    /// The model call that asked for the failing action.
    pub culprit: Option<Culprit>,
}

/// Errors of one kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cluster {
    /// The first of them.
    pub first: NodeId,
    /// All origins of this kind, by time.
    pub nodes: Vec<NodeId>,
}

/// All errors of a trace.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Errors {
    /// Every span that failed, in pre-order.
    pub spans: Vec<SpanError>,
    /// Where errors began, the most important first.
    pub origins: Vec<Origin>,
    /// Origins by kind, the most frequent first.
    pub clusters: Vec<Cluster>,
}

impl Errors {
    /// The error of a span.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Option<&SpanError> {
        let place = self.spans.binary_search_by_key(&node, |error| error.node);
        place.ok().and_then(|place| self.spans.get(place))
    }

    /// When the first error that nothing made good had happened.
    #[must_use]
    pub fn first_unrecovered(&self, tree: &TraceTree) -> Option<(NodeId, Timestamp)> {
        let lost = self
            .origins
            .iter()
            .filter(|origin| !matches!(origin.outcome, Outcome::Recovered { .. }));
        lost.map(|origin| (origin.node, tree.interval(origin.node).end))
            .min_by_key(|&(node, end)| (end, node))
    }
}

/// Finds the errors of a trace.
#[must_use]
pub fn errors(tree: &TraceTree) -> Errors {
    let mut spans: Vec<SpanError> = tree
        .nodes()
        .filter_map(|node| of_span(tree, node))
        .collect();
    if spans.is_empty() {
        return Errors::default();
    }
    let mut place: PerNode<Option<u32>> = PerNode::filled(tree, None);
    for (error, number) in spans.iter().zip(0u32..) {
        place.set(error.node, Some(number));
    }
    let source = sources(tree, &mut spans, &place);
    let retries = Successes::new(tree, &spans, &place);
    let mut origins = origins(tree, &spans, &place, &source, &retries);
    for origin in origins.iter_mut().take(CULPRITS) {
        origin.culprit = culprit(tree, origin.node);
    }
    let clusters = clusters(tree, &spans, &origins);
    Errors {
        spans,
        origins,
        clusters,
    }
}

fn of_span(tree: &TraceTree, node: NodeId) -> Option<SpanError> {
    let span = tree.span(node);
    let (source, rule, exception_type, message) = if let Some(error) = &span.error_info {
        let message = error
            .message
            .as_deref()
            .filter(|message| !message.is_empty());
        let message = message.unwrap_or(&error.traceback);
        let kind = error.exception_type.clone();
        (
            ErrorSource::Recorded,
            "error_info",
            kind,
            message.to_owned(),
        )
    } else {
        let output = span.output.as_ref()?;
        let acts = match span.kind() {
            SpanType::Tool => true,
            SpanType::General => tree.descendants(node).len() == 0,
            _ => false,
        };
        let found = acts.then(|| soft_error(output)).flatten()?;
        (
            ErrorSource::Output,
            found.rule,
            found.exception_type,
            found.message,
        )
    };
    Some(SpanError {
        node,
        source,
        rule,
        template: template(&message),
        class: classify(&exception_type, &message),
        exception_type,
        message,
        role: ErrorRole::Origin,
    })
}

/// Sets the roles. Returns for every error the errors above it that it caused, as "next one up".
fn sources(
    tree: &TraceTree,
    spans: &mut [SpanError],
    place: &PerNode<Option<u32>>,
) -> Vec<Option<usize>> {
    let mut caused: Vec<Option<usize>> = vec![None; spans.len()];
    // The nearest error above every span, top-down.
    let mut above: PerNode<Option<u32>> = PerNode::filled(tree, None);
    for node in tree.nodes() {
        let nearest = tree
            .parent(node)
            .and_then(|parent| place.at(parent).or(above.at(parent)));
        above.set(node, nearest);
    }
    let mut best: Vec<Option<(bool, Timestamp, usize)>> = vec![None; spans.len()];
    for (index, error) in spans.iter().enumerate() {
        let Some(up) = above.at(error.node).map(|up| up as usize) else {
            continue;
        };
        let Some(outer) = spans.get(up) else {
            continue;
        };
        let same = is_same(tree, outer, error);
        let direct = tree.parent(error.node) == Some(outer.node);
        let candidate = (same, tree.interval(error.node).end, index);
        if let Some(slot) = best.get_mut(up)
            && (same || direct)
            && slot.is_none_or(|known| known < candidate)
        {
            *slot = Some(candidate);
        }
    }
    for (up, chosen) in best.iter().enumerate() {
        let Some((same, _, index)) = *chosen else {
            continue;
        };
        let Some(cause) = spans.get(index).map(|error| error.node) else {
            continue;
        };
        if let Some(error) = spans.get_mut(up) {
            error.role = if same {
                ErrorRole::Propagated(cause)
            } else {
                ErrorRole::Transformed(cause)
            };
        }
        if let Some(slot) = caused.get_mut(index) {
            *slot = Some(up);
        }
    }
    caused
}

/// Whether the outer error is the inner one, passed on.
fn is_same(tree: &TraceTree, outer: &SpanError, inner: &SpanError) -> bool {
    if !inner.template.is_empty() && repeats(&outer.template, &inner.template) {
        return true;
    }
    if outer.template == inner.template && outer.exception_type == inner.exception_type {
        return true;
    }
    let recorded = tree.span(outer.node).error_info.as_ref();
    let chained = |traceback: &str| {
        let kind = inner.exception_type.rsplit('.').next().unwrap_or_default();
        let head: String = inner.message.chars().take(60).collect();
        kind.len() > 4 && head.len() > 3 && traceback.contains(kind) && traceback.contains(&head)
    };
    recorded.is_some_and(|error| chained(&error.traceback))
}

fn origins(
    tree: &TraceTree,
    spans: &[SpanError],
    place: &PerNode<Option<u32>>,
    caused: &[Option<usize>],
    retries: &Successes<'_>,
) -> Vec<Origin> {
    let outcomes = outcomes(tree, spans, place, caused, retries);
    let mut origins = Vec::new();
    for (index, (error, &outcome)) in spans.iter().zip(&outcomes).enumerate() {
        if error.role != ErrorRole::Origin {
            continue;
        }
        // An error has one cause, so the paths share no span.
        let up = std::iter::successors(Some(index), |&at| caused.get(at).copied().flatten());
        let path = up.skip(1).filter_map(|at| spans.get(at));
        origins.push(Origin {
            node: error.node,
            path: path.map(|error| error.node).collect(),
            outcome,
            culprit: None,
        });
    }
    let rank = |outcome: Outcome| match outcome {
        Outcome::FailedTrace => 0,
        Outcome::Swallowed(_) => 1,
        Outcome::Recovered { .. } => 2,
    };
    origins.sort_by_key(|origin| {
        let end = tree.interval(origin.node).end;
        (rank(origin.outcome), end, origin.node)
    });
    origins
}

/// What became of each error: what became of the error that it caused; else a retry; else what
/// became of the failed parent, which it may have contributed to.
fn outcomes(
    tree: &TraceTree,
    spans: &[SpanError],
    place: &PerNode<Option<u32>>,
    caused: &[Option<usize>],
    retries: &Successes<'_>,
) -> Vec<Outcome> {
    let several = tree.roots().nth(1).is_some();
    let trace_error = tree.trace().error_info.as_ref().map(|error| {
        let message = error
            .message
            .as_deref()
            .filter(|message| !message.is_empty());
        template(message.unwrap_or(&error.traceback))
    });
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(spans.len());
    // Pre-order: the errors above have been decided.
    for (index, error) in spans.iter().enumerate() {
        let reported = trace_error
            .as_ref()
            .is_some_and(|outer| !error.template.is_empty() && repeats(outer, &error.template));
        let passed_on = caused.get(index).copied().flatten();
        let parent = tree.parent(error.node);
        let failed_parent = parent
            .and_then(|parent| place.at(parent))
            .map(|at| at as usize);
        let outcome = if reported {
            Outcome::FailedTrace
        } else if let Some(&above) = passed_on.and_then(|at| outcomes.get(at)) {
            above
        } else if let Some((by, same_input)) = retries.after(tree, error.node) {
            Outcome::Recovered { by, same_input }
        } else if let Some(&above) = failed_parent
            .filter(|&at| {
                spans
                    .get(at)
                    .is_some_and(|outer| shares(tree, outer, error))
            })
            .and_then(|at| outcomes.get(at))
        {
            above
        } else if parent.is_none() && (!several || trace_error.is_some()) {
            Outcome::FailedTrace
        } else {
            Outcome::Swallowed(parent)
        };
        outcomes.push(outcome);
    }
    outcomes
}

/// Whether a failed child may have contributed to the error of its parent: not when the parent
/// passed on another error, with another message.
fn shares(tree: &TraceTree, outer: &SpanError, inner: &SpanError) -> bool {
    !matches!(outer.role, ErrorRole::Propagated(_)) || is_same(tree, outer, inner)
}

/// Who else ran under the parents of errors, by parent, kind and name.
struct Successes<'a> {
    /// Siblings by start, each with the index of the next one that did not fail.
    groups: HashMap<Key<'a>, Vec<(NodeId, usize)>>,
}

type Key<'a> = (Option<NodeId>, &'a str, Option<&'a str>);

impl<'a> Successes<'a> {
    fn new(tree: &'a TraceTree, spans: &[SpanError], place: &PerNode<Option<u32>>) -> Self {
        let mut parents: Vec<Option<NodeId>> =
            spans.iter().map(|error| tree.parent(error.node)).collect();
        parents.sort_unstable();
        parents.dedup();
        let mut groups: HashMap<Key<'a>, Vec<(NodeId, usize)>> = HashMap::default();
        for parent in parents {
            let mut add = |node| groups.entry(key(tree, node)).or_default().push((node, 0));
            match parent {
                Some(parent) => tree.children(parent).for_each(&mut add),
                None => tree.roots().for_each(&mut add),
            }
        }
        for group in groups.values_mut() {
            let mut next = group.len();
            for (index, (node, slot)) in group.iter_mut().enumerate().rev() {
                if place.at(*node).is_none() {
                    next = index;
                }
                *slot = next;
            }
        }
        Self { groups }
    }

    /// The first success that began after the span had ended, and whether it had the same input.
    fn after(&self, tree: &TraceTree, node: NodeId) -> Option<(NodeId, bool)> {
        let group = self.groups.get(&key(tree, node))?;
        let end = tree.interval(node).end;
        let from =
            group.partition_point(|&(other, _)| other <= node || tree.interval(other).start < end);
        let (_, next) = *group.get(from)?;
        let (by, _) = *group.get(next)?;
        let input = tree.span(node).input.as_ref();
        let same_input = input.is_some() && tree.span(by).input.as_ref() == input;
        Some((by, same_input))
    }
}

fn key(tree: &TraceTree, node: NodeId) -> Key<'_> {
    let span = tree.span(node);
    (
        tree.parent(node),
        span.kind().as_str(),
        span.name.as_deref(),
    )
}

fn clusters(tree: &TraceTree, spans: &[SpanError], origins: &[Origin]) -> Vec<Cluster> {
    let mut groups: HashMap<(&str, &str), Vec<NodeId>> = HashMap::default();
    for origin in origins {
        let found = spans.binary_search_by_key(&origin.node, |error| error.node);
        if let Some(error) = found.ok().and_then(|place| spans.get(place)) {
            let group = (error.exception_type.as_str(), error.template.as_str());
            groups.entry(group).or_default().push(origin.node);
        }
    }
    let mut clusters: Vec<Cluster> = groups
        .into_values()
        .filter_map(|mut nodes| {
            nodes.sort_by_key(|&node| (tree.interval(node).end, node));
            let first = *nodes.first()?;
            Some(Cluster { first, nodes })
        })
        .collect();
    clusters.sort_by_key(|cluster| (std::cmp::Reverse(cluster.nodes.len()), cluster.first));
    clusters
}

#[cfg(test)]
mod tests;
