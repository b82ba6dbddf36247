//! `opik-rs tail`: traces as they are recorded, by any process that writes to the store.
//!
//! The store numbers its changes; this asks for those after the last number, twice a second, and
//! prints a line per trace that changed. Ctrl-C ends it.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use opik_core::{Trace, TraceId, TraceSource};
use opik_store::Store;
use pollster::block_on;
use serde::Serialize;

use super::traces::Line;
use crate::context::Context;
use crate::exit::{Code, Failure, Outcome};
use crate::render::numbers::{count, dollars, millis, moment};
use crate::render::style::{BAD, DIM, ID, STRONG};
use crate::render::text::{clean, fit, pad, pad_left, short_id};

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Traces per question.
const BATCH: usize = 500;

/// Arguments of `opik-rs tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  opik-rs tail                     what changes from now on, until Ctrl-C
  opik-rs tail --last 10           begin with the 10 that changed last
  opik-rs tail --error --json      one JSON object per line, for scripts
  opik-rs tail --last 5 --once     no waiting: the last 5, then end

A trace is printed when it or one of its spans changed, so a running trace is printed again \
and again, with what is known by then.

JSON, one line per change: {\"change\": number, \"trace\": {as in `traces --json`}}")]
pub(crate) struct Args {
    /// Begin with this many traces that changed last [default: 0, with --once 10]
    #[arg(long, short = 'n', value_name = "NUMBER")]
    last: Option<u16>,

    /// Only traces of this project
    #[arg(long, short = 'p', value_name = "NAME")]
    project: Option<String>,

    /// Only traces with an error
    #[arg(long, short = 'e')]
    error: bool,

    /// Print what there is and end
    #[arg(long)]
    once: bool,
}

/// One change in JSON.
#[derive(Debug, Serialize)]
struct Change<'a> {
    change: u64,
    trace: Line<'a>,
}

/// Follows the store.
pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    // Waits for the first trace too, so the store may be made here; looking once makes none.
    let store = if args.once {
        ctx.existing_store()?
    } else {
        ctx.open_store()?
    };
    let mut seen = store.last_change().map_err(unreadable)?;
    let last = args.last.unwrap_or(if args.once { 10 } else { 0 });
    for (change, id) in last_changes(&store, usize::from(last))? {
        print(&store, change, id, args, ctx)?;
    }
    if args.once {
        return Ok(());
    }
    let (stop, stopped) = sync_channel(1);
    ctrlc::set_handler(move || {
        // A second Ctrl-C finds the channel full, and says nothing new.
        stop.try_send(()).ok();
    })
    .map_err(|error| Failure::new(Code::Failed, "cannot listen for Ctrl-C").cause(error))?;
    if !ctx.out.is_json() {
        ctx.out
            .notice(&format!("{DIM}waiting for traces; Ctrl-C ends{DIM:#}\n"));
    }
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        loop {
            let changes = store.changed_since(seen, BATCH).map_err(unreadable)?;
            let full = changes.len() == BATCH;
            for (change, id) in changes {
                seen = seen.max(change);
                print(&store, change, id, args, ctx)?;
            }
            if !full {
                break;
            }
        }
    }
    Ok(())
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Code::Store, "cannot read the store's changes")
        .cause(error)
        .hint("opik-rs doctor")
}

/// The newest changes, oldest first.
fn last_changes(store: &Store, wanted: usize) -> Result<Vec<(u64, TraceId)>, Failure> {
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let last = store.last_change().map_err(unreadable)?;
    // Numbers are per change, not per trace: look back further until there are enough.
    let mut back = (wanted as u64).saturating_mul(4);
    loop {
        let from = last.saturating_sub(back);
        let mut changes = all_since(store, from)?;
        if changes.len() >= wanted || from == 0 {
            return Ok(changes.split_off(changes.len().saturating_sub(wanted)));
        }
        back = back.saturating_mul(8);
    }
}

fn all_since(store: &Store, mut seen: u64) -> Result<Vec<(u64, TraceId)>, Failure> {
    let mut all = Vec::new();
    loop {
        let changes = store.changed_since(seen, BATCH).map_err(unreadable)?;
        let full = changes.len() == BATCH;
        seen = changes.last().map_or(seen, |&(change, _)| change);
        all.extend(changes);
        if !full {
            return Ok(all);
        }
    }
}

fn print(store: &Store, change: u64, id: TraceId, args: &Args, ctx: &Context) -> Outcome {
    let Some(trace) = block_on(store.trace(id))? else {
        // Spans that came before their trace: shown when it is there.
        return Ok(());
    };
    let wanted = args.project.as_deref().is_none_or(|project| {
        let own = trace.project_name.as_deref().unwrap_or_default();
        own.to_lowercase() == project.to_lowercase()
    });
    if !wanted || (args.error && trace.error_info.is_none()) {
        return Ok(());
    }
    if ctx.out.is_json() {
        let trace = Line::of(&trace);
        return Ok(ctx.out.json_line(&Change { change, trace })?);
    }
    Ok(ctx.out.text(&line(&trace, ctx))?)
}

fn line(trace: &Trace, ctx: &Context) -> String {
    let time = match (trace.end_time, trace.duration) {
        (None, _) => "running".to_owned(),
        (_, Some(duration)) => millis(duration),
        (_, None) => String::new(),
    };
    let mut facts = Vec::new();
    facts.extend(trace.span_count.map(|n| format!("{} spans", count(n))));
    let tokens = trace.usage.total_tokens().filter(|&tokens| tokens > 0);
    facts.extend(tokens.map(|n| format!("{} tokens", count(n))));
    facts.extend(trace.total_estimated_cost.map(dollars));
    let facts = facts.join(ctx.glyphs.dot);
    let error = trace.error_info.as_ref().map_or_else(String::new, |error| {
        let kind: String = clean(&error.exception_type).chars().take(24).collect();
        format!("  {BAD}{} {kind}{BAD:#}", ctx.glyphs.error)
    });
    let room = ctx.width.saturating_sub(75).clamp(12, 60);
    let name = clean(trace.name.as_deref().unwrap_or("(no name)"));
    let name = pad(&fit(&name, room, &ctx.glyphs), room);
    format!(
        "{ID}{}{ID:#}  {DIM}{}{DIM:#}  {STRONG}{name}{STRONG:#}  {}  {facts}{error}\n",
        short_id(trace.id),
        moment(trace.start_time),
        pad_left(&time, 8),
    )
}
