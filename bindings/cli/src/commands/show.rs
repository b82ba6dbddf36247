//! `opik-rs show`: one trace, or one span of it.

use opik_assist::{Evidence, analyse};
use opik_core::tree::NodeId;
use opik_core::{Span, Trace, TraceTree};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Outcome;
use crate::reference::{self, Target};
use crate::render::critical::CriticalTimes;
use crate::render::style::DIM;
use crate::render::text::short_id;
use crate::render::{span, trace, tree, waterfall};

/// Arguments of `opik-rs show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs show last                    the newest trace as a waterfall
  opik-rs show f1790444 --tree         who called whom, with ids of spans
  opik-rs show last --all              every span of a long trace
  opik-rs show last --span 34cc45      one span with all its fields
  opik-rs show last:34cc45 --full      the same, with content of any length
  opik-rs show last --json             everything, in numbers

Solid bars are the critical path: what the trace waited for. Long traces are folded: errors \
and what takes the time stay, the rest is counted.

JSON of a trace: {\"trace\", \"wall_ms\", \"spans\": [{\"depth\", \"duration_ms\", \"self_ms\", \
\"critical_ms\", \"span\"}], \"quality\": [{\"kind\", \"span_id\", \"micros\"}]}; of a span: {\"span\"}.")]
pub(crate) struct Args {
    /// A trace, or trace:span
    #[arg(value_name = "TRACE")]
    target: String,

    /// Draw a tree instead of a waterfall
    #[arg(long)]
    tree: bool,

    /// Show one span of the trace, by its identifier or its name
    #[arg(long, value_name = "SPAN", conflicts_with_all = ["tree", "all", "spans"])]
    span: Option<String>,

    /// Draw every span
    #[arg(long, conflicts_with = "spans")]
    all: bool,

    /// Draw about this many spans of a long trace
    #[arg(long, value_name = "NUMBER", default_value_t = 40,
          value_parser = clap::value_parser!(u32).range(1..))]
    spans: u32,

    /// Do not cut long content of a span
    #[arg(long)]
    full: bool,
}

/// A trace in JSON.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    trace: &'a Trace,
    wall_ms: f64,
    spans: Vec<ShownSpan<'a>>,
    quality: Vec<Quality>,
}

#[derive(Debug, Serialize)]
struct ShownSpan<'a> {
    /// 0 at the top.
    depth: usize,
    /// After repair of the times; see `quality`.
    duration_ms: f64,
    /// Its duration without that of its children.
    self_ms: f64,
    /// How long the trace waited for this very span.
    critical_ms: f64,
    span: &'a Span,
}

#[derive(Debug, Serialize)]
struct Quality {
    kind: &'static str,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    micros: Option<i64>,
}

/// A span in JSON.
#[derive(Debug, Serialize)]
struct OneSpan<'a> {
    span: &'a Span,
}

/// Shows a trace or a span.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let store = ctx.existing_store()?;
    let (tree, node) = match reference::target(&store, &args.target)? {
        Target::Trace(id) => (reference::tree(&store, id)?, None),
        Target::Span(id, span) => {
            let tree = reference::tree(&store, id)?;
            let node = tree.find(span);
            (tree, node)
        }
    };
    let node = match &args.span {
        Some(text) => Some(reference::span_in(&tree, text)?),
        None => node,
    };
    match node {
        Some(node) => show_span(&tree, node, args, ctx),
        None => show_trace(&tree, args, ctx),
    }
}

fn show_span(tree: &TraceTree, node: NodeId, args: &Args, ctx: &Context) -> Outcome {
    let found = tree.span(node);
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&OneSpan { span: found })?);
    }
    Ok(ctx.out.text(&span::span(found, args.full, &ctx.glyphs))?)
}

fn show_trace(tree: &TraceTree, args: &Args, ctx: &Context) -> Outcome {
    let evidence = analyse(tree);
    let critical = CriticalTimes::of(tree, &evidence.critical_path.segments);
    if ctx.out.is_json() {
        return Ok(ctx.out.json(&json(tree, &evidence, &critical))?);
    }
    let limit = (!args.all).then(|| usize::try_from(args.spans).unwrap_or(usize::MAX));
    let mut text = trace::header(tree, ctx.width, &ctx.glyphs);
    text.push('\n');
    if tree.is_empty() {
        text.push_str("no spans\n");
    } else if args.tree {
        text.push_str(&tree::tree(tree, &critical, limit, ctx.width, &ctx.glyphs));
    } else {
        text.push_str(&waterfall::waterfall(
            tree,
            &critical,
            limit,
            ctx.width,
            &ctx.glyphs,
        ));
    }
    text.push_str(&trace::synthetic(&[tree]));
    text.push_str(&trace::quality(tree));
    let id = short_id(tree.id());
    text.push_str(&format!(
        "{DIM}try: opik-rs ask {id} \"why is it slow?\"{DIM:#}\n"
    ));
    Ok(ctx.out.text(&text)?)
}

fn json<'a>(tree: &'a TraceTree, evidence: &Evidence, critical: &CriticalTimes) -> Shown<'a> {
    Shown {
        trace: tree.trace(),
        wall_ms: to_ms(tree.wall().micros()),
        spans: tree
            .nodes()
            .map(|node| ShownSpan {
                depth: tree.depth(node),
                duration_ms: to_ms(tree.interval(node).micros()),
                self_ms: to_ms(evidence.self_times.get(node).copied().unwrap_or(0)),
                critical_ms: to_ms(critical.micros(node)),
                span: tree.span(node),
            })
            .collect(),
        quality: tree
            .quality()
            .iter()
            .map(|issue| Quality {
                kind: issue.kind.as_str(),
                span_id: issue.span.to_string(),
                micros: issue.micros,
            })
            .collect(),
    }
}

/// Exact for 285 years, which is what a double has room for.
fn to_ms(micros: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits of microseconds")]
    let micros = micros as f64;
    micros / 1_000.0
}
