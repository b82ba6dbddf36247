//! Where steps begin.

use opik_core::SpanType;

use super::{LlmCall, Node, Validation};
use crate::context::SpanHandle;
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::recorder::Recorder;

/// A place where steps of a job begin: below a job, a node or any other span.
///
/// A clone is the same place. It may be sent to other threads and tasks.
#[derive(Debug, Clone)]
pub struct Steps(Place);

#[derive(Debug, Clone)]
enum Place {
    Below(SpanHandle),
    Context(Recorder),
}

impl From<SpanHandle> for Steps {
    fn from(handle: SpanHandle) -> Self {
        Self(Place::Below(handle))
    }
}

impl Steps {
    /// Steps below the span that the thread or task is in when they begin; see
    /// [`Recorder::span_in_context`], also for what happens outside of any.
    ///
    /// For code that is called from deep within a node:
    ///
    /// ```
    /// use opik_observe::workflow::{Job, Steps};
    /// # let recorder = opik_observe::Recorder::disabled();
    ///
    /// let job = Job::begin(&recorder, "synthesis", "job-17", "");
    /// let node = job.node("draft");
    /// let _here = node.enter(); // in async code: `future.in_span(node)`
    /// let chat = || Steps::in_context(&recorder).llm_call("writer").end();
    /// chat(); // below `draft`
    /// ```
    #[must_use]
    pub fn in_context(recorder: &Recorder) -> Self {
        Self(Place::Context(recorder.clone()))
    }

    /// Begins a node.
    pub fn node<'n>(&self, name: impl Into<Name<'n>>) -> Node {
        let name = name.into();
        Node::begin(self.span(&name, SpanType::General), &name)
    }

    /// Begins a model call by an expert: a role such as `logician`, not the model.
    pub fn llm_call<'n>(&self, expert: impl Into<Name<'n>>) -> LlmCall {
        let expert = expert.into();
        LlmCall::begin(self.span(&expert, SpanType::Llm), &expert)
    }

    /// Begins a validation of this kind, for example `citations`.
    pub fn validation<'n>(&self, kind: impl Into<Name<'n>>) -> Validation {
        let kind = kind.into();
        Validation::begin(self.span(&kind, SpanType::Guardrail), &kind)
    }

    fn span(&self, name: &Name<'_>, kind: SpanType) -> SpanGuard {
        let name = name.clone();
        match &self.0 {
            Place::Below(handle) => handle.span(name, kind),
            Place::Context(recorder) => recorder.span_in_context(name, kind),
        }
    }
}
