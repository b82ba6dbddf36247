//! How soon a turn says something after its source has answered.
//!
//! Prints a table: spans of the trace, and milliseconds from the moment at which the source handed out
//! the last page to the first event (least, median and most of many turns), to the answer, and of the
//! peer: a task that is started and answers over a channel, which is the least that a turn can be. No
//! model is asked; sessions and traces are in memory.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark that prints a table"
)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use opik_assist::{Ask, Assistant};
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{
    Batch, Exporter as _, Page, PageRequest, SessionKey, SourceError, Span, Trace, TraceId,
    TraceSource,
};
use opik_testkit::{MemorySessions, MemoryStore, records};

/// A source that remembers when it answered last.
#[derive(Debug)]
struct Watched {
    inner: MemoryStore,
    answered: Mutex<Instant>,
}

impl Watched {
    fn note(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn answered(&self) -> Instant {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TraceSource for Watched {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        self.inner.trace(id).await
    }
    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        let page = self.inner.spans(trace, page).await;
        self.note();
        page
    }
    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        self.inner.search_traces(query).await
    }
    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        self.inner.search_spans(query).await
    }
}

/// Least, median and most, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |place: usize| {
        times
            .get(place)
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let last = times.len().saturating_sub(1);
    format!("{:.3} / {:.3} / {:.3}", at(0), at(last / 2), at(last))
}

async fn measure(spans: u32, turns: u32) {
    let store = MemoryStore::new();
    let all: Vec<Span> = (1..=spans).map(|number| records::span(1, number)).collect();
    let batch = Batch::new(vec![records::trace(1)], all);
    store.export(&batch).await.expect("a store in memory");
    let source = Arc::new(Watched {
        inner: store,
        answered: Mutex::new(Instant::now()),
    });
    let assistant = Assistant::builder(Arc::new(MemorySessions::new()))
        .source(Arc::clone(&source) as Arc<dyn TraceSource>)
        .build();
    let (mut first, mut end, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..turns {
        let key = SessionKey::new("bench", "ada", number.to_string());
        let ask = Ask::new(key, records::trace_id(1), "Why is it slow?");
        let turn = assistant.ask(ask).await.expect("a turn");
        turn.events(0).next().await.expect("an event");
        let told = Instant::now();
        first.push(told - source.answered());
        turn.finished().await;
        end.push(source.answered().elapsed());

        let begun = Instant::now();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { sender.send(()) });
        receiver.await.expect("an answer");
        peer.push(begun.elapsed());
    }
    println!(
        "{spans:>8}  {:>24}  {:>26}  {:>22}",
        spread(first),
        spread(end),
        spread(peer)
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{:>8}  {:>24}  {:>26}  {:>22}",
        "spans", "first event, ms", "answer, ms", "a task, ms"
    );
    runtime.block_on(async {
        for (spans, turns) in [(3, 2_000), (1_000, 200), (10_000, 40), (100_000, 8)] {
            measure(spans, turns).await;
        }
    });
}
