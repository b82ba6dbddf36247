//! What attributes mean: the conventions of OpenTelemetry for generative AI (`gen_ai.*`), of
//! OpenInference (`llm.*`, `openinference.*`, `input.value`), of OpenLLMetry (`traceloop.*`), of the
//! AI SDK (`ai.*`), LiveKit (`lk.*`) and Pydantic AI, and of Opik itself (`input`, `output`,
//! `thread_id`, `opik.tags`), attribute by attribute.

use opik_core::SpanType;

/// A field of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Kind,
    Model,
    Provider,
    Tokens(&'static str),
    Cost,
    Input,
    Output,
    Tags,
    Thread,
    Environment,
}

use Target::{Cost, Environment, Input, Kind, Model, Output, Provider, Tags, Thread, Tokens};

/// Attribute by attribute; of several for one target the first that is present wins.
pub(crate) const TABLE: &[(&str, Target)] = &[
    ("openinference.span.kind", Kind),
    ("gen_ai.operation.name", Kind),
    ("traceloop.span.kind", Kind),
    ("llm.request.type", Kind),
    ("gen_ai.response.model", Model),
    ("gen_ai.request.model", Model),
    ("llm.model_name", Model),
    ("embedding.model_name", Model),
    ("gen_ai.provider.name", Provider),
    ("gen_ai.system", Provider),
    ("llm.provider", Provider),
    ("llm.system", Provider),
    ("gen_ai.usage.input_tokens", Tokens("prompt_tokens")),
    ("gen_ai.usage.prompt_tokens", Tokens("prompt_tokens")),
    ("llm.token_count.prompt", Tokens("prompt_tokens")),
    ("gen_ai.usage.output_tokens", Tokens("completion_tokens")),
    (
        "gen_ai.usage.completion_tokens",
        Tokens("completion_tokens"),
    ),
    ("llm.token_count.completion", Tokens("completion_tokens")),
    ("gen_ai.usage.total_tokens", Tokens("total_tokens")),
    ("llm.usage.total_tokens", Tokens("total_tokens")),
    ("llm.token_count.total", Tokens("total_tokens")),
    (
        "gen_ai.usage.cache_read.input_tokens",
        Tokens("original_usage.cache_read_input_tokens"),
    ),
    (
        "llm.token_count.prompt_details.cache_read",
        Tokens("original_usage.cache_read_input_tokens"),
    ),
    (
        "gen_ai.usage.reasoning.output_tokens",
        Tokens("original_usage.reasoning_tokens"),
    ),
    (
        "llm.token_count.completion_details.reasoning",
        Tokens("original_usage.reasoning_tokens"),
    ),
    ("llm.cost.total", Cost),
    ("gen_ai.usage.cost", Cost),
    ("input.value", Input),
    ("gen_ai.input.messages", Input),
    ("gen_ai.tool.call.arguments", Input),
    ("traceloop.entity.input", Input),
    ("input", Input),
    ("gen_ai.prompt", Input),
    ("output.value", Output),
    ("gen_ai.output.messages", Output),
    ("gen_ai.tool.call.result", Output),
    ("traceloop.entity.output", Output),
    ("output", Output),
    ("gen_ai.completion", Output),
    ("tag.tags", Tags),
    ("opik.tags", Tags),
    ("gen_ai.conversation.id", Thread),
    ("session.id", Thread),
    ("thread_id", Thread),
    ("deployment.environment.name", Environment),
    ("deployment.environment", Environment),
];

/// Messages that are spread over attributes, `<prefix>.<number>.<rest>`.
pub(crate) const MESSAGES: &[(&str, Target)] = &[
    ("llm.input_messages.", Input),
    ("gen_ai.prompt.", Input),
    ("llm.output_messages.", Output),
    ("gen_ai.completion.", Output),
];

/// What libraries say in words of their own: looked for only where an attribute begins as theirs
/// do and the fields are still free. An empty text takes no field: a step that answers with calls
/// of tools has one.
pub(crate) const LIBRARIES: &[(&str, &[(&str, Target)])] = &[
    (
        "ai.",
        &[
            ("ai.prompt.messages", Input),
            ("ai.prompt", Input),
            ("ai.toolCall.args", Input),
            ("ai.response.text", Output),
            ("ai.response.object", Output),
            ("ai.response.toolCalls", Output),
            ("ai.toolCall.result", Output),
        ],
    ),
    (
        "lk.",
        &[
            ("lk.function_tool.arguments", Input),
            ("lk.chat_ctx", Input),
            ("lk.user_input", Input),
            ("lk.user_transcript", Input),
            ("lk.input_text", Input),
            ("lk.function_tool.output", Output),
            ("lk.response.text", Output),
            ("lk.response.function_calls", Output),
        ],
    ),
    (
        "pydantic_ai.",
        &[
            ("pydantic_ai.all_messages", Input),
            ("final_result", Output),
        ],
    ),
];

/// What only steps that call a tool say.
pub(crate) const TOOL_NAMES: [&str; 4] = [
    "gen_ai.tool.name",
    "tool.name",
    "ai.toolCall.name",
    "lk.function_tool.name",
];

/// Kinds of steps in the words of the conventions, lower case. Other words stay as they are.
pub(crate) const KINDS: &[(&str, SpanType)] = &[
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
