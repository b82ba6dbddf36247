//! From recorded rows to a tree: deduplicate, link, repair times, number.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt as _};

use super::quality::{QualityIssue, QualityKind};
use super::{Interval, Node, NodeId, TraceTree, clock, parents, times};
use crate::{Span, SpanId, Timestamp, Trace, TraceId};

/// Spans in the making, by their index in the input.
pub(super) struct Draft {
    pub(super) spans: Vec<Span>,
    pub(super) by_id: HashMap<SpanId, usize>,
    pub(super) parent: Vec<Option<usize>>,
    pub(super) inferred: Vec<bool>,
    pub(super) interval: Vec<Interval>,
    pub(super) quality: Vec<QualityIssue>,
}

impl Draft {
    pub(super) fn report(&mut self, kind: QualityKind, index: usize, micros: Option<i64>) {
        if let Some(span) = self.spans.get(index) {
            self.quality.push(QualityIssue {
                kind,
                span: span.id,
                micros,
            });
        }
    }

    /// Children of each span in a flat list: those of `i` are `list[start[i]..start[i + 1]]`.
    /// The last entry of the outer level (`len`) holds the roots.
    pub(super) fn children(&self) -> Children {
        let n = self.spans.len();
        let slot = |parent: Option<usize>| parent.unwrap_or(n);
        let mut start = vec![0usize; n + 2];
        for &parent in &self.parent {
            if let Some(count) = start.get_mut(slot(parent) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for entry in &mut start {
            sum += *entry;
            *entry = sum;
        }
        let mut fill = start.clone();
        let mut list = vec![0usize; n];
        for (child, &parent) in self.parent.iter().enumerate() {
            if let Some(next) = fill.get_mut(slot(parent)) {
                if let Some(place) = list.get_mut(*next) {
                    *place = child;
                }
                *next += 1;
            }
        }
        Children { start, list }
    }

    /// Every span reachable from the roots, parents before children.
    pub(super) fn top_down(&self, children: &Children) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.spans.len());
        order.extend_from_slice(children.of(self.spans.len()));
        let mut next = 0;
        while let Some(&span) = order.get(next) {
            order.extend_from_slice(children.of(span));
            next += 1;
        }
        order
    }
}

/// See [`Draft::children`].
pub(super) struct Children {
    start: Vec<usize>,
    list: Vec<usize>,
}

impl Children {
    pub(super) fn of(&self, parent: usize) -> &[usize] {
        match (self.start.get(parent), self.start.get(parent + 1)) {
            (Some(&from), Some(&to)) => self.list.get(from..to).unwrap_or_default(),
            _ => &[],
        }
    }

    fn of_mut(&mut self, parent: usize) -> &mut [usize] {
        match (self.start.get(parent), self.start.get(parent + 1)) {
            (Some(&from), Some(&to)) => self.list.get_mut(from..to).unwrap_or_default(),
            _ => &mut [],
        }
    }
}

impl TraceTree {
    /// Indexes the spans of a trace. Spans of other traces are left out and reported.
    #[must_use]
    pub fn build(trace: Trace, spans: Vec<Span>) -> Self {
        let mut draft = deduplicate(trace.id, spans);
        parents::link(&mut draft, &trace);
        let mut children = draft.children();
        times::repair(&mut draft, &children, &trace);
        clock::centre_skewed_servers(&mut draft, &children);
        times::report_outside_parent(&mut draft);
        number(trace, draft, &mut children)
    }

    /// Indexes spans that have no trace row: the trace is inferred from them.
    #[must_use]
    pub fn from_spans(id: TraceId, spans: Vec<Span>) -> Self {
        let own = || spans.iter().filter(|span| span.trace_id == id);
        let started = own().filter(|span| span.start_time != Timestamp::EPOCH);
        let start = started.map(|span| span.start_time).min();
        let mut trace = Trace::new(id, start.unwrap_or(Timestamp::EPOCH));
        let first = |span: &&Span| (span.parent_span_id.is_some(), span.start_time, span.id);
        if let Some(top) = own().min_by_key(first) {
            trace.name.clone_from(&top.name);
            trace.project_name.clone_from(&top.project_name);
            trace.project_id = top.project_id;
        }
        if own().all(|span| span.end_time.is_some()) {
            trace.end_time = own().filter_map(|span| span.end_time).max();
        }
        Self::build(trace, spans)
    }
}

/// Keeps the newest row of each span of the trace.
fn deduplicate(trace: TraceId, spans: Vec<Span>) -> Draft {
    let mut quality = Vec::new();
    let mut kept: Vec<Span> = Vec::with_capacity(spans.len());
    let mut by_id = HashMap::with_capacity(spans.len());
    for span in spans {
        if span.trace_id != trace {
            quality.push(QualityIssue {
                kind: QualityKind::ForeignTrace,
                span: span.id,
                micros: None,
            });
            continue;
        }
        match by_id.entry(span.id) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(span);
            }
            Entry::Occupied(place) => {
                quality.push(QualityIssue {
                    kind: QualityKind::DuplicateId,
                    span: span.id,
                    micros: None,
                });
                if let Some(known) = kept.get_mut(*place.get())
                    && span.last_updated_at >= known.last_updated_at
                {
                    *known = span;
                }
            }
        }
    }
    let n = kept.len();
    Draft {
        spans: kept,
        by_id,
        parent: vec![None; n],
        inferred: vec![false; n],
        interval: Vec::with_capacity(n),
        quality,
    }
}

/// Numbers the spans in pre-order and moves them into their places.
fn number(trace: Trace, mut draft: Draft, children: &mut Children) -> TraceTree {
    let n = draft.spans.len();
    for parent in 0..=n {
        let (intervals, spans) = (&draft.interval, &draft.spans);
        children.of_mut(parent).sort_unstable_by_key(|&child| {
            let times = intervals.get(child).map(|times| (times.start, times.end));
            (times, spans.get(child).map(|span| span.id))
        });
    }
    let (_, others) = children.of(n).split_first().unwrap_or((&n, &[]));
    // A trace that a client of Opik recorded has a record of its own above any number of spans;
    // elsewhere the trace is its top span, and a second one means that the real one is missing.
    if trace.source.is_none() {
        for &root in others {
            draft.report(QualityKind::SeveralRoots, root, None);
        }
    }
    let mut slots: Vec<Option<Span>> = std::mem::take(&mut draft.spans)
        .into_iter()
        .map(Some)
        .collect();
    let mut nodes: Vec<Node> = Vec::with_capacity(n);
    let mut spans: Vec<Span> = Vec::with_capacity(n);
    let mut by_id = std::mem::take(&mut draft.by_id);
    let mut stack: Vec<(usize, Option<NodeId>, u32)> = children
        .of(n)
        .iter()
        .rev()
        .map(|&root| (root, None, 0))
        .collect();
    while let Some((index, parent, depth)) = stack.pop() {
        let taken = slots.get_mut(index).and_then(Option::take);
        let (Some(span), Some(&interval)) = (taken, draft.interval.get(index)) else {
            continue;
        };
        let id = NodeId(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        by_id.insert(span.id, id.index());
        let inferred_parent = draft.inferred.get(index).copied().unwrap_or(false);
        spans.push(span);
        nodes.push(Node {
            parent,
            subtree_end: id.0 + 1,
            depth,
            interval,
            inferred_parent,
        });
        stack.extend(
            children
                .of(index)
                .iter()
                .rev()
                .map(|&child| (child, Some(id), depth + 1)),
        );
    }
    for index in (0..nodes.len()).rev() {
        let (end, parent) = match nodes.get(index) {
            Some(node) => (node.subtree_end, node.parent),
            None => continue,
        };
        if let Some(above) = parent.and_then(|parent| nodes.get_mut(parent.index())) {
            above.subtree_end = above.subtree_end.max(end);
        }
    }
    let wall = times::wall(&trace, nodes.iter().map(|node| node.interval));
    let by_id = by_id
        .into_iter()
        .map(|(id, index)| (id, NodeId(u32::try_from(index).unwrap_or(u32::MAX))))
        .collect();
    draft.quality.sort_by_key(|issue| (issue.kind, issue.span));
    TraceTree {
        trace,
        nodes,
        spans,
        by_id,
        quality: draft.quality,
        interval: wall,
    }
}
