//! Where the parts of a document go: records into a batch, the rest into a list of problems.

use opik_core::{Batch, Span, Trace};

use crate::problem::{Problem, json_reason};
use crate::record;

/// More problems than this in one document are counted in the last one.
const MAX_PROBLEMS: usize = 1_000;

/// What a document turns into.
#[derive(Debug)]
pub(crate) struct Sink<'s> {
    text: &'s str,
    line: u64,
    project: Option<&'s str>,
    batch: &'s mut Batch,
    problems: &'s mut Vec<Problem>,
    found: usize,
    omitted: u64,
}

impl<'s> Sink<'s> {
    pub(crate) fn new(
        (text, line): (&'s str, u64),
        project: Option<&'s str>,
        batch: &'s mut Batch,
        problems: &'s mut Vec<Problem>,
    ) -> Self {
        Self {
            text,
            line,
            project,
            batch,
            problems,
            found: 0,
            omitted: 0,
        }
    }

    pub(crate) fn trace(&mut self, mut trace: Trace, part: &str) {
        match record::settle_trace(&mut trace, self.project) {
            Ok(()) => self.batch.traces.push(trace),
            Err(reason) => self.problem(part, format!("trace: {reason}")),
        }
    }

    /// Whether the span was taken.
    pub(crate) fn span(&mut self, mut span: Span, part: &str) -> bool {
        match record::settle_span(&mut span, self.project) {
            Ok(()) => {
                self.batch.spans.push(span);
                true
            }
            Err(reason) => {
                self.problem(part, format!("span: {reason}"));
                false
            }
        }
    }

    /// Names a part of the document that is left out.
    pub(crate) fn problem(&mut self, part: &str, reason: impl Into<String>) {
        self.found += 1;
        if self.found > MAX_PROBLEMS {
            self.omitted += 1;
            return;
        }
        let line = self.line + newlines_before(self.text, part);
        let reason = reason.into();
        self.problems.push(Problem { line, reason });
    }

    pub(crate) fn json_problem(&mut self, part: &str, what: &str, error: &serde_json::Error) {
        self.problem(part, format!("{what}: {}", json_reason(error)));
    }

    /// Says how many problems were not listed.
    pub(crate) fn finish(self) {
        if self.omitted > 0 {
            let reason = format!("{} more problems of this document", self.omitted);
            let line = self.line;
            self.problems.push(Problem { line, reason });
        }
    }
}

/// Lines of `text` that end before `part` begins; `part` is a part of `text`.
fn newlines_before(text: &str, part: &str) -> u64 {
    let offset = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    memchr::memchr_iter(b'\n', before).count() as u64
}
