//! Which siblings are alike, and which of them stand for the rest.
//!
//! The shape of a span is its kind, its name with numbers masked, and the shapes of its children
//! in order, where equal ones in a row count once. So a step that called a tool five times has
//! the shape of one that called it twice, and whole loop bodies are alike. Whether spans failed
//! does not count: failures are told in numbers.
//!
//! Of siblings with one shape the first, the last, the slowest and the first that failed stand
//! for the others.

use foldhash::HashMap;
use opik_core::TraceTree;
use opik_core::tree::NodeId;

use crate::PerNode;
use crate::errors::Errors;
use crate::signature::Mix;

/// Groups of siblings smaller than this need no one to stand for them.
const GROUP: usize = 4;

/// What is below a span, itself included.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Below {
    pub(super) failed: usize,
}

/// Shapes and places of all spans.
#[derive(Debug)]
pub(super) struct Shapes {
    pub(super) below: PerNode<Below>,
    pub(super) standing: PerNode<Standing>,
}

/// How a span stands among siblings of its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Few are like it.
    Single,
    /// It stands for the others.
    Exemplar,
    /// Others stand for it.
    OneOfMany,
}

impl Shapes {
    pub(super) fn new(tree: &TraceTree, errors: &Errors) -> Self {
        let mut below = PerNode::filled(tree, Below::default());
        for error in &errors.spans {
            below.update(error.node, |below: &mut Below| below.failed += 1);
        }
        let mut shapes: PerNode<u64> = PerNode::filled(tree, 0);
        // Of the children seen so far, from the last to the first: their hash, and the last shape.
        let mut inner: PerNode<(u64, u64)> = PerNode::filled(tree, (0, 0));
        for node in tree.nodes().rev() {
            let span = tree.span(node);
            let mut mix = Mix::default();
            mix.text(span.kind().as_str());
            masked(span.name.as_deref().unwrap_or_default(), &mut mix);
            mix.add(inner.at(node).0);
            let shape = mix.value();
            shapes.set(node, shape);
            if let Some(parent) = tree.parent(node) {
                inner.update(parent, |(all, last)| {
                    if *last != shape {
                        let mut mix = Mix::default();
                        mix.add(*all);
                        mix.add(shape);
                        (*all, *last) = (mix.value(), shape);
                    }
                });
                let failed = below.at(node).failed;
                below.update(parent, |below| below.failed += failed);
            }
        }
        let standing = standing(tree, errors, &shapes);
        Self { below, standing }
    }
}

/// The members of a group that stand for it.
#[derive(Debug)]
struct Group {
    size: usize,
    first: NodeId,
    last: NodeId,
    slowest: NodeId,
    failed: Option<NodeId>,
}

fn standing(tree: &TraceTree, errors: &Errors, shapes: &PerNode<u64>) -> PerNode<Standing> {
    let mut fails = PerNode::filled(tree, false);
    for error in &errors.spans {
        fails.set(error.node, true);
    }
    let key = |node: NodeId| (tree.parent(node), shapes.at(node));
    let mut groups: HashMap<(Option<NodeId>, u64), Group> = HashMap::default();
    for node in tree.nodes() {
        let group = groups.entry(key(node)).or_insert(Group {
            size: 0,
            first: node,
            last: node,
            slowest: node,
            failed: None,
        });
        group.size += 1;
        group.last = node;
        if tree.interval(node).micros() > tree.interval(group.slowest).micros() {
            group.slowest = node;
        }
        if fails.at(node) {
            group.failed.get_or_insert(node);
        }
    }
    let mut standing = PerNode::filled(tree, Standing::OneOfMany);
    for node in tree.nodes() {
        if groups
            .get(&key(node))
            .is_none_or(|group| group.size < GROUP)
        {
            standing.set(node, Standing::Single);
        }
    }
    for group in groups.values().filter(|group| group.size >= GROUP) {
        let chosen = [
            Some(group.first),
            Some(group.last),
            Some(group.slowest),
            group.failed,
        ];
        for node in chosen.into_iter().flatten() {
            standing.set(node, Standing::Exemplar);
        }
    }
    standing
}

/// Adds a name in which every run of digits is the same.
fn masked(name: &str, mix: &mut Mix) {
    if !name.bytes().any(|byte| byte.is_ascii_digit()) {
        mix.text(name);
        return;
    }
    for part in name.split(|character: char| character.is_ascii_digit()) {
        if !part.is_empty() {
            mix.text(part);
        }
    }
    mix.add(u64::from(b'#'));
}
