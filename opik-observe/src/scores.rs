//! Feedback scores: verdicts on traces, spans and conversations, also long after they ended.

use opik_core::model::ScoreTarget;
use opik_core::{FeedbackScore, ScoreRecord};

use crate::context::SpanHandle;
use crate::guard::{SpanGuard, TraceGuard};
use crate::recorder::Recorder;

impl SpanHandle {
    /// Gives the span, or the trace when this is a handle of one, a feedback score.
    ///
    /// A later score of the same name replaces an earlier one.
    pub fn score(&self, name: &str, value: f64) -> &Self {
        self.feedback(&FeedbackScore::new(name, value))
    }

    /// Like [`score`](Self::score), with a reason and a category.
    ///
    /// A handle may be kept until a verdict is there: the span itself may have ended.
    ///
    /// ```
    /// # let recorder = opik_observe::Recorder::disabled();
    /// use opik_core::FeedbackScore;
    ///
    /// let trace = recorder.trace("answer");
    /// let handle = trace.handle();
    /// trace.end();
    /// // Later, when somebody has read the answer:
    /// handle.feedback(&FeedbackScore::new("helpful", 0.0).with_reason("it is about another order"));
    /// ```
    pub fn feedback(&self, score: &FeedbackScore) -> &Self {
        let core = self.core.as_ref();
        if let Some(core) = core.filter(|core| core.admits_this_thread()) {
            let target = match self.span_id() {
                Some(span) => ScoreTarget::Span(span),
                None => ScoreTarget::Trace(self.trace_id()),
            };
            core.record_score(&ScoreRecord::new(target, score.clone()));
        }
        self
    }
}

impl SpanGuard {
    /// Gives the span a feedback score with a reason and a category.
    pub fn feedback(&self, score: &FeedbackScore) -> &Self {
        self.handle().feedback(score);
        self
    }
}

impl TraceGuard {
    /// Gives the trace a feedback score with a reason and a category.
    pub fn feedback(&self, score: &FeedbackScore) -> &Self {
        self.handle().feedback(score);
        self
    }
}

impl Recorder {
    /// Gives a conversation a feedback score, by the identifier that its traces have as
    /// [`thread_id`](TraceGuard::thread_id).
    ///
    /// ```
    /// # let recorder = opik_observe::Recorder::disabled();
    /// use opik_core::FeedbackScore;
    ///
    /// recorder.score_thread("chat-7", &FeedbackScore::new("solved", 1.0).with_category("yes"));
    /// ```
    pub fn score_thread(&self, thread: &str, score: &FeedbackScore) {
        let target = ScoreTarget::Thread(thread.to_owned());
        self.score(&ScoreRecord::new(target, score.clone()));
    }
}
