//! Projects.

use serde::Serialize;

use super::call::{Call, Expect};
use super::client::OpikClient;
use super::error::{RestError, RestErrorKind};
use super::listing::{Listing, PageNumber};
use crate::query::ProjectSelector;
use crate::{Project, ProjectId};

/// The two fields by which calls name a project.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ProjectFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<ProjectId>,
}

impl ProjectFields {
    pub(super) fn id(id: ProjectId) -> Self {
        Self {
            project_name: None,
            project_id: Some(id),
        }
    }

    pub(super) fn name(name: impl Into<String>) -> Self {
        Self {
            project_name: Some(name.into()),
            project_id: None,
        }
    }
}

impl OpikClient {
    /// The fields for a selector; any project means the one of the client.
    pub(super) fn project_fields(&self, project: &ProjectSelector) -> ProjectFields {
        match project {
            ProjectSelector::Any => {
                ProjectFields::name(self.project_name().unwrap_or(Project::DEFAULT_NAME))
            }
            ProjectSelector::Name(name) => ProjectFields::name(name),
            ProjectSelector::Id(id) => ProjectFields::id(*id),
        }
    }

    /// A page of the projects, newest first; with `name`, those that have it in theirs.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn projects(
        &self,
        name: Option<&str>,
        page: PageNumber,
    ) -> Result<Listing<Project>, RestError> {
        let call = Call::get("projects")
            .query("page", &page.page)
            .query("size", &page.size)
            .query_some("name", name);
        self.send(call).await?.json()
    }

    /// The project with this identifier.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn project(&self, id: ProjectId) -> Result<Option<Project>, RestError> {
        self.find(Call::get("projects").at(&id)).await
    }

    /// The project with this name, without regard to case.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn find_project(&self, name: &str) -> Result<Option<Project>, RestError> {
        let body = serde_json::json!({ "name": name });
        self.find(
            Call::post("projects/retrieve")
                .expect(Expect::Json)
                .json(&body)?,
        )
        .await
    }

    /// Makes a project. Writing to a project makes it too, so this is for its description.
    ///
    /// # Errors
    /// [`RestError`], of kind [`Conflict`](RestErrorKind::Conflict) when the name is taken.
    pub async fn create_project(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<(), RestError> {
        let body = serde_json::json!({ "name": name, "description": description });
        self.create(Call::post("projects").json(&body)?).await
    }

    /// Deletes a project; one that does not exist is deleted already.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_project(&self, id: ProjectId) -> Result<(), RestError> {
        self.send(Call::delete("projects").at(&id)).await.map(drop)
    }

    /// Reads a record that may not exist.
    pub(super) async fn find<T: serde::de::DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<Option<T>, RestError> {
        match self.send(call).await {
            Ok(answer) => answer.json().map(Some),
            Err(error) if error.is_missing_record() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a record whose identifier or name the call carries: when a repetition finds it
    /// there, the first attempt made it.
    pub(super) async fn create(&self, call: Call) -> Result<(), RestError> {
        match self.send(call).await {
            Err(error) if error.kind() == RestErrorKind::Conflict && error.attempts() > 1 => Ok(()),
            other => other.map(drop),
        }
    }
}
