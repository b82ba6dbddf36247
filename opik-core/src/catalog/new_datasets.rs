//! Requests for new datasets and for changes to them.

use serde::Deserialize;

use super::{
    Audit, CatalogError, Dataset, ProjectChoice, check_id, check_length, check_text, check_word,
};
use crate::{EntityId, ProjectId, Timestamp};

/// A request for a new dataset.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewDataset {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Name.
    pub name: String,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
    /// `dataset` (default) or `evaluation_suite`.
    pub r#type: Option<String>,
    /// `private` (default) or `public`.
    pub visibility: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// What it is for, in 255 characters at most.
    pub description: Option<String>,
}

impl NewDataset {
    /// A dataset with a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same in a project.
    #[must_use]
    pub fn in_project(mut self, name: Option<&str>) -> Self {
        self.project_name = name.map(str::to_owned);
        self
    }

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
    ) -> Result<Dataset, CatalogError> {
        check_text(&self.name, "name")?;
        check_length(self.description.as_deref(), "description", 255)?;
        check_word(self.r#type.as_deref(), "type", TYPES)?;
        check_word(self.visibility.as_deref(), "visibility", VISIBILITIES)?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "dataset")?;
        Ok(Dataset {
            id,
            name: self.name,
            project_id: project,
            r#type: self.r#type.unwrap_or_else(|| "dataset".to_owned()),
            visibility: self.visibility.unwrap_or_else(|| "private".to_owned()),
            tags: self.tags.unwrap_or_default(),
            description: self.description.filter(|text| !text.trim().is_empty()),
            audit: Audit::new(at),
            dataset_items_count: None,
            experiment_count: None,
            optimization_count: None,
            last_created_experiment_at: None,
            latest_version: None,
        })
    }
}

const TYPES: &[&str] = &["dataset", "evaluation_suite"];
const VISIBILITIES: &[&str] = &["private", "public"];

/// Changes to a dataset; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DatasetUpdate {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// `private` or `public`.
    pub visibility: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
}

impl DatasetUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Dataset, at: Timestamp) -> Result<(), CatalogError> {
        check_word(self.visibility.as_deref(), "visibility", VISIBILITIES)?;
        check_length(self.description.as_deref(), "description", 255)?;
        if let Some(name) = self.name {
            check_text(&name, "name")?;
            to.name = name;
        }
        to.description = self.description.or_else(|| to.description.take());
        to.visibility = self.visibility.unwrap_or_else(|| to.visibility.clone());
        to.tags = self.tags.unwrap_or_else(|| std::mem::take(&mut to.tags));
        to.audit.touch(at);
        Ok(())
    }
}

/// Changes to a version.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VersionUpdate {
    /// What changed.
    pub change_description: Option<String>,
    /// Labels to add; another version loses those that it has.
    pub tags_to_add: Option<Vec<String>>,
    /// Labels to take away.
    pub tags_to_remove: Option<Vec<String>>,
}
