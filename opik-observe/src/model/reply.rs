//! A reply that is recorded as it passes.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::session::ToolCall;
use opik_core::{ChatEvent, ChatStream, ModelError, Usage};

use super::messages;
use crate::context::SpanHandle;
use crate::guard::{Chain, SpanGuard};
use crate::kept::KeptText;

/// Most tool calls of one reply that are kept, and most bytes of their arguments.
const MAX_CALLS: usize = 256;
const MAX_CALL_BYTES: usize = 1 << 20;

/// One question: its span, and what came of the reply so far.
///
/// Dropped before it has [ended](Self::end) it was cancelled, unless the last thing that came was
/// the end of the reply: who has seen that need not ask for more.
pub(super) struct Call {
    span: Option<SpanGuard>,
    words: KeptText,
    reasoning: KeptText,
    calls: Vec<ToolCall>,
    call_bytes: usize,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    began: bool,
}

impl Call {
    pub(super) fn new(span: SpanGuard) -> Self {
        let handle = span.handle();
        Self {
            span: Some(span),
            words: KeptText::for_span(&handle),
            reasoning: KeptText::for_span(&handle),
            calls: Vec::new(),
            call_bytes: 0,
            usage: None,
            finish: None,
            began: false,
        }
    }

    pub(super) fn handle(&self) -> SpanHandle {
        let span = self.span.as_ref();
        span.map_or_else(|| SpanGuard::disabled().handle(), SpanGuard::handle)
    }

    fn event(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::Text(text) => {
                self.begins();
                self.words.push(text);
            }
            ChatEvent::Reasoning(text) => {
                self.begins();
                self.reasoning.push(text);
            }
            ChatEvent::ToolCall(call) => {
                self.begins();
                let bytes = self
                    .call_bytes
                    .saturating_add(call.arguments.as_str().len());
                if bytes <= MAX_CALL_BYTES && self.calls.len() < MAX_CALLS {
                    self.call_bytes = bytes;
                    self.calls.push(call.clone());
                }
            }
            ChatEvent::Usage(usage) => self.usage = Some(usage.clone()),
            ChatEvent::Finish(reason) => self.finish = Some(reason.clone()),
            _ => {}
        }
    }

    fn begins(&mut self) {
        if !self.began
            && let Some(span) = &mut self.span
        {
            span.first_token();
        }
        self.began = true;
    }

    pub(super) fn fail(&mut self, error: &ModelError) {
        if let Some(span) = &mut self.span {
            span.fail(kind_name(error.kind()), &Chain(error).to_string());
        }
    }

    /// Ends the span with what came.
    pub(super) fn end(&mut self) {
        let Some(mut span) = self.span.take() else {
            return;
        };
        let finish = self.finish.as_ref().map(messages::finish_reason);
        if self.began || finish.is_some() {
            span.output(&messages::Reply {
                words: self.words.as_str(),
                reasoning: self.reasoning.as_str(),
                calls: &self.calls,
                finish,
            });
        }
        if let Some(finish) = finish {
            span.metadata("finish_reason", finish);
        }
        if let Some(usage) = &self.usage {
            span.usage(usage);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span
            && self.finish.is_none()
            && !std::thread::panicking()
        {
            span.cancelled();
        }
        self.end();
    }
}

/// Literals of the program, which pass every policy.
fn kind_name(kind: ModelErrorKind) -> &'static str {
    match kind {
        ModelErrorKind::Unavailable => "Unavailable",
        ModelErrorKind::Timeout => "Timeout",
        ModelErrorKind::RateLimited => "RateLimited",
        ModelErrorKind::Unauthorized => "Unauthorized",
        ModelErrorKind::ContextTooLong => "ContextTooLong",
        ModelErrorKind::InvalidRequest => "InvalidRequest",
        ModelErrorKind::Truncated => "Truncated",
        ModelErrorKind::Protocol => "Protocol",
        ModelErrorKind::Internal => "Internal",
        _ => "ModelError",
    }
}

/// A reply, and the call that it belongs to until it ends.
pub(super) struct Observed {
    // Dropped first: what the reply still does then belongs to the call.
    reply: ChatStream,
    handle: SpanHandle,
    call: Option<Call>,
}

impl Observed {
    pub(super) fn new(reply: ChatStream, call: Call) -> Self {
        Self {
            reply,
            handle: call.handle(),
            call: Some(call),
        }
    }
}

impl Stream for Observed {
    type Item = Result<ChatEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Taken out, so that a panic of the reply ends it on its way.
        let call = self.call.take();
        let entered = self.handle.enter();
        let polled = self.reply.as_mut().poll_next(context);
        drop(entered);
        let Some(mut call) = call else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(event))) => call.event(event),
            Poll::Ready(Some(Err(error))) => {
                call.fail(error);
                call.end();
                return polled;
            }
            Poll::Ready(None) => {
                call.end();
                return polled;
            }
            Poll::Pending => {}
        }
        self.call = Some(call);
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.reply.size_hint()
    }
}
