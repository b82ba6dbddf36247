//! What was recorded: the trace, a span.

use opik_core::tree::NodeId;
use opik_core::{Trace, TraceTree};
use serde_json::{Map, Value, json};

use super::args::Args;
use super::{Scene, ToolError, bound};
use crate::context::SpanLabel;
use crate::figures::millis;
use crate::quote::clean;

/// The record of the trace, as the server gives it.
pub(super) fn trace_data(scene: &Scene, most: usize) -> Value {
    json!({ "trace": trace(scene.tree.trace(), most) })
}

fn trace(trace: &Trace, most: usize) -> Value {
    let mut bare = trace.clone();
    let contents = [
        ("input", bare.input.take()),
        ("output", bare.output.take()),
        ("metadata", bare.metadata.take()),
    ];
    let mut fields = match serde_json::to_value(&bare) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::from_iter([("id".to_owned(), json!(trace.id))]),
    };
    for (name, content) in contents {
        if content.is_some() {
            fields.insert(name.to_owned(), bound::content(content.as_ref(), most));
        }
    }
    Value::Object(fields)
}

/// Input, output and metadata of a span, those that are wanted.
pub(super) fn span_details(scene: &Scene, args: &Args, most: usize) -> Result<Value, ToolError> {
    let (tree, node) = args.span("span_id", scene)?;
    let span = tree.span(node);
    let mut fields = Map::from_iter([("span_id".to_owned(), json!(span.id))]);
    for (flag, name, content) in [
        ("include_input", "input", &span.input),
        ("include_output", "output", &span.output),
        ("include_metadata", "metadata", &span.metadata),
    ] {
        if args.flag(flag)? {
            fields.insert(name.to_owned(), bound::content(content.as_ref(), most));
        }
    }
    Ok(Value::Object(fields))
}

/// A span in one line: what it is, when, how long, how much.
pub(super) fn row(scene: &Scene, tree: &TraceTree, node: NodeId) -> Value {
    let span = tree.span(node);
    let interval = tree.interval(node);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("span_id", json!(span.id));
    if is_own(scene, tree) {
        put("label", json!(SpanLabel::of(node)));
    }
    put(
        "name",
        json!(clean(span.name.as_deref().unwrap_or_default(), 120)),
    );
    put("type", json!(clean(span.kind().as_str(), 24)));
    let start = interval.start.micros_since(tree.wall().start);
    put("start_ms", json!(millis(start)));
    put("duration_ms", json!(millis(interval.micros())));
    if is_own(scene, tree)
        && let Some(own) = scene.evidence.self_times.get(node)
    {
        put("self_ms", json!(millis(*own)));
    }
    if let Some(parent) = tree.parent(node) {
        put("parent_span_id", json!(tree.span(parent).id));
    }
    let children = tree.children(node).count();
    if children > 0 {
        put("children", json!(children));
    }
    if let Some(model) = &span.model {
        put("model", json!(clean(model, 80)));
    }
    if let Some(tokens) = span.usage.total_tokens() {
        put("tokens", json!(tokens));
    }
    if let Some(cost) = span.total_estimated_cost {
        put("cost_usd", json!(cost));
    }
    if let Some(error) = &span.error_info {
        let message = error.message.as_deref().unwrap_or(&error.traceback);
        put(
            "error",
            json!({ "type": clean(&error.exception_type, 80), "message": clean(message, 300) }),
        );
    }
    Value::Object(fields)
}

/// Whether the tree is that of the trace itself, whose spans have labels.
fn is_own(scene: &Scene, tree: &TraceTree) -> bool {
    tree.id() == scene.tree.id()
}

/// A span of the trace itself by id, label and name only.
pub(super) fn brief(tree: &TraceTree, node: NodeId) -> Value {
    let span = tree.span(node);
    let name = clean(span.name.as_deref().unwrap_or_default(), 120);
    json!({ "span_id": span.id, "label": SpanLabel::of(node), "name": name, "type": clean(span.kind().as_str(), 24) })
}
