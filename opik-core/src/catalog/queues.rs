//! Annotation queues: what waits for people.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    Audit, CatalogError, Condition, FieldKind, Fields, Listing, Numbered, Order, check_id,
    check_text, check_word,
};
use crate::{EntityId, ProjectId, Timestamp};

/// Traces or threads that wait for people to score them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnnotationQueue {
    /// Identifier.
    pub id: EntityId,
    /// Project of what waits.
    pub project_id: ProjectId,
    /// The project's name; on reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// Name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What people are to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// `trace` or `thread`.
    pub scope: String,
    /// Whether people may comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments_enabled: Option<bool>,
    /// What people may score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback_definition_names: Vec<String>,
    /// How many people look at each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotators_per_item: Option<u32>,
    /// How long an item belongs to who looks at it, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_timeout_seconds: Option<u32>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// How many wait; on reading.
    #[serde(default)]
    pub items_count: u64,
}

impl AnnotationQueue {
    /// The fields that queues are filtered and sorted by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("project_id", "project_id", FieldKind::Exact),
        ("name", "name", FieldKind::Text),
        ("description", "description", FieldKind::Text),
        ("instructions", "instructions", FieldKind::Text),
        ("scope", "scope", FieldKind::Word),
        (
            "feedback_definition_names",
            "feedback_definition_names",
            FieldKind::List,
        ),
        ("items_count", "items_count", FieldKind::Number),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
        ("last_updated_by", "last_updated_by", FieldKind::Text),
    ];
}

/// A request for a new annotation queue.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewQueue {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Project of what waits.
    pub project_id: Option<ProjectId>,
    /// Name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What people are to do.
    pub instructions: Option<String>,
    /// `trace` or `thread`.
    pub scope: Option<String>,
    /// Whether people may comment.
    pub comments_enabled: Option<bool>,
    /// What people may score.
    pub feedback_definition_names: Option<Vec<String>>,
    /// How many people look at each item.
    pub annotators_per_item: Option<u32>,
    /// How long an item belongs to who looks at it, in seconds.
    pub lock_timeout_seconds: Option<u32>,
}

impl NewQueue {
    /// The record that it asks for.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(self, at: Timestamp) -> Result<AnnotationQueue, CatalogError> {
        check_text(&self.name, "name")?;
        let Some(project_id) = self.project_id else {
            return Err(CatalogError::unprocessable("projectId must not be null"));
        };
        let Some(scope) = self.scope else {
            return Err(CatalogError::unprocessable("scope must not be null"));
        };
        check_word(Some(&scope), "scope", &["trace", "thread"])?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "annotation queue")?;
        Ok(AnnotationQueue {
            id,
            project_id,
            project_name: None,
            name: self.name,
            description: self.description,
            instructions: self.instructions,
            scope,
            comments_enabled: self.comments_enabled,
            feedback_definition_names: self.feedback_definition_names.unwrap_or_default(),
            annotators_per_item: self.annotators_per_item,
            lock_timeout_seconds: self.lock_timeout_seconds,
            audit: Audit::new(at),
            items_count: 0,
        })
    }
}

/// Changes to an annotation queue; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct QueueUpdate {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What people are to do.
    pub instructions: Option<String>,
    /// Whether people may comment.
    pub comments_enabled: Option<bool>,
    /// What people may score.
    pub feedback_definition_names: Option<Vec<String>>,
    /// How many people look at each item.
    pub annotators_per_item: Option<u32>,
    /// How long an item belongs to who looks at it, in seconds.
    pub lock_timeout_seconds: Option<u32>,
}

impl QueueUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut AnnotationQueue, at: Timestamp) -> Result<(), CatalogError> {
        if let Some(name) = self.name {
            check_text(&name, "name")?;
            to.name = name;
        }
        to.description = self.description.or_else(|| to.description.take());
        to.instructions = self.instructions.or_else(|| to.instructions.take());
        to.comments_enabled = self.comments_enabled.or(to.comments_enabled);
        if let Some(names) = self.feedback_definition_names {
            to.feedback_definition_names = names;
        }
        to.annotators_per_item = self.annotators_per_item.or(to.annotators_per_item);
        to.lock_timeout_seconds = self.lock_timeout_seconds.or(to.lock_timeout_seconds);
        to.audit.touch(at);
        Ok(())
    }
}

/// Which annotation queues a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueQuery {
    /// Which page.
    pub page: Numbered,
    /// Only those with this in their name, without regard to case.
    pub name: Option<String>,
    /// Conditions on [`AnnotationQueue::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

/// Keeps annotation queues.
#[async_trait]
pub trait QueueCatalog: Send + Sync + fmt::Debug {
    /// Makes annotation queues: all or none.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when an identifier is taken.
    async fn create_queues(&self, new: Vec<NewQueue>) -> Result<Vec<EntityId>, CatalogError>;

    /// The annotation queue with this identifier.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn queue(&self, id: EntityId) -> Result<Option<AnnotationQueue>, CatalogError>;

    /// A page of annotation queues.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn queues(&self, query: &QueueQuery) -> Result<Listing<AnnotationQueue>, CatalogError>;

    /// Changes an annotation queue.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn update_queue(&self, id: EntityId, update: QueueUpdate) -> Result<(), CatalogError>;

    /// Deletes annotation queues.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_queues(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// Adds traces or threads (by the identifier of their model) to a queue.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn add_to_queue(&self, id: EntityId, items: &[EntityId]) -> Result<(), CatalogError>;

    /// Takes traces or threads out of a queue.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn take_from_queue(&self, id: EntityId, items: &[EntityId]) -> Result<(), CatalogError>;

    /// The queues that hold each of these traces or threads.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn queues_of(
        &self,
        items: &[EntityId],
    ) -> Result<BTreeMap<EntityId, Vec<(EntityId, String)>>, CatalogError>;
}
