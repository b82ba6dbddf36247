//! What can be filtered and sorted by.

/// What a query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Entity {
    /// Traces.
    Trace,
    /// Spans.
    Span,
    /// Threads.
    Thread,
}

/// How values of a field compare, as in Opik's table of operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldType {
    /// Text, compared without regard to case.
    String,
    /// Text, compared exactly.
    StringExact,
    /// A moment.
    DateTime,
    /// A number.
    Number,
    /// A list of texts.
    List,
    /// JSON, with a path in the key.
    Dictionary,
    /// Feedback scores, with the score's name in the key.
    FeedbackScores,
    /// One of a few words, compared exactly.
    Enum,
    /// Present or absent.
    ErrorContainer,
}

impl FieldType {
    /// The type's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::StringExact => "string_exact",
            Self::DateTime => "date_time",
            Self::Number => "number",
            Self::List => "list",
            Self::Dictionary => "dictionary",
            Self::FeedbackScores => "feedback_scores_number",
            Self::Enum => "enum",
            Self::ErrorContainer => "error_container",
        }
    }

    /// Whether a condition on such a field names a part of it: a path or the name of a score.
    #[must_use]
    pub fn has_key(self) -> bool {
        matches!(self, Self::Dictionary | Self::FeedbackScores)
    }
}

/// A field of an entity, by its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    entity: Entity,
    name: &'static str,
    kind: FieldType,
}

impl Field {
    /// The field with this name on the wire; `None` when the entity has none of that name.
    #[must_use]
    pub fn find(entity: Entity, name: &str) -> Option<Self> {
        let own = match entity {
            Entity::Trace => TRACE_ONLY,
            Entity::Span => SPAN_ONLY,
            Entity::Thread => THREAD,
        };
        let shared: &[(&str, FieldType)] = if entity == Entity::Thread {
            &[]
        } else {
            SHARED
        };
        own.iter()
            .chain(shared)
            .find(|(known, _)| *known == name)
            .map(|&(name, kind)| Self { entity, name, kind })
    }

    /// Every field of an entity, for help texts and completions.
    pub fn all(entity: Entity) -> impl Iterator<Item = Self> {
        let own = match entity {
            Entity::Trace => TRACE_ONLY,
            Entity::Span => SPAN_ONLY,
            Entity::Thread => THREAD,
        };
        let shared: &[(&str, FieldType)] = if entity == Entity::Thread {
            &[]
        } else {
            SHARED
        };
        shared
            .iter()
            .chain(own)
            .map(move |&(name, kind)| Self { entity, name, kind })
    }

    /// What it is a field of.
    #[must_use]
    pub fn entity(self) -> Entity {
        self.entity
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// How its values compare.
    #[must_use]
    pub fn kind(self) -> FieldType {
        self.kind
    }
}

use FieldType::{
    DateTime, Dictionary, Enum, ErrorContainer, FeedbackScores, List, Number, String, StringExact,
};

const SHARED: &[(&str, FieldType)] = &[
    ("id", StringExact),
    ("name", String),
    ("start_time", DateTime),
    ("end_time", DateTime),
    ("input", String),
    ("output", String),
    ("input_json", Dictionary),
    ("output_json", Dictionary),
    ("metadata", Dictionary),
    ("total_estimated_cost", Number),
    ("tags", List),
    ("usage.total_tokens", Number),
    ("usage.prompt_tokens", Number),
    ("usage.completion_tokens", Number),
    ("feedback_scores", FeedbackScores),
    ("duration", Number),
    ("ttft", Number),
    ("error_info", ErrorContainer),
    ("error_type", String),
    ("created_at", DateTime),
    ("last_updated_at", DateTime),
    ("source", Enum),
    ("environment", Enum),
];

const TRACE_ONLY: &[(&str, FieldType)] = &[
    ("llm_span_count", Number),
    ("span_count", Number),
    ("span_feedback_scores", FeedbackScores),
    ("thread_id", StringExact),
    ("guardrails", String),
    ("visibility_mode", Enum),
    ("annotation_queue_ids", List),
    ("experiment_id", StringExact),
];

const SPAN_ONLY: &[(&str, FieldType)] = &[
    ("model", String),
    ("provider", String),
    ("type", Enum),
    ("trace_id", StringExact),
    ("parent_span_id", StringExact),
];

const THREAD: &[(&str, FieldType)] = &[
    ("id", StringExact),
    ("first_message", String),
    ("last_message", String),
    ("number_of_messages", Number),
    ("duration", Number),
    ("created_at", DateTime),
    ("last_updated_at", DateTime),
    ("start_time", DateTime),
    ("end_time", DateTime),
    ("feedback_scores", FeedbackScores),
    ("status", Enum),
    ("tags", List),
    ("annotation_queue_ids", List),
    ("source", Enum),
    ("environment", Enum),
];
