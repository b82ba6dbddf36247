//! What a dataset command did, as text or JSON.

use opik_evals::dataset::{BuildReport, Lexicon, Skipped};
use serde::Serialize;
use serde_json::json;

use super::inputs::{Inputs, Target};
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome, Verdict};
use crate::render::numbers::things;
use crate::render::style::{DIM, GOOD, WARN};
use crate::render::text::clean;

/// Records that are named; the others are counted.
const NAMED: usize = 5;

/// Keeps the output and says what is in it; a failure when nothing is.
pub(super) fn finish(
    inputs: &Inputs,
    target: Target,
    report: &BuildReport,
    lexicon: Option<&Lexicon>,
    ctx: &Context,
) -> Outcome {
    if report.written() == 0 {
        return Err(nothing(report.skipped()));
    }
    target.finish()?;
    let name = inputs.output_name();
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&document(&name, report, lexicon))?);
    }
    let mut text = written(report.written(), &name);
    let width = report.labels().map(|(label, _, _)| label.chars().count());
    let width = width.max().unwrap_or(0);
    for (label, rigor, count) in report.labels() {
        let (label, rigor) = (clean(label), clean(rigor));
        text.push_str(&format!("  {label:width$}  {rigor:<14}{count:>8}\n"));
    }
    let columns: Vec<_> = report.columns().collect();
    if !columns.is_empty() {
        text.push_str(&format!("{DIM}by column:{DIM:#}\n"));
    }
    for (column, count) in columns {
        text.push_str(&format!("  {:24}{count:>8}\n", clean(column)));
    }
    if let Some(lexicon) = lexicon {
        text.push_str(&format!(
            "{DIM}lexicon {}, {}, hash {}{DIM:#}\n",
            clean(lexicon.name()),
            things(lexicon.terms().len() as u64, "term"),
            lexicon.hash(),
        ));
    }
    say(inputs, &text, report.skipped(), ctx)
}

/// As [`finish`], for what has no labels.
pub(super) fn finish_items(
    inputs: &Inputs,
    target: Target,
    count: u64,
    skipped: &Skipped,
    ctx: &Context,
) -> Outcome {
    if count == 0 {
        return Err(nothing(skipped));
    }
    target.finish()?;
    let name = inputs.output_name();
    if ctx.out.is_json() {
        let document = json!({ "written": count, "output": name, "skipped": Left::of(skipped) });
        return Ok(ctx.out.json(&document)?);
    }
    say(inputs, &written(count, &name), skipped, ctx)
}

fn written(count: u64, name: &str) -> String {
    format!(
        "{GOOD}{}{GOOD:#} to {}\n",
        things(count, "record"),
        clean(name)
    )
}

fn say(inputs: &Inputs, text: &str, skipped: &Skipped, ctx: &Context) -> Outcome {
    if inputs.to_standard_output() {
        ctx.out.notice(text);
    } else {
        ctx.out.text(text)?;
    }
    ctx.out.notice(&warnings(skipped));
    Ok(())
}

pub(super) fn warnings(skipped: &Skipped) -> String {
    let Some(first) = skipped.first().first() else {
        return String::new();
    };
    let mut text = format!(
        "{WARN}skipped: {}{WARN:#} (first at {}: {})\n",
        skipped.count(),
        clean(&first.place.to_string()),
        clean(&first.reason),
    );
    for skip in skipped.first().iter().skip(1).take(NAMED - 1) {
        text.push_str(&format!(
            "  {DIM}{}: {}{DIM:#}\n",
            clean(&skip.place.to_string()),
            clean(&skip.reason)
        ));
    }
    text
}

pub(super) fn nothing(skipped: &Skipped) -> Failure {
    let failure = Failure::new(
        Code::Evals(Verdict::Unusable),
        "there is no record that can be used; nothing was written",
    );
    match skipped.first().first() {
        Some(first) => failure.hint(format!(
            "{} left out, the first at {}: {}",
            things(skipped.count(), "record"),
            first.place,
            first.reason
        )),
        None => failure.hint("the input is empty"),
    }
}

/// What was left out, in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Left<'a> {
    count: u64,
    reasons: Vec<Reason<'a>>,
    first: Vec<Named<'a>>,
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    reason: &'a str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Named<'a> {
    file: &'a str,
    line: u64,
    reason: &'a str,
}

impl<'a> Left<'a> {
    pub(super) fn of(skipped: &'a Skipped) -> Self {
        Self {
            count: skipped.count(),
            reasons: skipped
                .reasons()
                .map(|(reason, count)| Reason { reason, count })
                .collect(),
            first: skipped
                .first()
                .iter()
                .map(|skip| Named {
                    file: skip.place.file(),
                    line: skip.place.line(),
                    reason: &skip.reason,
                })
                .collect(),
        }
    }
}

fn document(name: &str, report: &BuildReport, lexicon: Option<&Lexicon>) -> serde_json::Value {
    let labels: Vec<_> = report
        .labels()
        .map(
            |(label, rigor, count)| json!({ "label": label, "rigor_level": rigor, "count": count }),
        )
        .collect();
    let columns: Vec<_> = report
        .columns()
        .map(|(column, count)| json!({ "column": column, "count": count }))
        .collect();
    let mut document = json!({
        "written": report.written(),
        "output": name,
        "labels": labels,
        "columns": columns,
        "skipped": Left::of(report.skipped()),
    });
    if let (Some(lexicon), Some(fields)) = (lexicon, document.as_object_mut()) {
        fields.insert(
            "lexicon".to_owned(),
            json!({ "name": lexicon.name(), "terms": lexicon.terms().len(), "hash": lexicon.hash() }),
        );
    }
    document
}
