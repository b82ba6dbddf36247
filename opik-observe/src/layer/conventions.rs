//! What fields mean: one table of the layer's own words and of the conventions that other
//! instrumentation follows. A test holds it against what the importers of `opik-formats` make of the
//! same attributes.

use std::sync::LazyLock;

use opik_core::SpanType;

/// A field of an Opik span that a field of a tracing span can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Kind,
    Model,
    Provider,
    Prompt,
    Completion,
    Total,
    CacheRead,
    Reasoning,
    Cost,
    Input,
    Output,
    Tags,
    Thread,
    Error,
    ErrorKind,
}

/// How many slots there are.
pub(super) const SLOTS: usize = ErrorKind as usize + 1;

impl Slot {
    /// The token count's name in Opik.
    pub(super) fn counter(self) -> Option<&'static str> {
        match self {
            Self::Prompt => Some("prompt_tokens"),
            Self::Completion => Some("completion_tokens"),
            Self::Total => Some("total_tokens"),
            Self::CacheRead => Some("original_usage.cache_read_input_tokens"),
            Self::Reasoning => Some("original_usage.reasoning_tokens"),
            _ => None,
        }
    }
}

use Slot::{
    CacheRead, Completion, Cost, Error, ErrorKind, Input, Kind, Model, Output, Prompt, Provider,
    Reasoning, Tags, Thread, Total,
};

/// Field by field; of several for one slot the first of the table wins.
const TABLE: &[(&str, Slot)] = &[
    ("opik.type", Kind),
    ("openinference.span.kind", Kind),
    ("gen_ai.operation.name", Kind),
    ("traceloop.span.kind", Kind),
    ("llm.request.type", Kind),
    ("opik.model", Model),
    ("gen_ai.response.model", Model),
    ("gen_ai.request.model", Model),
    ("llm.model_name", Model),
    ("embedding.model_name", Model),
    ("opik.provider", Provider),
    ("gen_ai.provider.name", Provider),
    ("gen_ai.system", Provider),
    ("llm.provider", Provider),
    ("llm.system", Provider),
    ("opik.usage.prompt_tokens", Prompt),
    ("gen_ai.usage.input_tokens", Prompt),
    ("gen_ai.usage.prompt_tokens", Prompt),
    ("llm.token_count.prompt", Prompt),
    ("opik.usage.completion_tokens", Completion),
    ("gen_ai.usage.output_tokens", Completion),
    ("gen_ai.usage.completion_tokens", Completion),
    ("llm.token_count.completion", Completion),
    ("opik.usage.total_tokens", Total),
    ("gen_ai.usage.total_tokens", Total),
    ("llm.usage.total_tokens", Total),
    ("llm.token_count.total", Total),
    ("gen_ai.usage.cache_read.input_tokens", CacheRead),
    ("llm.token_count.prompt_details.cache_read", CacheRead),
    ("gen_ai.usage.reasoning.output_tokens", Reasoning),
    ("llm.token_count.completion_details.reasoning", Reasoning),
    ("opik.cost", Cost),
    ("llm.cost.total", Cost),
    ("gen_ai.usage.cost", Cost),
    ("opik.input", Input),
    ("input.value", Input),
    ("gen_ai.input.messages", Input),
    ("gen_ai.tool.call.arguments", Input),
    ("traceloop.entity.input", Input),
    ("opik.output", Output),
    ("output.value", Output),
    ("gen_ai.output.messages", Output),
    ("gen_ai.tool.call.result", Output),
    ("traceloop.entity.output", Output),
    ("opik.tags", Tags),
    ("tag.tags", Tags),
    ("opik.thread_id", Thread),
    ("gen_ai.conversation.id", Thread),
    ("session.id", Thread),
    ("opik.error", Error),
    ("error", Error),
    ("exception.message", Error),
    ("otel.status_message", Error),
    ("opik.error.type", ErrorKind),
    ("error.type", ErrorKind),
    ("exception.type", ErrorKind),
];

/// Fields that name the span, where they are given with it.
pub(super) const NAMES: [&str; 2] = ["opik.name", "otel.name"];
/// Fields that say that a tool is called.
pub(super) const TOOL_NAMES: [&str; 2] = ["gen_ai.tool.name", "tool.name"];
/// The word for a kind that Opik does not have, as the importers keep it.
pub(super) const SOURCE_TYPE: &str = "source_type";
/// `ERROR` where the span failed.
pub(super) const STATUS: &str = "otel.status_code";
/// What follows is the name of a token count.
pub(super) const USAGE: &str = "opik.usage.";
/// What follows is a key of the metadata.
pub(super) const METADATA: &str = "opik.metadata.";

/// The table by name, for a quick look; each with its place in the table.
static BY_NAME: LazyLock<Vec<(&str, u8, Slot)>> = LazyLock::new(|| {
    let mut rows: Vec<_> = (0_u8..)
        .zip(TABLE)
        .map(|(rank, (name, slot))| (*name, rank, *slot))
        .collect();
    rows.sort_unstable_by_key(|(name, _, _)| *name);
    rows
});

/// What the field becomes, and how strongly: a lower rank wins.
pub(super) fn slot(field: &str) -> Option<(u8, Slot)> {
    if !may_be_special(field) {
        return None;
    }
    let place = BY_NAME.binary_search_by_key(&field, |(name, _, _)| name);
    let (_, rank, slot) = BY_NAME.get(place.ok()?)?;
    Some((*rank, *slot))
}

/// Whether the field is anything but a key of the metadata under its own name.
pub(super) fn is_special(field: &str) -> bool {
    may_be_special(field)
        && (slot(field).is_some()
            || NAMES.contains(&field)
            || TOOL_NAMES.contains(&field)
            || field == STATUS
            || field.starts_with(USAGE)
            || field.starts_with(METADATA))
}

/// All words of the conventions but one have a dot, and most fields of programs have none.
fn may_be_special(field: &str) -> bool {
    field.as_bytes().contains(&b'.') || field == "error"
}

/// The kind of step that a word of the conventions means; `None` for words that Opik has no kind
/// for.
pub(super) fn kind(word: &str) -> Option<SpanType> {
    let known = [
        ("llm", SpanType::Llm),
        ("embedding", SpanType::Llm),
        ("embeddings", SpanType::Llm),
        ("chat", SpanType::Llm),
        ("completion", SpanType::Llm),
        ("text_completion", SpanType::Llm),
        ("generate_content", SpanType::Llm),
        ("tool", SpanType::Tool),
        ("execute_tool", SpanType::Tool),
        ("retriever", SpanType::Tool),
        ("retrieval", SpanType::Tool),
        ("reranker", SpanType::Tool),
        ("rerank", SpanType::Tool),
        ("guardrail", SpanType::Guardrail),
        ("general", SpanType::General),
    ];
    let mut found = known.into_iter();
    found
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, kind)| kind)
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = (&'static str, Slot)> {
    TABLE.iter().copied()
}
