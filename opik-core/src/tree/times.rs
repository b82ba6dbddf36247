//! When spans ran: missing, negative and impossible times.

use super::Interval;
use super::build::{Children, Draft};
use super::quality::QualityKind;
use crate::{Span, Timestamp, Trace};

/// How far a child may stick out of its parent before it is reported: 1 % of the parent.
const TOLERANCE: f64 = 0.01;

/// Fills in `draft.interval`.
pub(super) fn repair(draft: &mut Draft, children: &Children, trace: &Trace) {
    let known_end = |span: &Span| {
        span.end_time
            .unwrap_or(span.start_time)
            .max(span.start_time)
    };
    let last_seen = draft.spans.iter().map(known_end).max();
    let last_seen = last_seen.unwrap_or(trace.start_time);
    let trace_end = trace.end_time.unwrap_or(last_seen);
    let trace_start = if trace.start_time == Timestamp::EPOCH {
        let starts = draft.spans.iter().map(|span| span.start_time);
        starts
            .filter(|&start| start != Timestamp::EPOCH)
            .min()
            .unwrap_or(Timestamp::EPOCH)
    } else {
        trace.start_time
    };
    let order = draft.top_down(children);
    let limits = limits(draft, &order, trace_end);
    draft.interval = vec![
        Interval {
            start: trace_start,
            end: trace_start
        };
        draft.spans.len()
    ];
    // Children before parents, so that a parent can lean on what its children did.
    for &index in order.iter().rev() {
        let Some(span) = draft.spans.get(index) else {
            continue;
        };
        let (mut start, recorded_end) = (span.start_time, span.end_time);
        let below = children
            .of(index)
            .iter()
            .filter_map(|&child| draft.interval.get(child));
        let (first, last) = below.fold((None, None), |(first, last), times| {
            (earlier(first, times.start), later(last, times.end))
        });
        if start == Timestamp::EPOCH && trace_start != Timestamp::EPOCH {
            start = first.unwrap_or(trace_start);
            draft.report(QualityKind::UnknownStart, index, None);
        }
        let end = match recorded_end {
            Some(end) if end >= start => end,
            Some(end) => {
                draft.report(
                    QualityKind::NegativeDuration,
                    index,
                    Some(start.micros_since(end)),
                );
                start
            }
            None => {
                let limit = limits.get(index).copied().unwrap_or(trace_end);
                let end = limit.max(last.unwrap_or(start)).max(start);
                draft.report(
                    QualityKind::Unfinished,
                    index,
                    Some(end.micros_since(start)),
                );
                end
            }
        };
        if let Some(slot) = draft.interval.get_mut(index) {
            *slot = Interval { start, end };
        }
    }
}

/// When a span without an end is assumed to have ended at the latest: with the nearest span above
/// it that did end, else with the trace.
fn limits(draft: &Draft, order: &[usize], trace_end: Timestamp) -> Vec<Timestamp> {
    let mut limits = vec![trace_end; draft.spans.len()];
    for &index in order {
        let Some(span) = draft.spans.get(index) else {
            continue;
        };
        let above = draft.parent.get(index).copied().flatten();
        let inherited = above.and_then(|parent| limits.get(parent).copied());
        let own = span.end_time.filter(|&end| end >= span.start_time);
        if let (Some(slot), Some(limit)) = (limits.get_mut(index), own.or(inherited)) {
            *slot = limit;
        }
    }
    limits
}

fn earlier(a: Option<Timestamp>, b: Timestamp) -> Option<Timestamp> {
    Some(a.map_or(b, |a| a.min(b)))
}

fn later(a: Option<Timestamp>, b: Timestamp) -> Option<Timestamp> {
    Some(a.map_or(b, |a| a.max(b)))
}

/// Reports children that stick out of their parent.
pub(super) fn report_outside_parent(draft: &mut Draft) {
    for index in 0..draft.spans.len() {
        let Some(&own) = draft.interval.get(index) else {
            continue;
        };
        let above = draft.parent.get(index).copied().flatten();
        let Some(&outer) = above.and_then(|parent| draft.interval.get(parent)) else {
            continue;
        };
        let excess = outer
            .start
            .micros_since(own.start)
            .max(own.end.micros_since(outer.end));
        #[expect(
            clippy::cast_precision_loss,
            reason = "a tolerance needs no exact microseconds"
        )]
        if excess > 0 && excess as f64 > TOLERANCE * outer.micros() as f64 {
            draft.report(QualityKind::OutsideParent, index, Some(excess));
        }
    }
}

/// From the first start to the last end.
pub(super) fn wall(trace: &Trace, spans: impl Iterator<Item = Interval>) -> Interval {
    let known = trace.start_time != Timestamp::EPOCH;
    let own = known.then(|| Interval {
        start: trace.start_time,
        end: trace
            .end_time
            .unwrap_or(trace.start_time)
            .max(trace.start_time),
    });
    let nothing = Interval {
        start: trace.start_time,
        end: trace.start_time,
    };
    let join = |a: Interval, b: Interval| Interval {
        start: a.start.min(b.start),
        end: a.end.max(b.end),
    };
    own.into_iter().chain(spans).reduce(join).unwrap_or(nothing)
}
