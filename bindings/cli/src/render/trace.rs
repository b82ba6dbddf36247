//! The facts of a trace above its drawing, and the notes below it.

use std::collections::BTreeMap;

use opik_core::TraceTree;
use opik_core::tree::QualityKind;

use super::glyphs::Glyphs;
use super::numbers::{count, dollars, duration, moment, things};
use super::style::{BAD, DIM, ID, STRONG, WARN};
use super::text::{clean, fit};

/// Name, numbers, identifier, moment and error of a trace.
pub(crate) fn header(tree: &TraceTree, columns: usize, glyphs: &Glyphs) -> String {
    let trace = tree.trace();
    let name = clean(trace.name.as_deref().unwrap_or("(no name)"));
    let mut facts = vec![
        duration(tree.wall().micros()),
        things(tree.len() as u64, "span"),
    ];
    if trace.end_time.is_none() {
        facts.push("not finished".to_owned());
    }
    if let Some(tokens) = trace.usage.total_tokens().filter(|&tokens| tokens > 0) {
        facts.push(format!("{} tokens", count(tokens)));
    }
    facts.extend(trace.total_estimated_cost.map(dollars));
    let failed = tree
        .nodes()
        .filter(|&node| tree.span(node).error_info.is_some());
    let failed = failed.count() as u64;
    if failed > 0 {
        facts.push(things(failed, "failed span"));
    }
    let name = fit(&name, columns.saturating_sub(2).min(60), glyphs);
    let facts = facts.join(glyphs.dot);
    let mut text = format!("{STRONG}{name}{STRONG:#}  {facts}\n");

    let mut place = vec![format!("{} UTC", moment(trace.start_time))];
    place.extend(trace.project_name.as_deref().map(clean));
    place.extend(
        trace
            .thread_id
            .as_deref()
            .map(|id| format!("thread {}", clean(id))),
    );
    if !trace.tags.is_empty() {
        place.push(clean(&trace.tags.join(", ")));
    }
    let place = place.join(glyphs.dot);
    text.push_str(&format!("{ID}{}{ID:#}  {DIM}{place}{DIM:#}\n", trace.id));

    if let Some(error) = &trace.error_info {
        let message = error.message.as_deref().unwrap_or_default();
        let line = clean(format!("{}: {message}", error.exception_type).trim_end_matches(": "));
        let line = fit(&line, columns.saturating_sub(2), glyphs);
        text.push_str(&format!("{BAD}{} {line}{BAD:#}\n", glyphs.error));
    }
    text
}

/// What is wrong with the recorded data, one line per kind.
pub(crate) fn quality(tree: &TraceTree) -> String {
    let mut kinds: BTreeMap<QualityKind, u64> = BTreeMap::new();
    for issue in tree.quality() {
        *kinds.entry(issue.kind).or_default() += 1;
    }
    let mut text = String::new();
    for (kind, n) in kinds {
        let what = describe(kind);
        text.push_str(&format!(
            "{WARN}note:{WARN:#} {}: {what}\n",
            things(n, "span")
        ));
    }
    text
}

/// A note when the metadata of a trace says that its times were made up.
pub(crate) fn synthetic(trees: &[&TraceTree]) -> String {
    #[derive(serde::Deserialize)]
    struct Fields {
        #[serde(default)]
        synthetic_time: bool,
    }
    let is_synthetic = trees.iter().any(|tree| {
        let metadata = tree.trace().metadata.as_ref();
        let metadata = metadata.filter(|json| json.as_str().contains("synthetic_time"));
        let fields: Option<Fields> = metadata.and_then(|json| json.decode().ok());
        fields.is_some_and(|fields| fields.synthetic_time)
    });
    if !is_synthetic {
        return String::new();
    }
    let what = "the times are synthetic: durations mean nothing, the order does";
    format!("{WARN}note:{WARN:#} {what}\n")
}

/// Fits one span and many.
fn describe(kind: QualityKind) -> &'static str {
    match kind {
        QualityKind::Orphan => "the parent was not recorded; a likely one was taken",
        QualityKind::SeveralRoots => "no parent, though the trace has another top span",
        QualityKind::Cycle => "an ancestor of itself; the link was cut",
        QualityKind::DuplicateId => "recorded more than once; the newest row was kept",
        QualityKind::ForeignTrace => "of another trace, left out",
        QualityKind::Unfinished => "no end; it was taken from the rest of the trace",
        QualityKind::NegativeDuration => "an end before the start; the duration was taken as zero",
        QualityKind::UnknownStart => "no start; it was taken from the rest of the trace",
        QualityKind::ClockSkew => "on another clock, moved into the caller",
        QualityKind::OutsideParent => "a start before that of the parent, or an end after it",
        _ => "a defect",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::Sample;

    #[test]
    fn the_header_says_what_the_trace_was() {
        let mut sample = Sample::new();
        let root = sample.span("agent", None, 0, 10_000);
        let step = sample.span("step", Some(root), 0, 12_000);
        sample.fail(step, "ValueError");
        let tree = sample.tree();
        let text = header(&tree, 80, &Glyphs::UNICODE) + &quality(&tree);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r#"
        sample  12 s · 2 spans · not finished · 1 failed span
        01941f29-7c00-7000-8000-000000000000  2025-01-01 00:00:00 UTC
        note: 1 span: a start before that of the parent, or an end after it
        "#);
    }
}
