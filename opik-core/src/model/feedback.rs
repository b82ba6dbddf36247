//! Feedback scores and comments.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Extra, wire_word};
use crate::{ProjectId, SpanId, Timestamp, TraceId};

wire_word! {
    /// Who gave a score.
    ScoreSource {
        /// A program.
        Sdk = "sdk",
        /// A person in the user interface.
        Ui = "ui",
        /// A rule of the server.
        OnlineScoring = "online_scoring",
    }
}

/// One author's part of a score.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ValueEntry {
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Name of a categorical value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category_name: Option<String>,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ScoreSource>,
    /// When it was given last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_at: Option<Timestamp>,
    /// Kind of the span that was scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_type: Option<String>,
    /// The span that was scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// Annotation queue that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_queue_id: Option<String>,
    /// The author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Fields of a newer protocol.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A score as it is read on a trace, span or thread.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedbackScore {
    /// What is scored, for example `relevance`.
    pub name: String,
    /// Name of a categorical value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_name: Option<String>,
    /// The value; the mean where there are several authors.
    pub value: f64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who gave it.
    pub source: ScoreSource,
    /// Annotation queue that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_queue_id: Option<String>,
    /// When it was first given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was given last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_at: Option<Timestamp>,
    /// Who gave it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who gave it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<String>,
    /// Each author's part.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub value_by_author: BTreeMap<String, ValueEntry>,
    /// Fields of a newer protocol.
    #[serde(flatten)]
    pub extra: Extra,
}

impl FeedbackScore {
    /// A score by a program.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            category_name: None,
            value,
            reason: None,
            source: ScoreSource::Sdk,
            source_queue_id: None,
            created_at: None,
            last_updated_at: None,
            created_by: None,
            last_updated_by: None,
            value_by_author: BTreeMap::new(),
            extra: Extra::new(),
        }
    }

    /// The same score with a text that says why.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same score with the name of the category that the value stands for.
    #[must_use]
    pub fn with_category(mut self, category: impl Into<String>) -> Self {
        self.category_name = Some(category.into());
        self
    }
}

/// What a score is given to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScoreTarget {
    /// A trace.
    Trace(TraceId),
    /// A span.
    Span(SpanId),
    /// A thread, by its name within the project.
    Thread(String),
}

/// A score on its way to a store or server: a target and a score.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScoreRecord {
    /// What is scored.
    pub target: ScoreTarget,
    /// Project of the target; the default project where absent.
    pub project_name: Option<String>,
    /// Project of the target by identifier.
    pub project_id: Option<ProjectId>,
    /// Who gave it, where it is not the caller.
    pub author: Option<String>,
    /// The score.
    pub score: FeedbackScore,
}

impl ScoreRecord {
    /// A score for a target in the default project.
    #[must_use]
    pub fn new(target: ScoreTarget, score: FeedbackScore) -> Self {
        Self {
            target,
            project_name: None,
            project_id: None,
            author: None,
            score,
        }
    }
}

/// A remark on a trace, span or thread.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comment {
    /// Identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The remark.
    pub text: String,
    /// Annotation queue that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_queue_id: Option<String>,
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_at: Option<Timestamp>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<String>,
    /// Fields of a newer protocol.
    #[serde(flatten)]
    pub extra: Extra,
}

impl fmt::Debug for ValueEntry {
    /// The value, without the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueEntry")
            .field("value", &self.value)
            .field("source", &self.source)
            .field("last_updated_at", &self.last_updated_at)
            .field("span_id", &self.span_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FeedbackScore {
    /// The value, without the reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedbackScore")
            .field("name", &self.name)
            .field("value", &self.value)
            .field("source", &self.source)
            .field("last_updated_at", &self.last_updated_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Comment {
    /// What identifies it, without the remark.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comment")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("last_updated_at", &self.last_updated_at)
            .finish_non_exhaustive()
    }
}
