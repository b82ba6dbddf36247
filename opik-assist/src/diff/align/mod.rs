//! Which span of one trace is which of the other.
//!
//! Top-down: the roots are aligned, then the children of every matched pair, and so on. Within
//! one pair of parents the order is kept where it can be ([`sequence`]), what is left over is
//! assigned whatever its order ([`assignment`]), and when no parent has anything more to offer,
//! subtrees that went elsewhere are found by their hash. A work list, no recursion;
//! `O(n log n)` but for lists of up to 100 siblings, which are compared pair by pair.

mod assignment;
mod sequence;
mod side;

use std::collections::HashMap;

use opik_core::TraceTree;
use opik_core::tree::NodeId;
use serde::Serialize;

use self::side::Side;

/// How a span was found again in the other trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MatchKind {
    /// Same name and type, same parent, same order among its siblings.
    Aligned,
    /// Same name, type and parent, at another position among its siblings.
    Reordered,
    /// Same type, parent and input, under another name; or the only root of each trace.
    Renamed,
    /// Under another parent.
    Moved,
}

/// Most rounds of looking for moved subtrees; each is one pass over what is unmatched.
const MOVE_ROUNDS: usize = 4;

/// The partner of each node, by its number.
pub(super) struct Alignment {
    /// For each node of the first tree.
    pub(super) forward: Vec<Option<(NodeId, MatchKind)>>,
    /// For each node of the second tree.
    pub(super) backward: Vec<Option<NodeId>>,
}

impl Alignment {
    fn free(&self, a: NodeId, b: NodeId) -> bool {
        self.forward.get(a.index()).is_some_and(Option::is_none)
            && self.backward.get(b.index()).is_some_and(Option::is_none)
    }

    fn set(&mut self, a: NodeId, b: NodeId, kind: MatchKind) {
        if let (Some(from), Some(to)) = (
            self.forward.get_mut(a.index()),
            self.backward.get_mut(b.index()),
        ) {
            *from = Some((b, kind));
            *to = Some(a);
        }
    }

    fn is_free_before(&self, node: NodeId) -> bool {
        self.forward.get(node.index()).is_some_and(Option::is_none)
    }

    fn is_free_after(&self, node: NodeId) -> bool {
        self.backward.get(node.index()).is_some_and(Option::is_none)
    }
}

/// Aligns two traces.
pub(super) fn align(before: &TraceTree, after: &TraceTree) -> Alignment {
    let (a, b) = Side::pair(before, after);
    let mut alignment = Alignment {
        forward: vec![None; before.len()],
        backward: vec![None; after.len()],
    };
    let mut queue = Vec::new();
    let roots = |tree: &TraceTree| tree.roots().collect::<Vec<_>>();
    let (tops, others) = (roots(before), roots(after));
    if let ([top], [other]) = (tops.as_slice(), others.as_slice()) {
        let kind = if a.signature(*top) == b.signature(*other) {
            MatchKind::Aligned
        } else {
            MatchKind::Renamed
        };
        alignment.set(*top, *other, kind);
        queue.push((*top, *other));
    } else {
        align_siblings(&a, tops, &b, others, &mut alignment, &mut queue);
    }
    for round in 0.. {
        while let Some((parent, other)) = queue.pop() {
            let children = before.children(parent);
            let children = children.filter(|&node| alignment.is_free_before(node));
            let children: Vec<NodeId> = children.collect();
            let others = after.children(other);
            let others = others.filter(|&node| alignment.is_free_after(node));
            let others: Vec<NodeId> = others.collect();
            if !children.is_empty() && !others.is_empty() {
                align_siblings(&a, children, &b, others, &mut alignment, &mut queue);
            }
        }
        if round == MOVE_ROUNDS {
            break;
        }
        find_moved(&a, &b, &mut alignment, &mut queue);
        if queue.is_empty() {
            break;
        }
    }
    alignment
}

/// Matches the nodes of two lists of siblings and queues the matched pairs.
fn align_siblings(
    a: &Side<'_>,
    old: Vec<NodeId>,
    b: &Side<'_>,
    new: Vec<NodeId>,
    alignment: &mut Alignment,
    queue: &mut Vec<(NodeId, NodeId)>,
) {
    let siblings = old.clone();
    let (mut old, mut new) = (old, new);
    let mut accept = |alignment: &mut Alignment, pairs: Vec<(NodeId, NodeId)>, kind: MatchKind| {
        for (x, y) in pairs {
            if alignment.free(x, y) {
                alignment.set(x, y, kind);
                queue.push((x, y));
            }
        }
    };
    accept(
        alignment,
        sequence::in_order(a, &old, b, &new),
        MatchKind::Aligned,
    );
    let keep_free = |alignment: &Alignment, old: &mut Vec<NodeId>, new: &mut Vec<NodeId>| {
        old.retain(|&node| alignment.is_free_before(node));
        new.retain(|&node| alignment.is_free_after(node));
        !old.is_empty() && !new.is_empty()
    };
    if keep_free(alignment, &mut old, &mut new) {
        let pairs = assignment::any_order(a, &old, b, &new);
        accept(alignment, pairs, MatchKind::Reordered);
    }
    if keep_free(alignment, &mut old, &mut new) {
        let pairs = renamed(a, &old, b, &new);
        accept(alignment, pairs, MatchKind::Renamed);
    }
    forget_noise(a, &siblings, b, alignment);
}

/// Siblings that run at the same time start in any order: a pair counts as reordered only when it
/// ran after a sibling that it ran before, without an overlap in either trace.
fn forget_noise(a: &Side<'_>, siblings: &[NodeId], b: &Side<'_>, alignment: &mut Alignment) {
    /// When a span begins, and when it is over; a moment takes one microsecond.
    fn times(tree: &TraceTree, node: NodeId) -> (i64, i64) {
        let times = tree.interval(node);
        let start = times.start.as_micros();
        (start, times.end.as_micros().max(start.saturating_add(1)))
    }
    let partner = |node: NodeId| alignment.forward.get(node.index()).copied().flatten();
    let reordered: Vec<(NodeId, NodeId)> = siblings
        .iter()
        .filter_map(|&node| Some((node, partner(node)?)))
        .filter(|(_, (_, kind))| *kind == MatchKind::Reordered)
        .map(|(node, (other, _))| (node, other))
        .collect();
    if reordered.is_empty() {
        return;
    }
    let pairs = siblings
        .iter()
        .filter_map(|&node| Some((times(a.tree, node), times(b.tree, partner(node)?.0))));
    let mut by_start: Vec<((i64, i64), (i64, i64))> = pairs.collect();
    let mut by_end = by_start.clone();
    by_start.sort_unstable_by_key(|((start, _), _)| std::cmp::Reverse(*start));
    by_end.sort_unstable_by_key(|((_, end), _)| *end);
    // Of the pairs that begin last in the first trace, the earliest end in the second; of those
    // that end first, the latest start.
    let first_end: Vec<i64> = by_start
        .iter()
        .scan(i64::MAX, |least, (_, (_, end))| {
            *least = (*least).min(*end);
            Some(*least)
        })
        .collect();
    let last_start: Vec<i64> = by_end
        .iter()
        .scan(i64::MIN, |most, (_, (start, _))| {
            *most = (*most).max(*start);
            Some(*most)
        })
        .collect();
    let last_of = |values: &[i64], number: usize| {
        let place = number.checked_sub(1)?;
        values.get(place).copied()
    };
    for (node, other) in reordered {
        let ((start, end), (other_start, other_end)) = (times(a.tree, node), times(b.tree, other));
        let later = by_start.partition_point(|((from, _), _)| *from >= end);
        let earlier = by_end.partition_point(|((_, to), _)| *to <= start);
        let overtaken = last_of(&first_end, later).is_some_and(|end| end <= other_start)
            || last_of(&last_start, earlier).is_some_and(|start| start >= other_end);
        if !overtaken {
            alignment.set(node, other, MatchKind::Aligned);
        }
    }
}

/// Siblings of one type with the same input, in order.
fn renamed(a: &Side<'_>, old: &[NodeId], b: &Side<'_>, new: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let mut waiting: HashMap<_, Vec<NodeId>> = HashMap::new();
    for &node in new.iter().rev().filter(|&&node| b.input(node) != 0) {
        let key = (b.tree.span(node).kind(), b.input(node));
        waiting.entry(key).or_default().push(node);
    }
    old.iter()
        .filter_map(|&node| {
            let key = (a.tree.span(node).kind(), a.input(node));
            Some((node, waiting.get_mut(&key)?.pop()?))
        })
        .collect()
}

/// Matches unmatched subtrees that are equal, then unmatched spans whose name and type are unique
/// among what is unmatched (a subtree that changed while it moved, for example under a wrapper).
fn find_moved(
    a: &Side<'_>,
    b: &Side<'_>,
    alignment: &mut Alignment,
    queue: &mut Vec<(NodeId, NodeId)>,
) {
    let mut by_subtree: HashMap<u64, Vec<NodeId>> = HashMap::new();
    let unmatched = |side: &Side<'_>, free: &dyn Fn(NodeId) -> bool| {
        let nodes = side.tree.nodes().filter(|&node| free(node));
        nodes.collect::<Vec<_>>()
    };
    let old = unmatched(a, &|node| alignment.is_free_before(node));
    let new = unmatched(b, &|node| alignment.is_free_after(node));
    if old.is_empty() || new.is_empty() {
        return;
    }
    // A leaf without input has nothing that tells it from any other of its name.
    let telling =
        |side: &Side<'_>, node| side.input(node) != 0 || side.tree.descendants(node).len() > 0;
    for &node in new.iter().rev().filter(|&&node| telling(b, node)) {
        by_subtree.entry(b.subtree(node)).or_default().push(node);
    }
    for &node in old.iter().filter(|&&node| telling(a, node)) {
        if !alignment.is_free_before(node) {
            continue;
        }
        let Some(places) = by_subtree.get_mut(&a.subtree(node)) else {
            continue;
        };
        while let Some(other) = places.pop() {
            if !alignment.is_free_after(other) {
                continue;
            }
            // Equal subtrees match node by node: pre-order is the same.
            let inner = a.tree.descendants(node).zip(b.tree.descendants(other));
            for (x, y) in std::iter::once((node, other)).chain(inner) {
                if alignment.free(x, y) {
                    alignment.set(x, y, MatchKind::Moved);
                    queue.push((x, y));
                }
            }
            break;
        }
    }
    let unique = |side: &Side<'_>, nodes: &[NodeId], free: &dyn Fn(NodeId) -> bool| {
        let mut found: HashMap<u32, Option<NodeId>> = HashMap::new();
        for &node in nodes.iter().filter(|&&node| free(node)) {
            found
                .entry(side.signature(node))
                .and_modify(|only| *only = None)
                .or_insert(Some(node));
        }
        found
    };
    let others = unique(b, &new, &|node| alignment.is_free_after(node));
    let mut singles: Vec<(NodeId, NodeId)> =
        unique(a, &old, &|node| alignment.is_free_before(node))
            .into_iter()
            .filter_map(|(signature, node)| Some((node?, (*others.get(&signature)?)?)))
            .collect();
    singles.sort_unstable();
    for (node, other) in singles {
        // Children of matched parents have been compared already, and found too different.
        let above = a.tree.parent(node).and_then(|parent| {
            let partner = alignment.forward.get(parent.index()).copied().flatten();
            partner.map(|(partner, _)| partner)
        });
        let stayed = above.is_some() && above == b.tree.parent(other);
        let inner = |side: &Side<'_>, node| side.tree.descendants(node).len() > 0;
        let alike = a.affinity(node, b, other) >= Some(assignment::LEAST)
            || inner(a, node) && inner(b, other);
        if stayed || !alike {
            continue;
        }
        alignment.set(node, other, MatchKind::Moved);
        queue.push((node, other));
    }
}
