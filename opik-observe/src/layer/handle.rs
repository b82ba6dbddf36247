//! From a tracing span to its Opik span.

use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use super::OpikSpan;
use crate::context::SpanHandle;

mod sealed {
    pub trait Sealed {}
    impl Sealed for tracing::Span {}
}

/// What a tracing span is in Opik.
pub trait SpanExt: sealed::Sealed {
    /// The Opik span of this span, as a parent for spans of the recorder and for links; `None`
    /// when it is not recorded or has ended.
    ///
    /// ```
    /// use opik_core::SpanType;
    /// use opik_observe::layer::SpanExt as _;
    ///
    /// if let Some(here) = tracing::Span::current().opik_handle() {
    ///     here.span("lookup", SpanType::Tool).input("order 4711");
    /// }
    /// ```
    fn opik_handle(&self) -> Option<SpanHandle>;
}

impl SpanExt for tracing::Span {
    fn opik_handle(&self) -> Option<SpanHandle> {
        self.with_subscriber(|(id, subscriber)| {
            let span = subscriber.downcast_ref::<Registry>()?.span(id)?;
            span.extensions().get::<OpikSpan>().map(OpikSpan::handle)
        })
        .flatten()
    }
}
