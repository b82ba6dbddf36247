//! How often the steps that people blame are in what a model would read.
//!
//! Run it with `cargo run --release -p opik-examples --example recall`. It packs the labelled runs of
//! AgentRx and Who&When that come with `opik-testkit` into 2,000, 4,000 and 8,000 tokens with
//! `opik_assist::context::pack`, for a question that names nothing, and looks for the blamed steps:
//! the root cause, and every step that people found to be a failure. A step is in a pack with a line
//! of its own, or with text, when some of what it said is there too.
//!
//! Beside it stands what a program does that knows nothing: the steps from the first on, and from the
//! last on, each with its whole output, until the tokens are used up.
//!
//! The points that rank the steps were chosen on one half of the runs by a hash of their source (see
//! the example `localisation`); the other half is shown by itself. No model is called.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::{BTreeMap, HashSet};

use opik_assist::analyse;
use opik_assist::context::tokens::estimate;
use opik_assist::context::{Budget, pack};
use opik_core::tree::NodeId;
use opik_core::{SpanId, TraceTree};
use opik_evals::bootstrap_mean;
use opik_testkit::fixtures::{LabelledTrace, labelled_traces};
use serde_json::Value;

const BUDGETS: [usize; 3] = [2_000, 4_000, 8_000];
const QUESTION: &str = "What went wrong in this run, and why?";
/// Draws of the bootstrap, and its seed.
const RESAMPLES: usize = 10_000;
const SEED: u64 = 20_260_000;

/// What was found of one run within one budget, as shares from 0 to 1.
struct Recall {
    /// The root cause: with a line, with text.
    root: (f64, f64),
    /// All blamed steps: with a line, with text.
    all: (f64, f64),
    /// The root cause among the first and the last steps.
    first: f64,
    last: f64,
    /// The tokens that were used, and those of the whole run.
    used: usize,
    whole: usize,
}

fn main() {
    let mut rows: BTreeMap<(String, usize), Vec<Recall>> = BTreeMap::new();
    for run in ["agentrx", "who_and_when"]
        .into_iter()
        .flat_map(labelled_traces)
    {
        let Some(root) = run.culprit() else {
            continue;
        };
        let set = run
            .source
            .rsplit_once('/')
            .map_or("", |(set, _)| set)
            .to_owned();
        let held_out = !fnv(&run.source).is_multiple_of(2);
        let blamed = blamed(&run, root);
        let tree = TraceTree::build(run.trace, run.spans);
        for budget in BUDGETS {
            let mut add = |set: &str| {
                let recall = recall(&tree, root, &blamed, budget);
                rows.entry((set.to_owned(), budget))
                    .or_default()
                    .push(recall);
            };
            add(&set);
            add("together");
            if held_out {
                add("together, held-out half");
            }
        }
    }
    println!(
        "Blamed steps within a number of tokens, in % with the 95 % interval of a bootstrap ({RESAMPLES} draws)."
    );
    println!("line: the step has a line of its own; text: some of what it said is there too.\n");
    println!(
        "{:<34} {:>6} {:>4} {:>7} {:>7}  {:<15} {:<15} {:<15} {:<15} {:<15} {:<15}",
        "data set",
        "budget",
        "n",
        "used",
        "whole",
        "root, line",
        "root, text",
        "all, line",
        "all, text",
        "first steps",
        "last steps"
    );
    for ((set, budget), recalls) in &rows {
        let cells = [
            |recall: &Recall| recall.root.0,
            |recall: &Recall| recall.root.1,
            |recall: &Recall| recall.all.0,
            |recall: &Recall| recall.all.1,
            |recall: &Recall| recall.first,
            |recall: &Recall| recall.last,
        ];
        let cells = cells.map(|of| cell(&recalls.iter().map(of).collect::<Vec<f64>>()));
        let middle = |of: fn(&Recall) -> usize| {
            let mut all: Vec<usize> = recalls.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or(0)
        };
        println!(
            "{set:<34} {budget:>6} {:>4} {:>7} {:>7}  {}",
            recalls.len(),
            middle(|recall| recall.used),
            middle(|recall| recall.whole),
            cells.map(|cell| format!("{cell:<15}")).join(" ").trim_end()
        );
    }
    println!(
        "\nused, whole: tokens of the pack and of all outputs of the run, medians, by the estimate of the packer."
    );
}

/// The steps that people found to be failures, the root cause among them.
fn blamed(run: &LabelledTrace, root: SpanId) -> HashSet<SpanId> {
    let failures = run.truth.get("failures").and_then(Value::as_array);
    let spans = failures
        .into_iter()
        .flatten()
        .filter_map(|failure| failure.get("span")?.as_str()?.parse().ok());
    spans.chain([root]).collect()
}

fn recall(tree: &TraceTree, root: SpanId, blamed: &HashSet<SpanId>, budget: usize) -> Recall {
    let pack = pack(tree, &analyse(tree), QUESTION, &Budget::new(budget));
    let found = |id: &SpanId| {
        let span = pack.span(*id);
        (
            share(span.is_some()),
            share(span.is_some_and(|span| span.with_text)),
        )
    };
    let known: Vec<&SpanId> = blamed
        .iter()
        .filter(|id| tree.find(**id).is_some())
        .collect();
    let mean = |of: fn((f64, f64)) -> f64| {
        let sum: f64 = known.iter().map(|id| of(found(id))).sum();
        sum / f64::from(u32::try_from(known.len().max(1)).unwrap_or(u32::MAX))
    };
    let text = |node: NodeId| {
        let span = tree.span(node);
        let output = span.output.as_ref().map_or("", |output| output.as_str());
        estimate(output) + estimate(span.name.as_deref().unwrap_or_default()) + 12
    };
    let within = |nodes: &mut dyn Iterator<Item = NodeId>| {
        let mut left = budget;
        for node in nodes {
            let tokens = text(node);
            if tokens > left {
                return false;
            }
            left -= tokens;
            if tree.span(node).id == root {
                return true;
            }
        }
        false
    };
    Recall {
        root: found(&root),
        all: (mean(|found| found.0), mean(|found| found.1)),
        first: share(within(&mut tree.nodes())),
        last: share(within(&mut tree.nodes().rev())),
        used: pack.tokens,
        whole: tree.nodes().map(text).sum(),
    }
}

fn share(hit: bool) -> f64 {
    f64::from(u8::from(hit))
}

/// FNV-1a, which splits the runs as the example `localisation` does.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn cell(values: &[f64]) -> String {
    bootstrap_mean(values, RESAMPLES, SEED).map_or("-".to_owned(), |mean| {
        let percent = |share: f64| share * 100.0;
        format!(
            "{:.0} [{:.0}, {:.0}]",
            percent(mean.value),
            percent(mean.low),
            percent(mean.high)
        )
    })
}
