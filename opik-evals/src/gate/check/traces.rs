//! Thresholds of what analysis finds in recorded traces.

use std::collections::{BTreeMap, BTreeSet};

use super::Checks;
use crate::gate::{TraceFacts, TraceGates};
use crate::statistics::Summary;

impl Checks {
    pub(super) fn traces(
        &mut self,
        gates: &TraceGates,
        traces: Option<&[TraceFacts]>,
        baseline: Option<&[TraceFacts]>,
    ) {
        let given = traces
            .filter(|traces| !traces.is_empty())
            .ok_or("there are no traces");
        type Kinds = fn(&TraceFacts) -> &Vec<String>;
        let origins: Kinds = |facts| &facts.error_origins;
        let loops: Kinds = |facts| &facts.loops;
        for (name, limit, kinds) in [
            (
                "max_new_error_origins",
                gates.max_new_error_origins,
                origins,
            ),
            ("max_new_loops", gates.max_new_loops, loops),
        ] {
            let Some(limit) = limit else { continue };
            let new = given.map(|traces| new_kinds(traces, baseline.unwrap_or_default(), kinds));
            let note = new
                .as_ref()
                .map_or_else(|_| String::new(), |new| named(new));
            let found = new
                .as_ref()
                .map(|new| new.len() as f64)
                .map_err(|reason| *reason);
            self.at_most(format!("traces: {name}"), limit as f64, found, note);
        }
        let rate = |has: fn(&TraceFacts) -> bool| {
            given.map(|traces| {
                traces.iter().filter(|facts| has(facts)).count() as f64 / traces.len() as f64
            })
        };
        if let Some(limit) = gates.max_error_traces_rate {
            let found = rate(|facts| !facts.error_origins.is_empty());
            self.at_most(
                "traces: max_error_traces_rate".to_owned(),
                limit,
                found,
                "of the traces".to_owned(),
            );
        }
        if let Some(limit) = gates.max_loop_traces_rate {
            let found = rate(|facts| !facts.loops.is_empty());
            self.at_most(
                "traces: max_loop_traces_rate".to_owned(),
                limit,
                found,
                "of the traces".to_owned(),
            );
        }
        if let Some(limit) = gates.max_critical_path_p95_ms {
            let found = given.and_then(|traces| {
                let paths: Vec<f64> = traces
                    .iter()
                    .filter_map(|facts| Some(facts.critical_path_us? as f64 / 1_000.0))
                    .collect();
                let summary = Summary::of(&paths).ok_or("no trace has a critical path")?;
                Ok(summary.p95)
            });
            let note = "95 % are no longer".to_owned();
            self.at_most(
                "traces: max_critical_path_p95_ms".to_owned(),
                limit,
                found,
                note,
            );
        }
        if let Some(limit) = gates.max_cost {
            let found = given.and_then(|traces| {
                let costs: Vec<f64> = traces.iter().filter_map(|facts| facts.cost).collect();
                Ok(Summary::of(&costs)
                    .ok_or("no trace says what it cost")?
                    .mean)
            });
            self.at_most(
                "traces: max_cost".to_owned(),
                limit,
                found,
                "US dollars a trace".to_owned(),
            );
        }
    }
}

/// The kinds that no earlier trace has, and in how many traces each is.
fn new_kinds<'a>(
    traces: &'a [TraceFacts],
    baseline: &[TraceFacts],
    kinds: fn(&TraceFacts) -> &Vec<String>,
) -> BTreeMap<&'a str, usize> {
    let known: BTreeSet<&str> = baseline
        .iter()
        .flat_map(kinds)
        .map(String::as_str)
        .collect();
    let mut new = BTreeMap::new();
    for facts in traces {
        let of_trace: BTreeSet<&str> = kinds(facts).iter().map(String::as_str).collect();
        for kind in of_trace {
            if !known.contains(kind) {
                *new.entry(kind).or_default() += 1;
            }
        }
    }
    new
}

fn named(kinds: &BTreeMap<&str, usize>) -> String {
    const SHOWN: usize = 5;
    let mut texts: Vec<String> = kinds
        .iter()
        .take(SHOWN)
        .map(|(kind, count)| format!("{kind} ({count})"))
        .collect();
    if kinds.len() > SHOWN {
        texts.push(format!("and {} more", kinds.len() - SHOWN));
    }
    texts.join("; ")
}
