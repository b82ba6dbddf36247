//! Which spans and which texts go into a pack: a greedy knapsack by points per token.
//!
//! Candidates are a line for every span, and for every span that has a line its text at growing
//! levels of detail. The best one by points per token comes first; a span brings the ancestors
//! that it needs. Tokens of counted lines are estimated while choosing; what is left after the
//! real ones were written is given out in the next round.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use opik_core::tree::NodeId;

use super::skeleton::{Rendered, Skeleton};
use super::texts::{LEVELS, ReadContents, Text, Texts};
use crate::PerNode;
use crate::figures::number;
use crate::per_node::NodeMap;

/// Tokens of a line, for the order of candidates.
const LINE: f64 = 14.0;
/// Tokens of a counted line while choosing.
const FOLD: usize = 44;
/// Fewer tokens than this hold nothing.
const CRUMB: usize = 8;
/// Candidates in a row that did not fit, after which a round ends.
const MISSES: usize = 96;
/// Rounds that are repeated with fewer tokens, as the real lines took more than was estimated.
const REPEATS: usize = 8;
/// A span and its missing ancestors get lines up to this number; of more, these many ancestors.
const ANCESTORS: usize = 13;
const NEAREST: usize = 3;
const TOPMOST: usize = 2;
/// What a text is worth beside its line, by level.
const WORTH: [f64; 5] = [1.6, 1.6, 2.0, 2.4, 3.0];

/// A candidate.
#[derive(Debug, Clone, Copy)]
struct Item {
    priority: f64,
    node: NodeId,
    /// The level of the text; `None` for the line.
    level: Option<usize>,
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_priority = self.priority.total_cmp(&other.priority);
        // Of equal ones the earlier span first, and the line before the text.
        by_priority.then_with(|| (other.node, other.level).cmp(&(self.node, self.level)))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Item {}

/// What was chosen so far.
#[derive(Debug)]
pub(super) struct Choice<'a, 's> {
    skeleton: &'s Skeleton<'a>,
    scores: &'s PerNode<f64>,
    texts: Texts<'a>,
    heap: BinaryHeap<Item>,
    previous: PerNode<Option<NodeId>>,
    following: PerNode<Option<NodeId>>,
    pub(super) shown: PerNode<bool>,
    pub(super) said: NodeMap<Rc<Text>>,
    /// Texts that were made, by level: what did not fit is tried again in the next round.
    made: NodeMap<Rc<Text>, (NodeId, usize)>,
    read: ReadContents,
}

/// What a round changes.
struct Before<'a> {
    shown: PerNode<bool>,
    said: NodeMap<Rc<Text>>,
    texts: Texts<'a>,
    heap: BinaryHeap<Item>,
}

impl<'a, 's> Choice<'a, 's> {
    pub(super) fn new(
        skeleton: &'s Skeleton<'a>,
        scores: &'s PerNode<f64>,
        texts: Texts<'a>,
    ) -> Self {
        let tree = skeleton.tree;
        let mut previous = PerNode::filled(tree, None);
        let mut following = PerNode::filled(tree, None);
        let mut last: Vec<Option<NodeId>> = vec![None; tree.len() + 1];
        for node in tree.nodes() {
            // The last place is for roots.
            let parent = tree.parent(node).map_or(tree.len(), NodeId::index);
            let before = last.get_mut(parent).and_then(|last| last.replace(node));
            previous.set(node, before);
            if let Some(before) = before {
                following.set(before, Some(node));
            }
        }
        let lines: Vec<Item> = tree
            .nodes()
            .map(|node| Item {
                priority: scores.at(node) / LINE,
                node,
                level: None,
            })
            .collect();
        Self {
            skeleton,
            scores,
            texts,
            heap: lines.into(),
            previous,
            following,
            shown: PerNode::filled(tree, false),
            said: NodeMap::default(),
            made: NodeMap::default(),
            read: ReadContents::default(),
        }
    }

    /// Chooses until the tokens are used up; `rounds` times the lines are written to see what is
    /// left. Returns the lines, at most so many tokens.
    pub(super) fn fill(&mut self, tokens: usize, rounds: usize) -> Rendered {
        let mut kept = self.skeleton.render(&self.shown, &self.said);
        let mut used = kept.tokens;
        self.open(&kept.alone);
        let (mut rounds, mut repeats) = (rounds, REPEATS);
        let mut left = tokens.saturating_sub(used);
        while left >= CRUMB && rounds > 0 {
            let before = self.before();
            self.round(left);
            let next = self.skeleton.render(&self.shown, &self.said);
            let now = next.tokens;
            if now > tokens {
                // The estimate of counted lines was too low; what fitted before stays.
                self.restore(before);
                left = (left - left / 8).saturating_sub(now - tokens);
                repeats -= 1;
                if repeats == 0 {
                    break;
                }
                continue;
            }
            let gained = now > used;
            self.open(&next.alone);
            (kept, used) = (next, now);
            if !gained {
                break;
            }
            rounds -= 1;
            left = tokens - used;
        }
        kept
    }

    fn before(&self) -> Before<'a> {
        Before {
            shown: self.shown.clone(),
            said: self.said.clone(),
            texts: self.texts.clone(),
            heap: self.heap.clone(),
        }
    }

    fn restore(&mut self, before: Before<'a>) {
        (self.shown, self.said) = (before.shown, before.said);
        (self.texts, self.heap) = (before.texts, before.heap);
    }

    fn round(&mut self, mut left: usize) {
        let mut skipped = Vec::new();
        let mut misses = 0;
        while left >= CRUMB && misses < MISSES {
            let Some(item) = self.heap.pop() else { break };
            let cost = match item.level {
                None => self.show(item.node, left),
                Some(level) => self.say(item.node, level, left),
            };
            match cost {
                Some(cost) => {
                    left = left.saturating_sub(cost);
                    misses = 0;
                }
                None => {
                    skipped.push(item);
                    misses += 1;
                }
            }
        }
        self.heap.extend(skipped);
    }

    /// Gives a span a line, and its missing ancestors; the tokens that it took, `None` when they
    /// are too many.
    fn show(&mut self, node: NodeId, left: usize) -> Option<usize> {
        if self.shown.at(node) {
            return Some(0);
        }
        let mut missing: Vec<NodeId> = std::iter::once(node)
            .chain(self.skeleton.tree.ancestors(node))
            .take_while(|&above| !self.shown.at(above))
            .collect();
        // From all ancestors to none: what is between is counted in a line.
        let most = missing.len();
        let ways = [(ANCESTORS, 0), (1 + NEAREST, TOPMOST), (1, 1), (1, 0)];
        let way = ways.into_iter().find_map(|(nearest, topmost)| {
            let far = nearest + topmost < most;
            if !far && nearest != ANCESTORS {
                return None;
            }
            let mut chosen = missing.clone();
            if far {
                if nearest == ANCESTORS {
                    return None;
                }
                chosen.drain(nearest..most - topmost);
            }
            let cost = self.cost(&chosen, far);
            (cost <= left).then_some((chosen, cost))
        });
        let cost;
        (missing, cost) = way?;
        self.open(&missing);
        Some(cost)
    }

    /// Notes that spans have lines.
    fn open(&mut self, nodes: &[NodeId]) {
        for &node in nodes {
            self.shown.set(node, true);
            if self.texts.has(node) {
                self.push_text(node, 0);
            }
        }
    }

    /// The tokens of new lines, with those of the counted lines that they bring.
    fn cost(&self, nodes: &[NodeId], far: bool) -> usize {
        let tree = self.skeleton.tree;
        let lines = nodes
            .iter()
            .map(|&node| self.skeleton.tokens(node, tree.depth(node)));
        let folds: i64 = nodes.iter().map(|&node| self.folds(node)).sum();
        let folds = usize::try_from(folds).unwrap_or(0) + if far { 3 } else { 0 };
        lines.sum::<usize>() + folds * FOLD
    }

    /// By how many the counted lines change when this span, below a shown one, gets a line.
    fn folds(&self, node: NodeId) -> i64 {
        let hidden = |place: Option<NodeId>| place.is_some_and(|place| !self.shown.at(place));
        let beside = |table: &PerNode<Option<NodeId>>| hidden(table.at(node));
        let below = self.skeleton.tree.descendants(node).len() > 0;
        i64::from(beside(&self.previous)) + i64::from(beside(&self.following)) + i64::from(below)
            - 1
    }

    fn say(&mut self, node: NodeId, level: usize, left: usize) -> Option<usize> {
        let earlier = self.said.get(&node);
        let is_first = earlier.is_none();
        let had = earlier.map_or(0, |text| text.tokens);
        // A text at a lower level is replaced by one that repeats the same.
        let repeats = match earlier {
            Some(earlier) => earlier.repeats,
            None => self.texts.repeats(node),
        };
        let known = self.made.get(&(node, level));
        let text = match known.filter(|text| text.repeats == repeats) {
            Some(text) => Rc::clone(text),
            None => {
                let text = Rc::new(self.texts.of(node, level, repeats, &mut self.read));
                self.made.insert((node, level), Rc::clone(&text));
                text
            }
        };
        let cost = text.tokens.saturating_sub(had);
        if cost > left {
            return None;
        }
        if is_first {
            self.texts.remember(node);
        }
        if !text.whole && level + 1 < LEVELS.len() {
            self.push_text(node, level + 1);
        }
        self.said.insert(node, text);
        Some(cost)
    }

    fn push_text(&mut self, node: NodeId, level: usize) {
        let had = self.said.get(&node).map_or(0, |text| text.tokens);
        let tokens = self.texts.guess(node, level).saturating_sub(had).max(CRUMB);
        let worth = WORTH.get(level).copied().unwrap_or(0.0);
        self.heap.push(Item {
            priority: self.scores.at(node) * worth / number(tokens),
            node,
            level: Some(level),
        });
    }
}
