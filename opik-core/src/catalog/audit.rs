//! Who made a record, and when.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The user that a server without accounts works for.
pub const USER: &str = "admin";

/// Who made and last changed a record, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Audit {
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was changed last.
    pub last_updated_at: Timestamp,
    /// Who changed it last.
    pub last_updated_by: String,
}

impl Audit {
    /// Made at this moment.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self {
            created_at: at,
            created_by: USER.to_owned(),
            last_updated_at: at,
            last_updated_by: USER.to_owned(),
        }
    }

    /// Changed at this moment, made when `old` was.
    #[must_use]
    pub fn after(old: &Self, at: Timestamp) -> Self {
        Self {
            last_updated_at: at,
            last_updated_by: USER.to_owned(),
            ..old.clone()
        }
    }

    /// Notes a change at this moment.
    pub fn touch(&mut self, at: Timestamp) {
        self.last_updated_at = at;
        USER.clone_into(&mut self.last_updated_by);
    }
}
