//! Validations.

use super::label;
use crate::guard::SpanGuard;
use crate::name::Name;

/// A validation under way: one span of type `guardrail`. It ends when it is dropped; see the
/// [module](super).
///
/// One that ends before it has a result has none in the trace. A failed validation is no error
/// of the span: it did what it is for.
#[derive(Debug)]
#[must_use = "the validation ends when the guard is dropped: tell its result"]
pub struct Validation {
    pub(super) span: SpanGuard,
}

impl Validation {
    pub(super) fn begin(mut span: SpanGuard, kind: &Name<'_>) -> Self {
        span.metadata("validation_kind", label(&kind.text));
        Self { span }
    }

    /// What is validated satisfies.
    pub fn passed(&mut self) -> &mut Self {
        self.result("passed")
    }

    /// What is validated does not satisfy.
    pub fn failed(&mut self) -> &mut Self {
        self.result("failed")
    }

    /// How many things were found wrong.
    pub fn findings(&mut self, count: u64) -> &mut Self {
        self.span.metadata("findings", count);
        self
    }

    fn result(&mut self, result: &'static str) -> &mut Self {
        self.span.metadata("validation_result", result);
        self
    }
}
