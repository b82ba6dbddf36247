//! Reading a reply, without doing any IO: bytes go in, events come out.

mod balance;
mod calls;
mod draft;
mod frames;
mod json;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use opik_core::ChatEvent;
use opik_core::chat::{FinishReason, ModelErrorKind};

use calls::Note;
pub(crate) use calls::Piece;
pub(crate) use draft::{Draft, Format};
pub(crate) use frames::Frame;
use frames::Frames;
pub(crate) use json::{mend, number, parse, text};

use crate::failure::Failure;

/// Sizes that a reply may have, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) event: usize,
    pub(crate) reply: usize,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Event(ChatEvent),
    Failed(Failure),
    /// The reply is over; nothing follows.
    Over,
    /// More bytes are needed.
    More,
}

/// A reply that is being read.
pub(crate) struct Reply {
    frames: Frames,
    format: Box<dyn Format>,
    draft: Draft,
    sizes: Sizes,
    read: usize,
    /// Whether one piece of JSON was asked for.
    whole: bool,
    seed: u64,
    failure: Option<Failure>,
    notes: Vec<Note>,
    over: bool,
}

impl Reply {
    /// A reply in a format. The seed makes identifiers where the provider gives none.
    pub(crate) fn new(format: Box<dyn Format>, whole: bool, sizes: Sizes, seed: u64) -> Self {
        Self {
            frames: Frames::new(sizes.event),
            format,
            draft: Draft::default(),
            sizes,
            read: 0,
            whole,
            seed,
            failure: None,
            notes: Vec::new(),
            over: false,
        }
    }

    /// Reads bytes, cut anywhere.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.over {
            return;
        }
        self.read = self.read.saturating_add(bytes.len());
        let mut frames = Vec::new();
        let pushed = self.frames.push(bytes, &mut frames);
        if let Err(failure) = self.take(frames) {
            self.fail(failure);
        } else if pushed.is_err() {
            let longest = self.sizes.event;
            self.fail(Failure::protocol(format!(
                "an event of the reply has more than {longest} bytes"
            )));
        } else if self.read > self.sizes.reply && !self.over {
            let longest = self.sizes.reply;
            self.fail(Failure::protocol(format!(
                "the reply has more than {longest} bytes"
            )));
        }
    }

    /// The bytes ended, as they should or not.
    pub(crate) fn end(&mut self) {
        if self.over {
            return;
        }
        let mut frames = Vec::new();
        self.frames.end(&mut frames);
        match self.take(frames) {
            // The half of an event.
            Err(failure) if failure.kind == ModelErrorKind::Protocol => {
                self.fail(Failure::truncated());
            }
            Err(failure) => self.fail(failure),
            Ok(()) if self.over => {}
            Ok(()) if self.is_answered() => self.close(),
            Ok(()) => self.fail(Failure::truncated()),
        }
    }

    /// What goes wrong with the connection; after the reply's own end it does not matter.
    pub(crate) fn broken(&mut self, failure: Failure) {
        if self.over {
            return;
        }
        if self.is_answered() {
            self.close();
        } else {
            self.fail(failure);
        }
    }

    /// Whether the provider said why the reply ends, so that nothing but counts is missing.
    pub(crate) fn is_answered(&self) -> bool {
        self.draft.finish.is_some()
    }

    /// The next event.
    pub(crate) fn next(&mut self) -> Next {
        if let Some(event) = self.draft.events.pop_front() {
            return Next::Event(event);
        }
        match self.failure.take() {
            Some(failure) => Next::Failed(failure),
            None if self.over => Next::Over,
            None => Next::More,
        }
    }

    /// What the provider wants back with the results of its calls, by call.
    pub(crate) fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn take(&mut self, frames: Vec<Frame>) -> Result<(), Failure> {
        for frame in frames {
            if self.over {
                return Ok(());
            }
            self.format.read(&frame, &mut self.draft)?;
            if self.whole && frame.bare {
                self.draft.done();
            }
            if self.draft.done {
                self.close();
            }
        }
        Ok(())
    }

    fn fail(&mut self, failure: Failure) {
        self.over = true;
        self.failure = Some(failure);
    }

    fn close(&mut self) {
        self.over = true;
        self.format.close(&mut self.draft);
        let reason = self.draft.finish.take().unwrap_or(FinishReason::Stop);
        let called = !self.draft.calls.is_empty();
        // Several servers say "stop" when the model waits for its tools.
        let reason = match reason {
            FinishReason::Stop if called => FinishReason::ToolCalls,
            FinishReason::ToolCalls if !called => FinishReason::Stop,
            reason => reason,
        };
        let Some((calls, notes)) = self.draft.calls.finish(&reason, self.seed) else {
            self.failure = Some(Failure::protocol("a tool call of the reply has no name"));
            return;
        };
        self.notes = notes;
        let events = &mut self.draft.events;
        if reason != FinishReason::ContentFilter {
            events.extend(calls.into_iter().map(ChatEvent::ToolCall));
        }
        events.push_back(ChatEvent::Finish(reason));
    }
}

/// Bits that differ from call to call; no secret is made of them.
pub(crate) fn random_bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// An identifier for a call that has none, unique in a conversation too.
fn made_id(seed: u64, number: usize) -> String {
    format!("call_0{seed:016x}{number}")
}

#[cfg(test)]
mod tests;
