//! What the model is told, and the answer that is computed instead of its own.

use std::sync::Arc;

use opik_core::SpanId;

use crate::answer::{Answer, AnswerContext, answer};
use crate::check::Known;
use crate::context::{Budget, fence, pack, tokens};
use crate::tools::Scene;

/// The share of the tokens that a comparison may take.
const COMPARISON: usize = 4;

/// A computed answer.
pub(super) fn computed(question: &str, scene: &Scene, spans: Option<(SpanId, SpanId)>) -> Answer {
    let mut context = AnswerContext::new(&scene.tree, &scene.evidence);
    if let Some((tree, evidence)) = &scene.other {
        context = context.compared_with(tree, evidence);
    }
    if let Some((first, second)) = spans {
        context = context.between(first, second);
    }
    answer(question, &context)
}

/// The evidence as text of at most `budget` tokens, and what the model knows by it.
pub(super) fn evidence(
    question: &str,
    scene: &Scene,
    spans: Option<(SpanId, SpanId)>,
    budget: usize,
) -> (String, Known) {
    let mut known = Known::new();
    known.trace(Arc::clone(&scene.tree));
    known.findings(&scene.evidence.findings);
    let mut comparison = String::new();
    if scene.other.is_some() || spans.is_some() {
        let answer = computed("what is different?", scene, spans);
        known.findings(&answer.evidence);
        let text = tokens::head(&answer.text, budget / COMPARISON);
        comparison = format!("Comparison that was asked for:\n{}", fence(text));
    }
    if let Some((tree, _)) = &scene.other {
        known.trace(Arc::clone(tree));
        comparison = format!("The second trace is {}.\n{comparison}", tree.id());
    }
    let left = budget.saturating_sub(tokens::estimate(&comparison));
    let packed = pack(&scene.tree, &scene.evidence, question, &Budget::new(left));
    let text = format!("Trace {}.\n{}{comparison}", scene.tree.id(), packed.text);
    known.text(&text);
    known.text(question);
    (text, known)
}
