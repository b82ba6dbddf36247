//! Ours: a recorder with one branch to a client of an Opik server.

use std::sync::Arc;
use std::time::Duration;

use opik_core::rest::{OpikClient, RetryPolicy};
use opik_core::wire::{List, WireBatch, WireExporter};
use opik_core::{Json, Span, SpanId, SpanType, Timestamp, TraceId, Usage};
use opik_observe::{Policy, PromptHash, Recorder, RecorderGuard};
use tokio::runtime::Runtime;

use crate::measure::Way;
use crate::workload::{INPUT_TOKENS, MODEL, OUTPUT_TOKENS, PER_TRACE, PROVIDER};

const LONG: Duration = Duration::from_secs(120);

pub fn client(address: &str, pack: bool) -> OpikClient {
    OpikClient::builder(format!("http://{address}/api"))
        .proxies(false)
        .compression(pack)
        .retry(RetryPolicy::brief())
        .build()
        .unwrap()
}

/// From the guard that a program holds to the server.
#[derive(Debug)]
pub struct Opik {
    recorder: Recorder,
    _guard: RecorderGuard,
}

impl Opik {
    /// By default a fingerprint of each prompt goes along, which the peers do not have; `hash` says
    /// which.
    pub fn start(address: &str, pack: bool, queue: usize, hash: PromptHash) -> Self {
        let policy = Policy::full_content().prompt_hash(hash);
        let exporter = Arc::new(client(address, pack));
        let (recorder, guard) = Recorder::builder()
            .project("bench")
            .max_pending_records(queue)
            .max_pending_bytes(queue * 4_096)
            .batch_records(1_000)
            .branch("opik", exporter, policy)
            .start()
            .unwrap();
        Self {
            recorder,
            _guard: guard,
        }
    }

    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }
}

/// Records spans as a program does.
pub fn record(recorder: &Recorder, prompts: &[String], spans: usize) {
    let usage = Usage::of_tokens(INPUT_TOKENS, OUTPUT_TOKENS);
    for first in (0..spans).step_by(PER_TRACE) {
        let trace = recorder.trace("job");
        for number in first..(first + PER_TRACE).min(spans) {
            let mut span = trace.span("chat", SpanType::Llm);
            span.model(MODEL, PROVIDER)
                .input(prompts[number % prompts.len()].as_str())
                .usage(&usage);
        }
    }
}

impl Way for Opik {
    fn send_all(&mut self, prompts: &[String], spans: usize) {
        let before = self.recorder.statistics().branches[0].exported;
        record(&self.recorder, prompts, spans);
        let report = self.recorder.flush(LONG);
        let branch = &report.statistics.branches[0];
        let sent = usize::try_from(branch.exported - before).unwrap();
        assert!(report.complete && sent >= spans, "{report:?}");
    }
}

/// Rows from values, and what a client makes of rows: parts of the way.
#[derive(Debug)]
pub struct Rows {
    client: OpikClient,
    runtime: Runtime,
    /// Rows that are encoded once and sent again and again.
    ready: Option<WireBatch>,
}

impl Rows {
    pub fn new(address: &str, pack: bool, ready: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            client: client(address, pack),
            runtime,
            ready: ready.then(WireBatch::default),
        }
    }

    fn encode(batch: &mut WireBatch, prompts: &[String], numbers: std::ops::Range<usize>) {
        let trace = TraceId::generate();
        for number in numbers {
            let start = Timestamp::now();
            let mut span = Span::new(SpanId::generate_at(start), trace, start);
            span.name = Some("chat".to_owned());
            span.r#type = Some(SpanType::Llm);
            span.end_time = Some(Timestamp::now());
            span.last_updated_at = span.end_time;
            span.model = Some(MODEL.to_owned());
            span.provider = Some(PROVIDER.to_owned());
            span.usage = Usage::of_tokens(INPUT_TOKENS, OUTPUT_TOKENS);
            span.input = Json::from_serialize(&prompts[number % prompts.len()]).ok();
            batch.push_span(&span, Some("bench"), start).unwrap();
        }
    }
}

impl Way for Rows {
    fn send_all(&mut self, prompts: &[String], spans: usize) {
        let keep = self.ready.is_some();
        let mut batch = self.ready.take().unwrap_or_default();
        for first in (0..spans).step_by(1_000) {
            let last = (first + 1_000).min(spans);
            if !keep || batch.rows(List::Spans).len() != last - first {
                batch.clear();
                Self::encode(&mut batch, prompts, first..last);
            }
            let sent = self.runtime.block_on(self.client.export_rows(&batch));
            assert_eq!(sent.unwrap().accepted, last - first);
        }
        if keep {
            self.ready = Some(batch);
        }
    }
}
