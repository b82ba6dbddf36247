//! A record under way, of whatever kind, and those that a thread keeps for its next ones.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use opik_core::model::ScoreTarget;
use opik_core::{FeedbackScore, ScoreRecord, SpanId, SpanType, Timestamp, TraceId};
use serde::Serialize;

use crate::clock::Clock;
use crate::context::SpanHandle;
use crate::name::Name;
use crate::raw::{Head, Kind, Raw, Tag};
use crate::recorder::Core;
use crate::value::Value;

/// Records that a thread keeps when they are over, the usual size of one, and the size that one of
/// them may have.
const KEPT: usize = 16;
const KEPT_BYTES: usize = 16 << 10;
const KEPT_LARGE: usize = 64 << 10;

thread_local! {
    /// Records that are over. Each brings its buffer and its count of the recorder along, so that a
    /// warm thread neither allocates nor touches a counter that other threads touch.
    ///
    /// So a recorder that is closed may stay here, empty, until the thread records for another one
    /// or ends.
    #[expect(clippy::vec_box, reason = "guards hold them boxed, so they stay so")]
    static KEPT_RECORDS: RefCell<Vec<Box<Active>>> = const { RefCell::new(Vec::new()) };
}

/// A record under way.
pub(crate) struct Active {
    core: Arc<Core>,
    raw: Raw,
    clock: Clock,
    failed: bool,
    /// It began while the thread was unwinding, so that says nothing about its own end.
    began_in_panic: bool,
    /// The trace begins and ends with this span.
    owns_trace: bool,
}

impl Active {
    /// A trace that begins now.
    pub(crate) fn trace_begins(core: &Arc<Core>, name: &Name<'_>) -> Box<Self> {
        let clock = core.time().start();
        let id = *TraceId::generate_at(clock.origin()).as_bytes();
        let head = Head {
            kind: Kind::Trace,
            span_type: None,
            id,
            trace: id,
            parent: None,
            start: clock.origin(),
            name,
        };
        Self::begin(core, clock, &head)
    }

    /// A span that begins now; `None` when this thread must not record.
    pub(crate) fn span_begins(
        parent: &SpanHandle,
        name: &Name<'_>,
        kind: &SpanType,
    ) -> Option<Box<Self>> {
        let core = parent.core.as_ref()?;
        let (trace, span) = (parent.trace, parent.span);
        Self::span_below(core, trace, span, parent.clock, name, kind)
    }

    /// A span that begins now together with its trace.
    pub(crate) fn trace_and_span_begin(
        core: &Arc<Core>,
        name: &Name<'_>,
        kind: &SpanType,
    ) -> Option<Box<Self>> {
        let clock = core.time().start();
        let trace = TraceId::generate_at(clock.origin());
        let mut active = Self::span_below(core, trace, None, clock, name, kind)?;
        active.owns_trace = true;
        Some(active)
    }

    /// A span below this that begins now.
    pub(crate) fn child(&self, name: &Name<'_>, kind: &SpanType) -> Option<Box<Self>> {
        Self::span_below(
            &self.core,
            self.trace(),
            self.span(),
            self.clock,
            name,
            kind,
        )
    }

    #[inline]
    fn span_below(
        core: &Arc<Core>,
        trace: TraceId,
        parent: Option<SpanId>,
        clock: Clock,
        name: &Name<'_>,
        kind: &SpanType,
    ) -> Option<Box<Self>> {
        if !core.admits_this_thread() {
            return None;
        }
        let start = clock.now();
        let head = Head {
            kind: Kind::Span,
            span_type: Some(kind),
            id: *SpanId::generate_at(start).as_bytes(),
            trace: *trace.as_bytes(),
            parent: parent.map(|id| *id.as_bytes()),
            start,
            name,
        };
        Some(Self::begin(core, clock, &head))
    }

    #[inline]
    fn begin(core: &Arc<Core>, clock: Clock, head: &Head<'_>) -> Box<Self> {
        let mut active = Self::take(core);
        active.raw.begin(head);
        active.clock = clock;
        active.failed = false;
        active.began_in_panic = std::thread::panicking();
        active.owns_trace = false;
        if core.wants_start_rows() {
            core.intake().preview(active.raw.as_bytes());
        }
        active
    }

    #[inline]
    fn take(core: &Arc<Core>) -> Box<Self> {
        let kept = KEPT_RECORDS.try_with(|kept| kept.try_borrow_mut().ok()?.pop());
        match kept.ok().flatten() {
            Some(kept) if Arc::ptr_eq(&kept.core, core) => kept,
            other => Self::fresh(core, other),
        }
    }

    /// A record for this recorder, in place of one of another recorder where there is one.
    #[cold]
    fn fresh(core: &Arc<Core>, other: Option<Box<Self>>) -> Box<Self> {
        let core = Arc::clone(core);
        match other {
            Some(mut other) => {
                other.core = core;
                other
            }
            None => Box::new(Self {
                core,
                raw: Raw::default(),
                clock: Clock::STOPPED,
                failed: false,
                began_in_panic: false,
                owns_trace: false,
            }),
        }
    }

    #[inline]
    fn keep(self: Box<Self>) {
        let mut over = Some(self);
        KEPT_RECORDS
            .try_with(|kept| {
                if let Ok(mut kept) = kept.try_borrow_mut()
                    && kept.len() < KEPT
                {
                    let usual = |kept: &Self| kept.raw.capacity() <= KEPT_BYTES;
                    let fits = over.take_if(|over| {
                        usual(over)
                            || over.raw.capacity() <= KEPT_LARGE
                                && kept.iter().all(|kept| usual(kept))
                    });
                    kept.extend(fits);
                }
            })
            .ok();
        // What is not kept is dropped when the list is free again.
        drop(over);
    }

    pub(crate) fn trace(&self) -> TraceId {
        TraceId::from_bytes(self.raw.trace())
    }

    /// The span; `None` for a trace.
    pub(crate) fn span(&self) -> Option<SpanId> {
        self.raw.span().map(SpanId::from_bytes)
    }

    pub(crate) fn handle(&self) -> SpanHandle {
        SpanHandle {
            core: Some(Arc::clone(&self.core)),
            trace: self.trace(),
            span: self.span(),
            clock: self.clock,
        }
    }

    pub(crate) fn text(&mut self, tag: Tag, text: &str) {
        self.raw.text(tag, text);
    }

    pub(crate) fn float(&mut self, tag: Tag, number: f64) {
        self.raw.float(tag, number);
    }

    pub(crate) fn json<T: Serialize + ?Sized>(&mut self, tag: Tag, value: &T) {
        if !self.raw.json(tag, value, self.core.field_bytes()) {
            self.core.field_lost();
        }
    }

    /// Into the caller's code, up to where bytes are copied: there the compiler knows the form of the
    /// value and the length of the key, and sees that a disabled recorder does nothing.
    #[inline(always)]
    pub(crate) fn keyed<'v>(&mut self, tag: Tag, key: &str, value: impl Into<Value<'v>>) {
        if !self.raw.keyed(tag, key, value.into()) {
            self.core.field_lost();
        }
    }

    pub(crate) fn fail(&mut self, kind: &Name<'_>, message: Option<&dyn fmt::Display>) {
        self.failed = true;
        self.raw.name(Tag::ErrorType, kind);
        if let Some(message) = message {
            self.raw.text(Tag::ErrorText, &message.to_string());
        }
    }

    pub(crate) fn score(&self, target: ScoreTarget, name: &str, value: f64) {
        let score = FeedbackScore::new(name, value);
        self.core.record_score(&ScoreRecord::new(target, score));
    }

    pub(crate) fn first_token(&mut self) {
        let micros = self.clock.now().micros_since(self.raw.start());
        let micros = u32::try_from(micros.max(0)).unwrap_or(u32::MAX);
        self.raw.float(Tag::FirstToken, f64::from(micros) / 1_000.0);
    }

    pub(crate) fn end(mut self: Box<Self>) {
        let at: Timestamp = self.clock.now();
        if std::thread::panicking() && !self.failed && !self.began_in_panic {
            self.raw.name(Tag::ErrorType, &Name::from("panic"));
        }
        self.raw.end(at);
        self.core.intake().record(self.raw.as_bytes());
        if self.owns_trace {
            self.raw.turn_into_trace(*self.trace().as_bytes());
            self.core.intake().record(self.raw.as_bytes());
        }
        self.keep();
    }
}
