//! Identifiers made from content: version 7 UUIDs, the only kind that Opik takes.

use opik_core::{SpanId, Timestamp, TraceId};

use crate::dataset::Item;
use crate::experiment::{Run, Trial, number};

/// 2025-01-01T00:00:00Z: items are older than every run, and no two runs may disagree about it.
const ITEMS: Timestamp = Timestamp::from_micros(1_735_689_600_000_000);

/// The identifier of an item of a dataset.
pub(super) fn item(project: &str, dataset: &str, item: &Item) -> String {
    let parts = ["item", project, dataset, &item.id(), &item.content_hash()];
    TraceId::from_parts(ITEMS, number(&parts)).to_string()
}

/// Identifiers of what one run sends to one place.
#[derive(Debug)]
pub(super) struct RunIds<'a> {
    run: &'a Run,
    place: String,
}

impl<'a> RunIds<'a> {
    pub(super) fn new(run: &'a Run, place: String) -> Self {
        Self { run, place }
    }

    fn bits(&self, kind: &str, trial: Option<&Trial>, [part, name]: [&str; 2]) -> u64 {
        let (item, repeat) = match trial {
            Some(trial) => (trial.item_id.as_str(), trial.repeat.to_string()),
            None => ("", String::new()),
        };
        number(&[
            kind,
            &self.place,
            &self.run.info().id,
            item,
            &repeat,
            part,
            name,
        ])
    }

    pub(super) fn experiment(&self) -> String {
        TraceId::from_parts(
            self.run.info().started_at,
            self.bits("experiment", None, ["", ""]),
        )
        .to_string()
    }

    pub(super) fn link(&self, trial: &Trial) -> String {
        let bits = self.bits("link", Some(trial), ["", ""]);
        TraceId::from_parts(self.run.info().started_at, bits).to_string()
    }

    pub(super) fn trace(&self, trial: &Trial) -> TraceId {
        let bits = self.bits("trace", Some(trial), ["", ""]);
        TraceId::from_parts(self.run.info().started_at, bits)
    }

    pub(super) fn span(&self, trial: &Trial, part: &str, name: &str) -> SpanId {
        let bits = self.bits("span", Some(trial), [part, name]);
        SpanId::from_parts(self.run.info().started_at, bits)
    }
}
