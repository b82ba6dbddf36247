//! Traces and spans under way.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use opik_core::model::ScoreTarget;
use opik_core::{FeedbackScore, ScoreRecord, SpanId, SpanType, TraceId, Usage};
use serde::Serialize;

use crate::clock::Clock;
use crate::context::{EnterGuard, SpanHandle};
use crate::name::Name;
use crate::raw::{Head, Kind, Raw, Tag};
use crate::recorder::Core;
use crate::redact::CANCELLED;
use crate::value::Value;

/// Buffers that a thread keeps, and the largest that it keeps.
const KEPT_BUFFERS: usize = 16;
const KEPT_BYTES: usize = 16 << 10;

thread_local! {
    /// Empty buffers, so that recording allocates nothing once a thread is warm.
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> Vec<u8> {
    let kept = BUFFERS.try_with(|buffers| buffers.borrow_mut().pop());
    kept.ok().flatten().unwrap_or_default()
}

fn keep_buffer(buffer: Vec<u8>) {
    if buffer.capacity() <= KEPT_BYTES {
        BUFFERS
            .try_with(|buffers| {
                let mut buffers = buffers.borrow_mut();
                if buffers.len() < KEPT_BUFFERS {
                    buffers.push(buffer);
                }
            })
            .ok();
    }
}

/// A record under way, of whatever kind.
struct Active {
    handle: SpanHandle,
    raw: Raw,
    failed: bool,
    /// It began while the thread was unwinding, so that says nothing about its own end.
    began_in_panic: bool,
    /// The trace begins and ends with this span.
    owns_trace: bool,
}

impl Active {
    fn begin(
        core: &Arc<Core>,
        handle: SpanHandle,
        head: &Head<'_>,
        kind: Option<&SpanType>,
    ) -> Self {
        let mut raw = Raw::begin(take_buffer(), head);
        if let Some(kind) = kind {
            raw.text(Tag::SpanType, kind.as_str());
        }
        if core.wants_start_rows() {
            core.intake().preview(raw.as_bytes());
        }
        Self {
            handle,
            raw,
            failed: false,
            began_in_panic: std::thread::panicking(),
            owns_trace: false,
        }
    }

    fn json<T: Serialize + ?Sized>(&mut self, tag: Tag, value: &T) {
        if let Some(core) = &self.handle.core
            && !self.raw.json(tag, value, core.field_bytes())
        {
            core.field_lost();
        }
    }

    #[inline]
    fn keyed(&mut self, tag: Tag, key: &str, value: &Value<'_>) {
        if !self.raw.keyed(tag, key, value)
            && let Some(core) = &self.handle.core
        {
            core.field_lost();
        }
    }

    fn fail(&mut self, kind: &Name<'_>, message: Option<&dyn fmt::Display>) {
        self.failed = true;
        self.raw.name(Tag::ErrorType, kind);
        if let Some(message) = message {
            self.raw.text(Tag::ErrorText, &message.to_string());
        }
    }

    fn score(&self, target: ScoreTarget, name: &str, value: f64) {
        if let Some(core) = &self.handle.core {
            core.record_score(&ScoreRecord::new(target, FeedbackScore::new(name, value)));
        }
    }

    fn first_token(&mut self) {
        let clock = self.handle.clock;
        let micros = clock.now().micros_since(self.raw.start());
        let micros = u32::try_from(micros.max(0)).unwrap_or(u32::MAX);
        self.raw.float(Tag::FirstToken, f64::from(micros) / 1_000.0);
    }

    fn end(mut self) {
        if !self.failed && !self.began_in_panic && std::thread::panicking() {
            self.raw.name(Tag::ErrorType, &Name::from("panic"));
        }
        self.raw.end(self.handle.clock.now());
        if let Some(core) = &self.handle.core {
            core.intake().record(self.raw.as_bytes());
            if self.owns_trace {
                self.raw.turn_into_trace(*self.handle.trace.as_bytes());
                core.intake().record(self.raw.as_bytes());
            }
        }
        keep_buffer(self.raw.into_buffer());
    }
}

/// Text of an error with its causes.
struct Chain<'a, E: ?Sized>(&'a E);

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

/// The last part of a type's path without its parameters, for example `ParseIntError`.
fn short_type_name<T: ?Sized>() -> &'static str {
    let full = std::any::type_name::<T>();
    let full = full.split_once('<').map_or(full, |(path, _)| path);
    full.rsplit(':').next().unwrap_or(full)
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
        pub fn metadata<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.keyed(Tag::Metadata, key, &value.into());
            }
            self
        }

        /// A label.
        pub fn tag(&mut self, tag: &str) -> &mut Self {
            if let Some(active) = &mut self.active {
                active.raw.text(Tag::Label, tag);
            }
            self
        }

        /// It failed with this error: the kind is the name of the type, the text that of the error
        /// and its causes.
        pub fn error<E: Error + ?Sized>(&mut self, error: &E) -> &mut Self {
            if let Some(active) = &mut self.active {
                let kind = short_type_name::<E>();
                active.fail(&Name::from(kind), Some(&Chain(error)));
            }
            self
        }

        /// It failed: a kind such as `Timeout`, and what the program says about it.
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
            self.active.as_ref().map(|active| active.handle.trace)
        }

        /// This as a parent, to take along to another thread or task.
        #[must_use]
        pub fn handle(&self) -> SpanHandle {
            self.active
                .as_ref()
                .map_or_else(disabled_handle, |active| active.handle.clone())
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
    active: Option<Active>,
}

/// A span under way. It ends when it is dropped, also by a panic, which is its error then.
#[must_use = "the span ends when the guard is dropped: bind it to a variable"]
pub struct SpanGuard {
    active: Option<Active>,
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

    pub(crate) fn begin(core: &Arc<Core>, name: &Name<'_>) -> Self {
        let handle = new_trace(core);
        let head = Head {
            kind: Kind::Trace,
            id: *handle.trace.as_bytes(),
            trace: *handle.trace.as_bytes(),
            parent: None,
            start: handle.clock.origin(),
            name,
        };
        Self {
            active: Some(Active::begin(core, handle, &head, None)),
        }
    }

    shared_methods!();

    /// Begins a span at the top of the trace.
    pub fn span<'a>(&self, name: impl Into<Name<'a>>, kind: SpanType) -> SpanGuard {
        match &self.active {
            Some(active) => active.handle.span(name, kind),
            None => SpanGuard::disabled(),
        }
    }

    /// The conversation that the trace is a turn of.
    pub fn thread_id(&mut self, thread: &str) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.raw.text(Tag::ThreadId, thread);
        }
        self
    }

    /// Gives the trace a feedback score.
    pub fn score(&self, name: &str, value: f64) -> &Self {
        if let Some(active) = &self.active {
            active.score(ScoreTarget::Trace(active.handle.trace), name, value);
        }
        self
    }
}

fn new_trace(core: &Arc<Core>) -> SpanHandle {
    let clock = core.time().start();
    SpanHandle {
        core: Some(Arc::clone(core)),
        trace: TraceId::generate_at(clock.origin()),
        span: None,
        clock,
    }
}

impl SpanGuard {
    pub(crate) fn disabled() -> Self {
        Self { active: None }
    }

    pub(crate) fn begin(parent: &SpanHandle, name: &Name<'_>, kind: &SpanType) -> Self {
        let core = parent
            .core
            .as_ref()
            .filter(|core| core.admits_this_thread());
        let Some(core) = core else {
            return Self::disabled();
        };
        let start = parent.clock.now();
        let id = SpanId::generate_at(start);
        let head = Head {
            kind: Kind::Span,
            id: *id.as_bytes(),
            trace: *parent.trace.as_bytes(),
            parent: parent.span.map(|id| *id.as_bytes()),
            start,
            name,
        };
        let mut handle = parent.clone();
        handle.span = Some(id);
        Self {
            active: Some(Active::begin(core, handle, &head, Some(kind))),
        }
    }

    pub(crate) fn begin_with_trace(core: &Arc<Core>, name: &Name<'_>, kind: &SpanType) -> Self {
        let mut guard = Self::begin(&new_trace(core), name, kind);
        if let Some(active) = &mut guard.active {
            active.owns_trace = true;
        }
        guard
    }

    shared_methods!();

    /// Begins a span below this one.
    pub fn child<'a>(&self, name: impl Into<Name<'a>>, kind: SpanType) -> Self {
        match &self.active {
            Some(active) => active.handle.span(name, kind),
            None => Self::disabled(),
        }
    }

    /// The span; `None` when nothing is recorded.
    #[must_use]
    pub fn id(&self) -> Option<SpanId> {
        self.active.as_ref().and_then(|active| active.handle.span)
    }

    /// The model that is called and who serves it. An empty provider is not stated.
    pub fn model(&mut self, name: &str, provider: &str) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.raw.text(Tag::Model, name);
            if !provider.is_empty() {
                active.raw.text(Tag::Provider, provider);
            }
        }
        self
    }

    /// Token counts of the call.
    pub fn usage(&mut self, usage: &Usage) -> &mut Self {
        if let Some(active) = &mut self.active {
            for (name, count) in &usage.0 {
                active.keyed(Tag::Usage, name, &Value::Int(*count));
            }
        }
        self
    }

    /// Cost of the call in US dollars.
    pub fn cost(&mut self, dollars: f64) -> &mut Self {
        if let Some(active) = &mut self.active {
            active.raw.float(Tag::Cost, dollars);
        }
        self
    }

    /// Another kind than the one that it began with.
    #[cfg(feature = "tracing-layer")]
    pub(crate) fn kind(&mut self, kind: &SpanType) {
        if let Some(active) = &mut self.active {
            active.raw.text(Tag::SpanType, kind.as_str());
        }
    }

    /// Who serves the model, when the model itself is told apart.
    #[cfg(feature = "tracing-layer")]
    pub(crate) fn provider(&mut self, provider: &str) {
        if let Some(active) = &mut self.active {
            active.raw.text(Tag::Provider, provider);
        }
    }

    /// The conversation, for the trace that begins and ends with this span.
    #[cfg(feature = "tracing-layer")]
    pub(crate) fn thread_id(&mut self, thread: &str) {
        if let Some(active) = &mut self.active {
            active.raw.text(Tag::ThreadId, thread);
        }
    }

    /// Gives the span a feedback score.
    pub fn score(&self, name: &str, value: f64) -> &Self {
        if let Some(active) = &self.active
            && let Some(span) = active.handle.span
        {
            active.score(ScoreTarget::Span(span), name, value);
        }
        self
    }
}

macro_rules! guard_traits {
    ($($guard:ident),+) => {$(
        impl Drop for $guard {
            fn drop(&mut self) {
                if let Some(active) = self.active.take() {
                    active.end();
                }
            }
        }

        impl fmt::Debug for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let handle = self.active.as_ref().map(|active| &active.handle);
                f.debug_tuple(stringify!($guard)).field(&handle).finish()
            }
        }
    )+};
}
guard_traits!(TraceGuard, SpanGuard);
