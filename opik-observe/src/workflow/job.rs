//! Jobs.

use super::{Counts, LlmCall, Node, Validation, label};
use crate::guard::TraceGuard;
use crate::name::Name;
use crate::recorder::Recorder;

/// A job under way: one trace. It ends when it is dropped; see the [module](super).
#[derive(Debug)]
#[must_use = "the job ends when the guard is dropped: bind it to a variable"]
pub struct Job {
    pub(super) trace: TraceGuard,
}

impl Job {
    /// Begins a job. Nothing is recorded of an empty id.
    pub fn begin<'n>(
        recorder: &Recorder,
        name: impl Into<Name<'n>>,
        job_id: &str,
        project_id: &str,
    ) -> Self {
        let mut trace = recorder.trace(name);
        for (key, id) in [("job_id", job_id), ("project_id", project_id)] {
            if !id.is_empty() {
                trace.metadata(key, label(id));
            }
        }
        Self { trace }
    }

    /// Begins a node at the top of the job.
    pub fn node<'n>(&self, name: impl Into<Name<'n>>) -> Node {
        self.steps().node(name)
    }

    /// Begins a model call outside of any node.
    pub fn llm_call<'n>(&self, expert: impl Into<Name<'n>>) -> LlmCall {
        self.steps().llm_call(expert)
    }

    /// Begins a validation outside of any node.
    pub fn validation<'n>(&self, kind: impl Into<Name<'n>>) -> Validation {
        self.steps().validation(kind)
    }

    /// How strictly the job is held to its rules, for example `conservative`.
    pub fn rigor_level(&mut self, level: &str) -> &mut Self {
        self.trace.metadata("rigor_level", label(level));
        self
    }

    /// How much it made in all.
    pub fn counts(&mut self, counts: &Counts) -> &mut Self {
        self.trace.metadata("counts", counts.to_json());
        self
    }
}
