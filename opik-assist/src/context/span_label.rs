//! The short name of a span in a pack: `s` and its place in pre-order, counted from 1.
//!
//! The label depends on the trace only, not on the question or the budget, so `s12` is the same
//! span in every pack and every turn about one recorded state of a trace.

use std::fmt;

use opik_core::TraceTree;
use opik_core::tree::NodeId;
use serde::{Serialize, Serializer};

use crate::figures::push_whole;

/// A span's short name: prints as `s12`.
///
/// ```
/// use opik_assist::context::SpanLabel;
/// use opik_core::{Span, SpanId, Timestamp, TraceId, TraceTree};
///
/// let id = TraceId::generate();
/// let tree = TraceTree::from_spans(id, vec![Span::new(SpanId::generate(), id, Timestamp::EPOCH)]);
/// let root = tree.roots().next().ok_or("no root")?;
/// assert_eq!(SpanLabel::of(root).to_string(), "s1");
/// assert_eq!(SpanLabel::find("s1", &tree), Some(root));
/// assert_eq!(SpanLabel::find("s2", &tree), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanLabel(usize);

impl SpanLabel {
    /// The label of a node.
    #[must_use]
    pub fn of(node: NodeId) -> Self {
        Self(node.index() + 1)
    }

    /// Appends the label.
    pub(crate) fn push(self, text: &mut String) {
        text.push('s');
        push_whole(text, u64::try_from(self.0).unwrap_or(u64::MAX));
    }

    /// The node that a label stands for, `s12` or `S12`; `None` when the trace has no such span.
    #[must_use]
    pub fn find(label: &str, tree: &TraceTree) -> Option<NodeId> {
        let digits = label.strip_prefix(['s', 'S'])?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let place: usize = digits.parse().ok()?;
        tree.nodes().nth(place.checked_sub(1)?)
    }
}

impl fmt::Display for SpanLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl Serialize for SpanLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
