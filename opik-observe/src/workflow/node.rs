//! Nodes.

use super::{Counts, LlmCall, RETRY, Validation, label};
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::prompts::PromptText;

/// A node of a workflow while it runs: one span. It ends when it is dropped; see the
/// [module](super).
#[derive(Debug)]
#[must_use = "the node ends when the guard is dropped: bind it to a variable"]
pub struct Node {
    pub(super) span: SpanGuard,
}

impl Node {
    pub(super) fn begin(mut span: SpanGuard, name: &Name<'_>) -> Self {
        span.metadata("node_name", label(&name.text));
        Self { span }
    }

    /// What sort of node it is, for example `router` or `expert`.
    pub fn node_type(&mut self, kind: &str) -> &mut Self {
        self.span.metadata("node_type", label(kind));
        self
    }

    /// How often the job has been here, from 1. From the second time on it is tagged `retry`.
    pub fn attempt(&mut self, number: u32) -> &mut Self {
        attempt(&mut self.span, number);
        self
    }

    /// How much it made.
    pub fn counts(&mut self, counts: &Counts) -> &mut Self {
        self.span.metadata("counts", counts.to_json());
        self
    }

    /// The prompt that it works with: name, tag, version and whether it is the registry's.
    pub fn prompt_text(&mut self, prompt: &PromptText) -> &mut Self {
        prompt_text(&mut self.span, prompt);
        self
    }

    /// Begins a node within this one.
    pub fn node<'n>(&self, name: impl Into<Name<'n>>) -> Self {
        self.steps().node(name)
    }

    /// Begins a model call.
    pub fn llm_call<'n>(&self, expert: impl Into<Name<'n>>) -> LlmCall {
        self.steps().llm_call(expert)
    }

    /// Begins a validation.
    pub fn validation<'n>(&self, kind: impl Into<Name<'n>>) -> Validation {
        self.steps().validation(kind)
    }
}

pub(super) fn attempt(span: &mut SpanGuard, number: u32) {
    span.metadata("attempt", number);
    if number > 1 {
        span.tag(RETRY);
    }
}

pub(super) fn prompt_text(span: &mut SpanGuard, prompt: &PromptText) {
    span.metadata("prompt_name", label(prompt.name()));
    span.metadata("prompt_origin", prompt.origin().as_str());
    let told = [
        (
            "prompt_tag",
            Some(prompt.tag()).filter(|tag| !tag.is_empty()),
        ),
        ("prompt_version", prompt.version()),
        ("prompt_commit", prompt.commit()),
    ];
    for (key, value) in told {
        if let Some(value) = value {
            span.metadata(key, label(value));
        }
    }
}
