//! Prompts and their versions.

use serde::{Deserialize, Serialize};

use super::call::{Call, Expect};
use super::client::OpikClient;
use super::error::RestError;
use super::listing::{Listing, PageNumber};
use crate::model::Extra;
use crate::{Json, Timestamp};

/// A prompt (read): a name under which versions of a template are kept.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Prompt {
    /// Identifier.
    #[serde(default)]
    pub id: Option<String>,
    /// Name.
    pub name: String,
    /// Project that it belongs to; absent when it belongs to the workspace.
    #[serde(default)]
    pub project_id: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// `text`, or `chat` when templates are lists of messages.
    #[serde(default)]
    pub template_structure: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// How many versions it has.
    #[serde(default)]
    pub version_count: Option<u64>,
    /// The newest version, when one prompt is read.
    #[serde(default)]
    pub latest_version: Option<PromptVersion>,
    /// The version that was asked for by commit.
    #[serde(default)]
    pub requested_version: Option<PromptVersion>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default)]
    pub last_updated_at: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

debug_only!(Prompt: id, name, project_id, version_count, latest_version, requested_version);

/// A version of a prompt (read).
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct PromptVersion {
    /// Identifier.
    #[serde(default)]
    pub id: Option<String>,
    /// The prompt.
    #[serde(default)]
    pub prompt_id: Option<String>,
    /// Its short name: eight hexadecimal digits.
    #[serde(default)]
    pub commit: Option<String>,
    /// `v1`, `v2`, …
    #[serde(default)]
    pub version_number: Option<String>,
    /// The template; for a chat the JSON of its messages.
    pub template: String,
    /// `mustache`, `jinja2` or `python`.
    #[serde(default)]
    pub r#type: Option<String>,
    /// Anything else about it.
    #[serde(default)]
    pub metadata: Option<Json>,
    /// What changed.
    #[serde(default)]
    pub change_description: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Environments that point to it.
    #[serde(default)]
    pub environments: Option<Vec<String>>,
    /// Names of the places to fill in.
    #[serde(default)]
    pub variables: Option<Vec<String>>,
    /// `text` or `chat`.
    #[serde(default)]
    pub template_structure: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl std::fmt::Debug for PromptVersion {
    /// The template is content and stays out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PromptVersion")
            .field("id", &self.id)
            .field("commit", &self.commit)
            .field("version_number", &self.version_number)
            .field("template_bytes", &self.template.len())
            .finish_non_exhaustive()
    }
}

/// Which version of a prompt is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromptSelector {
    /// The newest.
    #[default]
    Latest,
    /// By its commit.
    Commit(String),
    /// By its number, for example `v3`.
    Number(String),
    /// The one that an environment points to.
    Environment(String),
}

/// A version of a prompt to make.
///
/// ```no_run
/// use opik_core::rest::{BaseUrl, NewPromptVersion, OpikClient, PromptSelector};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// let version = NewPromptVersion::text("Hello {{name}}").change_description("shorter");
/// opik.create_prompt_version("greet", &version).await?;
/// let latest = opik.find_prompt("greet", &PromptSelector::Latest).await?;
/// assert!(latest.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize)]
pub struct NewPromptVersion {
    template: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip)]
    structure: &'static str,
}

impl NewPromptVersion {
    /// A text with places like `{{name}}`.
    #[must_use]
    pub fn text(template: impl Into<String>) -> Self {
        Self {
            template: template.into(),
            r#type: "mustache".to_owned(),
            metadata: None,
            change_description: None,
            tags: Vec::new(),
            structure: "text",
        }
    }

    /// A list of messages, `[{"role": …, "content": …}]`.
    #[must_use]
    pub fn chat(messages: &Json) -> Self {
        Self {
            structure: "chat",
            ..Self::text(messages.as_str())
        }
    }

    /// The template's language: `mustache` (if none is set), `jinja2` or `python`.
    #[must_use]
    pub fn language(mut self, language: impl Into<String>) -> Self {
        self.r#type = language.into();
        self
    }

    /// Anything else about it.
    #[must_use]
    pub fn metadata(mut self, metadata: Json) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// What changed.
    #[must_use]
    pub fn change_description(mut self, text: impl Into<String>) -> Self {
        self.change_description = Some(text.into());
        self
    }

    /// Labels.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

impl std::fmt::Debug for NewPromptVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPromptVersion")
            .field("structure", &self.structure)
            .field("template_bytes", &self.template.len())
            .finish_non_exhaustive()
    }
}

impl OpikClient {
    /// A version of the prompt with this name, in the client's project or else in the workspace.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn find_prompt(
        &self,
        name: &str,
        version: &PromptSelector,
    ) -> Result<Option<PromptVersion>, RestError> {
        let mut body = serde_json::json!({ "name": name, "project_name": self.project_name() });
        let (field, value) = match version {
            PromptSelector::Latest => ("commit", None),
            PromptSelector::Commit(commit) => ("commit", Some(commit)),
            PromptSelector::Number(number) => ("version_number", Some(number)),
            PromptSelector::Environment(name) => ("environment", Some(name)),
        };
        if let (Some(fields), Some(value)) = (body.as_object_mut(), value) {
            fields.insert(field.to_owned(), value.as_str().into());
        }
        let call = Call::post("prompts/versions/retrieve").expect(Expect::Json);
        self.find(call.json(&body)?).await
    }

    /// Adds a version to a prompt, which is made when there is none. The server makes a new version
    /// even of an equal template: compare with [`find_prompt`](Self::find_prompt) first.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_prompt_version(
        &self,
        name: &str,
        version: &NewPromptVersion,
    ) -> Result<PromptVersion, RestError> {
        #[derive(Serialize)]
        struct Body<'a> {
            name: &'a str,
            version: &'a NewPromptVersion,
            template_structure: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            project_name: Option<&'a str>,
        }
        let body = Body {
            name,
            version,
            template_structure: version.structure,
            project_name: self.project_name(),
        };
        let call = Call::post("prompts/versions").expect(Expect::Json).once();
        self.send(call.json(&body)?).await?.json()
    }

    /// A page of the prompts; with `name`, those that have it in theirs.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn prompts(
        &self,
        name: Option<&str>,
        page: PageNumber,
    ) -> Result<Listing<Prompt>, RestError> {
        let call = Call::get("prompts")
            .query("page", &page.page)
            .query("size", &page.size)
            .query_some("name", name);
        self.send(call).await?.json()
    }

    /// One prompt with its newest version.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn prompt(&self, id: &str) -> Result<Option<Prompt>, RestError> {
        self.find(Call::get("prompts").at(id)).await
    }

    /// The prompt that has a version with this commit, in
    /// [`requested_version`](Prompt::requested_version).
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn prompt_by_commit(&self, commit: &str) -> Result<Option<Prompt>, RestError> {
        self.find(Call::get("prompts/by-commit").at(commit)).await
    }

    /// A page of the versions of a prompt, newest first.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn prompt_versions(
        &self,
        id: &str,
        page: PageNumber,
    ) -> Result<Listing<PromptVersion>, RestError> {
        let call = Call::get("prompts").at(id).at("versions");
        let call = call.query("page", &page.page).query("size", &page.size);
        self.send(call).await?.json()
    }

    /// Points environments to a version, and away from any other.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn set_prompt_environments(
        &self,
        version_id: &str,
        environments: &[String],
    ) -> Result<(), RestError> {
        let body = serde_json::json!({ "environments": environments });
        let call = Call::patch("prompts/versions")
            .at(version_id)
            .at("environments");
        self.send(call.json(&body)?).await.map(drop)
    }

    /// Deletes a prompt with its versions.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_prompt(&self, id: &str) -> Result<(), RestError> {
        self.send(Call::delete("prompts").at(id)).await.map(drop)
    }
}
