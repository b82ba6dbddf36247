//! Projects.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Extra, VisibilityMode};
use crate::{ProjectId, Timestamp};

/// A project: traces belong to one, found by name without regard to case.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Project {
    /// Identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ProjectId>,
    /// Name, unique in a workspace.
    pub name: String,
    /// Who may see it: `private` or `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<VisibilityMode>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// When it was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_at: Option<Timestamp>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<String>,
    /// When its latest trace changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_trace_at: Option<Timestamp>,
    /// Fields of a newer protocol, and the statistics of the detailed form.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Project {
    /// The name of the project that takes what names none.
    pub const DEFAULT_NAME: &'static str = "Default Project";

    /// A project with a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: None,
            name: name.into(),
            visibility: None,
            description: None,
            created_at: None,
            created_by: None,
            last_updated_at: None,
            last_updated_by: None,
            last_updated_trace_at: None,
            extra: Extra::new(),
        }
    }
}

impl fmt::Debug for Project {
    /// What identifies it, without its description.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("visibility", &self.visibility)
            .field("created_at", &self.created_at)
            .field("last_updated_at", &self.last_updated_at)
            .finish_non_exhaustive()
    }
}
