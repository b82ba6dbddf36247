//! The peers, each with an exporter that does nothing.

use std::hint::black_box;

use fastrace::collector::{Config, Reporter, SpanRecord};
use fastrace::prelude::{LocalSpan, Span, SpanContext};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::workload::{Around, SPANS, Tracer};

#[derive(Debug)]
struct Nothing;

impl Reporter for Nothing {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        black_box(spans.len());
    }
}

pub fn start_fastrace() {
    fastrace::set_reporter(Nothing, Config::default());
}

const FIXED: [(&str, &str); 2] = [("service", "shop"), ("region", "eu-west-1")];

fn properties(number: u32, text: &str) -> [(&'static str, String); 4] {
    [
        ("attempt", number.to_string()),
        ("rows", 4_096.to_string()),
        ("score", 0.5.to_string()),
        ("text", black_box(text).to_owned()),
    ]
}

#[derive(Debug)]
pub struct FastraceLocal;

impl Tracer for FastraceLocal {
    fn trace(&self, text: &str, around: &mut impl Around) {
        let root = Span::root("bench", SpanContext::random())
            .with_properties(|| FIXED)
            .with_properties(|| properties(0, text));
        let _entered = root.set_local_parent();
        for number in 1..SPANS {
            around.child(|| {
                let _span = LocalSpan::enter_with_local_parent("step")
                    .with_properties(|| FIXED)
                    .with_properties(|| properties(number, text));
            });
        }
    }

    fn settle(&self) {
        fastrace::flush();
    }
}

#[derive(Debug)]
pub struct FastraceSpan;

impl Tracer for FastraceSpan {
    fn trace(&self, text: &str, around: &mut impl Around) {
        let root = Span::root("bench", SpanContext::random())
            .with_properties(|| FIXED)
            .with_properties(|| properties(0, text));
        for number in 1..SPANS {
            around.child(|| {
                let _span = Span::enter_with_parent("step", &root)
                    .with_properties(|| FIXED)
                    .with_properties(|| properties(number, text));
            });
        }
    }

    fn settle(&self) {
        fastrace::flush();
    }
}

impl SpanExporter for Nothing {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch.len());
        Ok(())
    }
}

fn attributes(number: u32, text: &str) -> [KeyValue; 6] {
    [
        KeyValue::new("service", "shop"),
        KeyValue::new("region", "eu-west-1"),
        KeyValue::new("attempt", i64::from(number)),
        KeyValue::new("rows", 4_096),
        KeyValue::new("score", 0.5),
        KeyValue::new("text", black_box(text).to_owned()),
    ]
}

/// OpenTelemetry with its batch processor; attributes one by one or all at the start.
#[derive(Debug)]
pub struct Otel {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    builder: bool,
}

impl Otel {
    pub fn new(builder: bool) -> Self {
        let processor = BatchSpanProcessor::builder(Nothing).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .build();
        let tracer = provider.tracer("bench");
        Self {
            provider,
            tracer,
            builder,
        }
    }

    fn span(
        &self,
        name: &'static str,
        number: u32,
        text: &str,
        parent: &Context,
    ) -> opentelemetry_sdk::trace::Span {
        let attributes = attributes(number, text);
        if self.builder {
            self.tracer
                .span_builder(name)
                .with_attributes(attributes)
                .start_with_context(&self.tracer, parent)
        } else {
            let mut span = self.tracer.start_with_context(name, parent);
            for attribute in attributes {
                span.set_attribute(attribute);
            }
            span
        }
    }
}

impl Tracer for Otel {
    fn trace(&self, text: &str, around: &mut impl Around) {
        let none = Context::new();
        let root = none.with_span(self.span("bench", 0, text, &none));
        for number in 1..SPANS {
            around.child(|| self.span("step", number, text, &root).end());
        }
    }

    fn settle(&self) {
        self.provider.force_flush().expect("flush");
    }
}
