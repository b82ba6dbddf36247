//! Who is whose parent: recorded links and cut cycles. Orphans are [`adopt`]ed.

use super::adopt::adopt;
use super::build::Draft;
use super::quality::QualityKind;
use crate::{SpanId, Timestamp, Trace};

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
    for &orphan in &orphans {
        draft.report(QualityKind::Orphan, orphan, None);
    }
    adopt(draft, &orphans, trace);
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

/// Unknown starts come last: they say nothing about who was first.
fn order_key(draft: &Draft, index: usize) -> Option<(bool, Timestamp, SpanId)> {
    let span = draft.spans.get(index)?;
    let unknown = span.start_time == Timestamp::EPOCH;
    Some((unknown, span.start_time, span.id))
}
