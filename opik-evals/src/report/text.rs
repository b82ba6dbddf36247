//! The report for a terminal.

use super::Document;
use super::escape::{shortened, terminal};
use super::figures::{chance, change, dollars, millis, percent, score, things};
use super::table::Table;
use crate::Interval;
use crate::compare::{Change, Comparison, MetricComparison, Verdict};
use crate::experiment::{Stopped, TaskErrorKind};
use crate::gate::GateReport;
use crate::summary::RunSummary;

/// Cases of a comparison that are listed.
const LISTED: usize = 10;

pub(super) fn text(document: &Document<'_>) -> String {
    let summary = &document.summary;
    let mut text = format!("{}\n{}\n", terminal(&summary.name), headline(summary));
    if !summary.metrics.is_empty() {
        text.push('\n');
        text.push_str(&metrics(summary));
    }
    for metric in &summary.metrics {
        if let Some(flaky) = &metric.flakiness {
            text.push_str(&format!(
                "{}: passes at least once in {} ({}), every time ({}), {} sometimes\n",
                terminal(&metric.name),
                flaky.k,
                percent(flaky.pass_at_k),
                percent(flaky.pass_all_k),
                things(flaky.flaky.len(), "item"),
            ));
        }
    }
    if !summary.slices.is_empty() {
        text.push('\n');
        text.push_str(&slices(summary));
    }
    let failed: Vec<_> = document
        .worst
        .iter()
        .filter(|case| case.error.is_some())
        .collect();
    if !failed.is_empty() {
        text.push_str("\nfailed trials");
        if failed.len() < summary.failed {
            text.push_str(&format!(
                " (the first {} of {})",
                failed.len().min(LISTED),
                summary.failed
            ));
        }
        text.push('\n');
        for case in failed.into_iter().take(LISTED) {
            let message = case.error.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "  {}: {}\n",
                terminal(&case.item),
                shortened(&terminal(message), 120)
            ));
        }
    }
    if let Some(comparison_of) = document.comparison {
        text.push('\n');
        text.push_str(&comparison(comparison_of));
    }
    if let Some(of) = document.gate {
        text.push('\n');
        text.push_str(&gate(of));
    }
    text
}

/// Size, failures, time and cost on one line.
pub(super) fn headline(summary: &RunSummary) -> String {
    let mut parts = vec![things(summary.trials, "trial")];
    if summary.trials != summary.items {
        parts.push(format!("of {}", things(summary.items, "item")));
    }
    let mut line = parts.join(" ");
    match summary.failed {
        0 => line.push_str(", none failed"),
        failed => line.push_str(&format!(", {failed} failed{}", kinds(summary))),
    }
    if summary.not_run > 0 {
        let why = match summary.stopped {
            Some(Stopped::Budget) => "the budget was spent",
            Some(Stopped::Cancelled) => "it was stopped",
            None => "it goes on when it is run again",
        };
        line.push_str(&format!(", {} not run: {why}", summary.not_run));
    }
    if summary.cached > 0 {
        line.push_str(&format!(", {} from the cache", summary.cached));
    }
    if let Some(time) = &summary.duration_ms {
        line.push_str(&format!(
            "; median {}, p95 {}",
            millis(time.median),
            millis(time.p95)
        ));
    }
    if let (Some(total), Some(cost)) = (summary.total_cost, &summary.cost) {
        line.push_str(&format!(
            "; {} in all, {} a trial",
            dollars(total),
            dollars(cost.mean)
        ));
    }
    line
}

/// In which ways trials failed, where that says more than that they did.
fn kinds(summary: &RunSummary) -> String {
    let kinds: Vec<String> = summary
        .failures
        .iter()
        .map(|(kind, count)| {
            let what = match kind {
                TaskErrorKind::Failed => "by the task",
                TaskErrorKind::Timeout => "out of time",
                TaskErrorKind::Panicked => "by a panic",
                TaskErrorKind::Program => "by its program",
                TaskErrorKind::Source => "unreadable",
            };
            format!("{count} {what}")
        })
        .collect();
    match summary.failures.keys().next() {
        Some(TaskErrorKind::Failed) if kinds.len() == 1 => String::new(),
        _ => format!(" ({})", kinds.join(", ")),
    }
}

fn metrics(summary: &RunSummary) -> String {
    let mut table = Table::new(&[
        "METRIC",
        ">MEAN",
        "95 % INTERVAL",
        ">MIN",
        ">MEDIAN",
        ">MAX",
        "PASSED",
        ">UNSCORED",
    ]);
    for metric in &summary.metrics {
        let of = |value: fn(&crate::statistics::Summary) -> f64| {
            metric
                .scores
                .as_ref()
                .map_or_else(dash, |scores| score(value(scores)))
        };
        let low = if metric.lower_is_better {
            " (low is good)"
        } else {
            ""
        };
        table.row(vec![
            format!("{}{low}", terminal(&metric.name)),
            metric.mean.map_or_else(dash, |mean| score(mean.value)),
            metric.mean.map_or_else(dash, interval),
            of(|scores| scores.min),
            of(|scores| scores.median),
            of(|scores| scores.max),
            metric.passed.map_or_else(dash, |passed| {
                format!(
                    "{} of {} ({})",
                    passed.passed,
                    passed.of,
                    percent(passed.rate.value)
                )
            }),
            metric.unscored.to_string(),
        ]);
    }
    table.render()
}

fn slices(summary: &RunSummary) -> String {
    let mut headings = vec!["SLICE", ">ITEMS", ">FAILED"];
    let names: Vec<String> = summary
        .metrics
        .iter()
        .map(|metric| format!(">{}", terminal(&metric.name)))
        .collect();
    headings.extend(names.iter().map(String::as_str));
    let mut table = Table::new(&headings);
    for slice in &summary.slices {
        let mut row = vec![
            format!(
                "{} = {}",
                terminal(&slice.field),
                shortened(&terminal(&slice.value), 40)
            ),
            slice.items.to_string(),
            slice.failed.to_string(),
        ];
        row.extend(slice.metrics.iter().map(|metric| {
            metric
                .scores
                .as_ref()
                .map_or_else(dash, |scores| score(scores.mean))
        }));
        table.row(row);
    }
    table.render()
}

pub(super) fn interval(interval: Interval) -> String {
    format!("{} to {}", score(interval.low), score(interval.high))
}

fn dash() -> String {
    "-".to_owned()
}

pub(super) fn verdict(metric: &MetricComparison) -> &'static str {
    match metric.verdict {
        Verdict::Improved => "better",
        Verdict::Regressed => "WORSE",
        Verdict::NoEvidence => "no evidence",
    }
}

pub(super) fn comparison(comparison: &Comparison) -> String {
    let (before, after) = (&comparison.before, &comparison.after);
    let mut text = format!("{} -> {}\n", terminal(&before.name), terminal(&after.name));
    let mut table = Table::new(&[
        "METRIC", ">BEFORE", ">AFTER", ">CHANGE", "INTERVAL", ">P", ">BETTER", ">WORSE", ">SAME",
        ">NEW", ">GONE", "VERDICT",
    ]);
    for metric in &comparison.metrics {
        table.row(metric_row(&metric.name, metric));
    }
    text.push_str(&table.render());
    for metric in &comparison.metrics {
        text.push_str(&remarks(metric));
    }
    if comparison.edited > 0 {
        text.push_str(&format!(
            "{} changed between the runs under the same identifier\n",
            things(comparison.edited, "item")
        ));
    }
    for (what, old, new, show) in [
        (
            "cost of a trial",
            before.cost,
            after.cost,
            dollars as fn(f64) -> String,
        ),
        ("median time", before.median_ms, after.median_ms, millis),
    ] {
        if let (Some(old), Some(new)) = (old, new) {
            text.push_str(&format!("{what}: {} -> {}\n", show(old), show(new)));
        }
    }
    if before.failed + after.failed > 0 {
        text.push_str(&format!(
            "failed trials: {} -> {}\n",
            before.failed, after.failed
        ));
    }
    if !comparison.slices.is_empty() {
        let mut table = Table::new(&[
            "SLICE", ">BEFORE", ">AFTER", ">CHANGE", "INTERVAL", ">P", ">BETTER", ">WORSE",
            ">SAME", ">NEW", ">GONE", "VERDICT",
        ]);
        for slice in &comparison.slices {
            for metric in &slice.metrics {
                let name = format!(
                    "{} = {}: {}",
                    slice.field,
                    shortened(&slice.value, 30),
                    metric.name
                );
                table.row(metric_row(&name, metric));
            }
        }
        text.push_str("\nby slice; chances are not corrected for the number of slices\n");
        text.push_str(&table.render());
    }
    text.push_str(&changed(comparison));
    text
}

fn metric_row(name: &str, metric: &MetricComparison) -> Vec<String> {
    vec![
        terminal(name).into_owned(),
        metric.mean_before.map_or_else(dash, score),
        metric.mean_after.map_or_else(dash, score),
        metric.change().map_or_else(dash, change),
        metric.difference.map_or_else(dash, |found| {
            format!("{} to {}", change(found.low), change(found.high))
        }),
        metric.p_corrected.or(metric.p).map_or_else(dash, chance),
        metric.improved.to_string(),
        metric.regressed.to_string(),
        metric.same.to_string(),
        metric.new.to_string(),
        metric.gone.to_string(),
        verdict(metric).to_owned(),
    ]
}

fn remarks(metric: &MetricComparison) -> String {
    let mut text = String::new();
    let name = terminal(&metric.name);
    if let Some(passes) = &metric.passes
        && let (Some(before), Some(after)) = (passes.before, passes.after)
    {
        text.push_str(&format!(
            "{name}: {} passed before, {} now; {} gained, {} lost\n",
            percent(before.value),
            percent(after.value),
            passes.gained,
            passes.lost,
        ));
    }
    if let Some(effect) = metric
        .minimum_detectable_effect
        .filter(|_| metric.verdict == Verdict::NoEvidence)
    {
        text.push_str(&format!(
            "{name}: a true change below {effect:.3} would most often go unseen\n"
        ));
    }
    if metric.unscored_before + metric.unscored_after > 0 {
        text.push_str(&format!(
            "{name}: {} items without a score before, {} now\n",
            metric.unscored_before, metric.unscored_after
        ));
    }
    text
}

/// The cases that changed, the worst first.
fn changed(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (change, heading) in [(Change::Regressed, "worse"), (Change::Improved, "better")] {
        let of: Vec<_> = comparison
            .cases
            .iter()
            .filter(|case| case.change == change)
            .collect();
        if of.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{heading} ({})\n", of.len()));
        for case in of.iter().take(LISTED) {
            let value = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), score);
            text.push_str(&format!(
                "  {}  {}: {} -> {}\n",
                terminal(&case.item),
                terminal(&case.metric),
                value(case.before),
                value(case.after),
            ));
        }
        if of.len() > LISTED {
            text.push_str(&format!("  and {} more\n", of.len() - LISTED));
        }
    }
    text
}

pub(super) fn gate(gate: &GateReport) -> String {
    let mut table = Table::new(&["", "THRESHOLD", ">FOUND", ">LIMIT", "WHY"]);
    for check in &gate.checks {
        table.row(vec![
            if check.passed { "ok" } else { "FAILED" }.to_owned(),
            terminal(&check.name).into_owned(),
            check.found.map_or_else(dash, score),
            score(check.limit),
            terminal(&check.detail).into_owned(),
        ]);
    }
    let failed = gate.failures().count();
    let verdict = if gate.passed {
        format!("passed: {} kept", things(gate.checks.len(), "threshold"))
    } else {
        format!(
            "failed: {failed} of {} not kept",
            things(gate.checks.len(), "threshold")
        )
    };
    format!("{}{verdict}\n", table.render())
}
