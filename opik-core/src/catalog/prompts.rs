//! Prompts and their versions.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{
    Audit, CatalogError, Condition, FieldKind, Fields, Listing, Numbered, Order, ProjectChoice,
    USER, check_id, check_length, check_text, check_word, variables,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

/// A prompt: a name with versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prompt {
    /// Identifier.
    pub id: EntityId,
    /// Name.
    pub name: String,
    /// Project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `text` or `chat`; never changes.
    pub template_structure: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// How many versions it has; on reading, as everything below.
    #[serde(default)]
    pub version_count: u64,
    /// The newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<PromptVersion>,
    /// The version that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_version: Option<PromptVersion>,
}

impl Prompt {
    /// The fields that prompts are filtered and sorted by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("name", "name", FieldKind::Text),
        ("description", "description", FieldKind::Text),
        ("template_structure", "template_structure", FieldKind::Word),
        ("tags", "tags", FieldKind::List),
        ("project_id", "project_id", FieldKind::Exact),
        ("version_count", "version_count", FieldKind::Number),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
        ("last_updated_by", "last_updated_by", FieldKind::Text),
    ];
}

/// A version of a prompt. It never changes, apart from labels and environments.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptVersion {
    /// Identifier.
    pub id: EntityId,
    /// Its short name: eight hexadecimal digits.
    pub commit: String,
    /// `v1`, `v2`, …; none for a mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_number: Option<String>,
    /// The text; of chats a JSON list of messages.
    pub template: String,
    /// What its maker noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// How placeholders are written: `mustache`, `jinja2` or `python`.
    pub r#type: String,
    /// What it asks for, of `mustache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<String>>,
    /// `prompt`, or `mask` for one that lists do not show.
    pub version_type: String,
    /// The environments that use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// What changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_description: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// The prompt.
    pub prompt_id: EntityId,
    /// `text` or `chat`, as the prompt.
    pub template_structure: String,
}

impl fmt::Debug for PromptVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptVersion")
            .field("id", &self.id)
            .field("commit", &self.commit)
            .field("version_number", &self.version_number)
            .field("template_bytes", &self.template.len())
            .finish_non_exhaustive()
    }
}

/// The word on the wire for a version that lists do not show.
const MASK: &str = "mask";

impl PromptVersion {
    /// The fields that versions are filtered and sorted by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("commit", "commit", FieldKind::Text),
        ("version_number", "version_number", FieldKind::Text),
        ("template", "template", FieldKind::Text),
        ("change_description", "change_description", FieldKind::Text),
        ("metadata", "metadata", FieldKind::Map),
        ("type", "type", FieldKind::Word),
        ("tags", "tags", FieldKind::List),
        ("environments", "environments", FieldKind::List),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
    ];

    /// Whether lists do not show it.
    #[must_use]
    pub fn is_mask(&self) -> bool {
        self.version_type == MASK
    }

    /// Takes environments, labels and identifiers away, so that it can be made again.
    #[must_use]
    pub fn to_new(&self) -> NewPromptVersion {
        NewPromptVersion {
            template: Some(self.template.clone()),
            metadata: self.metadata.clone(),
            r#type: Some(self.r#type.clone()),
            change_description: self
                .version_number
                .as_ref()
                .map(|number| format!("Restored from version {number}")),
            ..NewPromptVersion::default()
        }
    }
}

/// The short name of the version of a prompt with this identifier: its last eight digits.
#[must_use]
pub fn commit_of(version: EntityId) -> String {
    let id = version.to_string();
    id.get(id.len().saturating_sub(8)..)
        .unwrap_or_default()
        .to_owned()
}

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
            version_type: if is_mask { MASK } else { "prompt" }.to_owned(),
            environments,
            change_description: self.change_description,
            tags: self.tags.unwrap_or_default(),
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
            tags: self.tags.unwrap_or_default(),
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

/// Changes to a prompt; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PromptUpdate {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
}

impl PromptUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Prompt, at: Timestamp) -> Result<(), CatalogError> {
        check_length(self.description.as_deref(), "description", 255)?;
        if let Some(name) = self.name {
            check_text(&name, "name")?;
            to.name = name;
        }
        to.description = self.description.or_else(|| to.description.take());
        to.tags = self.tags.unwrap_or_else(|| std::mem::take(&mut to.tags));
        to.audit.touch(at);
        Ok(())
    }
}

/// Which prompts a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PromptQuery {
    /// Which page.
    pub page: Numbered,
    /// Only those of this project, and those of none.
    pub project: Option<ProjectId>,
    /// Only those with this in their name, without regard to case.
    pub name: Option<String>,
    /// Conditions on [`Prompt::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

/// Which versions of a prompt a list holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PromptVersionQuery {
    /// The prompt.
    pub prompt: EntityId,
    /// Which page.
    pub page: Numbered,
    /// Only those with this in their template or description, without regard to case.
    pub search: Option<String>,
    /// Conditions on [`PromptVersion::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

impl PromptVersionQuery {
    /// The first ten versions of a prompt.
    #[must_use]
    pub fn of(prompt: EntityId) -> Self {
        Self {
            prompt,
            page: Numbered::default(),
            search: None,
            conditions: Vec::new(),
            order: None,
        }
    }
}

/// Which version of a prompt is meant: all that is given must fit; the newest where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionChoice {
    /// Its short name.
    pub commit: Option<String>,
    /// `v1`, `v2`, …
    pub number: Option<String>,
    /// An environment that uses it.
    pub environment: Option<String>,
}

impl VersionChoice {
    /// Whether a version fits.
    #[must_use]
    pub fn fits(&self, version: &PromptVersion) -> bool {
        let commit = self.commit.as_deref();
        let number = self.number.as_deref();
        let environment = self.environment.as_ref();
        commit.is_none_or(|commit| version.commit.eq_ignore_ascii_case(commit))
            && number.is_none_or(|number| version.version_number.as_deref() == Some(number))
            && environment.is_none_or(|name| version.environments.contains(name))
    }
}

/// Keeps prompts.
///
/// An environment points to one version of a prompt: giving it to another takes it away here.
#[async_trait]
pub trait PromptCatalog: Send + Sync + fmt::Debug {
    /// Makes a prompt and its first version, and says the prompt's identifier.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the name or identifier is taken.
    async fn create_prompt(&self, new: NewPrompt) -> Result<EntityId, CatalogError>;

    /// Makes a version, also one equal to the newest, and its prompt where that does not exist.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the identifier or the commit is taken.
    async fn create_prompt_version(&self, new: NewVersionOf)
    -> Result<PromptVersion, CatalogError>;

    /// The prompt with its newest version.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompt(&self, id: EntityId) -> Result<Option<Prompt>, CatalogError>;

    /// The prompt with this name, in the project first, with its newest version and the one that
    /// is meant.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn find_prompt(
        &self,
        name: &str,
        project: &ProjectChoice,
        version: &VersionChoice,
    ) -> Result<Option<super::Found<Prompt>>, CatalogError>;

    /// A page of prompts.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompts(&self, query: &PromptQuery) -> Result<Listing<Prompt>, CatalogError>;

    /// Changes a prompt.
    ///
    /// # Errors
    /// [`CatalogError`]; not found, or a conflict when the new name is taken.
    async fn update_prompt(&self, id: EntityId, update: PromptUpdate) -> Result<(), CatalogError>;

    /// Deletes prompts with their versions.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_prompts(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// A page of the versions of a prompt.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompt_versions(
        &self,
        query: &PromptVersionQuery,
    ) -> Result<Listing<PromptVersion>, CatalogError>;

    /// Versions by identifier, in the order that was asked for; unknown ones are passed over.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompt_versions_by_id(
        &self,
        ids: &[EntityId],
    ) -> Result<Vec<PromptVersion>, CatalogError>;

    /// The prompts that have a version with one of these commits, each with that version as the
    /// one that was asked for.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompts_by_commit(&self, commits: &[String]) -> Result<Vec<Prompt>, CatalogError>;

    /// Replaces the labels of versions, or adds to them.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn tag_prompt_versions(
        &self,
        ids: &[EntityId],
        tags: Option<Vec<String>>,
        merge: bool,
    ) -> Result<(), CatalogError>;

    /// Says which environments use a version from now on.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when the version or an environment does not exist.
    async fn set_prompt_environments(
        &self,
        version: EntityId,
        environments: Vec<String>,
    ) -> Result<(), CatalogError>;

    /// Makes a new version with the content of an old one.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn restore_prompt_version(
        &self,
        prompt: EntityId,
        version: EntityId,
    ) -> Result<PromptVersion, CatalogError>;
}
