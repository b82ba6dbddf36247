//! Who is whose parent: recorded links, cut cycles, adopted orphans.

use super::build::Draft;
use super::quality::QualityKind;
use crate::{SpanId, Timestamp, Trace};

/// How many enclosing candidates an orphan looks at before it is left at the top.
const CANDIDATES: usize = 64;

/// Fills in `draft.parent`.
pub(super) fn link(draft: &mut Draft, trace: &Trace) {
    let mut orphans = Vec::new();
    for index in 0..draft.spans.len() {
        let wanted = draft.spans.get(index).and_then(|span| span.parent_span_id);
        let found = wanted.and_then(|id| draft.by_id.get(&id).copied());
        if let Some(slot) = draft.parent.get_mut(index) {
            *slot = found;
        }
        // Some producers name the trace itself as the parent of the top spans.
        let is_trace = wanted.is_some_and(|id| id.as_bytes() == trace.id.as_bytes());
        if found.is_none() && wanted.is_some() && !is_trace {
            orphans.push(index);
        }
    }
    cut_cycles(draft);
    adopt(draft, &orphans);
    let roots = draft
        .parent
        .iter()
        .enumerate()
        .filter(|(_, parent)| parent.is_none());
    let roots: Vec<usize> = roots.map(|(index, _)| index).collect();
    if let [_, others @ ..] = roots.as_slice() {
        for &root in others {
            draft.report(QualityKind::SeveralRoots, root, None);
        }
    }
}

/// Cuts each cycle above its earliest span.
fn cut_cycles(draft: &mut Draft) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let mut marks = vec![Mark::New; draft.spans.len()];
    let mut path = Vec::new();
    for start in 0..draft.spans.len() {
        let mut at = Some(start);
        path.clear();
        while let Some(index) = at {
            match marks.get(index) {
                Some(Mark::New) => {
                    if let Some(mark) = marks.get_mut(index) {
                        *mark = Mark::OnPath;
                    }
                    path.push(index);
                    at = draft.parent.get(index).copied().flatten();
                }
                Some(Mark::OnPath) => {
                    let cycle = path.iter().copied().skip_while(|&member| member != index);
                    let first = cycle.min_by_key(|&member| order_key(draft, member));
                    if let Some(first) = first {
                        if let Some(parent) = draft.parent.get_mut(first) {
                            *parent = None;
                        }
                        draft.report(QualityKind::Cycle, first, None);
                    }
                    at = None;
                }
                Some(Mark::Done) | None => at = None,
            }
        }
        for &index in &path {
            if let Some(mark) = marks.get_mut(index) {
                *mark = Mark::Done;
            }
        }
    }
}

fn order_key(draft: &Draft, index: usize) -> Option<(Timestamp, SpanId)> {
    draft
        .spans
        .get(index)
        .map(|span| (span.start_time, span.id))
}

/// Gives orphans the tightest span that encloses them in time, where there is one.
fn adopt(draft: &mut Draft, orphans: &[usize]) {
    if orphans.is_empty() {
        return;
    }
    let times: Vec<(Timestamp, Timestamp)> = draft
        .spans
        .iter()
        .map(|span| {
            (
                span.start_time,
                span.end_time
                    .unwrap_or(span.start_time)
                    .max(span.start_time),
            )
        })
        .collect();
    let key = |index: usize| {
        times
            .get(index)
            .map(|&(start, end)| (start, std::cmp::Reverse(end)))
    };
    let mut by_start: Vec<usize> = (0..draft.spans.len()).collect();
    by_start.sort_by_key(|&index| key(index));
    let mut is_orphan = vec![false; draft.spans.len()];
    for &orphan in orphans {
        if let Some(flag) = is_orphan.get_mut(orphan) {
            *flag = true;
        }
    }
    let mut tops = Tops::new(&draft.parent);
    // Spans that are open at the sweep's moment, latest start last.
    let mut open: Vec<usize> = Vec::new();
    for index in by_start {
        let Some(&(start, end)) = times.get(index) else {
            continue;
        };
        while open
            .last()
            .and_then(|&top| times.get(top))
            .is_some_and(|top| top.1 < start)
        {
            open.pop();
        }
        if is_orphan.get(index) == Some(&true) {
            let encloses = |&&candidate: &&usize| {
                times
                    .get(candidate)
                    .is_some_and(|other| other.1 >= end && (other.0, other.1) != (start, start))
            };
            let candidates = open.iter().rev().take(CANDIDATES);
            let chosen = candidates
                .filter(encloses)
                .copied()
                .find(|&candidate| tops.top(candidate) != index);
            draft.report(QualityKind::Orphan, index, None);
            if let Some(chosen) = chosen {
                if let Some(parent) = draft.parent.get_mut(index) {
                    *parent = Some(chosen);
                }
                if let Some(inferred) = draft.inferred.get_mut(index) {
                    *inferred = true;
                }
                tops.attach(index, chosen);
            }
        }
        open.push(index);
    }
}

/// The top of the tree that a span is in, with path compression.
struct Tops(Vec<usize>);

impl Tops {
    fn new(parent: &[Option<usize>]) -> Self {
        Self(
            parent
                .iter()
                .enumerate()
                .map(|(index, up)| up.unwrap_or(index))
                .collect(),
        )
    }

    fn top(&mut self, mut index: usize) -> usize {
        loop {
            let up = self.0.get(index).copied().unwrap_or(index);
            let over = self.0.get(up).copied().unwrap_or(up);
            if let Some(slot) = self.0.get_mut(index) {
                *slot = over;
            }
            if up == index {
                return index;
            }
            index = over;
        }
    }

    fn attach(&mut self, index: usize, to: usize) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = to;
        }
    }
}
