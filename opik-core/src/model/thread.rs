//! Threads.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AnnotationQueueRef, Comment, Extra, FeedbackScore, RecordSource, Usage, wire_word};
use crate::{Json, ProjectId, Timestamp};

wire_word! {
    /// Whether a thread is still going on.
    ThreadStatus {
        /// Turns are still expected.
        Active = "active",
        /// Closed, or quiet for 15 minutes.
        Inactive = "inactive",
    }
}

/// A thread: the traces of one conversation, summed up (read).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Thread {
    /// Name of the thread within its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Identifier of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_model_id: Option<String>,
    /// When its first trace began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// When its last trace ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// Milliseconds from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Input of the earliest trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_message: Option<Json>,
    /// Output of the latest trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Json>,
    /// Scores.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub feedback_scores: Vec<FeedbackScore>,
    /// Whether turns are still expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ThreadStatus>,
    /// Two for each trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_of_messages: Option<u64>,
    /// Cost in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost: Option<f64>,
    /// Token counts.
    #[serde(
        default,
        skip_serializing_if = "Usage::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub usage: Usage,
    /// Remarks.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub comments: Vec<Comment>,
    /// Labels.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub tags: Vec<String>,
    /// The annotation queues that it is in.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub annotation_queues: Vec<AnnotationQueueRef>,
    /// When it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_at: Option<Timestamp>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<String>,
    /// Who began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When the server first had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Where it ran, for example `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What its first trace was recorded by. Conditions ask for it; it does not travel.
    #[serde(skip)]
    pub source: Option<RecordSource>,
    /// Fields of a newer protocol.
    #[serde(flatten)]
    pub extra: Extra,
}

impl fmt::Debug for Thread {
    /// Identifiers, times and sizes, not what was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("project_id", &self.project_id)
            .field("thread_model_id", &self.thread_model_id)
            .field("start_time", &self.start_time)
            .field("end_time", &self.end_time)
            .field("first_message", &self.first_message)
            .field("last_message", &self.last_message)
            .field("status", &self.status)
            .field("number_of_messages", &self.number_of_messages)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
