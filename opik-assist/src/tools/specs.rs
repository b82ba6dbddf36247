//! What the model is told about each tool.

use std::sync::OnceLock;

use opik_core::Json;
use opik_core::chat::ToolSpec;
use serde_json::{Value, json};

/// Every tool, in a fixed order.
#[must_use]
pub fn specs() -> Vec<ToolSpec> {
    // Every turn needs them, and they are always the same.
    static SPECS: OnceLock<Vec<ToolSpec>> = OnceLock::new();
    SPECS.get_or_init(made).clone()
}

fn made() -> Vec<ToolSpec> {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let flag = |what: &str| json!({ "type": "boolean", "description": what });
    let number = |what: &str| json!({ "type": "integer", "minimum": 0, "description": what });
    let span = || text("Id or label (s12) of a span of this trace.");
    let limit = || number("Most entries of the answer.");
    let offset = || number("Entries to leave out at the beginning.");
    vec![
        spec(
            "get_trace_data",
            "The record of the trace: name, times, input, output, metadata, tags, scores, totals.",
            &[],
            &json!({}),
        ),
        spec(
            "get_span_details",
            "Input, output and metadata of one span. Ask only for what is needed.",
            &["span_id"],
            &json!({
                "span_id": span(),
                "include_input": flag("Whether to give the input."),
                "include_output": flag("Whether to give the output."),
                "include_metadata": flag("Whether to give the metadata."),
            }),
        ),
        spec(
            "search_spans",
            "Spans of this trace by words in their name, error or content, by type, or only those that failed.",
            &[],
            &json!({
                "query": text("Words that must all occur."),
                "type": text("general, tool, llm or guardrail."),
                "errors_only": flag("Only spans that failed."),
                "limit": limit(),
                "offset": offset(),
            }),
        ),
        spec(
            "list_children",
            "The spans directly below a span, in order of their start; those at the top without an id.",
            &[],
            &json!({ "span_id": span(), "limit": limit(), "offset": offset() }),
        ),
        spec(
            "compare_spans",
            "How two spans differ: times, tokens, cost, fields, input, output.",
            &["first_span_id", "second_span_id"],
            &json!({ "first_span_id": span(), "second_span_id": span() }),
        ),
        spec(
            "critical_path",
            "The spans that the duration of the trace consists of, their share, and what each would save if it were faster.",
            &[],
            &json!({ "limit": limit() }),
        ),
        spec(
            "error_chain",
            "Where errors began, which spans they passed, what became of them, and which model call asked for the failing action.",
            &[],
            &json!({ "span_id": text("Only errors that this span is involved in."), "limit": limit() }),
        ),
        spec(
            "find_loops",
            "Retries, loops, rows of small calls and repeated calls, with the time, cost and tokens that they wasted.",
            &[],
            &json!({ "limit": limit() }),
        ),
        spec(
            "cost_hotspots",
            "The spans that spent the most money or tokens.",
            &[],
            &json!({ "limit": limit() }),
        ),
        spec(
            "compare_to_siblings",
            "How this trace compares to the newest others of its name in the project: duration, tokens, cost, spans that are slow, missing or new, and what failed or slow traces have in common.",
            &[],
            &json!({ "limit": number("How many other traces to look at.") }),
        ),
        spec(
            "get_thread",
            "The turns of the conversation that this trace is a part of.",
            &[],
            &json!({ "limit": limit() }),
        ),
    ]
}

fn spec(name: &str, description: &str, required: &[&str], properties: &Value) -> ToolSpec {
    let mut parameters = json!({ "type": "object", "properties": properties });
    if let (Value::Object(fields), false) = (&mut parameters, required.is_empty()) {
        fields.insert("required".to_owned(), json!(required));
    }
    ToolSpec {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: Json::from_value(&parameters),
    }
}
