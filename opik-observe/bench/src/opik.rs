//! This project's recorder.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType};
use opik_observe::{
    Branch, Policy, Recorder, RecorderBuilder, RecorderGuard, StartRows, Statistics,
};

use crate::workload::{Around, SPANS, Tracer};

/// Takes finished records as values and does nothing with them.
#[derive(Debug)]
struct Values;

#[async_trait::async_trait]
impl Exporter for Values {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Takes finished records as the JSON that Opik's server gets and does nothing with them.
#[derive(Debug)]
struct Rows;

#[async_trait::async_trait]
impl Exporter for Rows {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait::async_trait]
impl WireExporter for Rows {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
}

/// A recorder and what keeps it alive.
#[derive(Debug)]
pub struct Opik {
    pub recorder: Recorder,
    guard: Option<RecorderGuard>,
}

impl Opik {
    pub fn rows() -> Self {
        let branch = Branch::new("rows", Arc::new(Rows), Policy::default());
        let branch = branch.start_rows(StartRows::Off);
        Self::start(Recorder::builder().add_branch(branch))
    }

    pub fn values() -> Self {
        Self::start(Recorder::builder().branch("values", Arc::new(Values), Policy::default()))
    }

    pub fn discard() -> Self {
        Self::start(Recorder::builder().add_branch(Branch::discard("discard")))
    }

    pub fn disabled() -> Self {
        Self {
            recorder: Recorder::disabled(),
            guard: None,
        }
    }

    fn start(builder: RecorderBuilder) -> Self {
        let (recorder, guard) = builder.start().expect("threads");
        Self {
            recorder,
            guard: Some(guard),
        }
    }

    pub fn shutdown(self) -> Option<Statistics> {
        let report = self.guard?.shutdown(Duration::from_secs(10));
        Some(report.statistics)
    }
}

macro_rules! attributes {
    ($scope:expr, $number:expr, $text:expr) => {{
        let scope = $scope;
        scope
            .metadata("service", "shop")
            .metadata("region", "eu-west-1");
        scope.metadata("attempt", $number).metadata("rows", 4_096);
        scope.metadata("score", 0.5).metadata("text", $text);
    }};
}

impl Tracer for Opik {
    fn trace(&self, text: &str, around: &mut impl Around) {
        let mut trace = self.recorder.trace("bench");
        attributes!(&mut trace, 0, black_box(text));
        for number in 1..SPANS {
            around.child(|| {
                let mut span = trace.span("step", SpanType::Tool);
                attributes!(&mut span, number, black_box(text));
            });
        }
    }

    fn settle(&self) {
        assert!(self.recorder.flush(Duration::from_secs(10)).complete);
    }
}
