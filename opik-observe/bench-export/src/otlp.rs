//! OpenTelemetry: its batch processor and its exporter for OTLP over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use opentelemetry::trace::{SpanKind, TraceContextExt, Tracer as _, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, SpanData,
};

use crate::measure::Way;
use crate::workload::{INPUT_TOKENS, MODEL, OUTPUT_TOKENS, PER_TRACE, PROVIDER};

/// Counts the spans that the server took: the processor drops those that find no room.
#[derive(Debug)]
struct Counting {
    exporter: SpanExporter,
    taken: Arc<AtomicUsize>,
}

impl opentelemetry_sdk::trace::SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        if result.is_ok() {
            self.taken.fetch_add(spans, SeqCst);
        }
        result
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.exporter.set_resource(resource);
    }
}

#[derive(Debug)]
pub struct Otlp {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    taken: Arc<AtomicUsize>,
}

impl Otlp {
    pub fn start(address: &str, batch: usize, pack: bool, queue: usize) -> Self {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("http://{address}/v1/traces"))
            .with_timeout(Duration::from_secs(60));
        let exporter = if pack {
            exporter.with_compression(Compression::Gzip)
        } else {
            exporter
        };
        let config = BatchConfigBuilder::default()
            .with_max_export_batch_size(batch)
            .with_max_queue_size(queue)
            .build();
        let taken = Arc::default();
        let exporter = Counting {
            exporter: exporter.build().unwrap(),
            taken: Arc::clone(&taken),
        };
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(config)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("bench");
        Self {
            provider,
            tracer,
            taken,
        }
    }
}

impl Way for Otlp {
    fn send_all(&mut self, prompts: &[String], spans: usize) {
        let before = self.taken.load(SeqCst);
        let mut parent = Context::new();
        for number in 0..spans {
            let span = self
                .tracer
                .span_builder("chat")
                .with_kind(SpanKind::Client)
                .with_attributes([
                    KeyValue::new("gen_ai.operation.name", "chat"),
                    KeyValue::new("gen_ai.request.model", MODEL),
                    KeyValue::new("gen_ai.provider.name", PROVIDER),
                    KeyValue::new("gen_ai.usage.input_tokens", INPUT_TOKENS),
                    KeyValue::new("gen_ai.usage.output_tokens", OUTPUT_TOKENS),
                    KeyValue::new("input.value", prompts[number % prompts.len()].clone()),
                ]);
            if number % PER_TRACE == 0 {
                let root = span.start_with_context(&self.tracer, &Context::new());
                parent = Context::new().with_span(root);
            } else {
                drop(span.start_with_context(&self.tracer, &parent));
            }
        }
        drop(parent);
        // A flush gives up after five seconds, which a busy machine may need for packing.
        for _ in 0..20 {
            if self.provider.force_flush().is_ok() {
                break;
            }
        }
        assert_eq!(self.taken.load(SeqCst) - before, spans);
    }
}
