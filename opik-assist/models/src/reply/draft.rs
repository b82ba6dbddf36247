//! What a format makes of its frames.

use std::collections::VecDeque;

use opik_core::chat::FinishReason;
use opik_core::{ChatEvent, Usage};

use super::calls::Calls;
use super::frames::Frame;
use crate::failure::Failure;

/// How a provider writes its replies. One value reads one reply, from its first frame on.
pub(crate) trait Format: Send {
    /// Reads a frame.
    fn read(&mut self, frame: &Frame, draft: &mut Draft) -> Result<(), Failure>;

    /// Adds what is known at the end only.
    fn close(&mut self, draft: &mut Draft) {
        let _ = draft;
    }
}

/// A reply as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(super) events: VecDeque<ChatEvent>,
    pub(crate) calls: Calls,
    pub(crate) usage: Usage,
    pub(super) finish: Option<FinishReason>,
    /// The format said that nothing follows.
    pub(super) done: bool,
}

impl Draft {
    pub(crate) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.events.push_back(ChatEvent::Text(text.to_owned()));
        }
    }

    pub(crate) fn reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.events.push_back(ChatEvent::Reasoning(text.to_owned()));
        }
    }

    /// Gives out token counts when they are news.
    pub(crate) fn count(&mut self, usage: Usage) {
        if !usage.is_empty() && usage != self.usage {
            self.usage = usage.clone();
            self.events.push_back(ChatEvent::Usage(usage));
        }
    }

    /// Why the reply ends. Counts may follow.
    pub(crate) fn finish(&mut self, reason: FinishReason) {
        self.finish = Some(reason);
    }

    /// Nothing follows.
    pub(crate) fn done(&mut self) {
        self.done = true;
    }
}
