//! Prompts and their versions.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::labels::{add_tags, as_set};
use super::{Audit, FieldKind, Fields, NewPromptVersion};
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
    /// The fields that prompts are filtered and sorted by, see
    /// [`Condition::parse_list`](super::Condition::parse_list).
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
    /// `prompt_version`, or `mask` for one that lists do not show. Where older versions of this
    /// library wrote `prompt`, `prompt_version` is read.
    #[serde(deserialize_with = "version_word")]
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
pub(super) const MASK: &str = "mask";
/// The word for any other.
pub(super) const VERSION: &str = "prompt_version";
/// The word for any other in records of older versions of this library.
const OLD_VERSION: &str = "prompt";

fn version_word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let word = String::deserialize(from)?;
    Ok(match word.as_str() {
        OLD_VERSION => VERSION.to_owned(),
        _ => word,
    })
}

impl PromptVersion {
    /// The fields that versions are filtered and sorted by, see
    /// [`Condition::parse_list`](super::Condition::parse_list).
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

    /// Replaces its labels, or adds to them where `merge` says so. They are then in the order in
    /// which Opik answers them, each once.
    pub fn tag(&mut self, tags: &[String], merge: bool) {
        let mut all = std::mem::take(&mut self.tags);
        if !merge {
            all.clear();
        }
        add_tags(&mut all, tags);
        self.tags = as_set(&all);
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

#[cfg(test)]
mod tests {
    use super::super::NewPrompt;
    use super::*;

    fn version(word: Option<&str>) -> PromptVersion {
        let new = NewPrompt::new("p").template("t");
        let (prompt, first) = new.into_record(None, Timestamp::from_micros(1)).unwrap();
        let mut first = first.unwrap();
        first.version_type = word.map(str::to_owned);
        first.tags = Some(["production", "v2", "qa"].map(str::to_owned).to_vec());
        first
            .into_record(&prompt, 1, Timestamp::from_micros(1))
            .unwrap()
    }

    #[test]
    fn the_word_of_older_records_is_read_as_todays() {
        for (stored, read) in [
            ("prompt", "prompt_version"),
            ("prompt_version", "prompt_version"),
            ("mask", "mask"),
        ] {
            let mut record = serde_json::to_value(version(None)).unwrap();
            record["version_type"] = stored.into();
            let found: PromptVersion = serde_json::from_str(&record.to_string()).unwrap();
            assert_eq!(found.version_type, read);
            assert_eq!(found.is_mask(), stored == "mask");
        }
    }

    #[test]
    fn labels_have_one_order_however_they_came() {
        let mut tagged = version(None);
        assert_eq!(tagged.tags, ["qa", "production", "v2"]);
        tagged.tag(&["production", "v2", "qa"].map(str::to_owned), false);
        assert_eq!(tagged.tags, ["qa", "production", "v2"]);
        tagged.tag(&["v2".to_owned()], false);
        tagged.tag(&["qa", "v2", "production"].map(str::to_owned), true);
        assert_eq!(tagged.tags, ["qa", "production", "v2"]);
        tagged.tag(&[], true);
        assert_eq!(tagged.tags.len(), 3);
        tagged.tag(&[], false);
        assert!(tagged.tags.is_empty());
    }
}
