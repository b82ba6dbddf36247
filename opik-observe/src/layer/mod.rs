//! Records the spans of the `tracing` crate.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use opik_observe::layer::OpikLayer;
//! use opik_observe::{Policy, Recorder};
//! use tracing_subscriber::layer::SubscriberExt as _;
//! # use opik_core::{Batch, ExportError, ExportReport, Exporter};
//! # #[derive(Debug)]
//! # struct Store;
//! # #[async_trait::async_trait]
//! # impl Exporter for Store {
//! #     async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
//! #         Ok(ExportReport::accepted(batch.len()))
//! #     }
//! #     async fn flush(&self) -> Result<(), ExportError> { Ok(()) }
//! # }
//! # let store: Arc<dyn Exporter> = Arc::new(Store);
//!
//! let (recorder, guard) = Recorder::builder()
//!     .branch("local", store, Policy::full_content())
//!     .start()?;
//! let subscriber = tracing_subscriber::registry().with(OpikLayer::new(recorder));
//! tracing::subscriber::with_default(subscriber, || {
//!     let _answer = tracing::info_span!("answer", opik.thread_id = "chat-7").entered();
//!     tracing::info_span!(
//!         "chat",
//!         gen_ai.operation.name = "chat",
//!         gen_ai.request.model = "gpt-5-mini",
//!         gen_ai.usage.input_tokens = 12,
//!         gen_ai.usage.output_tokens = 6,
//!     );
//! });
//! // Two spans, and the trace of the first.
//! assert_eq!(guard.shutdown(Duration::from_secs(3)).statistics.recorded, 3);
//! # Ok::<(), opik_observe::StartError>(())
//! ```
//!
//! # Spans
//!
//! - A span begins when it is made and ends when its last handle is dropped; since a child holds a
//!   handle of its parent, a parent ends after its children. How often, where and at the same time
//!   as what it is entered does not matter, so nothing of it can corrupt the nesting.
//! - The parent is tracing's: the one given with `parent:`, or else the one that the span is made
//!   in. Where that one is not recorded (by its level, or by a filter) it is the nearest recorded
//!   span around it.
//! - A span without a parent begins a trace of the same name, unless the thread is in a span of the
//!   recorder ([`SpanGuard::enter`](crate::SpanGuard::enter), [`FutureExt`](crate::FutureExt)): then
//!   it is a part of that one. With `parent: None` it begins a trace in any case.
//! - `follows_from` is no parent and is ignored.
//! - [`SpanExt::opik_handle`] leads from a `tracing::Span` to its Opik span.
//!
//! # Fields
//!
//! Fields that are given with the span or by `record` later, in the words of the layer (`opik.*`),
//! of OpenTelemetry for generative AI (`gen_ai.*`), of OpenInference (`llm.*`, `input.value`,
//! `openinference.span.kind`) or of OpenLLMetry (`traceloop.*`), become fields of the Opik span:
//!
//! | field | from, the first that is present wins |
//! |---|---|
//! | name | `opik.name`, `otel.name` (with the span only), or else the span's own |
//! | type | `opik.type`, `openinference.span.kind`, `gen_ai.operation.name`, `traceloop.span.kind`, `llm.request.type`; `llm` where a model is known, `tool` where a tool's name is; words that Opik has no type for are kept as metadata `source_type` |
//! | model | `opik.model`, `gen_ai.response.model`, `gen_ai.request.model`, `llm.model_name`, `embedding.model_name` |
//! | provider | `opik.provider`, `gen_ai.provider.name`, `gen_ai.system`, `llm.provider`, `llm.system` |
//! | usage | `opik.usage.<any>`, `gen_ai.usage.*`, `llm.token_count.*` |
//! | cost | `opik.cost`, `llm.cost.total`, `gen_ai.usage.cost` |
//! | input | `opik.input`, `input.value`, `gen_ai.input.messages`, `gen_ai.tool.call.arguments`, `traceloop.entity.input` |
//! | output | `opik.output`, `output.value`, `gen_ai.output.messages`, `gen_ai.tool.call.result`, `traceloop.entity.output` |
//! | tags | `opik.tags`, `tag.tags`: words between commas, or a JSON list |
//! | thread of the trace | `opik.thread_id`, `gen_ai.conversation.id`, `session.id`, on whichever span |
//! | error | `opik.error`, `error`, `exception.message`, `otel.status_message`; its type from `opik.error.type`, `error.type`, `exception.type` |
//!
//! Everything else is metadata under its own name (`opik.metadata.x` under `x`), so a branch that
//! [redacts](crate::Policy) drops it unless the policy allows the key. An input or output that is
//! the text of a JSON object or list becomes one.
//!
//! # Events
//!
//! An event of level `ERROR` is the error of the span that it happened in; with several the last
//! stays. All other events are ignored: a warning about a retry is no failure, and a log is no
//! trace.
//!
//! # Nothing is recorded
//!
//! - of spans less severe than [`OpikLayer::with_min_level`]; for anything finer, and to save the
//!   cost, use a filter of `tracing-subscriber` on the layer;
//! - of what the recorder's own threads do;
//! - of spans that another `OpikLayer` of the same subscriber records.

mod conventions;
mod fields;
mod handle;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use opik_core::SpanType;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::context;
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::recorder::{Core, Recorder};

use fields::{Fields, Plain, Visitor};
pub use handle::SpanExt;
use state::{OpikSpan, Thread};

/// A layer of a `tracing` subscriber that records its spans; see the [module](self).
///
/// It needs a subscriber on top of the registry of `tracing-subscriber`. With a
/// [disabled](Recorder::disabled) recorder it does nothing.
#[derive(Debug)]
pub struct OpikLayer {
    recorder: Recorder,
    min_level: Level,
}

impl OpikLayer {
    /// A layer that records spans of level `INFO` and above.
    #[must_use]
    pub fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            min_level: Level::INFO,
        }
    }

    /// Records spans of this level and the more severe ones. What the network libraries say at
    /// `DEBUG` and `TRACE` is seldom a step of a program.
    #[must_use]
    pub fn with_min_level(mut self, level: Level) -> Self {
        self.min_level = level;
        self
    }
}

/// Fields of a span or event. Called without a lock: it runs code of the program.
fn collect(core: &Core, record: impl FnOnce(&mut Visitor<Fields>)) -> Fields {
    let mut visitor = Visitor(Fields::new(core.field_bytes()));
    record(&mut visitor);
    let Visitor(fields) = visitor;
    for _ in 0..fields.lost_count() {
        core.field_lost();
    }
    fields
}

/// Begins the Opik span of a tracing span, and says whether a trace begins with it.
fn begin<S>(
    core: &Arc<Core>,
    attributes: &Attributes<'_>,
    span: &SpanRef<'_, S>,
    name: &Name<'_>,
    kind: &SpanType,
) -> (SpanGuard, bool)
where
    S: for<'a> LookupSpan<'a>,
{
    let outer = match nearest(core, span) {
        None if attributes.is_contextual() => context::current(core),
        outer => outer,
    };
    match outer {
        Some(outer) => (SpanGuard::begin(&outer, name, kind), false),
        None => (SpanGuard::begin_with_trace(core, name, kind), true),
    }
}

/// Begins the Opik span with its fields. Gives the conversation back, which belongs to the trace.
fn begin_with_fields<S>(
    core: &Arc<Core>,
    attributes: &Attributes<'_>,
    span: &SpanRef<'_, S>,
) -> (OpikSpan, Option<Thread>)
where
    S: for<'a> LookupSpan<'a>,
{
    let metadata = attributes.metadata();
    let mut names = metadata.fields().iter().map(|field| field.name());
    if !names.any(conventions::is_special) {
        let name = Name::from(metadata.name());
        let (mut guard, owns_trace) = begin(core, attributes, span, &name, &SpanType::General);
        attributes.record(&mut Visitor(Plain {
            core,
            guard: &mut guard,
        }));
        return (OpikSpan::new(guard, owns_trace, false), None);
    }
    let mut fields = collect(core, |visitor| attributes.record(visitor));
    let kind = fields.kind();
    let has_kind = kind.is_some();
    let kind = kind.unwrap_or(SpanType::General);
    let given = fields.take_name();
    let name = match &given {
        Some(name) => Name::from(name),
        None => Name::from(metadata.name()),
    };
    let (guard, owns_trace) = begin(core, attributes, span, &name, &kind);
    let mut state = OpikSpan::new(guard, owns_trace, has_kind);
    let thread = state.apply(fields);
    (state, thread)
}

/// The nearest recorded span around this one.
fn nearest<S>(core: &Arc<Core>, span: &SpanRef<'_, S>) -> Option<context::SpanHandle>
where
    S: for<'a> LookupSpan<'a>,
{
    let around = span.parent()?;
    let mut recorded = around
        .scope()
        .filter_map(|outer| with_state(core, &outer, |state| state.handle()));
    recorded.next()
}

/// Does something with the Opik span, if the tracing span has one of this recorder. The span is
/// locked meanwhile.
fn with_state<S, R>(
    core: &Arc<Core>,
    span: &SpanRef<'_, S>,
    work: impl FnOnce(&mut OpikSpan) -> R,
) -> Option<R>
where
    S: for<'a> LookupSpan<'a>,
{
    let mut extensions = span.extensions_mut();
    let state = extensions.get_mut::<OpikSpan>();
    state.filter(|state| state.is_of(core)).map(work)
}

/// Tells the trace its conversation: the span that it began with does.
fn tell_trace<S>(core: &Arc<Core>, span: &SpanRef<'_, S>, (name, thread): &Thread)
where
    S: for<'a> LookupSpan<'a>,
{
    let told = span.scope().any(|outer| {
        with_state(core, &outer, |state| state.thread_of_trace(thread)).unwrap_or(false)
    });
    if !told {
        with_state(core, span, |state| state.metadata(name, thread));
    }
}

impl<S> Layer<S> for OpikLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !self.recorder.is_enabled() || *attributes.metadata().level() > self.min_level {
            return;
        }
        let Some((core, span)) = self.recorder.active_core().zip(context.span(id)) else {
            return;
        };
        if span.extensions().get::<OpikSpan>().is_some() {
            return;
        }
        let (state, thread) = begin_with_fields(core, attributes, &span);
        span.extensions_mut().replace(state);
        if let Some(thread) = thread {
            tell_trace(core, &span, &thread);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let (Some(core), Some(span)) = (&self.recorder.core, context.span(id)) else {
            return;
        };
        if !context::is_suppressed() && with_state(core, &span, |_| ()).is_some() {
            let fields = collect(core, |visitor| values.record(visitor));
            let thread = with_state(core, &span, |state| state.apply(fields));
            if let Some(thread) = thread.flatten() {
                tell_trace(core, &span, &thread);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR || context::is_suppressed() {
            return;
        }
        let (Some(core), Some(span)) = (&self.recorder.core, context.event_span(event)) else {
            return;
        };
        let mut scope = span.scope();
        let recorded = scope.find(|outer| with_state(core, outer, |_| ()).is_some());
        if let Some(span) = recorded {
            let fields = collect(core, |visitor| event.record(visitor));
            with_state(core, &span, |state| state.fail(fields));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let (Some(core), Some(span)) = (&self.recorder.core, context.span(&id)) else {
            return;
        };
        // It ends when the lock is gone.
        let state = {
            let mut extensions = span.extensions_mut();
            let state = extensions.get_mut::<OpikSpan>();
            let own = state.is_some_and(|state| state.is_of(core));
            own.then(|| extensions.remove::<OpikSpan>()).flatten()
        };
        if let Some(state) = state {
            state.end();
        }
    }
}
