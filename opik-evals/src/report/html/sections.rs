//! The parts of the page that are about the run as a whole.

use std::fmt::Write as _;

use super::super::escape::{html as safe, shortened};
use super::super::figures::{percent, score, things};
use super::super::text::interval;
use super::super::{Confusion, TrendPoint};
use super::chart::{self, put};
use crate::experiment::Run;
use crate::gate::GateReport;
use crate::summary::{MetricSummary, RunSummary};

pub(super) fn gate(gate: &GateReport) -> String {
    let mut html = "<h2>Gate</h2><div class=\"scroll\"><table><tr><th></th><th>threshold</th><th class=\"n\">found</th><th class=\"n\">limit</th><th>why</th></tr>".to_owned();
    for check in &gate.checks {
        let (class, word) = if check.passed {
            ("good", "ok")
        } else {
            ("bad", "failed")
        };
        put!(
            html,
            "<tr><td class=\"{class}\">{word}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"t\">{}</td></tr>",
            safe(&check.name),
            check.found.map_or_else(|| "-".to_owned(), score),
            score(check.limit),
            safe(&check.detail)
        );
    }
    html.push_str("</table></div>");
    html
}

pub(super) fn metrics(run: &Run, summary: &RunSummary) -> String {
    if summary.metrics.is_empty() {
        return String::new();
    }
    let mut html = "<h2>Scores</h2><div class=\"grid\">".to_owned();
    for metric in &summary.metrics {
        put!(html, "<div class=\"card\"><h3>{}</h3>", safe(&metric.name));
        match metric.mean {
            Some(mean) => put!(
                html,
                "<p><span class=\"big\">{}</span> <span class=\"note\">mean; 95 % between {}</span></p>",
                score(mean.value),
                interval(mean).replace(" to ", " and ")
            ),
            None => html.push_str("<p class=\"note\">no scores</p>"),
        }
        let scores = run.scores(&metric.name);
        if !scores.is_empty() {
            html.push_str(&chart::distribution(
                &metric.name,
                &scores,
                metric.mean.map(|mean| mean.value),
            ));
        }
        put!(html, "<p class=\"note\">{}</p></div>", safe(&notes(metric)));
    }
    html.push_str("</div>");
    html
}

fn notes(metric: &MetricSummary) -> String {
    let mut notes = Vec::new();
    if let Some(passed) = metric.passed {
        notes.push(format!(
            "{} of {} passed ({})",
            passed.passed,
            passed.of,
            percent(passed.rate.value)
        ));
    }
    if let Some(flaky) = &metric.flakiness {
        notes.push(format!(
            "of {} repetitions, once {}, every time {}",
            flaky.k,
            percent(flaky.pass_at_k),
            percent(flaky.pass_all_k)
        ));
    }
    if metric.unscored > 0 {
        notes.push(format!(
            "{} without a score",
            things(metric.unscored, "trial")
        ));
    }
    if metric.lower_is_better {
        notes.push("low is good".to_owned());
    }
    notes.join("; ")
}

pub(super) fn confusion(confusion: &Confusion) -> String {
    let most = confusion
        .counts
        .iter()
        .flatten()
        .copied()
        .max()
        .unwrap_or(1)
        .max(1) as f64;
    let mut html = format!(
        "<h2>Labels</h2><p>{} right, F1 {} in the mean over labels{}.</p><div class=\"pair\"><div class=\"scroll\"><table class=\"matrix\"><tr><th class=\"r\">expected \u{2193} answered \u{2192}</th>",
        percent(confusion.accuracy),
        score(confusion.macro_f1),
        match confusion.left_out {
            0 => String::new(),
            left_out => format!(
                "; {} without both labels left out",
                things(left_out, "trial")
            ),
        }
    );
    for label in &confusion.labels {
        put!(html, "<th>{}</th>", safe(&shortened(label, 24)));
    }
    html.push_str("</tr>");
    for (place, (label, row)) in confusion.labels.iter().zip(&confusion.counts).enumerate() {
        put!(
            html,
            "<tr><th class=\"r\">{}</th>",
            safe(&shortened(label, 24))
        );
        for (column, count) in row.iter().enumerate() {
            // Strong enough to see, and weak enough to read the number on it.
            let strength = *count as f64 / most * 45.0;
            let colour = if place == column { "--good" } else { "--bad" };
            let paint = if *count == 0 {
                String::new()
            } else {
                format!(
                    " style=\"background:color-mix(in srgb,var({colour}) {strength:.0}%,transparent)\""
                )
            };
            put!(html, "<td{paint}>{count}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div><div class=\"scroll\"><table><tr><th>label</th><th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">F1</th><th class=\"n\">expected</th></tr>");
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    for of in &confusion.figures {
        put!(
            html,
            "<tr><td class=\"t\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            safe(&shortened(&of.label, 60)),
            share(of.precision),
            share(of.recall),
            score(of.f1),
            of.expected
        );
    }
    html.push_str("</table></div></div>");
    html
}

pub(super) fn slices(summary: &RunSummary) -> String {
    if summary.slices.is_empty() {
        return String::new();
    }
    let mut html = "<h2>Slices</h2><div class=\"scroll\"><table><tr><th>slice</th><th class=\"n\">items</th><th class=\"n\">failed</th>".to_owned();
    for metric in &summary.metrics {
        put!(html, "<th colspan=\"2\">{}</th>", safe(&metric.name));
    }
    html.push_str("</tr>");
    for slice in &summary.slices {
        put!(
            html,
            "<tr><td class=\"t\">{} = {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
            safe(&slice.field),
            safe(&shortened(&slice.value, 60)),
            slice.items,
            slice.failed
        );
        for (metric, of) in summary.metrics.iter().zip(&slice.metrics) {
            let Some(scores) = &of.scores else {
                html.push_str("<td class=\"n\">-</td><td></td>");
                continue;
            };
            // Scores beyond 0 to 1 are drawn against the largest of the metric.
            let most = metric.scores.as_ref().map_or(1.0, |all| all.max.max(1.0));
            let width = (scores.mean / most * 100.0).clamp(0.0, 100.0);
            put!(
                html,
                "<td class=\"n\">{}</td><td style=\"width:110px\"><svg viewBox=\"0 0 100 12\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\" style=\"height:12px;margin-top:5px\"><rect class=\"fs\" width=\"100\" height=\"12\" rx=\"2\"/><rect class=\"f\" width=\"{width:.1}\" height=\"12\" rx=\"2\"/></svg></td>",
                score(scores.mean),
                score(scores.mean)
            );
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    html
}

pub(super) fn trend(summary: &RunSummary, points: &[TrendPoint]) -> String {
    let mut html = format!(
        "<h2>Over {}</h2><p class=\"note\">The mean of each run, with the band in which it lies with 95 % confidence.</p><div class=\"grid\">",
        things(points.len(), "run")
    );
    for metric in &summary.metrics {
        if points
            .iter()
            .any(|point| point.mean(&metric.name).is_some())
        {
            put!(
                html,
                "<div class=\"card\"><h3>{}</h3>{}</div>",
                safe(&metric.name),
                chart::trend(&metric.name, points)
            );
        }
    }
    html.push_str("</div>");
    html
}
