//! `opik-rs diff`: two traces, or two spans.

use opik_assist::Finding;
use opik_assist::diff::{Delta, SpanDiff, TraceDiff, diff_spans, diff_traces};
use opik_core::TraceTree;
use opik_core::tree::NodeId;
use opik_store::Store;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::reference::{self, Target};
use crate::render::numbers::{count, dollars, duration, moment};
use crate::render::style::{DIM, ID, STRONG};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::{clean, shorten_ids, wrap};
use crate::render::{changes, trace};

/// Arguments of `opik-rs diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs diff last~1 last                 the newest and the one before
  opik-rs diff f1790444 b6c83a00           two traces
  opik-rs diff last:34cc45 last:8d7f8e     two spans of one trace
  opik-rs diff last~1:34cc45 last:8d7f8e   two spans of two traces

Two traces are aligned span by span; the difference of their durations is split exactly into \
the spans that caused it, and the first place where they part is named. Two spans are \
compared field by field, their input and output by JSON path and word by word.

JSON: {\"kind\": \"traces\" or \"spans\", \"diff\": {...}, \"findings\": [...]}")]
pub(crate) struct Args {
    /// The first trace or span
    #[arg(value_name = "BEFORE")]
    before: String,

    /// The second trace or span
    #[arg(value_name = "AFTER")]
    after: String,
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Comparison<'a, D: Serialize> {
    kind: &'static str,
    diff: &'a D,
    findings: &'a [Finding],
}

/// Compares.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let store = ctx.existing_store()?;
    let before = reference::target(&store, &args.before)?;
    let after = reference::target(&store, &args.after)?;
    match (before, after) {
        (Target::Trace(before), Target::Trace(after)) => {
            let before = reference::tree(&store, before)?;
            let after = reference::tree(&store, after)?;
            traces(&before, &after, ctx)
        }
        (Target::Span(..), Target::Span(..)) => {
            let (before, first) = place(&store, before)?;
            let (after, second) = place(&store, after)?;
            let diff = diff_spans(&before, first, &after, second);
            spans(&diff, ctx)
        }
        _ => Err(
            Failure::new(Code::Usage, "a trace cannot be compared with a span")
                .hint("name two traces, or two spans as trace:span"),
        ),
    }
}

fn place(store: &Store, target: Target) -> Result<(TraceTree, NodeId), Failure> {
    let (trace, span) = match target {
        Target::Span(trace, span) => (trace, Some(span)),
        Target::Trace(trace) => (trace, None),
    };
    let tree = reference::tree(store, trace)?;
    let node = span.and_then(|span| tree.find(span));
    match node {
        Some(node) => Ok((tree, node)),
        None => Err(Failure::new(
            Code::NotFound,
            format!("trace {trace} lacks the span"),
        )),
    }
}

fn traces(before: &TraceTree, after: &TraceTree, ctx: &Context) -> Outcome {
    let diff = diff_traces(before, after);
    let findings = diff.findings();
    if ctx.out.is_json() {
        return json("traces", &diff, &findings, ctx);
    }
    let mut text = format!("{}{}\n", side("before", before), side("after", after));
    text.push_str(&figures(&diff, before, after, ctx));
    text.push_str(&trace::synthetic(&[before, after]));
    text.push_str(&claims(&findings, ctx.width));
    for (label, content) in [("input", &diff.input), ("output", &diff.output)] {
        text.push_str(&changes::content(label, content, &ctx.glyphs));
    }
    Ok(ctx.out.text(&text)?)
}

fn side(label: &str, tree: &TraceTree) -> String {
    let trace = tree.trace();
    let name = clean(trace.name.as_deref().unwrap_or("(no name)"));
    let name: String = name.chars().take(50).collect();
    format!(
        "{DIM}{label:<7}{DIM:#} {ID}{}{ID:#}  {STRONG}{name}{STRONG:#}  {DIM}{} UTC{DIM:#}\n",
        trace.id,
        moment(trace.start_time),
    )
}

fn figures(diff: &TraceDiff, before: &TraceTree, after: &TraceTree, ctx: &Context) -> String {
    let mut table = Table::new(
        vec![
            ("", Align::Left),
            ("BEFORE", Align::Right),
            ("AFTER", Align::Right),
            ("CHANGE", Align::Right),
        ],
        0,
    );
    let mut row = |name: &str, delta: Delta<i64>, show: &dyn Fn(i64) -> String| {
        let change = delta.change();
        let sign = if change > 0 { "+" } else { "" };
        table.row(vec![
            Cell::styled(name, DIM),
            Cell::new(show(delta.before)),
            Cell::new(show(delta.after)),
            Cell::styled(
                if change == 0 {
                    "=".to_owned()
                } else {
                    format!("{sign}{}", show(change))
                },
                STRONG,
            ),
        ]);
    };
    row("duration", diff.duration_us, &duration);
    row("spans", diff.spans, &|n| count(n));
    row("errors", diff.errors, &|n| count(n));
    let (first, second) = (before.trace(), after.trace());
    let known = [first, second].map(|trace| trace.usage.total_tokens().is_some());
    match known {
        [true, true] => row("tokens", diff.tokens, &|n| count(n)),
        [false, false] => {}
        [before, after] => table.row(vec![
            Cell::styled("tokens", DIM),
            recorded(before, count(diff.tokens.before)),
            recorded(after, count(diff.tokens.after)),
            Cell::new("-"),
        ]),
    }
    let cost = diff.cost_usd;
    let known = [first, second].map(|trace| trace.total_estimated_cost.is_some());
    if known == [true, false] || known == [false, true] {
        table.row(vec![
            Cell::styled("cost", DIM),
            recorded(first.total_estimated_cost.is_some(), dollars(cost.before)),
            recorded(second.total_estimated_cost.is_some(), dollars(cost.after)),
            Cell::new("-"),
        ]);
    } else if cost.before != 0.0 || cost.after != 0.0 {
        let change = cost.change();
        let sign = if change < 0.0 { "-" } else { "+" };
        table.row(vec![
            Cell::styled("cost", DIM),
            Cell::new(dollars(cost.before)),
            Cell::new(dollars(cost.after)),
            Cell::styled(
                if change == 0.0 {
                    "=".to_owned()
                } else {
                    format!("{sign}{}", dollars(change.abs()))
                },
                STRONG,
            ),
        ]);
    }
    table.render(ctx.width, &ctx.glyphs)
}

/// What was recorded, or the mark for what was not.
fn recorded(known: bool, text: String) -> Cell {
    Cell::new(if known { text } else { "-".to_owned() })
}

fn spans(diff: &SpanDiff, ctx: &Context) -> Outcome {
    let findings = diff.findings();
    if ctx.out.is_json() {
        return json("spans", diff, &findings, ctx);
    }
    let mut text = String::new();
    for (label, span) in [("before", &diff.before), ("after", &diff.after)] {
        let name: String = clean(&span.name).chars().take(50).collect();
        text.push_str(&format!(
            "{DIM}{label:<7}{DIM:#} {ID}{}{ID:#}  {STRONG}{name}{STRONG:#}  {DIM}{}{DIM:#}\n",
            span.span,
            clean(&span.kind),
        ));
    }
    text.push_str(&claims(&findings, ctx.width));
    for (label, content) in [
        ("input", &diff.input),
        ("output", &diff.output),
        ("metadata", &diff.metadata),
    ] {
        text.push_str(&changes::content(label, content, &ctx.glyphs));
    }
    Ok(ctx.out.text(&text)?)
}

fn claims(findings: &[Finding], columns: usize) -> String {
    let mut text = "\n".to_owned();
    for finding in findings {
        let claim = format!("- {}", clean(&shorten_ids(&finding.claim)));
        text.push_str(&wrap(&claim, columns));
    }
    text
}

fn json<D: Serialize>(
    kind: &'static str,
    diff: &D,
    findings: &[Finding],
    ctx: &Context,
) -> Outcome {
    let result = Comparison {
        kind,
        diff,
        findings,
    };
    Ok(ctx.out.json(&result)?)
}
