//! Model calls.

use opik_core::Usage;
use serde::Serialize;

use super::{label, node};
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::prompts::PromptText;

/// A model call under way: one span. It ends when it is dropped; see the [module](super).
#[derive(Debug)]
#[must_use = "the call ends when the guard is dropped: bind it to a variable"]
pub struct LlmCall {
    pub(super) span: SpanGuard,
}

/// Messages with tools, in the form that prompt hashes are made of.
#[derive(Serialize)]
struct Prompt<'a, M: ?Sized, T: ?Sized> {
    messages: &'a M,
    tools: &'a T,
}

impl LlmCall {
    pub(super) fn begin(mut span: SpanGuard, expert: &Name<'_>) -> Self {
        span.metadata("expert", label(&expert.text));
        Self { span }
    }

    /// The way that led to this call, for example `primary` or `fallback`.
    pub fn path(&mut self, path: &str) -> &mut Self {
        self.span.metadata("path", label(path));
        self
    }

    /// How often the call has been made, from 1. From the second time on it is tagged `retry`.
    pub fn attempt(&mut self, number: u32) -> &mut Self {
        node::attempt(&mut self.span, number);
        self
    }

    /// It is made because another expert failed.
    pub fn fallback_from(&mut self, expert: &str) -> &mut Self {
        self.span.metadata("fallback", true);
        self.span.metadata("fallback_from", label(expert));
        self
    }

    /// The model that is called and who serves it. An empty provider is not stated.
    pub fn model(&mut self, name: &str, provider: &str) -> &mut Self {
        self.span.model(name, provider);
        self
    }

    /// The messages, `[{"role": …, "content": …}]`. A branch that redacts keeps their
    /// [hashes](crate::prompt_hash) only.
    pub fn prompt<M: Serialize + ?Sized>(&mut self, messages: &M) -> &mut Self {
        self.span.input(messages);
        self
    }

    /// The messages and the tools that are offered.
    pub fn prompt_with_tools<M, T>(&mut self, messages: &M, tools: &T) -> &mut Self
    where
        M: Serialize + ?Sized,
        T: Serialize + ?Sized,
    {
        self.span.input(&Prompt { messages, tools });
        self
    }

    /// Where the prompt comes from: name, tag, version and whether it is the registry's.
    pub fn prompt_text(&mut self, prompt: &PromptText) -> &mut Self {
        node::prompt_text(&mut self.span, prompt);
        self
    }

    /// The first token of a streamed reply is there.
    pub fn first_token(&mut self) -> &mut Self {
        self.span.first_token();
        self
    }

    /// The reply. A branch that redacts drops it.
    pub fn reply<R: Serialize + ?Sized>(&mut self, reply: &R) -> &mut Self {
        self.span.output(reply);
        self
    }

    /// Token counts of the call.
    pub fn usage(&mut self, usage: &Usage) -> &mut Self {
        self.span.usage(usage);
        self
    }
}
