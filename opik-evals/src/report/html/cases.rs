//! The part of the page that shows the worst cases in full.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::escape::{html as safe, shortened};
use super::super::figures::{dollars, millis, score};
use super::super::{Case, Report};
use super::chart::put;
use super::wave;

/// Most characters of one text: enough to judge it, and the page stays a page.
const MOST: usize = 20_000;

pub(super) fn section(report: &Report<'_>, cases: &[Case]) -> String {
    if cases.is_empty() {
        return String::new();
    }
    let mut html = "<h2>Worst cases</h2><p class=\"note\">Failed trials first, then by how far the scores lie from the best.</p>".to_owned();
    for (place, case) in cases.iter().enumerate() {
        html.push_str(&one(report, case, place < 2));
    }
    html
}

fn one(report: &Report<'_>, case: &Case, open: bool) -> String {
    let mut marks: Vec<String> = case
        .scores
        .iter()
        .map(|of| format!("{} {}", of.name, score(of.value)))
        .collect();
    marks.extend(
        case.failed_scores
            .iter()
            .map(|of| format!("{} no score", of.name)),
    );
    marks.push(millis(case.duration_ms));
    marks.extend(case.cost.map(dollars));
    let failed = if case.error.is_some() {
        " <span class=\"bad\">failed</span>"
    } else {
        ""
    };
    let repeat = if case.repeat > 0 {
        format!(" #{}", case.repeat + 1)
    } else {
        String::new()
    };
    let mut html = format!(
        "<details{}><summary>{}{repeat}{failed}<span class=\"dim\">{}</span></summary>",
        if open { " open" } else { "" },
        safe(&shortened(&case.item, 120)),
        safe(&marks.join(" \u{b7} ")),
    );
    if let Some(error) = &case.error {
        put!(
            html,
            "<p class=\"note\">error</p><pre>{}</pre>",
            safe(&shortened(error, MOST))
        );
    }
    html.push_str("<div class=\"pair\">");
    for (what, value) in [
        ("item", Some(&case.data)),
        ("expected", case.expected.as_ref()),
        ("output", case.output.as_ref()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            put!(
                html,
                "<div><p class=\"note\">{what}</p><pre>{}</pre></div>",
                safe(&shortened(&shown(value), MOST))
            );
        }
    }
    html.push_str("</div>");
    let reasons: Vec<String> = case
        .scores
        .iter()
        .filter_map(|of| {
            Some(format!(
                "{} {}: {}",
                of.name,
                score(of.value),
                of.reason.as_ref()?
            ))
        })
        .chain(
            case.failed_scores
                .iter()
                .map(|of| format!("{}: {}", of.name, of.message)),
        )
        .collect();
    if !reasons.is_empty() {
        put!(
            html,
            "<p class=\"note\">reasons</p><pre>{}</pre>",
            safe(&shortened(&reasons.join("\n"), MOST))
        );
    }
    if let Some(id) = case.trace_id {
        let id_text = id.to_string();
        match &report.trace_link {
            Some(address) => put!(
                html,
                "<p class=\"note\">trace <a href=\"{}\" rel=\"noreferrer\">{id_text}</a></p>",
                safe(&address.replace("{trace}", &id_text))
            ),
            None => put!(html, "<p class=\"note\">trace {id_text}</p>"),
        }
        if let Some(rows) = report.traces.get(&id).filter(|rows| !rows.is_empty()) {
            html.push_str(&wave::waterfall(rows));
        }
    }
    html.push_str("</details>");
    html
}

/// A text as it is, anything else as JSON with one field on a line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}
