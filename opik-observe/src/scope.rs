//! What work can run in, and how it ends there.

use std::error::Error;

use crate::context::SpanHandle;
use crate::guard::{SpanGuard, TraceGuard};

pub(crate) mod sealed {
    use std::error::Error;

    pub trait Sealed {
        fn handle(&self) -> super::SpanHandle;
        fn cancelled(&mut self) {}
        fn first_token(&mut self) {}
        fn items(&mut self, _count: u64) {}
        fn output_text(&mut self, _text: &str) {}
        fn error<E: Error + ?Sized>(&mut self, _error: &E) {}
    }
}
use sealed::Sealed;

/// Metadata key of how many items a stream gave.
pub(crate) const ITEMS: &str = "items";

/// What a future or stream can run in: a [`SpanGuard`] or [`TraceGuard`], which then ends with it,
/// or a [`SpanHandle`], which ends nothing.
pub trait Scope: Sealed {}

impl Sealed for SpanHandle {
    fn handle(&self) -> SpanHandle {
        self.clone()
    }
}
impl Scope for SpanHandle {}

macro_rules! guards_are_scopes {
    ($($guard:ident),+) => {$(
        impl Sealed for $guard {
            fn handle(&self) -> SpanHandle {
                self.handle()
            }
            fn cancelled(&mut self) {
                self.cancelled();
            }
            fn first_token(&mut self) {
                self.first_token();
            }
            fn items(&mut self, count: u64) {
                self.metadata(ITEMS, count);
            }
            fn output_text(&mut self, text: &str) {
                self.output(text);
            }
            fn error<E: Error + ?Sized>(&mut self, error: &E) {
                self.error(error);
            }
        }
        impl Scope for $guard {}
    )+};
}
guards_are_scopes!(SpanGuard, TraceGuard);
