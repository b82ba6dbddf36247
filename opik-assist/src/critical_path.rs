//! The critical path: which span the trace was waiting for at each moment.
//!
//! # Definition
//!
//! 1. Every child is cut to its (cut) parent's interval; a child that lies outside it is left out
//!    with all that is below it, and so is a consumer of a message that its parent produced:
//!    nobody waits for it.
//! 2. Walk back from the end of the root. Among the children of a span, the one that ends last
//!    explains the time up to its start; then the one that ends last before that, and so on. What
//!    no child explains belongs to the span itself. The same holds within each child.
//! 3. A child that ends after the moment that is already explained runs beside it and is not on
//!    the path. The tolerance is 1 % of the parent, at least 1 ms where all clocks of the trace
//!    count whole milliseconds.
//!
//! The segments partition the interval of the root exactly, so their lengths sum up to its
//! duration. A trace with several roots gets a virtual root from the first start to the last end;
//! time of its own is time that no root explains.
//!
//! The duration of a trace is [`TraceTree::wall`], from its first start to its last end with its
//! own record. What of it lies before or after the interval of the roots is in
//! [`CriticalPath::outside`]: lead-in and tail that no span explains, and spans that went on after
//! their root. Segments of both kinds together partition the wall time exactly.
//!
//! # What the path does not show
//!
//! A child that overlaps the one that was chosen is left out as a whole, so the parent's own
//! segments may contain time in which such a child ran. [`CriticalPath::alone`] is what is left of
//! them without that time, and [`CriticalPath::hidden`] is whose time it was.
//!
//! Clocks of different hosts are not handled here: [`TraceTree`] has moved servers into their
//! clients before. `O(n log n)`, without recursion.
//!
//! # What a shorter span would save
//!
//! When a span on the path gets shorter by `y`, what follows moves forward by `y`, until
//! something that ran beside it is what the parent waits for. So the trace gets shorter by the
//! least of `y` and the slack of everything that runs beside the span or beside one of its
//! ancestors ([`CriticalPath::saving`]). This assumes that the rest keeps its duration.

mod coverage;

use opik_core::tree::{Interval, NodeId};
use opik_core::{Span, Timestamp, TraceTree};

use crate::PerNode;

/// Share of the parent by which siblings may overlap and still count as one after the other.
const TOLERANCE: f64 = 0.01;
/// The least tolerance, in microseconds, where clocks count milliseconds.
const MILLISECOND: i64 = 1_000;

/// A stretch of the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// The span that the trace waited for; `None` where no span ran between several roots.
    pub node: Option<NodeId>,
    /// When the stretch begins.
    pub start: Timestamp,
    /// When it ends; later than its start.
    pub end: Timestamp,
}

impl Segment {
    /// Its length in microseconds, at least 1.
    #[must_use]
    pub const fn micros(&self) -> i64 {
        self.end.micros_since(self.start)
    }
}

/// A span that ran beside the critical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parallel {
    /// The span; its parent is on the path.
    pub node: NodeId,
    /// The span on the path that ran at its end; `None` when it ran on after all of them.
    pub beside: Option<NodeId>,
    /// How many microseconds longer it could have run without delaying its parent.
    pub slack: i64,
}

/// A span that went on after the root had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tail {
    /// The span.
    pub node: NodeId,
    /// By how many microseconds it outlived the root.
    pub micros: i64,
}

/// The critical path of a trace. See the [module](self) for its definition.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CriticalPath {
    /// The root's interval, or from the first start to the last end of several roots.
    pub interval: Interval,
    /// From the end back to the start of the interval, without a gap or an overlap.
    pub segments: Vec<Segment>,
    /// Microseconds on the path of each span itself, without its children.
    pub own: PerNode<i64>,
    /// What ran beside the path, in the order of the walk.
    pub parallel: Vec<Parallel>,
    /// The topmost spans that outlived the root, in pre-order.
    pub tail: Vec<Tail>,
    /// From the first start to the last end of the trace with its own record: its duration.
    pub wall: Interval,
    /// What of the wall time lies outside the interval, in order of time: with the span that ran
    /// then, or `None` where none did.
    pub outside: Vec<Segment>,
    /// Microseconds of a span's own segments in which none of its children ran.
    pub alone: PerNode<i64>,
    /// Microseconds of the parent's own segments in which this span ran without being on the path.
    /// Each moment counts for one span.
    pub hidden: PerNode<i64>,
    /// Microseconds between roots without any span.
    gaps: i64,
    /// The spans that ran between the roots on the path, each with its microseconds of that time.
    pub(crate) between: Vec<(NodeId, i64)>,
    /// By how much each span could get shorter before a sibling is what counts, and which.
    room: PerNode<(i64, Option<NodeId>)>,
}

impl Default for CriticalPath {
    fn default() -> Self {
        let nothing = Interval {
            start: Timestamp::EPOCH,
            end: Timestamp::EPOCH,
        };
        Self {
            interval: nothing,
            segments: Vec::new(),
            own: PerNode::default(),
            parallel: Vec::new(),
            tail: Vec::new(),
            wall: nothing,
            outside: Vec::new(),
            alone: PerNode::default(),
            hidden: PerNode::default(),
            gaps: 0,
            between: Vec::new(),
            room: PerNode::default(),
        }
    }
}

impl CriticalPath {
    /// Microseconds of the wall time in which no span ran: between roots, before the first span
    /// and after the last.
    #[must_use]
    pub fn uninstrumented(&self) -> i64 {
        let outside = self.outside.iter().filter(|part| part.node.is_none());
        self.between_roots() + outside.map(Segment::micros).sum::<i64>()
    }

    /// Microseconds between several roots in which no span ran.
    #[must_use]
    pub fn between_roots(&self) -> i64 {
        self.gaps
    }

    /// By how many microseconds the trace gets shorter when the time that this span itself
    /// spends on the path shrinks by a share (0 to 1) of it.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate in microseconds"
    )]
    pub fn saving(&self, tree: &TraceTree, node: NodeId, share: f64) -> i64 {
        let own = self.own.get(node).copied().unwrap_or(0);
        let wanted = (own as f64 * share.clamp(0.0, 1.0)) as i64;
        let room = self.room(tree, node).map_or(i64::MAX, |(room, _)| room);
        wanted.min(room)
    }

    /// In how many microseconds of a span's own segments any of its children ran, and the child
    /// that accounts for most of them; `None` where that is less than a tenth of the segments.
    pub(crate) fn longest_hidden(&self, tree: &TraceTree, node: NodeId) -> Option<(i64, NodeId)> {
        let own = self.own.get(node).copied()?;
        let covered = own - self.alone.get(node).copied()?;
        if covered * 10 < own || covered == 0 {
            return None;
        }
        let hidden = |child: &NodeId| self.hidden.get(*child).copied().unwrap_or(0);
        let most = tree
            .children(node)
            .max_by_key(|child| (hidden(child), std::cmp::Reverse(*child)))?;
        Some((hidden(&most), most))
    }

    /// By how many microseconds this span or an ancestor can get shorter before a span that runs
    /// beside it is what counts, and that span; `None` where nothing runs beside them.
    #[must_use]
    pub fn room(&self, tree: &TraceTree, node: NodeId) -> Option<(i64, NodeId)> {
        let above = std::iter::once(node).chain(tree.ancestors(node));
        let rooms = above.filter_map(|node| self.room.get(node).copied());
        let limits = rooms.filter_map(|(room, limit)| Some((room, limit?)));
        limits.min_by_key(|&(room, _)| room)
    }
}

/// Computes the critical path of a trace.
#[must_use]
pub fn critical_path(tree: &TraceTree) -> CriticalPath {
    let roots: Vec<NodeId> = tree.roots().collect();
    let wall = tree.wall();
    let Some(interval) = roots
        .iter()
        .map(|&root| tree.interval(root))
        .reduce(|a, b| Interval {
            start: a.start.min(b.start),
            end: a.end.max(b.end),
        })
    else {
        let moment = Interval {
            start: wall.start,
            end: wall.start,
        };
        return CriticalPath {
            interval: moment,
            wall,
            outside: coverage::outside(tree, moment),
            ..CriticalPath::default()
        };
    };
    let mut walk = Walk {
        tree,
        cut: cut_to_parents(tree),
        least: least_tolerance(tree),
        order: Vec::new(),
        path: CriticalPath {
            interval,
            segments: Vec::new(),
            own: PerNode::filled(tree, 0),
            parallel: Vec::new(),
            tail: tail(tree, interval),
            wall,
            outside: coverage::outside(tree, interval),
            alone: PerNode::default(),
            hidden: PerNode::default(),
            gaps: 0,
            between: Vec::new(),
            room: PerNode::filled(tree, (i64::MAX, None)),
        },
    };
    match roots.as_slice() {
        &[root] => walk.run(Some(root), interval),
        _ => walk.run(None, interval),
    }
    let mut path = walk.path;
    let coverage = coverage::Coverage::of(tree, &path.segments, &path.own);
    (path.alone, path.hidden) = (coverage.alone, coverage.hidden);
    (path.gaps, path.between) = (coverage.gaps, coverage.between);
    path
}

/// The interval of every node cut to those of its ancestors; `None` for what is left out.
fn cut_to_parents(tree: &TraceTree) -> PerNode<Option<Interval>> {
    let mut cut: PerNode<Option<Interval>> = PerNode::filled(tree, None);
    for node in tree.nodes() {
        let own = tree.interval(node);
        let times = match tree.parent(node) {
            None => Some(own),
            Some(parent) => cut
                .at(parent)
                .and_then(|outer| cut_to(own, outer))
                .filter(|_| !is_message(tree.span(parent), tree.span(node))),
        };
        cut.set(node, times);
    }
    cut
}

fn cut_to(own: Interval, outer: Interval) -> Option<Interval> {
    let cut = Interval {
        start: own.start.max(outer.start),
        end: own.end.min(outer.end),
    };
    (cut.start < cut.end || (own.start == own.end && outer.encloses(own))).then_some(cut)
}

/// Whether the child consumes a message of the parent, which does not wait for it.
fn is_message(parent: &Span, child: &Span) -> bool {
    has_kind(child, "consumer") && has_kind(parent, "producer")
}

fn has_kind(span: &Span, wanted: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Fields {
        kind: Option<String>,
        #[serde(rename = "span.kind")]
        span_kind: Option<String>,
    }
    let Some(metadata) = span.metadata.as_ref() else {
        return false;
    };
    // Metadata is rarely about kinds, and parsing it for every span is what would cost.
    if !metadata.as_str().contains("kind\"") {
        return false;
    }
    metadata.decode::<Fields>().is_ok_and(|fields| {
        let kind = fields.kind.or(fields.span_kind);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
    })
}

/// One millisecond where every clock counts whole ones, else nothing.
fn least_tolerance(tree: &TraceTree) -> i64 {
    let whole = |at: Timestamp| at.as_micros() % MILLISECOND == 0;
    let all = tree.nodes().all(|node| {
        let times = tree.interval(node);
        whole(times.start) && whole(times.end)
    });
    if all { MILLISECOND } else { 0 }
}

/// The topmost spans that end after the interval.
fn tail(tree: &TraceTree, interval: Interval) -> Vec<Tail> {
    let late = |node: NodeId| tree.interval(node).end.micros_since(interval.end);
    let nodes = tree.nodes().filter(|&node| late(node) > 0);
    nodes
        .filter(|&node| tree.parent(node).is_none_or(|parent| late(parent) <= 0))
        .map(|node| Tail {
            node,
            micros: late(node),
        })
        .collect()
}

/// A span that is being walked through, from its end to its start.
struct Frame {
    node: Option<NodeId>,
    start: Timestamp,
    /// Everything from here on is explained.
    at: Timestamp,
    tolerance: i64,
    /// Its children in the buffer: where they begin, and the next one.
    begin: usize,
    next: usize,
    /// The child on the path that was found last, and where its part of the path ends.
    chosen: Option<(NodeId, Timestamp)>,
}

struct Walk<'a> {
    tree: &'a TraceTree,
    cut: PerNode<Option<Interval>>,
    least: i64,
    /// Children of the frames, each frame's by (end, start, id), the last first.
    order: Vec<(Interval, NodeId)>,
    path: CriticalPath,
}

impl Walk<'_> {
    fn run(&mut self, root: Option<NodeId>, interval: Interval) {
        let mut stack = vec![self.enter(root, interval, interval.end)];
        while let Some(frame) = stack.last_mut() {
            if let Some((child, end)) = self.next_child(frame) {
                let below = self.cut.at(child).unwrap_or(interval);
                let below = self.enter(Some(child), below, end);
                stack.push(below);
            } else {
                let (node, start, at) = (frame.node, frame.start, frame.at);
                self.order.truncate(frame.begin);
                self.emit(node, start, at);
                stack.pop();
            }
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a tolerance needs no exact microseconds"
    )]
    fn enter(&mut self, node: Option<NodeId>, cut: Interval, at: Timestamp) -> Frame {
        let begin = self.order.len();
        let keep = |child: NodeId| self.cut.at(child).map(|times| (times, child));
        match node {
            Some(node) => self.order.extend(self.tree.children(node).filter_map(keep)),
            None => self.order.extend(self.tree.roots().filter_map(keep)),
        }
        let tree = self.tree;
        if let Some(children) = self.order.get_mut(begin..) {
            children.sort_unstable_by_key(|&(times, child)| {
                std::cmp::Reverse((times.end, times.start, tree.span(child).id))
            });
        }
        Frame {
            node,
            start: cut.start,
            at,
            tolerance: ((cut.micros() as f64 * TOLERANCE) as i64).max(self.least),
            begin,
            next: begin,
            chosen: None,
        }
    }

    /// The next child on the path with the end of its part of the path.
    fn next_child(&mut self, frame: &mut Frame) -> Option<(NodeId, Timestamp)> {
        while let Some(&(times, child)) = self.order.get(frame.next) {
            frame.next += 1;
            if times.end > frame.at.plus_micros(frame.tolerance) {
                self.beside(frame, child, times.end);
                continue;
            }
            let end = times.end.min(frame.at);
            if end <= times.start && times.start < times.end {
                continue;
            }
            self.emit(frame.node, end, frame.at);
            frame.at = frame.at.min(times.start);
            frame.chosen = Some((child, end));
            return Some((child, end));
        }
        None
    }

    fn beside(&mut self, frame: &Frame, node: NodeId, end: Timestamp) {
        let until = frame.chosen.map_or(end, |(_, until)| until);
        let slack = until.micros_since(end).max(0);
        let beside = frame.chosen.map(|(chosen, _)| chosen);
        self.path.parallel.push(Parallel {
            node,
            beside,
            slack,
        });
        if let Some(chosen) = beside {
            self.path.room.update(chosen, |room| {
                if slack < room.0 {
                    *room = (slack, Some(node));
                }
            });
        }
    }

    fn emit(&mut self, node: Option<NodeId>, start: Timestamp, end: Timestamp) {
        if start < end {
            self.path.segments.push(Segment { node, start, end });
            if let Some(node) = node {
                self.path
                    .own
                    .update(node, |own| *own += end.micros_since(start));
            }
        }
    }
}
