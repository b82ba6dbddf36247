//! One span with all its fields.

use opik_core::{ErrorInfo, Json, Span, Usage};
use serde_json::Value;

use super::glyphs::Glyphs;
use super::json::indent;
use super::numbers::{count, dollars, duration, millis};
use super::style::{BAD, DIM, ID, STRONG};
use super::text::{clean, clean_lines};

/// Characters of a content that are shown unless all of it is asked for.
const SHOWN: usize = 2_000;

/// Everything that is known about a span; long content is cut unless `full`.
pub(crate) fn span(span: &Span, full: bool, glyphs: &Glyphs) -> String {
    let name = clean(span.name.as_deref().unwrap_or("(no name)"));
    let kind = clean(span.kind().as_str());
    let mut text = format!("{STRONG}{name}{STRONG:#}  {DIM}{kind}{DIM:#}\n");
    for (label, value) in fields(span) {
        let style = if label.ends_with("id") {
            ID
        } else {
            anstyle::Style::new()
        };
        text.push_str(&format!(
            "  {DIM}{label:<14}{DIM:#}  {style}{value}{style:#}\n"
        ));
    }
    if let Some(error) = &span.error_info {
        text.push_str(&error_block(error, full, glyphs));
    }
    for (label, json) in [
        ("input", &span.input),
        ("output", &span.output),
        ("metadata", &span.metadata),
    ] {
        if let Some(json) = json {
            text.push_str(&content(label, json, full, glyphs));
        }
    }
    text
}

/// The fields that are one line each.
fn fields(span: &Span) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("id", span.id.to_string()),
        ("trace id", span.trace_id.to_string()),
    ];
    let mut add = |label, value: Option<String>| {
        fields.extend(value.map(|value| (label, clean(&value))));
    };
    add("parent id", span.parent_span_id.map(|id| id.to_string()));
    add("project", span.project_name.clone());
    add("start", Some(span.start_time.to_string()));
    add(
        "end",
        Some(
            span.end_time
                .map_or_else(|| "not finished".to_owned(), |at| at.to_string()),
        ),
    );
    add(
        "duration",
        span.end_time
            .map(|end| duration(end.micros_since(span.start_time))),
    );
    add("first token", span.ttft.map(millis));
    add("model", span.model.clone());
    add("provider", span.provider.clone());
    add("usage", usage(&span.usage));
    add("cost", span.total_estimated_cost.map(dollars));
    add("cost version", span.total_estimated_cost_version.clone());
    add(
        "tags",
        (!span.tags.is_empty()).then(|| span.tags.join(", ")),
    );
    add("source", span.source.as_ref().map(ToString::to_string));
    add("environment", span.environment.clone());
    for score in &span.feedback_scores {
        add("score", Some(format!("{} = {}", score.name, score.value)));
    }
    for comment in &span.comments {
        add("comment", Some(comment.text.clone()));
    }
    add(
        "created",
        by(
            span.created_at.map(|at| at.to_string()),
            span.created_by.as_deref(),
        ),
    );
    add(
        "last updated",
        by(
            span.last_updated_at.map(|at| at.to_string()),
            span.last_updated_by.as_deref(),
        ),
    );
    for (name, value) in &span.extra {
        add("also", Some(format!("{name} = {}", one_line(value))));
    }
    fields
}

fn by(at: Option<String>, who: Option<&str>) -> Option<String> {
    match (at, who) {
        (Some(at), Some(who)) => Some(format!("{at} by {who}")),
        (at, who) => at.or_else(|| who.map(|who| format!("by {who}"))),
    }
}

fn usage(usage: &Usage) -> Option<String> {
    let counts: Vec<String> = usage
        .0
        .iter()
        .map(|(name, &n)| format!("{name} {}", count(n)))
        .collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

fn one_line(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(200).collect()
}

fn error_block(error: &ErrorInfo, full: bool, glyphs: &Glyphs) -> String {
    let kind = clean(&error.exception_type);
    let mut text = format!("\n{BAD}{} {kind}{BAD:#}\n", glyphs.error);
    let message = error.message.as_deref().unwrap_or_default();
    if !message.is_empty() {
        text.push_str(&block(message, full));
    }
    if error.traceback != message && error.traceback != error.exception_type {
        text.push_str(&block(&error.traceback, full));
    }
    text
}

fn content(label: &str, json: &Json, full: bool, glyphs: &Glyphs) -> String {
    let size = json.as_str().len() as u64;
    let dot = glyphs.dot;
    let size = super::numbers::bytes(size);
    format!(
        "\n{STRONG}{label}{STRONG:#}{DIM}{dot}{size}{DIM:#}\n{}",
        block(&indent(json.as_str()), full)
    )
}

/// Text indented by two, cut with a note unless `full`.
fn block(text: &str, full: bool) -> String {
    let (shown, missing) = if full {
        (text, 0)
    } else {
        match text.char_indices().nth(SHOWN) {
            Some((at, _)) => (
                text.get(..at).unwrap_or(text),
                text.get(at..).unwrap_or_default().chars().count(),
            ),
            None => (text, 0),
        }
    };
    let mut lines = String::new();
    for line in clean_lines(shown).lines() {
        lines.push_str(&format!("  {line}\n"));
    }
    if missing > 0 {
        let missing = count(i128::try_from(missing).unwrap_or(0));
        lines.push_str(&format!(
            "  {DIM}({missing} more characters; --full shows all){DIM:#}\n"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use opik_core::{SpanId, Timestamp, TraceId};

    use super::*;

    fn sample() -> Span {
        let at = Timestamp::from_micros(1_735_689_600_000_000);
        let mut span = Span::new(SpanId::from_parts(at, 2), TraceId::from_parts(at, 1), at);
        span.name = Some("read\u{1b}[2J".to_owned());
        span.end_time = Some(at.plus_micros(1_500_000));
        span.usage = Usage::of_tokens(1_200, 34);
        span.model = Some("gpt-4o".to_owned());
        span.error_info = Some(ErrorInfo::new("FileNotFoundError", "no such file: a.txt"));
        span.input = Some(Json::parse(r#"{"z":1,"path":"a.txt"}"#).unwrap());
        span
    }

    #[test]
    fn every_field_has_a_line() {
        let text = span(&sample(), false, &Glyphs::UNICODE);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r#"
        read�[2J  general
          id              01941f29-7c00-7000-8000-000000000000
          trace id        01941f29-7c00-7000-8000-000000000000
          start           2025-01-01T00:00:00.000000Z
          end             2025-01-01T00:00:01.500000Z
          duration        1.5 s
          model           gpt-4o
          usage           completion_tokens 34, prompt_tokens 1,200, total_tokens 1,234

        ✗ FileNotFoundError
          no such file: a.txt

        input · 22 B
          {
            "z": 1,
            "path": "a.txt"
          }
        "#);
    }

    #[test]
    fn long_content_is_cut_with_a_note_unless_full() {
        let mut long = sample();
        long.output = Some(Json::string(&"x".repeat(5_000)));
        let cut = span(&long, false, &Glyphs::UNICODE);
        assert!(
            cut.contains("(3,002 more characters; --full shows all)"),
            "{cut}"
        );
        let full = span(&long, true, &Glyphs::UNICODE);
        assert!(full.contains(&"x".repeat(5_000)));
        assert!(!full.contains("more characters"));
    }
}
