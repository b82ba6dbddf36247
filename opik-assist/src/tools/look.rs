//! Finding spans in the loaded trace.

use aho_corasick::AhoCorasick;
use opik_core::Span;
use serde_json::{Value, json};

use super::args::Args;
use super::{Scene, ToolError, records};

/// Bytes of content of one span that are searched.
const SEARCHED: usize = 1 << 20;
/// Most words of a search.
const WORDS: usize = 8;

/// Spans by words, kind, or whether they failed, in the order of the trace.
pub(super) fn search_spans(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 20, 1, 50)?;
    let offset = args.number("offset", 0, 0, 1_000_000)?;
    let kind = args.text("type")?;
    let errors_only = args.flag("errors_only")?;
    let words: Vec<&str> = args
        .text("query")?
        .unwrap_or_default()
        .split_whitespace()
        .take(WORDS)
        .collect();
    let wanted = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(&words)
        .map_err(|_| ToolError::Argument {
            name: "query".to_owned(),
            problem: "cannot be searched for; use fewer or shorter words".to_owned(),
        })?;
    let tree = &*scene.tree;
    let failed: Vec<_> = scene
        .evidence
        .errors
        .spans
        .iter()
        .map(|error| error.node)
        .collect();
    let mut found = 0_usize;
    let mut rows = Vec::new();
    for node in tree.nodes() {
        let span = tree.span(node);
        let fits = kind.is_none_or(|kind| span.kind().as_str().eq_ignore_ascii_case(kind))
            // Errors are in pre-order, as nodes are.
            && (!errors_only || failed.binary_search(&node).is_ok())
            && (words.is_empty() || has_all(&wanted, words.len(), span));
        if !fits {
            continue;
        }
        if found >= offset && rows.len() < limit {
            rows.push(records::row(scene, tree, node));
        }
        found += 1;
    }
    Ok(json!({ "found": found, "offset": offset, "spans": rows }))
}

/// Whether every word occurs in the name, the error or the content of a span.
fn has_all(wanted: &AhoCorasick, words: usize, span: &Span) -> bool {
    let mut seen = [false; WORDS];
    let mut look = |text: &str| {
        let text = text
            .get(..text.floor_char_boundary(SEARCHED))
            .unwrap_or_default();
        // The automaton has standard semantics, which always support overlapping searches.
        for hit in wanted.try_find_overlapping_iter(text).into_iter().flatten() {
            if let Some(seen) = seen.get_mut(hit.pattern().as_usize()) {
                *seen = true;
            }
        }
    };
    look(&span.id.to_string());
    for text in [&span.name, &span.model].into_iter().flatten() {
        look(text);
    }
    if let Some(error) = &span.error_info {
        look(&error.exception_type);
        look(error.message.as_deref().unwrap_or_default());
        look(&error.traceback);
    }
    for content in [&span.input, &span.output, &span.metadata]
        .into_iter()
        .flatten()
    {
        look(content.as_str());
    }
    seen.iter().take(words).all(|seen| *seen)
}

/// The spans directly below one, or at the top of the trace.
pub(super) fn list_children(scene: &Scene, args: &Args) -> Result<Value, ToolError> {
    let limit = args.number("limit", 30, 1, 100)?;
    let offset = args.number("offset", 0, 0, 1_000_000)?;
    let (tree, children): (_, Vec<_>) = match args.optional_span("span_id", scene)? {
        Some((tree, node)) => (tree, tree.children(node).collect()),
        None => (&*scene.tree, scene.tree.roots().collect()),
    };
    let rows: Vec<Value> = children
        .iter()
        .skip(offset)
        .take(limit)
        .map(|&node| records::row(scene, tree, node))
        .collect();
    Ok(json!({ "count": children.len(), "offset": offset, "spans": rows }))
}
