//! What the model is told, and the answer that is computed instead of its own.

use std::sync::Arc;

use opik_core::SpanId;

use crate::analysis::Evidence;
use crate::answer::{Answer, AnswerContext, answer};
use crate::check::Known;
use crate::finding::Finding;
use crate::quote::clean;
use crate::tools::Scene;

/// Characters that a token has, roughly.
const TOKEN: usize = 4;

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

/// The evidence as text, at most `tokens` of it, and what the model knows by it.
pub(super) fn evidence(
    question: &str,
    scene: &Scene,
    spans: Option<(SpanId, SpanId)>,
    tokens: usize,
) -> (String, Known) {
    let mut known = Known::new();
    known.trace(Arc::clone(&scene.tree));
    known.findings(&scene.evidence.findings);
    if let Some((tree, evidence)) = &scene.other {
        known.trace(Arc::clone(tree));
        known.findings(&evidence.findings);
    }
    let mut text = format!("Trace {}\n", scene.tree.id());
    let most = tokens * TOKEN;
    if scene.other.is_some() || spans.is_some() {
        let answer = computed("what is different?", scene, spans);
        known.findings(&answer.evidence);
        text.push_str(&format!("Compared:\n{}\n", answer.text));
    }
    outline(&mut text, scene, &scene.evidence, most);
    known.text(&text);
    known.text(question);
    (text, known)
}

/// Findings and the first spans of the trace.
fn outline(text: &mut String, scene: &Scene, evidence: &Evidence, most: usize) {
    text.push_str("Findings:\n");
    for finding in &evidence.findings {
        let line = line(finding);
        if text.len() + line.len() > most {
            text.push_str("(more findings are left out)\n");
            break;
        }
        text.push_str(&line);
    }
    text.push_str("Spans (depth, type, name, id, start and duration in ms):\n");
    let tree = &scene.tree;
    for node in tree.nodes() {
        let (span, interval) = (tree.span(node), tree.interval(node));
        let start = interval.start.micros_since(tree.wall().start);
        let line = format!(
            "{} {} {} {} {:.1} {:.1}\n",
            tree.depth(node),
            clean(span.kind().as_str(), 16),
            clean(span.name.as_deref().unwrap_or("-"), 80),
            span.id,
            crate::figures::millis(start),
            crate::figures::millis(interval.micros()),
        );
        if text.len() + line.len() > most {
            text.push_str("(more spans are left out; list_children and search_spans show them)\n");
            break;
        }
        text.push_str(&line);
    }
}

fn line(finding: &Finding) -> String {
    format!(
        "{} {} (confidence {})\n",
        finding.id,
        clean(&finding.claim, 600),
        finding.confidence.as_str()
    )
}
