//! Order of a list.

use super::{Entity, Field};

/// Up or down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    #[default]
    Descending,
}

/// A field and a direction. Ties are broken by identifier, in the same direction; records without
/// a value come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    field: Field,
    key: Option<String>,
    direction: Direction,
}

impl Sort {
    /// The order by a field of this name; `None` when the entity has none. A dot separates the
    /// field from a key (`feedback_scores.relevance`), except in names that contain one.
    #[must_use]
    pub fn by(entity: Entity, name: &str, direction: Direction) -> Option<Self> {
        if let Some(field) = Field::find(entity, name) {
            return Some(Self {
                field,
                key: None,
                direction,
            });
        }
        let (field, key) = name.split_once('.')?;
        let field = Field::find(entity, field)?;
        Some(Self {
            field,
            key: Some(key.to_owned()),
            direction,
        })
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> Field {
        self.field
    }

    /// The path or score name, if any.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Up or down.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }
}
