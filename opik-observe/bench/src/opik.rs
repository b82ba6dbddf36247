//! This project's recorder.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType};
use opik_observe::{Policy, Recorder, RecorderBuilder, RecorderGuard, Statistics};

use crate::workload::{Around, SPANS, Tracer};

/// Takes finished rows and does nothing with them.
#[derive(Debug)]
pub struct Rows;

#[async_trait::async_trait]
impl Exporter for Rows {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
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
        Self::start(Recorder::builder().branch("rows", Arc::new(Rows), Policy::default()))
    }

    pub fn discard() -> Self {
        Self::rows()
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
