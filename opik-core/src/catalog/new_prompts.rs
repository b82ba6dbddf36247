//! Requests for new prompts and new versions.

use serde::Deserialize;

use super::labels::as_set;
use super::prompts::{MASK, VERSION};
use super::{
    Audit, CatalogError, ProjectChoice, Prompt, PromptVersion, USER, check_id, check_length,
    check_text, check_word, commit_of, variables,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

const LANGUAGES: &[&str] = &["mustache", "jinja2", "python"];
const STRUCTURES: &[&str] = &["text", "chat"];

/// A version that is to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewPromptVersion {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Its short name; made of the identifier where absent.
    pub commit: Option<String>,
    /// The text.
    pub template: Option<String>,
    /// What its maker notes.
    pub metadata: Option<Json>,
    /// How placeholders are written: `mustache` (default), `jinja2` or `python`.
    pub r#type: Option<String>,
    /// `mask` for one that lists do not show.
    pub version_type: Option<String>,
    /// An environment that uses it from now on.
    pub environment: Option<String>,
    /// The environments that use it from now on.
    pub environments: Option<Vec<String>>,
    /// What changed.
    pub change_description: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
}

impl NewPromptVersion {
    /// A version with this text.
    #[must_use]
    pub fn new(template: impl Into<String>) -> Self {
        Self {
            template: Some(template.into()),
            ..Self::default()
        }
    }

    /// Whether it is one that lists do not show.
    #[must_use]
    pub fn is_mask(&self) -> bool {
        self.version_type.as_deref() == Some(MASK)
    }

    /// The record that it asks for: of `prompt`, with a number unless it is a mask.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(
        self,
        prompt: &Prompt,
        number: u64,
        at: Timestamp,
    ) -> Result<PromptVersion, CatalogError> {
        let template = self.template.unwrap_or_default();
        check_text(&template, "template")?;
        check_word(self.r#type.as_deref(), "type", LANGUAGES)?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "prompt version")?;
        if let Some(commit) = &self.commit {
            let fits = commit.len() == 8 && commit.bytes().all(|b| b.is_ascii_alphanumeric());
            if !fits {
                return Err(CatalogError::unprocessable(
                    "commit must be 8 letters or digits",
                ));
            }
        }
        let is_mask = self.version_type.as_deref() == Some(MASK);
        let r#type = self.r#type.unwrap_or_else(|| "mustache".to_owned());
        let mut environments = self.environments.unwrap_or_default();
        environments.extend(self.environment);
        Ok(PromptVersion {
            id,
            commit: self.commit.unwrap_or_else(|| commit_of(id)),
            version_number: (!is_mask).then(|| format!("v{number}")),
            variables: (r#type == "mustache").then(|| variables(&template)),
            template,
            metadata: self.metadata,
            r#type,
            version_type: if is_mask { MASK } else { VERSION }.to_owned(),
            environments,
            change_description: self.change_description,
            tags: as_set(&self.tags.unwrap_or_default()),
            created_at: at,
            created_by: USER.to_owned(),
            prompt_id: prompt.id,
            template_structure: prompt.template_structure.clone(),
        })
    }
}

/// A request for a new prompt, with its first version where there is a template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewPrompt {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Name.
    pub name: String,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
    /// What it is for, in 255 characters at most.
    pub description: Option<String>,
    /// `text` (default) or `chat`.
    pub template_structure: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// The text of the first version.
    pub template: Option<String>,
    /// What the maker of the first version notes.
    pub metadata: Option<Json>,
    /// What changed in the first version.
    pub change_description: Option<String>,
    /// How placeholders are written in the first version.
    pub r#type: Option<String>,
}

impl NewPrompt {
    /// A prompt with a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same with the text of its first version.
    #[must_use]
    pub fn template(mut self, text: impl Into<String>) -> Self {
        self.template = Some(text.into());
        self
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }

    /// The record that it asks for, and its first version.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(
        self,
        project: Option<ProjectId>,
        at: Timestamp,
    ) -> Result<(Prompt, Option<NewPromptVersion>), CatalogError> {
        check_text(&self.name, "name")?;
        check_length(self.description.as_deref(), "description", 255)?;
        check_word(
            self.template_structure.as_deref(),
            "template_structure",
            STRUCTURES,
        )?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "prompt")?;
        let first = self.template.map(|template| NewPromptVersion {
            template: Some(template),
            metadata: self.metadata,
            r#type: self.r#type,
            change_description: self.change_description,
            ..NewPromptVersion::default()
        });
        let structure = self.template_structure;
        let prompt = Prompt {
            id,
            name: self.name,
            project_id: project,
            description: self.description,
            template_structure: structure.unwrap_or_else(|| "text".to_owned()),
            tags: as_set(&self.tags.unwrap_or_default()),
            audit: Audit::new(at),
            version_count: 0,
            latest_version: None,
            requested_version: None,
        };
        Ok((prompt, first))
    }
}

/// A request for a new version of a prompt, which is made where it does not exist.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewVersionOf {
    /// The prompt's name.
    pub name: String,
    /// The version.
    pub version: NewPromptVersion,
    /// `text` (default) or `chat`, for a prompt that is made; an existing one keeps its own.
    pub template_structure: Option<String>,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
}

impl NewVersionOf {
    /// A version of the prompt with this name.
    #[must_use]
    pub fn new(name: impl Into<String>, version: NewPromptVersion) -> Self {
        Self {
            name: name.into(),
            version,
            ..Self::default()
        }
    }

    /// The prompt's project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }
}
