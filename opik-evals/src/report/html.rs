//! The report as one HTML page.

mod cases;
mod chart;
mod compared;
mod sections;
mod style;
mod wave;

use super::Report;
use super::escape::html as safe;
use super::text::headline;

pub(super) fn page(report: &Report<'_>) -> String {
    let document = report.document();
    let summary = &document.summary;
    let status = match document.gate {
        Some(gate) if gate.passed => "<span class=\"chip good\">gate passed</span>",
        Some(_) => "<span class=\"chip bad\">gate failed</span>",
        None => "",
    };
    let name = safe(&summary.name);
    let mut body = format!(
        "<header><h1>{name} {status}</h1><p class=\"lead\">{}</p><p class=\"dim\">{}run {} \u{b7} {} UTC</p></header>",
        safe(&headline(summary)),
        match &summary.dataset {
            Some(dataset) => format!("dataset {} \u{b7} ", safe(dataset)),
            None => String::new(),
        },
        safe(&summary.run),
        safe(&moment(&summary.started_at.to_string())),
    );
    if let Some(gate) = document.gate {
        body.push_str(&sections::gate(gate));
    }
    body.push_str(&sections::metrics(report.run, summary));
    if let Some(comparison) = document.comparison {
        body.push_str(&compared::section(comparison));
    }
    if let Some(confusion) = &document.confusion {
        body.push_str(&sections::confusion(confusion));
    }
    body.push_str(&sections::slices(summary));
    if !document.history.is_empty() {
        let mut points = document.history.to_vec();
        if points.iter().all(|point| point.run != summary.run) {
            points.push(super::TrendPoint::of(report.run));
        }
        points.sort_by_key(|point| point.started_at);
        body.push_str(&sections::trend(summary, &points));
    }
    body.push_str(&cases::section(report, &document.worst));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{name}</title><style>{}</style></head><body><main>{body}</main></body></html>\n",
        style::CSS,
    )
}

/// A moment to the minute.
fn moment(text: &str) -> String {
    text.get(..16).unwrap_or(text).replace('T', " ")
}
