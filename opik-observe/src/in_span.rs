//! Futures that run inside a span.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::context::SpanHandle;
use crate::scope::Scope;

/// Runs futures inside spans.
pub trait FutureExt: Future + Sized {
    /// Makes `span` the one that the task is in, at every poll and only then.
    ///
    /// A guard that is given away ends when the future is done. When the future is dropped before,
    /// its span gets the metadata `cancelled: true`.
    ///
    /// ```
    /// use opik_core::SpanType;
    /// use opik_observe::{FutureExt, Recorder};
    ///
    /// async fn answer(recorder: &Recorder) {
    ///     let trace = recorder.trace("answer");
    ///     let search = async {
    ///         // Below `search`, though nothing was passed along.
    ///         let _fetch = recorder.span_in_context("fetch", SpanType::Tool);
    ///     };
    ///     search.in_span(trace.span("search", SpanType::General)).await;
    /// }
    /// ```
    fn in_span<S: Scope>(self, span: S) -> InSpan<Self, S> {
        InSpan {
            work: self,
            handle: span.handle(),
            scope: Running { scope: Some(span) },
        }
    }
}

impl<F: Future> FutureExt for F {}

pin_project! {
    /// A future inside a span; see [`FutureExt::in_span`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct InSpan<F, S: Scope> {
        #[pin]
        work: F,
        handle: SpanHandle,
        scope: Running<S>,
    }
}

/// The span of a future that is not done.
#[derive(Debug)]
struct Running<S: Scope> {
    scope: Option<S>,
}

impl<S: Scope> Drop for Running<S> {
    fn drop(&mut self) {
        if let Some(mut scope) = self.scope.take() {
            scope.cancelled();
        }
    }
}

/// Ends the span while the panic of its future passes by, so that the span knows of it.
struct EndOnPanic<'a, S>(&'a mut Option<S>);

impl<S> Drop for EndOnPanic<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0 = None;
        }
    }
}

impl<F: Future, S: Scope> Future for InSpan<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let end = EndOnPanic(&mut this.scope.scope);
        let entered = this.handle.enter();
        let result = this.work.poll(cx);
        drop(entered);
        if result.is_ready() {
            *end.0 = None;
        }
        result
    }
}
