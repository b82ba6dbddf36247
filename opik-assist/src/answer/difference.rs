//! Answers about differences.

use opik_core::tree::NodeId;

use super::{AnswerContext, Parts};

pub(super) fn difference(ctx: &AnswerContext<'_>, named: &[NodeId]) -> Parts {
    let _ = (ctx.other, ctx.spans, named);
    Parts {
        head: "To compare, name two spans of this trace, or give a second trace.".to_owned(),
        findings: Vec::new(),
        note: String::new(),
        sufficient: false,
    }
}
