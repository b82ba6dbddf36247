//! Environments, feedback definitions and dashboards.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    Audit, CatalogError, Listing, Numbered, ProjectChoice, check_id, check_length, check_text,
    check_word,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

/// A place where programs run, such as `production`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Environment {
    /// Identifier.
    pub id: EntityId,
    /// Name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Where it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
}

/// A request for a new environment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewEnvironment {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Name: letters, digits, `_` and `-`, 150 at most.
    pub name: String,
    /// What it is, in 500 characters at most.
    pub description: Option<String>,
    /// How it is shown, in 20 characters at most.
    pub color: Option<String>,
    /// Where it is shown.
    pub position: Option<i64>,
}

impl NewEnvironment {
    /// An environment with a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The record that it asks for.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(self, at: Timestamp) -> Result<Environment, CatalogError> {
        check_environment(
            Some(&self.name),
            self.description.as_deref(),
            self.color.as_deref(),
        )?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "environment")?;
        Ok(Environment {
            id,
            name: self.name,
            description: self.description,
            color: self.color,
            position: self.position,
            audit: Audit::new(at),
        })
    }
}

fn check_environment(
    name: Option<&str>,
    description: Option<&str>,
    color: Option<&str>,
) -> Result<(), CatalogError> {
    let fits = |name: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        (1..=150).contains(&name.len()) && name.bytes().all(allowed)
    };
    if name.is_some_and(|name| !fits(name)) {
        return Err(CatalogError::unprocessable(
            "name must be 1 to 150 letters, digits, underscores and hyphens",
        ));
    }
    check_length(description, "description", 500)?;
    check_length(color, "color", 20)
}

/// Changes to an environment; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EnvironmentUpdate {
    /// Name.
    pub name: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// How it is shown.
    pub color: Option<String>,
    /// Where it is shown.
    pub position: Option<i64>,
}

impl EnvironmentUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Environment, at: Timestamp) -> Result<(), CatalogError> {
        check_environment(
            self.name.as_deref(),
            self.description.as_deref(),
            self.color.as_deref(),
        )?;
        to.name = self.name.unwrap_or_else(|| std::mem::take(&mut to.name));
        to.description = self.description.or_else(|| to.description.take());
        to.color = self.color.or_else(|| to.color.take());
        to.position = self.position.or(to.position);
        to.audit.touch(at);
        Ok(())
    }
}

/// What people may score, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeedbackDefinition {
    /// Identifier.
    pub id: EntityId,
    /// Name.
    pub name: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `numerical`, `categorical` or `boolean`.
    pub r#type: String,
    /// Its range or categories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
}

/// A request for a feedback definition: a new one, or all of an existing one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewFeedbackDefinition {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Name.
    pub name: String,
    /// What it means, in 255 characters at most.
    pub description: Option<String>,
    /// `numerical`, `categorical` or `boolean`.
    pub r#type: String,
    /// Its range or categories.
    pub details: Option<Json>,
}

impl NewFeedbackDefinition {
    /// The record that it asks for.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(self, at: Timestamp) -> Result<FeedbackDefinition, CatalogError> {
        check_text(&self.name, "name")?;
        check_length(self.description.as_deref(), "description", 255)?;
        let known = ["numerical", "categorical", "boolean"];
        check_word(Some(&self.r#type), "type", &known)?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "feedback definition")?;
        Ok(FeedbackDefinition {
            id,
            name: self.name,
            description: self.description,
            r#type: self.r#type,
            details: self.details,
            audit: Audit::new(at),
        })
    }
}

/// A dashboard.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dashboard {
    /// Identifier.
    pub id: EntityId,
    /// Project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// Name.
    pub name: String,
    /// Name as a part of an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// `multi_project` or `experiments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is built.
    pub config: Json,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
}

/// A request for a new dashboard.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewDashboard {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
    /// Name, in 120 characters at most.
    pub name: String,
    /// `multi_project` or `experiments`.
    pub r#type: Option<String>,
    /// What it shows, in 1,000 characters at most.
    pub description: Option<String>,
    /// How it is built.
    pub config: Option<Json>,
}

impl NewDashboard {
    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }

    /// The record that it asks for.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(
        self,
        project: Option<ProjectId>,
        at: Timestamp,
    ) -> Result<Dashboard, CatalogError> {
        check_text(&self.name, "name")?;
        check_length(Some(&self.name), "name", 120)?;
        check_length(self.description.as_deref(), "description", 1_000)?;
        let Some(config) = self.config else {
            return Err(CatalogError::unprocessable("config must not be null"));
        };
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "dashboard")?;
        Ok(Dashboard {
            id,
            project_id: project,
            slug: Some(slug(&self.name)),
            name: self.name,
            r#type: self.r#type,
            description: self.description,
            config,
            audit: Audit::new(at),
        })
    }
}

/// Lower case, with a hyphen for each run of what is neither letter nor digit.
fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Changes to a dashboard; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DashboardUpdate {
    /// Name.
    pub name: Option<String>,
    /// Its kind.
    pub r#type: Option<String>,
    /// What it shows.
    pub description: Option<String>,
    /// How it is built.
    pub config: Option<Json>,
}

impl DashboardUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Dashboard, at: Timestamp) -> Result<(), CatalogError> {
        check_length(self.name.as_deref(), "name", 120)?;
        check_length(self.description.as_deref(), "description", 1_000)?;
        if let Some(name) = self.name {
            check_text(&name, "name")?;
            to.slug = Some(slug(&name));
            to.name = name;
        }
        to.r#type = self.r#type.or_else(|| to.r#type.take());
        to.description = self.description.or_else(|| to.description.take());
        if let Some(config) = self.config {
            to.config = config;
        }
        to.audit.touch(at);
        Ok(())
    }
}

/// Keeps what has no parts of its own.
#[async_trait]
pub trait EntryCatalog: Send + Sync + fmt::Debug {
    /// Makes an environment.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the name or identifier is taken.
    async fn create_environment(&self, new: NewEnvironment) -> Result<EntityId, CatalogError>;

    /// The environment with this identifier.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn environment(&self, id: EntityId) -> Result<Option<Environment>, CatalogError>;

    /// Every environment.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn environments(&self) -> Result<Vec<Environment>, CatalogError>;

    /// Changes an environment.
    ///
    /// # Errors
    /// [`CatalogError`]; not found, or a conflict when the new name is taken.
    async fn update_environment(
        &self,
        id: EntityId,
        update: EnvironmentUpdate,
    ) -> Result<(), CatalogError>;

    /// Deletes environments.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_environments(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// Makes a feedback definition.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the name or identifier is taken.
    async fn create_feedback_definition(
        &self,
        new: NewFeedbackDefinition,
    ) -> Result<EntityId, CatalogError>;

    /// The feedback definition with this identifier.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn feedback_definition(
        &self,
        id: EntityId,
    ) -> Result<Option<FeedbackDefinition>, CatalogError>;

    /// A page of feedback definitions, of a kind where one is given.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn feedback_definitions(
        &self,
        page: Numbered,
        name: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Listing<FeedbackDefinition>, CatalogError>;

    /// Replaces a feedback definition.
    ///
    /// # Errors
    /// [`CatalogError`]; not found, or a conflict when the new name is taken.
    async fn replace_feedback_definition(
        &self,
        id: EntityId,
        new: NewFeedbackDefinition,
    ) -> Result<(), CatalogError>;

    /// Deletes feedback definitions.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_feedback_definitions(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// Makes a dashboard.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the identifier is taken.
    async fn create_dashboard(&self, new: NewDashboard) -> Result<Dashboard, CatalogError>;

    /// The dashboard with this identifier.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn dashboard(&self, id: EntityId) -> Result<Option<Dashboard>, CatalogError>;

    /// A page of dashboards.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn dashboards(
        &self,
        page: Numbered,
        name: Option<&str>,
        project: Option<ProjectId>,
    ) -> Result<Listing<Dashboard>, CatalogError>;

    /// Changes a dashboard.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn update_dashboard(
        &self,
        id: EntityId,
        update: DashboardUpdate,
    ) -> Result<Dashboard, CatalogError>;

    /// Deletes dashboards.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_dashboards(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_letters_digits_and_single_hyphens() {
        assert_eq!(slug(" My  Dash-board! 2 "), "my-dash-board-2");
    }

    #[test]
    fn environments_have_names_that_go_into_addresses() {
        let at = Timestamp::EPOCH;
        assert!(NewEnvironment::new("prod_2-b").into_record(at).is_ok());
        for bad in ["", "a b", "ü", &"x".repeat(151)] {
            assert!(NewEnvironment::new(bad).into_record(at).is_err(), "{bad}");
        }
    }
}
