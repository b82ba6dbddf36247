//! An exporter of one's own: counts spans by name and forgets them.
//!
//! Run it with `cargo run -p opik-examples --example custom_exporter`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType};
use opik_observe::{Policy, Recorder};

/// How often each kind of span was seen.
#[derive(Debug, Default)]
struct Counts(Mutex<BTreeMap<String, usize>>);

#[async_trait]
impl Exporter for Counts {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for span in &batch.spans {
            *counts
                .entry(format!(
                    "{} {}",
                    span.kind(),
                    span.name.as_deref().unwrap_or("-")
                ))
                .or_default() += 1;
        }
        Ok(ExportReport::accepted(batch.len()))
    }

    async fn flush(&self) -> Result<(), ExportError> {
        Ok(()) // nothing is kept back
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let counts = Arc::new(Counts::default());
    let (recorder, guard) = Recorder::builder()
        .branch(
            "counts",
            Arc::clone(&counts) as Arc<dyn Exporter>,
            Policy::metadata_only(),
        )
        .start()?;

    for _ in 0..3 {
        let trace = recorder.trace("answer");
        let search = trace.span("search", SpanType::Tool);
        search.child("fetch page", SpanType::Tool).end();
    }

    let report = guard.shutdown(Duration::from_secs(3));
    println!("complete: {}", report.complete);
    let counts = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, count) in counts.iter() {
        println!("{count} x {name}");
    }
    if counts.get("tool search") != Some(&3) {
        return Err("the exporter did not see every span".into());
    }
    Ok(())
}
