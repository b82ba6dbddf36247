//! Which span this thread or task is in, and which threads record nothing.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use opik_core::{SpanId, SpanType, TraceId};

use crate::clock::Clock;
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::recorder::Core;

thread_local! {
    /// Entered spans, the innermost last, each with the number of its guard.
    static STACK: RefCell<Vec<(u64, SpanHandle)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
    static SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread record nothing from now on.
pub(crate) fn suppress_thread() {
    SUPPRESSED.set(true);
}

pub(crate) fn is_suppressed() -> bool {
    SUPPRESSED.get()
}

/// The innermost entered span of this recorder.
pub(crate) fn current(core: &Arc<Core>) -> Option<SpanHandle> {
    // `try_with`: destructors of other thread-locals may record when this one is gone.
    STACK
        .try_with(|stack| {
            stack
                .borrow()
                .iter()
                .rev()
                .map(|(_, handle)| handle)
                .find(|handle| {
                    handle
                        .core
                        .as_ref()
                        .is_some_and(|own| Arc::ptr_eq(own, core))
                })
                .cloned()
        })
        .ok()
        .flatten()
}

/// A span or trace as a parent: cheap to clone, and may be sent to other threads and tasks.
///
/// Children may begin and end after the span itself has ended.
#[derive(Clone)]
pub struct SpanHandle {
    pub(crate) core: Option<Arc<Core>>,
    pub(crate) trace: TraceId,
    pub(crate) span: Option<SpanId>,
    pub(crate) clock: Clock,
}

impl SpanHandle {
    /// The innermost span that this thread or task is in, of whatever recorder.
    ///
    /// Where the recorder is known, [`Recorder::current`](crate::Recorder::current) does not see
    /// the spans of others.
    #[must_use]
    pub fn current() -> Option<Self> {
        STACK
            .try_with(|stack| stack.borrow().last().map(|(_, handle)| handle.clone()))
            .ok()
            .flatten()
    }

    /// Begins a span below this one.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write a variant; borrowing it would only add a sign"
    )]
    pub fn span<'a>(&self, name: impl Into<Name<'a>>, kind: SpanType) -> SpanGuard {
        SpanGuard::begin(self, &name.into(), &kind)
    }

    /// The trace; all zeros when nothing is recorded.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// The span; `None` for the trace itself.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.span
    }

    /// Makes this the span that the thread is in, until the guard is dropped.
    ///
    /// In async code use [`FutureExt::in_span`](crate::FutureExt::in_span): between two polls
    /// a task may move to another thread.
    pub fn enter(&self) -> EnterGuard {
        let number = NEXT.get();
        NEXT.set(number.wrapping_add(1));
        // Where nothing is recorded there is nothing to be in.
        if self.core.is_some() {
            crate::default::is_in_use_now();
            STACK
                .try_with(|stack| stack.borrow_mut().push((number, self.clone())))
                .ok();
        }
        EnterGuard {
            number,
            _of_this_thread: PhantomData,
        }
    }
}

impl fmt::Debug for SpanHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanHandle")
            .field("trace", &self.trace)
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

/// Leaves the span when it is dropped. Guards may be dropped in any order.
#[derive(Debug)]
#[must_use = "the span is left when the guard is dropped: bind it to a variable such as `_entered`"]
pub struct EnterGuard {
    number: u64,
    /// Entering one thread and leaving another would corrupt both.
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        let left = STACK.try_with(|stack| {
            let mut stack = stack.borrow_mut();
            let place = stack.iter().rposition(|(number, _)| *number == self.number);
            place.map(|place| stack.remove(place))
        });
        // The handle is dropped after the stack is free again.
        drop(left);
    }
}
