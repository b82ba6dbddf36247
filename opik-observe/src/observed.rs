//! What `#[observe]` expands to. Not a part of the public API: it changes with the macro.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use opik_core::SpanType as Kind;
use pin_project_lite::pin_project;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::context::{EnterGuard, SpanHandle};
use crate::default::{default_recorder, is_in_use};
use crate::guard::{SpanGuard, short_type_name};
use crate::recorder::Recorder;

pub use opik_core::SpanType;

/// A span below the innermost one, of whatever recorder; else one of the default recorder. `None`
/// when nothing is recorded, which is told apart here, where it costs one load.
#[inline]
#[must_use = "the span ends when it is dropped"]
pub fn span(name: &'static str, kind: Kind) -> Option<SpanGuard> {
    if is_in_use() {
        find_place(name, kind)
    } else {
        None
    }
}

fn find_place(name: &'static str, kind: Kind) -> Option<SpanGuard> {
    match SpanHandle::current() {
        Some(parent) => Some(parent.span(name, kind)).filter(is_recorded),
        None => span_of(default_recorder(), name, kind),
    }
}

/// A span of this recorder; `None` when it is disabled.
#[inline]
#[must_use = "the span ends when it is dropped"]
pub fn span_of(recorder: &Recorder, name: &'static str, kind: Kind) -> Option<SpanGuard> {
    if recorder.is_enabled() {
        Some(recorder.span_in_context(name, kind)).filter(is_recorded)
    } else {
        None
    }
}

fn is_recorded(span: &SpanGuard) -> bool {
    span.id().is_some()
}

/// Calls it; a bound on `FnOnce` lets closures return what they borrow from their captures.
#[inline]
pub fn call<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Nothing, of any type.
#[inline]
#[must_use]
pub fn never<T>() -> Option<T> {
    None
}

/// A call of a function that is not `async`.
#[derive(Debug)]
pub struct SyncCall {
    // Left before the span ends.
    _entered: Option<EnterGuard>,
    span: Option<SpanGuard>,
}

impl SyncCall {
    /// Begins it.
    #[inline]
    #[must_use = "the span ends when it is dropped"]
    pub fn begin(span: Option<SpanGuard>) -> Self {
        Self {
            _entered: span.as_ref().map(SpanGuard::enter),
            span,
        }
    }

    /// Its span, where there is one.
    #[inline]
    pub fn recording(&mut self) -> Option<&mut SpanGuard> {
        self.span.as_mut()
    }
}

/// A call of an `async` function.
#[derive(Debug)]
pub struct AsyncCall {
    span: Option<SpanGuard>,
}

impl AsyncCall {
    /// Begins it.
    #[inline]
    #[must_use = "the span ends when it is dropped"]
    pub fn begin(span: Option<SpanGuard>) -> Self {
        Self { span }
    }

    /// Its span, where there is one.
    #[inline]
    pub fn recording(&mut self) -> Option<&mut SpanGuard> {
        self.span.as_mut()
    }

    /// Runs the body inside the span.
    #[inline]
    pub fn run<F: Future>(&self, work: F) -> Inside<F> {
        Inside {
            work,
            span: self.span.as_ref().map(SpanGuard::handle),
        }
    }

    /// Ends the span of a body that came to its end.
    #[inline]
    pub fn done(mut self) {
        self.span = None;
    }
}

impl Drop for AsyncCall {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span
            && !std::thread::panicking()
        {
            span.cancelled();
        }
    }
}

pin_project! {
    /// A body that runs inside a span, if there is one.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Inside<F> {
        #[pin]
        work: F,
        span: Option<SpanHandle>,
    }
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.as_ref().map(SpanHandle::enter);
        this.work.poll(context)
    }
}

/// An argument's name and value, and the arguments after it: a map.
pub struct Argument<'a, T: ?Sized, R>(pub &'static str, pub &'a T, pub R);

/// The entries of a map.
pub trait Entries {
    /// Writes them.
    ///
    /// # Errors
    /// That of the serializer.
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

impl Entries for () {
    fn write<M: SerializeMap>(&self, _: &mut M) -> Result<(), M::Error> {
        Ok(())
    }
}

impl<T: Serialize + ?Sized, R: Entries> Entries for Argument<'_, T, R> {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(self.0, self.1)?;
        self.2.write(map)
    }
}

impl<T: Serialize + ?Sized, R: Entries> Serialize for Argument<'_, T, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

impl<T: ?Sized, R> fmt::Debug for Argument<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Argument")
            .field(&self.0)
            .finish_non_exhaustive()
    }
}

/// What a function returned. Method resolution finds [`ReturnsResult`] for a `Result` and
/// [`ReturnsValue`], which needs one more reference, for everything else.
pub struct Returned<'a, T>(pub &'a T);

/// A `Result`: its value or its error.
pub trait ReturnsResult<'a> {
    /// Type of the value.
    type Value;
    /// Type of the error.
    type Error;
    /// The one or the other.
    fn parts(&self) -> (Option<&'a Self::Value>, Option<&'a Self::Error>);
}

impl<'a, T, E> ReturnsResult<'a> for Returned<'a, Result<T, E>> {
    type Value = T;
    type Error = E;
    fn parts(&self) -> (Option<&'a T>, Option<&'a E>) {
        (self.0.as_ref().ok(), self.0.as_ref().err())
    }
}

/// Anything: a value.
pub trait ReturnsValue<'a> {
    /// Type of the value.
    type Value;
    /// The value and no error.
    fn parts(&self) -> (Option<&'a Self::Value>, Option<&'a Infallible>);
}

impl<'a, T> ReturnsValue<'a> for &Returned<'a, T> {
    type Value = T;
    fn parts(&self) -> (Option<&'a T>, Option<&'a Infallible>) {
        (Some(self.0), None)
    }
}

/// An error. Method resolution finds the first of these that knows its type: [`ErrorByBox`],
/// [`ErrorByCause`], [`ErrorByText`], [`ErrorByName`].
pub struct Failure<'a, E>(pub &'a E);

/// A boxed error.
pub trait ErrorByBox {
    /// Records it.
    fn tell(&self, span: &mut SpanGuard);
}

impl<E: Error + ?Sized> ErrorByBox for &&&Failure<'_, Box<E>> {
    fn tell(&self, span: &mut SpanGuard) {
        span.error(&**self.0);
    }
}

/// An error with its causes.
pub trait ErrorByCause {
    /// Records it.
    fn tell(&self, span: &mut SpanGuard);
}

impl<E: Error> ErrorByCause for &&Failure<'_, E> {
    fn tell(&self, span: &mut SpanGuard) {
        span.error(self.0);
    }
}

/// What can be printed. With `#`, by which those that are no errors print their causes.
pub trait ErrorByText {
    /// Records it.
    fn tell(&self, span: &mut SpanGuard);
}

impl<E: fmt::Display> ErrorByText for &Failure<'_, E> {
    fn tell(&self, span: &mut SpanGuard) {
        span.fail(short_type_name::<E>(), &format!("{:#}", self.0));
    }
}

/// Anything: the name of its type.
pub trait ErrorByName {
    /// Records it.
    fn tell(&self, span: &mut SpanGuard);
}

impl<E> ErrorByName for Failure<'_, E> {
    fn tell(&self, span: &mut SpanGuard) {
        span.fail(short_type_name::<E>(), "");
    }
}

macro_rules! debug_name {
    ($($type:ident),+) => {$(
        impl<T> fmt::Debug for $type<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($type))
            }
        }
    )+};
}
debug_name!(Returned, Failure);
