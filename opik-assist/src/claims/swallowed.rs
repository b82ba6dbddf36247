//! What became of an error that nobody reported: what its catcher gave back, and whether a model
//! was told of it.

use opik_core::Json;
use opik_core::tree::NodeId;

use super::Claims;
use crate::errors::SpanError;
use crate::quote::{clean, quoted};

/// Later model calls that are looked at.
const CALLS: usize = 64;
/// Inputs longer than this are not searched.
const LONGEST: usize = 1 << 20;
/// Characters of a message that are looked for, and the least that tell.
const HEAD: usize = 60;
const TELLING: usize = 12;
/// Characters of a quoted output.
const QUOTE: usize = 80;

/// Clauses about a swallowed error, each with a semicolon before it.
pub(super) fn aftermath(claims: &Claims<'_>, error: &SpanError, by: Option<NodeId>) -> String {
    let mut text = String::new();
    if let Some(output) = by.and_then(|by| claims.tree.span(by).output.as_ref()) {
        let output = output.to_value().map_or_else(
            |_| output.as_str().to_owned(),
            |value| {
                value
                    .as_str()
                    .map_or_else(|| output.as_str().to_owned(), str::to_owned)
            },
        );
        if !matches!(output.as_str(), "" | "null" | "{}" | "[]") {
            let shown = if output.starts_with(['{', '[']) {
                clean(&output, QUOTE)
            } else {
                quoted(&output, QUOTE)
            };
            text += &format!("; it returned {shown}");
        }
    }
    match told(claims, error) {
        Some(Some(call)) => text += &format!("; {} was told of it", claims.labels.span(call)),
        Some(None) => text += "; no later model call was told of it",
        None => {}
    }
    text
}

/// The first later model call whose input holds the message; `None` when that cannot be known.
fn told(claims: &Claims<'_>, error: &SpanError) -> Option<Option<NodeId>> {
    let tree = claims.tree;
    let head: String = error.message.trim().chars().take(HEAD).collect();
    if head.chars().count() < TELLING {
        return None;
    }
    // As it stands in JSON, without the quotation marks.
    let wanted = Json::string(&head);
    let wanted = wanted.as_str().trim_matches('"');
    let again = wanted.replace('\\', "\\\\");
    let end = tree.interval(error.node).end;
    let from = claims.calls.partition_point(|&(start, _)| start < end);
    let later = claims.calls.get(from..).unwrap_or_default();
    let inputs = later.iter().filter_map(|&(_, node)| {
        let input = tree.span(node).input.as_ref()?.as_str();
        (input.len() <= LONGEST).then_some((node, input))
    });
    let mut known = false;
    for (node, input) in inputs.take(CALLS) {
        known = true;
        // Messages that stand in a text within a text have their escapes escaped once more.
        if input.contains(wanted) || input.contains(&again) {
            return Some(Some(node));
        }
    }
    known.then_some(None)
}
