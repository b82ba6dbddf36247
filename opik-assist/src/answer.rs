//! From a question to a short answer made of findings.

use std::fmt;

use opik_core::{SpanId, TraceTree};
use serde::Serialize;

use crate::analysis::Evidence;
use crate::finding::FindingId;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Intent {
    /// What caused this error?
    Error,
    /// Why is this trace slow?
    Slow,
    /// What is the difference between these two?
    Difference,
    /// Give a summary.
    Summary,
    /// How can this be cheaper?
    Cost,
    /// Is anything unusual?
    Anomalies,
    /// Does it repeat itself?
    Loops,
}

/// What an answer may draw on.
#[derive(Debug, Clone, Copy)]
pub struct AnswerContext<'a> {
    pub(crate) tree: &'a TraceTree,
    pub(crate) evidence: &'a Evidence,
    pub(crate) other: Option<(&'a TraceTree, &'a Evidence)>,
    pub(crate) spans: Option<(SpanId, SpanId)>,
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
    /// Plain text; lists begin with `- `.
    pub text: String,
    /// The findings that the answer is made of.
    pub findings: Vec<FindingId>,
    /// The spans that it names, by their whole id, in order of appearance.
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

/// Answers a question from computed evidence. No model is asked.
#[must_use]
pub fn answer(question: &str, ctx: &AnswerContext<'_>) -> Answer {
    let _ = (question, ctx.tree, ctx.evidence, ctx.other, ctx.spans);
    Answer {
        intent: Intent::Summary,
        text: "No evidence has been computed yet.".to_owned(),
        findings: Vec::new(),
        citations: Vec::new(),
        computed: true,
        sufficient: false,
    }
}
