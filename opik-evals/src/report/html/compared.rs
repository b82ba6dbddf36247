//! The part of the page that compares with an earlier run.

use std::fmt::Write as _;

use super::super::escape::{html as safe, shortened};
use super::super::figures::{chance, change, percent, score, things};
use super::super::text::verdict;
use super::chart::{self, put};
use crate::compare::{CaseChange, Change, Comparison, MetricComparison, Verdict};

/// Cases of each kind that are listed.
const LISTED: usize = 50;

pub(super) fn section(comparison: &Comparison) -> String {
    let mut html = format!(
        "<h2>Compared with {}</h2><p class=\"note\">Differences over items that both runs scored, with intervals of {:.0} % confidence; chances are corrected for the number of metrics.</p>",
        safe(&comparison.before.name),
        comparison.confidence * 100.0
    );
    html.push_str(&chart::differences(&comparison.metrics));
    html.push_str("<div class=\"scroll\">");
    html.push_str(HEAD);
    for metric in &comparison.metrics {
        html.push_str(&row(&safe(&metric.name), metric));
    }
    html.push_str("</table></div>");
    for metric in &comparison.metrics {
        html.push_str(&remark(metric));
    }
    if comparison.edited > 0 {
        put!(
            html,
            "<p class=\"note bad\">{} changed between the runs under the same identifier.</p>",
            things(comparison.edited, "item")
        );
    }
    if !comparison.slices.is_empty() {
        html.push_str("<details><summary>by slice</summary><div class=\"scroll\">");
        html.push_str(HEAD);
        for slice in &comparison.slices {
            for metric in &slice.metrics {
                let name = format!(
                    "{} = {}: {}",
                    safe(&slice.field),
                    safe(&shortened(&slice.value, 40)),
                    safe(&metric.name)
                );
                html.push_str(&row(&name, metric));
            }
        }
        html.push_str("</table></div></details>");
    }
    for (of, heading) in [
        (Change::Regressed, "worse"),
        (Change::Improved, "better"),
        (Change::New, "new"),
        (Change::Gone, "gone"),
    ] {
        let cases: Vec<&CaseChange> = comparison
            .cases
            .iter()
            .filter(|case| case.change == of)
            .collect();
        if !cases.is_empty() {
            html.push_str(&list(heading, &cases));
        }
    }
    html
}

const HEAD: &str = "<table><tr><th>metric</th><th class=\"n\">before</th><th class=\"n\">after</th><th class=\"n\">change</th><th class=\"n\">interval</th><th class=\"n\">p</th><th class=\"n\">better</th><th class=\"n\">worse</th><th class=\"n\">same</th><th class=\"n\">new</th><th class=\"n\">gone</th><th></th></tr>";

fn row(name: &str, metric: &MetricComparison) -> String {
    let class = match metric.verdict {
        Verdict::Improved => "good",
        Verdict::Regressed => "bad",
        Verdict::NoEvidence => "dim",
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let cells = [
        or_dash(metric.mean_before.map(score)),
        or_dash(metric.mean_after.map(score)),
        or_dash(metric.change().map(change)),
        or_dash(
            metric
                .difference
                .map(|found| format!("{} to {}", change(found.low), change(found.high))),
        ),
        or_dash(metric.p_corrected.or(metric.p).map(|p| safe(&chance(p)))),
        metric.improved.to_string(),
        metric.regressed.to_string(),
        metric.same.to_string(),
        metric.new.to_string(),
        metric.gone.to_string(),
    ];
    let mut html = format!("<tr><td class=\"t\">{name}</td>");
    for cell in cells {
        put!(html, "<td class=\"n\">{cell}</td>");
    }
    put!(
        html,
        "<td class=\"{class}\">{}</td></tr>",
        verdict(metric).to_lowercase()
    );
    html
}

fn remark(metric: &MetricComparison) -> String {
    let mut notes = Vec::new();
    if let Some(passes) = &metric.passes
        && let (Some(before), Some(after)) = (passes.before, passes.after)
    {
        notes.push(format!(
            "{} passed before, {} now ({} gained, {} lost)",
            percent(before.value),
            percent(after.value),
            passes.gained,
            passes.lost,
        ));
    }
    if let Some(effect) = metric.minimum_detectable_effect {
        notes.push(format!(
            "a true change below {effect:.3} would most often go unseen"
        ));
    }
    if notes.is_empty() {
        return String::new();
    }
    format!(
        "<p class=\"note\">{}: {}.</p>",
        safe(&metric.name),
        safe(&notes.join("; "))
    )
}

fn list(heading: &str, cases: &[&CaseChange]) -> String {
    let mut html = format!(
        "<details><summary>{heading} ({})</summary><div class=\"scroll\"><table><tr><th>item</th><th>metric</th><th class=\"n\">before</th><th class=\"n\">after</th></tr>",
        cases.len()
    );
    let value = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), score);
    for case in cases.iter().take(LISTED) {
        put!(
            html,
            "<tr><td class=\"t\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            safe(&shortened(&case.item, 120)),
            safe(&case.metric),
            value(case.before),
            value(case.after)
        );
    }
    html.push_str("</table></div>");
    if cases.len() > LISTED {
        put!(
            html,
            "<p class=\"note\">and {} more; the JSON report has them</p>",
            cases.len() - LISTED
        );
    }
    html.push_str("</details>");
    html
}
