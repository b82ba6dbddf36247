//! Claims about time.

use foldhash::HashMap;
use opik_core::tree::NodeId;

use super::{Claims, Rank};
use crate::critical_path::Segment;
use crate::figures::{count, duration, millis, number, percent, time_share, whole};
use crate::finding::{Confidence, Finding, FindingKind, Unit};

/// Spans on the path that are named.
const TOP: usize = 5;
/// Spans on the path that a what-if is computed for.
const WHAT_IFS: usize = 3;
/// The share by which a span gets faster in a what-if.
const FASTER: f64 = 0.3;
/// Least share of the trace, in percent, that is worth a claim of its own.
const WORTH: f64 = 5.0;

pub(super) fn claim(claims: &mut Claims<'_>) {
    if claims.duration() <= 0 {
        return;
    }
    let path = &claims.evidence.critical_path;
    let mut top: Vec<(i64, NodeId)> = claims
        .tree
        .nodes()
        .map(|node| (path.own.at(node), node))
        .filter(|&(own, _)| own > 0)
        .collect();
    let order = |&(own, node): &(i64, NodeId)| (std::cmp::Reverse(own), node);
    let on_path = top.len();
    if top.len() > TOP {
        top.select_nth_unstable_by_key(TOP, order);
        top.truncate(TOP);
    }
    top.sort_unstable_by_key(order);
    critical_path(claims, &top, on_path);
    by_name(claims);
    what_if(claims, &top);
    uninstrumented(claims);
    parallel(claims);
    tail(claims);
}

fn critical_path(claims: &mut Claims<'_>, top: &[(i64, NodeId)], on_path: usize) {
    if top.is_empty() {
        return;
    }
    let total = claims.duration();
    let path = &claims.evidence.critical_path;
    let part = |&(own, node): &(i64, NodeId)| {
        let share = percent(time_share(own, total));
        let part = format!("{} {} ({share})", claims.labels.span(node), duration(own));
        match ran_within(claims, node) {
            Some((micros, child)) => format!(
                "{part}, in {} of which {} ran",
                duration(micros),
                claims.labels.span(child)
            ),
            None => part,
        }
    };
    let parts: Vec<String> = top.iter().map(part).collect();
    let sum: i64 = top.iter().map(|(own, _)| own).sum();
    let length = path.interval.micros();
    let of = if duration(length) == duration(total) {
        String::new()
    } else {
        format!(" of the {} of the trace", duration(total))
    };
    let between = path.between.iter().max_by_key(|(_, micros)| micros);
    let beside = between.map_or(String::new(), |&(node, micros)| {
        format!(
            "; in {} that no span on the path explains, {} ran",
            duration(micros),
            claims.labels.span(node)
        )
    });
    let claim = format!(
        "The critical path takes {}{of} through {}; {} of the trace: {}{beside}.",
        duration(length),
        count(on_path, "span"),
        percent(time_share(sum, total)),
        parts.join("; ")
    );
    let mut finding = Finding::new(FindingKind::CriticalPath, claim)
        .number("duration", millis(total), Unit::Milliseconds)
        .number("path", millis(length), Unit::Milliseconds)
        .number("spans_on_path", number(on_path), Unit::Count)
        .confidence(Confidence::Exact)
        .method("walk back from the end of the root: the child that ends last explains the time up to its start, and so on; segments partition the root's interval; the numbers are each span's own segments");
    for (place, &(own, node)) in top.iter().enumerate() {
        let name = format!("on_path_{}", place + 1);
        let id = claims.tree.span(node).id;
        finding = finding
            .number(name, millis(own), Unit::Milliseconds)
            .span(id);
    }
    claims.add(Rank::Latency, finding);
}

/// Spans of one name together, where that says more than the single ones.
fn by_name(claims: &mut Claims<'_>) {
    let path = &claims.evidence.critical_path;
    let mut groups: HashMap<_, (i64, Vec<NodeId>)> = HashMap::default();
    for node in claims.tree.nodes().filter(|&node| path.own.at(node) > 0) {
        let span = claims.tree.span(node);
        let group = groups
            .entry((span.kind().as_str(), span.name.as_deref()))
            .or_default();
        group.0 += path.own.at(node);
        group.1.push(node);
    }
    let mut groups: Vec<(i64, Vec<NodeId>)> = groups.into_values().collect();
    groups.sort_unstable_by(|a, b| (b.0, &a.1).cmp(&(a.0, &b.1)));
    let total = claims.duration();
    let Some((sum, nodes)) = groups.into_iter().find(|(_, nodes)| nodes.len() >= 3) else {
        return;
    };
    let (share, Some(&first)) = (time_share(sum, total), nodes.first()) else {
        return;
    };
    if share < WORTH {
        return;
    }
    let mean = sum / i64::try_from(nodes.len()).unwrap_or(i64::MAX);
    let mut claim = format!(
        "{} named {} take {} of the critical path ({} of the trace), {} each on average",
        count(nodes.len(), "span"),
        claims.labels.name(first),
        duration(sum),
        percent(share),
        duration(mean),
    );
    let tokens: i64 = nodes
        .iter()
        .map(|&node| claims.evidence.spend.own.at(node).completion_tokens)
        .sum();
    if tokens > 0 {
        claim += &format!(
            ", {:.1} ms per output token ({} tokens)",
            millis(sum / tokens.max(1)),
            whole(tokens)
        );
    }
    claim.push('.');
    let finding = Finding::new(FindingKind::CriticalPath, claim)
        .number("on_path", millis(sum), Unit::Milliseconds)
        .number("share", share, Unit::Percent)
        .number("spans", number(nodes.len()), Unit::Count)
        .spans(claims.ids(&nodes))
        .confidence(Confidence::Exact)
        .method("own segments of the critical path, summed by kind and name");
    claims.add(Rank::Latency, finding);
}

fn what_if(claims: &mut Claims<'_>, top: &[(i64, NodeId)]) {
    let total = claims.duration();
    for &(own, node) in top.iter().take(WHAT_IFS) {
        if time_share(own, total) < WORTH {
            continue;
        }
        let path = &claims.evidence.critical_path;
        let saved = path.saving(claims.tree, node, FASTER);
        let gone = path.saving(claims.tree, node, 1.0);
        let mut claim = format!(
            "If {} were {} faster, the trace would be {} shorter ({}); without it, {}",
            claims.labels.span(node),
            percent(FASTER * 100.0),
            duration(saved),
            percent(time_share(saved, total)),
            duration(gone),
        );
        if let Some((room, limit)) = path.room(claims.tree, node)
            && room < own
        {
            claim += &format!(
                ", no more, because {} then is what the trace waits for",
                claims.labels.span(limit)
            );
        }
        if let Some((micros, child)) = ran_within(claims, node) {
            claim += &format!(
                "; in {} of the {} of its own on the path {} ran, so that may be what has to be faster",
                duration(micros),
                duration(own),
                claims.labels.span(child)
            );
        }
        claim.push('.');
        let finding = Finding::new(FindingKind::WhatIf, claim)
            .number("faster", FASTER * 100.0, Unit::Percent)
            .number("saved", millis(saved), Unit::Milliseconds)
            .number("saved_without_it", millis(gone), Unit::Milliseconds)
            .spans(claims.ids(&[node]))
            .confidence(Confidence::Medium)
            .method("the share of its own time on the critical path, at most the slack of what runs beside it or beside an ancestor; the rest keeps its duration");
        claims.add(Rank::Latency, finding);
    }
}

/// How much of the own segments of a span its children ran in, and the child with most of it.
fn ran_within(claims: &Claims<'_>, node: NodeId) -> Option<(i64, NodeId)> {
    let path = &claims.evidence.critical_path;
    path.longest_hidden(claims.tree, node)
}

/// Time that belongs to no step: of roots and wrappers themselves, between roots, and outside.
fn uninstrumented(claims: &mut Claims<'_>) {
    let total = claims.duration();
    let path = &claims.evidence.critical_path;
    let wrapper = |node: &NodeId| claims.tree.descendants(*node).len() > 0;
    let largest = claims
        .tree
        .nodes()
        .filter(wrapper)
        .max_by_key(|&node| (path.alone.at(node), std::cmp::Reverse(node)));
    if let Some(node) = largest {
        let own = path.alone.at(node);
        if time_share(own, total) >= 2.0 * WORTH {
            let claim = format!(
                "{} of {} on the critical path ({}) are covered by none of its child spans.",
                duration(own),
                claims.labels.span(node),
                percent(time_share(own, total))
            );
            let finding = Finding::new(FindingKind::Uninstrumented, claim)
                .number("own", millis(own), Unit::Milliseconds)
                .number("share", time_share(own, total), Unit::Percent)
                .spans(claims.ids(&[node]))
                .confidence(Confidence::Exact)
                .method(
                    "own segments on the critical path without the union of the children's intervals, of the span with children that has most",
                );
            claims.add(Rank::Oddity, finding);
        }
    }
    let between = path.between_roots();
    if time_share(between, total) >= WORTH {
        let claim = format!(
            "{} ({}) lie between the {} root spans, where nothing was recorded.",
            duration(between),
            percent(time_share(between, total)),
            claims.tree.roots().count()
        );
        let finding = Finding::new(FindingKind::Uninstrumented, claim)
            .number("between_roots", millis(between), Unit::Milliseconds)
            .confidence(Confidence::Exact)
            .method(
                "segments of the critical path that belong to no span, without those in which a span ran",
            );
        claims.add(Rank::Oddity, finding);
    }
    let outside = |after: bool| {
        let parts = path.outside.iter();
        let parts =
            parts.filter(|part| part.node.is_none() && after == (part.start >= path.interval.end));
        parts.map(Segment::micros).sum::<i64>()
    };
    if claims.tree.is_empty() {
        let claim = format!(
            "The trace took {} by its own record, and no span of it was recorded.",
            duration(total)
        );
        let finding = Finding::new(FindingKind::Uninstrumented, claim)
            .number("after", millis(total), Unit::Milliseconds)
            .confidence(Confidence::Exact)
            .method("interval of the trace's record");
        claims.add(Rank::Oddity, finding);
        return;
    }
    let (before, after) = (outside(false), outside(true));
    if time_share(before + after, total) >= WORTH {
        let mut parts = Vec::new();
        if before > 0 {
            parts.push(format!("{} before the first span", duration(before)));
        }
        if after > 0 {
            let roots = claims.tree.roots().count();
            let roots = if roots == 1 {
                "root span"
            } else {
                "root spans"
            };
            parts.push(format!("{} after the {roots}", duration(after)));
        }
        let claim = format!(
            "In {} ({} of the trace) no span ran.",
            parts.join(" and "),
            percent(time_share(before + after, total))
        );
        let finding = Finding::new(FindingKind::Uninstrumented, claim)
            .number("before", millis(before), Unit::Milliseconds)
            .number("after", millis(after), Unit::Milliseconds)
            .confidence(Confidence::Exact)
            .method("wall time of the trace, its own record included, outside the interval of its root spans, without that of spans which ran then");
        claims.add(Rank::Oddity, finding);
    }
}

fn parallel(claims: &mut Claims<'_>) {
    let tree = claims.tree;
    let parallel = &claims.evidence.critical_path.parallel;
    let longest = parallel.iter().max_by_key(|beside| {
        (
            tree.interval(beside.node).micros(),
            std::cmp::Reverse(beside.node),
        )
    });
    let Some((beside, on_path)) = longest.and_then(|found| Some((found, found.beside?))) else {
        return;
    };
    let micros = tree.interval(beside.node).micros();
    if time_share(micros, claims.duration()) < WORTH {
        return;
    }
    let claim = format!(
        "{} ran beside the critical path. The longest, {} with {}, ran beside {} and could take {} longer without delaying the trace.",
        count(parallel.len(), "span"),
        claims.labels.span(beside.node),
        duration(micros),
        claims.labels.span(on_path),
        duration(beside.slack)
    );
    let finding = Finding::new(FindingKind::Parallel, claim)
        .number("spans", number(parallel.len()), Unit::Count)
        .number("longest", millis(micros), Unit::Milliseconds)
        .number("slack", millis(beside.slack), Unit::Milliseconds)
        .spans(claims.ids(&[beside.node, on_path]))
        .confidence(Confidence::High)
        .method("children that end after the moment that the critical path had explained; slack is the time to the end of the sibling on the path");
    claims.add(Rank::Context, finding);
}

fn tail(claims: &mut Claims<'_>) {
    let tail = &claims.evidence.critical_path.tail;
    let Some(last) = tail
        .iter()
        .max_by_key(|late| (late.micros, std::cmp::Reverse(late.node)))
    else {
        return;
    };
    if time_share(last.micros, claims.duration()) < 1.0 {
        return;
    }
    let claim = format!(
        "{} went on after the root span had ended; the last, {}, for another {} ({} of the trace).",
        count(tail.len(), "span"),
        claims.labels.span(last.node),
        duration(last.micros),
        percent(time_share(last.micros, claims.duration()))
    );
    let nodes: Vec<NodeId> = tail.iter().map(|late| late.node).collect();
    let finding = Finding::new(FindingKind::AsyncTail, claim)
        .number("spans", number(tail.len()), Unit::Count)
        .number("longest", millis(last.micros), Unit::Milliseconds)
        .spans(claims.ids(&nodes))
        .confidence(Confidence::Exact)
        .method("topmost spans that end after the end of the root");
    claims.add(Rank::Oddity, finding);
}
