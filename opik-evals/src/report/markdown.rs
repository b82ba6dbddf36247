//! The report for a pull request.

use super::Document;
use super::escape::{markdown as safe, shortened};
use super::figures::{chance, change, percent, score, things};
use super::text::{headline, interval, verdict};
use crate::compare::{Change, Comparison};
use crate::gate::GateReport;

/// Cases that are listed of each kind.
const LISTED: usize = 10;

pub(super) fn markdown(document: &Document<'_>) -> String {
    let summary = &document.summary;
    let mark = match document.gate {
        Some(gate) if gate.passed => "\u{2705} ",
        Some(_) => "\u{274c} ",
        None => "",
    };
    let mut text = format!(
        "### {mark}{}\n\n{}\n\n",
        safe(&summary.name),
        safe(&headline(summary))
    );
    if let Some(of) = document.gate {
        text.push_str(&gate(of));
    }
    if !summary.metrics.is_empty() {
        text.push_str(
            "| metric | mean | 95 % interval | passed | unscored |\n|---|--:|---|---|--:|\n",
        );
        for metric in &summary.metrics {
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                safe(&metric.name),
                metric.mean.map_or_else(dash, |mean| score(mean.value)),
                metric.mean.map_or_else(dash, interval),
                metric.passed.map_or_else(dash, |passed| {
                    format!(
                        "{} of {} ({})",
                        passed.passed,
                        passed.of,
                        percent(passed.rate.value)
                    )
                }),
                metric.unscored,
            ));
        }
        text.push('\n');
    }
    if let Some(of) = document.comparison {
        text.push_str(&comparison(of));
    }
    let failed: Vec<_> = document
        .worst
        .iter()
        .filter(|case| case.error.is_some())
        .collect();
    if !failed.is_empty() {
        text.push_str(&format!(
            "<details><summary>{} failed</summary>\n\n",
            things(summary.failed, "trial")
        ));
        for case in failed.iter().take(LISTED) {
            let message = case.error.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "* {}: {}\n",
                safe(&case.item),
                safe(&shortened(message, 200))
            ));
        }
        text.push_str("\n</details>\n");
    }
    text
}

fn dash() -> String {
    "-".to_owned()
}

fn gate(gate: &GateReport) -> String {
    let failed = gate.failures().count();
    if gate.passed {
        return format!(
            "**Gate passed**: {} kept.\n\n",
            things(gate.checks.len(), "threshold")
        );
    }
    let mut text = format!(
        "**Gate failed**: {failed} of {} not kept.\n\n",
        things(gate.checks.len(), "threshold")
    );
    text.push_str("| threshold | found | limit | |\n|---|--:|--:|---|\n");
    for check in gate.failures() {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            safe(&check.name),
            check.found.map_or_else(dash, score),
            score(check.limit),
            safe(&shortened(&check.detail, 200)),
        ));
    }
    text.push('\n');
    text
}

pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut text = format!(
        "**{}** compared with **{}**\n\n",
        safe(&comparison.after.name),
        safe(&comparison.before.name)
    );
    text.push_str("| metric | before | after | change | interval | p | better | worse | same | new | gone | |\n");
    text.push_str("|---|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|---|\n");
    for metric in &comparison.metrics {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            safe(&metric.name),
            metric.mean_before.map_or_else(dash, score),
            metric.mean_after.map_or_else(dash, score),
            metric.change().map_or_else(dash, change),
            metric.difference.map_or_else(dash, |found| {
                format!("{} to {}", change(found.low), change(found.high))
            }),
            metric
                .p_corrected
                .or(metric.p)
                .map_or_else(dash, |p| safe(&chance(p))),
            metric.improved,
            metric.regressed,
            metric.same,
            metric.new,
            metric.gone,
            verdict(metric),
        ));
    }
    text.push('\n');
    let worse: Vec<_> = comparison
        .cases
        .iter()
        .filter(|case| case.change == Change::Regressed)
        .collect();
    if !worse.is_empty() {
        text.push_str(&format!(
            "<details><summary>worse ({})</summary>\n\n",
            worse.len()
        ));
        text.push_str("| item | metric | before | after |\n|---|---|--:|--:|\n");
        let value = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), score);
        for case in worse.iter().take(LISTED) {
            text.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                safe(&shortened(&case.item, 60)),
                safe(&case.metric),
                value(case.before),
                value(case.after)
            ));
        }
        text.push_str("\n</details>\n\n");
    }
    text
}
