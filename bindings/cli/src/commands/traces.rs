//! `opik-rs traces`: a list.

use opik_core::query::Sort;
use opik_core::source::PageRequest;
use opik_core::{Trace, TraceSource};
use pollster::block_on;
use serde::Serialize;

use super::selection::{Selection, parse_sort};
use super::words::{self, Found};
use crate::context::Context;
use crate::exit::Outcome;
use crate::render::numbers::{count, dollars, millis, moment};
use crate::render::style::{BAD, DIM, ID, STRONG};
use crate::render::table::{Align, Cell, Table};
use crate::render::text::{clean, short_id};

/// Arguments of `opik-rs traces`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs traces                                     the newest 20
  opik-rs traces --error --since 24h                 what failed since yesterday
  opik-rs traces --sort duration --limit 5           the slowest
  opik-rs traces --sort total_estimated_cost         the most expensive
  opik-rs traces -f 'span_count > 50 AND tags contains \"prod\"'
  opik-rs traces -t \"file not found\"                 words of a trace or a span
  opik-rs traces --json | jq -r '.traces[].id'

Filters are Opik's query language: field operator value, joined by AND. Operators are \
= != > >= < <= contains not_contains starts_with ends_with is_empty is_not_empty in not_in; \
in and not_in go with source, environment and visibility_mode only. \
Durations are milliseconds. Fields with parts take a key: metadata.agent = \"planner\".

JSON: {\"traces\": [{id, project_name, name, start_time, duration_ms, span_count, \
llm_span_count, total_tokens, total_estimated_cost, error_type, ...}], \"more\": bool}")]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Order: a field, with :asc or :desc behind it [default: newest first]
    #[arg(long, short = 's', value_name = "FIELD[:asc]", value_parser = parse_sort)]
    sort: Option<Sort>,

    /// Most traces to list, 1 to 2000
    #[arg(
        long,
        short = 'n',
        value_name = "NUMBER",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(1..=2000)
    )]
    limit: u16,
}

/// The result in JSON.
#[derive(Debug, Serialize)]
struct Listing<'a> {
    traces: Vec<Line<'a>>,
    /// Whether there are more than were asked for.
    more: bool,
}

/// One trace of a list in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    id: String,
    project_name: Option<&'a str>,
    name: Option<&'a str>,
    start_time: String,
    end_time: Option<String>,
    duration_ms: Option<f64>,
    span_count: Option<u64>,
    llm_span_count: Option<u64>,
    total_tokens: Option<i64>,
    total_estimated_cost: Option<f64>,
    error_type: Option<&'a str>,
    thread_id: Option<&'a str>,
    tags: &'a [String],
}

impl<'a> Line<'a> {
    pub(super) fn of(trace: &'a Trace) -> Self {
        Self {
            id: trace.id.to_string(),
            project_name: trace.project_name.as_deref(),
            name: trace.name.as_deref(),
            start_time: trace.start_time.to_string(),
            end_time: trace.end_time.map(|at| at.to_string()),
            duration_ms: trace.duration,
            span_count: trace.span_count,
            llm_span_count: trace.llm_span_count,
            total_tokens: trace.usage.total_tokens(),
            total_estimated_cost: trace.total_estimated_cost,
            error_type: trace
                .error_info
                .as_ref()
                .map(|error| error.exception_type.as_str()),
            thread_id: trace.thread_id.as_deref(),
            tags: &trace.tags,
        }
    }
}

/// Lists traces.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let mut query = args.selection.query()?;
    query.sort = args.sort.clone();
    query.page = PageRequest::first(usize::from(args.limit));
    let store = if query.text.is_some() {
        ctx.existing_store_with_text()?
    } else {
        ctx.existing_store()?
    };
    let indexed = query.text.is_none() || words::wait(&store)?;
    let Found { traces, more } = if query.text.is_some() {
        words::search(&store, &query, Some(usize::from(args.limit)))?
    } else {
        let page = block_on(store.search_traces(&query))?;
        Found {
            more: page.next.is_some(),
            traces: page.items,
        }
    };
    if ctx.out.is_json() {
        let traces = traces.iter().map(Line::of).collect();
        return Ok(ctx.out.json(&Listing { traces, more })?);
    }
    let mut text = if traces.is_empty() {
        empty(&args.selection)
    } else {
        table(&traces, ctx)
    };
    if !indexed {
        let note = "the text index is still behind; the newest words may be missing";
        ctx.out.notice(&format!("{DIM}{note}{DIM:#}\n"));
    }
    if more {
        text.push_str(&format!(
            "{DIM}there are more; --limit shows up to 2000{DIM:#}\n"
        ));
    }
    Ok(ctx.out.text(&text)?)
}

fn empty(selection: &Selection) -> String {
    if selection.is_empty() {
        format!("no traces yet\n  {DIM}try:{DIM:#} opik-rs demo, or opik-rs import <FILE>\n")
    } else {
        "no trace matches\n".to_owned()
    }
}

fn table(traces: &[Trace], ctx: &Context) -> String {
    let with_cost = traces
        .iter()
        .any(|trace| trace.total_estimated_cost.is_some());
    let with_tokens = traces
        .iter()
        .any(|trace| trace.usage.total_tokens().is_some_and(|n| n > 0));
    let mut columns = vec![
        ("ID", Align::Left),
        ("START (UTC)", Align::Left),
        ("NAME", Align::Left),
        ("TIME", Align::Right),
        ("SPANS", Align::Right),
    ];
    if with_tokens {
        columns.push(("TOKENS", Align::Right));
    }
    if with_cost {
        columns.push(("COST", Align::Right));
    }
    columns.push(("", Align::Left));
    let last = columns.len().saturating_sub(1);
    let mut table = Table::new(columns, 2).squeezing(last);
    // Seconds take the room that names need.
    let precise = if ctx.width < 100 { 16 } else { 19 };
    for trace in traces {
        let running = trace.end_time.is_none();
        let time = trace.duration.map_or_else(
            || {
                if running {
                    "running".to_owned()
                } else {
                    "-".to_owned()
                }
            },
            millis,
        );
        let mut row = vec![
            Cell::styled(short_id(trace.id), ID),
            Cell::styled(
                moment(trace.start_time).get(..precise).unwrap_or_default(),
                DIM,
            ),
            Cell::styled(trace.name.as_deref().unwrap_or("(no name)"), STRONG),
            Cell::new(time),
            Cell::new(trace.span_count.map_or_else(|| "-".to_owned(), count)),
        ];
        if with_tokens {
            let tokens = trace.usage.total_tokens();
            row.push(Cell::new(tokens.map_or_else(|| "-".to_owned(), count)));
        }
        if with_cost {
            let cost = trace.total_estimated_cost;
            row.push(Cell::new(cost.map_or_else(|| "-".to_owned(), dollars)));
        }
        let error = trace.error_info.as_ref().map_or_else(String::new, |error| {
            let kind: String = clean(&error.exception_type).chars().take(24).collect();
            format!("{} {kind}", ctx.glyphs.error)
        });
        row.push(Cell::styled(error, BAD));
        table.row(row);
    }
    table.render(ctx.width, &ctx.glyphs)
}
