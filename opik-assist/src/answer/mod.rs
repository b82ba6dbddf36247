//! From a question to a short answer made of findings.
//!
//! The intent of the question is detected by its words ([`Intent`]); each intent has a fixed
//! choice of findings, the most important first and at most a handful. The text says what was
//! found in the words of the findings, with their numbers in brackets, says when the evidence is
//! not enough, and says that it was computed. No model is asked.

mod choose;
mod difference;
mod intent;
pub(crate) mod mention;

use std::fmt;

use opik_core::tree::NodeId;
use opik_core::{SpanId, TraceTree};
use serde::Serialize;

pub use intent::Intent;
pub(crate) use mention::by_id;

use crate::analysis::Evidence;
use crate::finding::{Finding, FindingId};
use crate::label::Labels;

/// What an answer may draw on.
///
/// ```
/// # use opik_assist::{Evidence, analyse};
/// # use opik_assist::answer::{AnswerContext, Intent, answer};
/// # use opik_core::{Span, SpanId, Timestamp, TraceId, TraceTree};
/// # let id = TraceId::generate();
/// # let tree = TraceTree::from_spans(id, vec![Span::new(SpanId::generate(), id, Timestamp::from_micros(1))]);
/// # let (earlier, earlier_evidence) = (tree.clone(), analyse(&tree));
/// let evidence = analyse(&tree);
/// let context = AnswerContext::new(&tree, &evidence).compared_with(&earlier, &earlier_evidence);
/// assert_eq!(answer("what is different?", &context).intent, Intent::Difference);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AnswerContext<'a> {
    tree: &'a TraceTree,
    evidence: &'a Evidence,
    other: Option<(&'a TraceTree, &'a Evidence)>,
    spans: Option<(SpanId, SpanId)>,
}

impl<'a> AnswerContext<'a> {
    /// A trace and the evidence about it.
    #[must_use]
    pub fn new(tree: &'a TraceTree, evidence: &'a Evidence) -> Self {
        Self {
            tree,
            evidence,
            other: None,
            spans: None,
        }
    }

    /// A second trace, for questions about differences.
    #[must_use]
    pub fn compared_with(mut self, tree: &'a TraceTree, evidence: &'a Evidence) -> Self {
        self.other = Some((tree, evidence));
        self
    }

    /// Two spans, for questions about differences: the first of this trace, the second of the
    /// second trace where there is one and it has it, else of this trace.
    #[must_use]
    pub fn between(mut self, first: SpanId, second: SpanId) -> Self {
        self.spans = Some((first, second));
        self
    }
}

/// An answer that was computed from findings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// What the question was taken to ask for.
    pub intent: Intent,
    /// Plain text; lists begin with `- `, findings are in brackets: `[F2]`.
    pub text: String,
    /// The findings that the answer is made of, in its order.
    pub findings: Vec<FindingId>,
    /// The same in full: those of the evidence, and those that were computed for this question
    /// (differences), which are numbered after them.
    pub evidence: Vec<Finding>,
    /// The spans that it names, by their whole id, in the order of the findings.
    pub citations: Vec<SpanId>,
    /// Whether it was computed without a model; always true here.
    pub computed: bool,
    /// Whether the evidence was enough to answer.
    pub sufficient: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the answer to an intent is made of, before it is put together.
struct Parts {
    /// The first sentences.
    head: String,
    findings: Vec<Finding>,
    /// The last sentence, for what is missing.
    note: String,
    sufficient: bool,
}

/// Answers a question from computed evidence. No model is asked.
#[must_use]
pub fn answer(question: &str, ctx: &AnswerContext<'_>) -> Answer {
    let known = intent::intent(question);
    let can_differ = ctx.other.is_some() || ctx.spans.is_some();
    let intent = match known {
        Some(_) if can_differ && intent::is_comparison(question) => Intent::Difference,
        Some(intent) => intent,
        None if can_differ => Intent::Difference,
        None => Intent::Summary,
    };
    let labels = Labels::new(ctx.tree);
    let (named, by_name): (Vec<NodeId>, bool) = mention::mentions(question, ctx.tree);
    let parts = match intent {
        Intent::Difference => difference::difference(ctx, &named, by_name),
        other => choose::choose(other, ctx, &labels, &named),
    };
    let unknown = known.is_none().then_some(
        "The question has none of the words that are known here (error, slow, cost, difference, loop, unusual, summary), so this is a summary.\n",
    );
    let unknown = unknown
        .filter(|_| intent == Intent::Summary)
        .unwrap_or_default();
    assemble(intent, parts, unknown, ctx, &labels)
}

fn assemble(
    intent: Intent,
    parts: Parts,
    unknown: &str,
    ctx: &AnswerContext<'_>,
    labels: &Labels<'_>,
) -> Answer {
    let other = ctx.other.map(|(tree, _)| (tree, Labels::new(tree)));
    let short = |id: SpanId| match &other {
        Some((tree, labels)) if tree.find(id).is_some() && ctx.tree.find(id).is_none() => {
            labels.short(id)
        }
        _ => labels.short(id),
    };
    let mut text = format!("{unknown}{}", parts.head);
    for finding in &parts.findings {
        let mut claim = finding.claim.clone();
        for &id in &finding.spans {
            let whole = id.to_string();
            if claim.contains(&whole) {
                claim = claim.replace(&whole, &short(id));
            }
        }
        text += &format!("\n- {claim} [{}]", finding.id);
    }
    if !parts.note.is_empty() {
        text += &format!("\n{}", parts.note);
    }
    text += "\n(Computed from the recorded spans; no model was asked.)";
    let mut citations: Vec<SpanId> = Vec::new();
    for &id in parts.findings.iter().flat_map(|finding| &finding.spans) {
        if !citations.contains(&id) && text.contains(&short(id)) {
            citations.push(id);
        }
    }
    Answer {
        intent,
        text: text.trim_start().to_owned(),
        findings: parts.findings.iter().map(|finding| finding.id).collect(),
        evidence: parts.findings,
        citations,
        computed: true,
        sufficient: parts.sufficient,
    }
}
