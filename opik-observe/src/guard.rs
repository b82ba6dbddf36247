//! Traces and spans under way.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use opik_core::model::ScoreTarget;
use opik_core::{SpanId, SpanType, TraceId, Usage};
use serde::Serialize;

use crate::active::Active;
use crate::clock::Clock;
use crate::context::{EnterGuard, SpanHandle};
use crate::name::Name;
use crate::raw::Tag;
use crate::recorder::Core;
use crate::redact::CANCELLED;
use crate::value::Value;

/// Text of an error with its causes.
pub(crate) struct Chain<'a, E: ?Sized>(pub(crate) &'a E);

impl<E: Error + ?Sized> fmt::Display for Chain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        // Bounded: nothing stops a foreign error from being its own source.
        for _ in 0..32 {
            let Some(cause) = source else { break };
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// The last part of a type's path without its parameters, for example `ParseIntError`; of
/// `dyn Error + Send` it is `Error`.
///
/// Half of all crates call their error `Error`: such a one goes with the part before, as people write
/// it, for example `io::Error`, whatever private module of that name it is in.
pub(crate) fn short_type_name<T: ?Sized>() -> Name<'static> {
    kind_of_path(std::any::type_name::<T>())
}

fn kind_of_path(full: &'static str) -> Name<'static> {
    let path = full.strip_prefix("dyn ").unwrap_or(full);
    let is_dyn = path.len() < full.len();
    let end = path.find(['<', ' ']).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or(path);
    let (before, last) = path.rsplit_once("::").unwrap_or(("", path));
    let mut before = before.rsplit("::");
    match before.find(|part| !matches!(*part, "" | "error" | "errors")) {
        // A type is a literal of the program.
        Some(part) if last == "Error" && !is_dyn => Name {
            text: format!("{part}::{last}").into(),
            declared: true,
        },
        _ => Name::from(last),
    }
}

/// Methods that traces and spans share.
macro_rules! shared_methods {
    () => {
        /// What goes in. Text, number or list become the field `input` of an object.
        ///
        /// A value that cannot be written as JSON is left out and counted.
        pub fn input<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.json(Tag::Input, value);
            }
            self
        }

        /// What comes out. Text, number or list become the field `output` of an object.
        pub fn output<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.json(Tag::Output, value);
            }
            self
        }

        /// Anything else about it, under a key. The last value of a key stays.
        #[inline(always)]
        pub fn metadata<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.keyed(Tag::Metadata, key, value);
            }
            self
        }

        /// A label.
        pub fn tag(&mut self, tag: &str) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.text(Tag::Label, tag);
            }
            self
        }

        /// It failed with this error: the kind is the name of the type (`ParseIntError`; `io::Error`
        /// where the name alone is `Error`), the text that of the error and its causes.
        pub fn error<E: Error + ?Sized>(&mut self, error: &E) -> &mut Self {
            if let Some(active) = &mut self.active {
                let kind = short_type_name::<E>();
                active.fail(&kind, Some(&Chain(error)));
            }
            self
        }

        /// It failed: a kind such as `Timeout`, and what the program says about it.
        ///
        /// A kind that is no literal is a [`Name::dynamic`], and [`Policy`](crate::Policy) decides on it.
        pub fn fail<'n>(&mut self, kind: impl Into<Name<'n>>, message: &str) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.fail(&kind.into(), Some(&message));
            }
            self
        }

        /// The first token of a streamed reply is there.
        pub fn first_token(&mut self) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.first_token();
            }
            self
        }

        /// The trace; `None` when nothing is recorded.
        #[must_use]
        pub fn trace_id(&self) -> Option<TraceId> {
            self.active.as_ref().map(|active| active.trace())
        }

        /// This as a parent, to take along to another thread or task.
        #[must_use]
        pub fn handle(&self) -> SpanHandle {
            self.active
                .as_ref()
                .map_or_else(disabled_handle, |active| active.handle())
        }

        /// Makes this the span that the thread is in, until the guard is dropped; see
        /// [`SpanHandle::enter`].
        pub fn enter(&self) -> EnterGuard {
            self.handle().enter()
        }

        /// Ends it now; the same as dropping it.
        pub fn end(self) {}

        pub(crate) fn cancelled(&mut self) {
            self.metadata(CANCELLED, true);
        }
    };
}

/// A trace under way. It ends when it is dropped, also by a panic, which is its error then.
#[must_use = "the trace ends when the guard is dropped: bind it to a variable"]
pub struct TraceGuard {
    active: Option<Box<Active>>,
}

/// A span under way. It ends when it is dropped, also by a panic, which is its error then.
#[must_use = "the span ends when the guard is dropped: bind it to a variable"]
pub struct SpanGuard {
    active: Option<Box<Active>>,
}

fn disabled_handle() -> SpanHandle {
    SpanHandle {
        core: None,
        trace: TraceId::from_bytes([0; 16]),
        span: None,
        clock: Clock::STOPPED,
    }
}

impl TraceGuard {
    pub(crate) fn disabled() -> Self {
        Self { active: None }
    }

    #[inline(always)]
    pub(crate) fn begin(core: &Arc<Core>, name: &Name<'_>) -> Self {
        Self {
            active: Some(Active::trace_begins(core, name)),
        }
    }

    shared_methods!();

    /// Begins a span at the top of the trace.
    ///
    /// A `&str` that is no literal goes in as [`Name::dynamic`], and
    /// [`Policy::names`](crate::Policy::names) decides whether it leaves.
    #[inline(always)]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write a variant; borrowing it would only add a sign"
    )]
    pub fn span<'a>(&self, name: impl Into<Name<'a>>, kind: SpanType) -> SpanGuard {
        match &self.active {
            Some(active) => SpanGuard::of(active.child(&name.into(), &kind)),
            None => SpanGuard::disabled(),
        }
    }

    /// The conversation that the trace is a turn of.
    pub fn thread_id(&mut self, thread: &str) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.text(Tag::ThreadId, thread);
        }
        self
    }

    /// Gives the trace a feedback score.
    pub fn score(&self, name: &str, value: f64) -> &Self {
        if let Some(active) = &self.active {
            active.score(ScoreTarget::Trace(active.trace()), name, value);
        }
        self
    }
}

impl SpanGuard {
    pub(crate) fn disabled() -> Self {
        Self { active: None }
    }

    pub(crate) fn begin(parent: &SpanHandle, name: &Name<'_>, kind: &SpanType) -> Self {
        Self::of(Active::span_begins(parent, name, kind))
    }

    pub(crate) fn begin_with_trace(core: &Arc<Core>, name: &Name<'_>, kind: &SpanType) -> Self {
        Self::of(Active::trace_and_span_begin(core, name, kind))
    }

    pub(crate) fn of(active: Option<Box<Active>>) -> Self {
        Self { active }
    }

    shared_methods!();

    /// Begins a span below this one.
    ///
    /// A `&str` that is no literal goes in as [`Name::dynamic`], and
    /// [`Policy::names`](crate::Policy::names) decides whether it leaves.
    #[inline(always)]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write a variant; borrowing it would only add a sign"
    )]
    pub fn child<'a>(&self, name: impl Into<Name<'a>>, kind: SpanType) -> Self {
        match &self.active {
            Some(active) => Self::of(active.child(&name.into(), &kind)),
            None => Self::disabled(),
        }
    }

    /// The span; `None` when nothing is recorded.
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.active.as_ref().and_then(|active| active.span())
    }

    /// The model that is called and who serves it. An empty provider is not stated.
    pub fn model(&mut self, name: &str, provider: &str) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.text(Tag::Model, name);
            if !provider.is_empty() {
                active.text(Tag::Provider, provider);
            }
        }
        self
    }

    /// Token counts of the call.
    pub fn usage(&mut self, usage: &Usage) -> &mut Self {
        if let Some(active) = &mut self.active {
            for (name, count) in &usage.0 {
                active.keyed(Tag::Usage, name, Value::Int(*count));
            }
        }
        self
    }

    /// Cost of the call in US dollars.
    pub fn cost(&mut self, dollars: f64) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.float(Tag::Cost, dollars);
        }
        self
    }

    /// Another kind than the one that it began with.
    #[cfg(feature = "tracing-layer")]
    pub(crate) fn kind(&mut self, kind: &SpanType) {
        if let Some(active) = &mut self.active {
            active.text(Tag::SpanType, kind.as_str());
        }
    }

    /// Who serves the model, when the model itself is told apart.
    #[cfg(feature = "tracing-layer")]
    pub(crate) fn provider(&mut self, provider: &str) {
        if let Some(active) = &mut self.active {
            active.text(Tag::Provider, provider);
        }
    }

    /// The conversation that the trace is a turn of, when the trace begins and ends with this span
    /// because the span began outside of any; see
    /// [`Recorder::span_in_context`](crate::Recorder::span_in_context). Elsewhere it does nothing.
    pub fn thread_id(&mut self, thread: &str) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.text(Tag::ThreadId, thread);
        }
        self
    }

    /// Gives the span a feedback score.
    pub fn score(&self, name: &str, value: f64) -> &Self {
        if let Some(active) = &self.active
            && let Some(span) = active.span()
        {
            active.score(ScoreTarget::Span(span), name, value);
        }
        self
    }
}

macro_rules! guard_traits {
    ($($guard:ident),+) => {$(
        impl Drop for $guard {
            #[inline(always)]
            fn drop(&mut self) {
                if let Some(active) = self.active.take() {
                    active.end();
                }
            }
        }

        impl fmt::Debug for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let handle = self.active.as_ref().map(|active| active.handle());
                f.debug_tuple(stringify!($guard)).field(&handle).finish()
            }
        }
    )+};
}
guard_traits!(TraceGuard, SpanGuard);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_called_error_says_whose_it_is() {
        for (path, kind) in [
            ("std::io::error::Error", "io::Error"),
            ("serde_json::error::Error", "serde_json::Error"),
            ("anyhow::Error", "anyhow::Error"),
            ("shop::errors::Error<alloc::string::String>", "shop::Error"),
            ("Error", "Error"),
            ("error::Error", "Error"),
            ("dyn core::error::Error + core::marker::Send", "Error"),
            ("core::num::error::ParseIntError", "ParseIntError"),
            ("str", "str"),
        ] {
            let name = kind_of_path(path);
            assert_eq!(name.text, kind, "{path}");
            assert!(name.declared, "{path}");
        }
        // As the compiler spells them.
        assert_eq!(short_type_name::<std::io::Error>().text, "io::Error");
        assert_eq!(
            short_type_name::<serde_json::Error>().text,
            "serde_json::Error"
        );
        assert_eq!(short_type_name::<fmt::Error>().text, "fmt::Error");
        assert_eq!(short_type_name::<dyn Error + Send>().text, "Error");
    }
}
