//! How soon a turn says something after its source has answered.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{
    Batch, Exporter as _, Page, PageRequest, SourceError, Span, Trace, TraceId, TraceSource,
};
use opik_testkit::{MemoryStore, records};

use crate::world::{World, ask};

/// A source that remembers when it answered last, and how often it was asked.
#[derive(Debug)]
struct Watched {
    inner: MemoryStore,
    answered: Mutex<Option<Instant>>,
    traces: Mutex<usize>,
    pages: Mutex<usize>,
}

#[async_trait]
impl TraceSource for Watched {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        *self.traces.lock().unwrap() += 1;
        self.inner.trace(id).await
    }
    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        *self.pages.lock().unwrap() += 1;
        let page = self.inner.spans(trace, page).await;
        *self.answered.lock().unwrap() = Some(Instant::now());
        page
    }
    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        self.inner.search_traces(query).await
    }
    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        self.inner.search_spans(query).await
    }
}

/// Prints the times; what it asserts is that the first event does not wait for the evidence, and that
/// each thing is read once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_does_not_wait_for_the_evidence() {
    let world = World::new().await;
    let spans: Vec<Span> = (10..20_010)
        .map(|number| records::span(1, number))
        .collect();
    world
        .traces
        .export(&Batch::new(Vec::new(), spans))
        .await
        .unwrap();
    let source = Arc::new(Watched {
        inner: world.traces.clone(),
        answered: Mutex::default(),
        traces: Mutex::default(),
        pages: Mutex::default(),
    });
    let assistant = world.builder().source(Arc::clone(&source) as _).build();
    let turn = assistant.ask(ask("Why is it slow?")).await.unwrap();
    let mut events = turn.events(0);
    events.next().await.unwrap();
    let first = Instant::now();
    assert!(
        turn.outcome().is_none(),
        "the evidence is still being computed"
    );
    let answered = source.answered.lock().unwrap().unwrap();
    turn.finished().await;
    let (to_first, to_end) = (first - answered, answered.elapsed());
    println!(
        "first event {to_first:?} after the source answered, the end {to_end:?} (20,003 spans, unoptimised)"
    );
    assert_eq!(*source.traces.lock().unwrap(), 1);
    assert_eq!(
        *source.pages.lock().unwrap(),
        11,
        "20,003 spans in pages of 2,000"
    );
}
