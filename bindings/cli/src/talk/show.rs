//! A turn on the terminal: words as they come, tools, what went wrong, which spans are meant.

use std::sync::Arc;

use futures_util::StreamExt as _;
use opik_assist::assistant::{
    Outcome, TurnEnd, TurnEvent, TurnEventKind, TurnHandle, TurnRecord, WholeMessage,
};
use opik_assist::context::SpanLabel;
use opik_core::TraceTree;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::render::numbers::{duration, things};
use crate::render::style::{BAD, DIM, ID};
use crate::render::text::{clean, clean_lines, short_id};

/// Spans that are listed below an answer.
const LISTED: usize = 8;

/// Shows a turn to its end, and returns its last message and its outcome. Ctrl-C cancels the turn.
pub(crate) async fn turn(
    turn: &TurnHandle,
    ctx: &Context,
) -> Result<(Option<WholeMessage>, Outcome), Failure> {
    let mut events = turn.events(0);
    let mut last = None;
    let mut at_start = true;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            pressed = tokio::signal::ctrl_c() => {
                pressed.map_err(|error| {
                    Failure::new(Code::Failed, "cannot listen for Ctrl-C").cause(error)
                })?;
                turn.cancel();
                continue;
            }
        };
        let Some(event) = event else { break };
        if ctx.out.is_json() {
            ctx.out.json_line(&*event)?;
        } else {
            show(&event, &mut at_start, ctx)?;
        }
        if let TurnEventKind::Message(message) = &event.kind {
            last = Some(message.clone());
        }
    }
    let outcome = turn.finished().await;
    Ok((last, outcome))
}

/// The last message of a turn and its outcome, without showing anything.
pub(crate) async fn quiet(turn: &TurnHandle) -> (Option<WholeMessage>, Outcome) {
    let messages = turn.events(0).filter_map(|event| async move {
        match &event.kind {
            TurnEventKind::Message(message) => Some(message.clone()),
            _ => None,
        }
    });
    let messages: Vec<WholeMessage> = messages.collect().await;
    (messages.into_iter().last(), turn.finished().await)
}

fn show(event: &Arc<TurnEvent>, at_start: &mut bool, ctx: &Context) -> Result<(), Failure> {
    match &event.kind {
        TurnEventKind::Text { text } => {
            *at_start = text.ends_with('\n');
            ctx.out.text(&clean_lines(text))?;
        }
        TurnEventKind::Message(_) if !*at_start => {
            *at_start = true;
            ctx.out.text("\n")?;
        }
        TurnEventKind::ToolStarted {
            name, arguments, ..
        } => {
            let arguments = arguments
                .to_value()
                .map(|value| brief(&value))
                .unwrap_or_default();
            ctx.out.text(&format!(
                "{DIM}  {}{}{DIM:#}\n",
                clean(name),
                clean(&arguments)
            ))?;
        }
        TurnEventKind::Failed(failed) => {
            let start = if *at_start { "" } else { "\n" };
            *at_start = true;
            ctx.out
                .text(&format!("{start}{BAD}{}{BAD:#}\n", failed.message))?;
        }
        _ => {}
    }
    Ok(())
}

/// The arguments of a tool in a few words.
fn brief(arguments: &Value) -> String {
    let mut text = String::new();
    for (name, value) in arguments.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let value: String = value.chars().take(48).collect();
        text.push_str(&format!(" {name}={value}"));
    }
    text
}

/// The spans that an answer names, with what opens them.
pub(crate) fn spans(message: &WholeMessage, tree: &TraceTree) -> String {
    let mut text = String::new();
    for &id in message.spans.iter().take(LISTED) {
        let Some(node) = tree.find(id) else { continue };
        let name = clean(tree.span(node).name.as_deref().unwrap_or("(no name)"));
        let name: String = name.chars().take(60).collect();
        let label = SpanLabel::of(node).to_string();
        text.push_str(&format!(
            "  {ID}{label:<5} {}{ID:#}  {name}\n",
            short_id(id)
        ));
    }
    text
}

/// A line for each turn: how it went and what it used up.
pub(crate) fn usage(turns: &[TurnRecord]) -> String {
    let mut text = String::new();
    for (number, turn) in (1..).zip(turns) {
        text.push_str(&format!("{number:>3}  {}", clean(&used(turn))));
        text.push('\n');
    }
    text
}

fn used(turn: &TurnRecord) -> String {
    let Some(outcome) = &turn.outcome else {
        return "no outcome is kept of it".to_owned();
    };
    let end = match outcome.end {
        TurnEnd::Answered if outcome.computed => "computed",
        TurnEnd::Answered => "answered",
        TurnEnd::CutOff => "cut off",
        TurnEnd::Limited => "ended at a limit",
        TurnEnd::Cancelled => "cancelled",
        _ => "failed",
    };
    let micros = outcome.millis.saturating_mul(1_000);
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    let mut parts = vec![format!("{end} in {}", duration(micros))];
    let spent = &outcome.spent;
    if spent.rounds > 0 {
        parts.push(things(spent.rounds as u64, "question") + " to the model");
        parts.push(things(spent.tool_calls as u64, "tool call"));
    }
    if spent.total_tokens > 0 {
        let tokens = u64::try_from(spent.total_tokens).unwrap_or(0);
        parts.push(things(tokens, "token"));
    }
    if outcome.unverified > 0 {
        parts.push(format!("{} not found in the evidence", outcome.unverified));
    }
    if let Some(model) = &turn.model {
        parts.push(model.clone());
    }
    parts.join(", ")
}

/// A turn that has no answer is a failure of the command.
pub(crate) fn check(outcome: &Outcome) -> Result<(), Failure> {
    match (outcome.end, outcome.failure) {
        (TurnEnd::Failed, Some(kind)) => Err(Failure::new(
            Code::Failed,
            kind.message().trim_end_matches('.'),
        )
        .hint("without --model the answer is computed")),
        (TurnEnd::Failed, None) => Err(Failure::new(Code::Failed, "the turn failed")),
        (TurnEnd::Cancelled, _) => Err(Failure::new(Code::Failed, "the turn was cancelled")),
        _ => Ok(()),
    }
}
