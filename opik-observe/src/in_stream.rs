//! Streams that run inside a span: replies that arrive piece by piece.
//!
//! The span lasts as long as the stream has something to say, and says how it ended:
//!
//! | what happens | the span |
//! |---|---|
//! | the first item | its first-token time, counted from the start of the span |
//! | the stream ends | ends |
//! | an item is an error, with [`fail_on_error`](StreamInSpan::fail_on_error) | ends with that error |
//! | the stream is dropped before its end | ends with the metadata `cancelled: true` |
//! | the stream panics | ends with the error `panic` |
//!
//! Each time the metadata `items` holds how many items came. What the stream gives, and when, stays
//! as it is: it is polled as before also after its end and after its error.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use pin_project_lite::pin_project;

use crate::context::SpanHandle;
use crate::kept::KeptText;
use crate::scope::Scope;

/// Runs streams inside spans.
pub trait StreamExt: Stream + Sized {
    /// Makes `span` the one that the task is in, at every poll and only then.
    ///
    /// The first item sets the first-token time. A guard that is given away ends with the stream;
    /// when the stream is dropped before, its span gets the metadata `cancelled: true`. Either way
    /// `items` says how many came.
    ///
    /// ```
    /// use futures_core::Stream;
    /// use opik_core::{ModelError, SpanType};
    /// use opik_observe::{Recorder, StreamExt};
    ///
    /// fn observed<S>(recorder: &Recorder, reply: S) -> impl Stream<Item = S::Item>
    /// where
    ///     S: Stream<Item = Result<String, ModelError>>,
    /// {
    ///     let mut span = recorder.span_in_context("chat", SpanType::Llm);
    ///     span.model("gpt-5-mini", "openai");
    ///     reply
    ///         .in_span(span)
    ///         .fail_on_error()
    ///         .output_text(|piece: &Result<String, _>| piece.as_deref().ok())
    /// }
    /// ```
    fn in_span<S: Scope>(self, span: S) -> StreamInSpan<Self, S> {
        let handle = span.handle();
        StreamInSpan {
            work: self,
            progress: Progress {
                scope: Some(span),
                items: 0,
                text: KeptText::for_span(&handle),
            },
            handle,
            watch: (),
        }
    }
}

impl<T: Stream> StreamExt for T {}

pin_project! {
    /// A stream inside a span; see [`StreamExt::in_span`].
    #[must_use = "streams do nothing unless polled"]
    pub struct StreamInSpan<T, S: Scope, W = ()> {
        #[pin]
        work: T,
        handle: SpanHandle,
        progress: Progress<S>,
        watch: W,
    }
}

impl<T: Stream, S: Scope, W> StreamInSpan<T, S, W> {
    /// Ends the span with the first item that is an error, and records the error.
    ///
    /// Items after it pass as before. For items whose error does not implement [`Error`] use
    /// [`each`](Self::each) and [`SpanGuard::fail`](crate::SpanGuard::fail).
    pub fn fail_on_error<I, E>(self) -> StreamInSpan<T, S, (W, FailOnError)>
    where
        T: Stream<Item = Result<I, E>>,
        E: Error,
    {
        self.and(FailOnError(()))
    }

    /// Joins these texts of the items and records them as the output of the span, however it ends.
    ///
    /// No more is kept than the recorder takes; see
    /// [`RecorderBuilder::max_field_bytes`](crate::RecorderBuilder::max_field_bytes). Nothing is
    /// kept when nothing is recorded.
    pub fn output_text<F>(self, text: F) -> StreamInSpan<T, S, (W, Text<F>)>
    where
        F: FnMut(&T::Item) -> Option<&str>,
    {
        self.and(Text(text))
    }

    /// Shows every item to a function together with the span, until the span ends.
    ///
    /// ```
    /// # use futures_core::Stream;
    /// # use opik_core::{ChatEvent, SpanType};
    /// # use opik_observe::{SpanGuard, StreamExt as _};
    /// # fn observed<S: Stream<Item = ChatEvent>>(reply: S, span: SpanGuard) -> impl Stream<Item = ChatEvent> {
    /// reply.in_span(span).each(|span, event| {
    ///     if let ChatEvent::Usage(usage) = event {
    ///         span.usage(usage);
    ///     }
    /// })
    /// # }
    /// ```
    pub fn each<F>(self, watch: F) -> StreamInSpan<T, S, (W, Each<F>)>
    where
        F: FnMut(&mut S, &T::Item),
    {
        self.and(Each(watch))
    }

    fn and<N>(self, next: N) -> StreamInSpan<T, S, (W, N)> {
        StreamInSpan {
            work: self.work,
            handle: self.handle,
            progress: self.progress,
            watch: (self.watch, next),
        }
    }
}

/// What looks at the items on behalf of the span.
pub trait Watch<S, I>: sealed::Sealed {
    /// Whether the item is a failure, which it records.
    #[doc(hidden)]
    fn fails(&mut self, _scope: &mut S, _item: &I) -> bool {
        false
    }

    /// An item that is no failure.
    #[doc(hidden)]
    fn item(&mut self, _scope: &mut S, _text: &mut KeptText, _item: &I) {}
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for () {}
impl<S, I> Watch<S, I> for () {}

impl<A, B> sealed::Sealed for (A, B) {}
impl<S, I, A: Watch<S, I>, B: Watch<S, I>> Watch<S, I> for (A, B) {
    fn fails(&mut self, scope: &mut S, item: &I) -> bool {
        self.0.fails(scope, item) || self.1.fails(scope, item)
    }

    fn item(&mut self, scope: &mut S, text: &mut KeptText, item: &I) {
        self.0.item(scope, text, item);
        self.1.item(scope, text, item);
    }
}

/// See [`StreamInSpan::fail_on_error`].
#[derive(Debug)]
pub struct FailOnError(());

impl sealed::Sealed for FailOnError {}
impl<S: Scope, I, E: Error> Watch<S, Result<I, E>> for FailOnError {
    fn fails(&mut self, scope: &mut S, item: &Result<I, E>) -> bool {
        if let Err(error) = item {
            scope.error(error);
        }
        item.is_err()
    }
}

/// See [`StreamInSpan::output_text`].
pub struct Text<F>(F);

impl<F> sealed::Sealed for Text<F> {}
impl<S, I, F: FnMut(&I) -> Option<&str>> Watch<S, I> for Text<F> {
    fn item(&mut self, _: &mut S, kept: &mut KeptText, item: &I) {
        if kept.is_on()
            && let Some(text) = (self.0)(item)
        {
            kept.push(text);
        }
    }
}

/// See [`StreamInSpan::each`].
pub struct Each<F>(F);

impl<F> sealed::Sealed for Each<F> {}
impl<S, I, F: FnMut(&mut S, &I)> Watch<S, I> for Each<F> {
    fn item(&mut self, scope: &mut S, _: &mut KeptText, item: &I) {
        (self.0)(scope, item);
    }
}

/// The span of a stream, and what came so far.
struct Progress<S: Scope> {
    /// `None` once the span has ended.
    scope: Option<S>,
    items: u64,
    text: KeptText,
}

impl<S: Scope> Progress<S> {
    fn item<I>(&mut self, item: &I, watch: &mut impl Watch<S, I>) {
        let Some(scope) = &mut self.scope else { return };
        if watch.fails(scope, item) {
            return self.end();
        }
        if self.items == 0 {
            scope.first_token();
        }
        self.items += 1;
        watch.item(scope, &mut self.text, item);
    }

    fn end(&mut self) {
        if let Some(mut scope) = self.scope.take() {
            scope.items(self.items);
            let text = std::mem::take(&mut self.text);
            if !text.as_str().is_empty() {
                scope.output_text(text.as_str());
            }
        }
    }
}

impl<S: Scope> Drop for Progress<S> {
    fn drop(&mut self) {
        if let Some(scope) = &mut self.scope {
            scope.cancelled();
        }
        self.end();
    }
}

/// Ends the span while the panic of its stream passes by, so that the span knows of it.
struct EndOnPanic<'a, S: Scope>(&'a mut Progress<S>);

impl<S: Scope> Drop for EndOnPanic<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

impl<T: Stream, S: Scope, W: Watch<S, T::Item>> Stream for StreamInSpan<T, S, W> {
    type Item = T::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let this = self.project();
        let progress = EndOnPanic(this.progress);
        // Also after the end of the span: what the stream still begins keeps its parent.
        let _entered = this.handle.enter();
        let polled = this.work.poll_next(context);
        match &polled {
            Poll::Ready(Some(item)) => progress.0.item(item, this.watch),
            Poll::Ready(None) => progress.0.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.work.size_hint()
    }
}

impl<T: FusedStream, S: Scope, W: Watch<S, T::Item>> FusedStream for StreamInSpan<T, S, W> {
    fn is_terminated(&self) -> bool {
        self.work.is_terminated()
    }
}

impl<T: fmt::Debug, S: Scope, W> fmt::Debug for StreamInSpan<T, S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamInSpan")
            .field("work", &self.work)
            .field("span", &self.handle)
            .field("items", &self.progress.items)
            .finish_non_exhaustive()
    }
}

macro_rules! debug_name {
    ($($watch:ident),+) => {$(
        impl<F> fmt::Debug for $watch<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($watch))
            }
        }
    )+};
}
debug_name!(Text, Each);
