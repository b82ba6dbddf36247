//! Requests for configurations of agents.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::agent_configs::{BLUEPRINT, MASK, PROMPT, over};
use super::{
    Audit, Blueprint, CatalogError, ConfigValue, ProjectChoice, check_id, check_length, check_text,
    check_word,
};
use crate::{EntityId, Project, ProjectId, Timestamp};

const KINDS: &[&str] = &[BLUEPRINT, MASK];
const TYPES: &[&str] = &[
    "string",
    "integer",
    "float",
    "boolean",
    PROMPT,
    "prompt_commit",
];
const MOST_VALUES: usize = 250;

/// The version or mask in a [request](NewAgentConfig).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewBlueprint {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// `blueprint` or `mask`.
    pub r#type: Option<String>,
    /// What it is for, in 255 characters at most.
    pub description: Option<String>,
    /// 1 to 250 values: all that the version has.
    pub values: Option<Vec<ConfigValue>>,
}

/// A request for the first or one more version of a project's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewAgentConfig {
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Project by name; `Default Project` where neither is given.
    pub project_name: Option<String>,
    /// The version, which must be there.
    pub blueprint: Option<NewBlueprint>,
}

impl NewAgentConfig {
    /// A version with these values.
    #[must_use]
    pub fn new(project: impl Into<String>, values: Vec<ConfigValue>) -> Self {
        Self {
            project_id: None,
            project_name: Some(project.into()),
            blueprint: Some(NewBlueprint {
                r#type: Some(BLUEPRINT.to_owned()),
                values: Some(values),
                ..NewBlueprint::default()
            }),
        }
    }

    /// The same as a mask.
    #[must_use]
    pub fn mask(mut self) -> Self {
        let blueprint = self.blueprint.get_or_insert_default();
        blueprint.r#type = Some(MASK.to_owned());
        self
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        config_project(self.project_id, self.project_name.as_deref())
    }

    /// Whether it asks for a mask.
    #[must_use]
    pub fn is_mask(&self) -> bool {
        let blueprint = self.blueprint.as_ref();
        blueprint.is_some_and(|it| it.r#type.as_deref() == Some(MASK))
    }

    /// Checks what does not depend on what is there.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn check(&self) -> Result<(), CatalogError> {
        let new = self.blueprint.as_ref();
        let new = new.ok_or_else(|| absent("blueprint"))?;
        if new.r#type.is_none() {
            return Err(absent("blueprint.type"));
        }
        check_word(new.r#type.as_deref(), "type", KINDS)?;
        check_length(new.description.as_deref(), "blueprint.description", 255)?;
        let values = new.values.as_deref().unwrap_or_default();
        if !(1..=MOST_VALUES).contains(&values.len()) {
            return Err(CatalogError::unprocessable(format!(
                "blueprint.values size must be between 1 and {MOST_VALUES}"
            )));
        }
        for value in values {
            check_text(&value.key, "blueprint.values.key")?;
            check_length(Some(&value.key), "blueprint.values.key", 255)?;
            if value.r#type.is_empty() {
                return Err(absent("blueprint.values.type"));
            }
            check_word(Some(&value.r#type), "type", TYPES)?;
        }
        new.id.map_or(Ok(()), |id| check_id(id, "blueprint"))
    }

    /// The record that it asks for, after the newest version, of whose values it keeps none.
    ///
    /// # Errors
    /// See [`NewAgentConfig::check`].
    pub fn into_record(
        self,
        project: ProjectId,
        newest: Option<&Blueprint>,
        at: Timestamp,
    ) -> Result<Blueprint, CatalogError> {
        self.check()?;
        let is_mask = self.is_mask();
        let new = self.blueprint.unwrap_or_default();
        let values = new.values.unwrap_or_default();
        Ok(Blueprint {
            id: new.id.unwrap_or_else(|| EntityId::generate_at(at)),
            name: format!("v{}", newest.map_or(0, Blueprint::number) + 1),
            project_id: project,
            r#type: if is_mask { MASK } else { BLUEPRINT }.to_owned(),
            description: new.description,
            envs: Vec::new(),
            audit: Audit::new(at),
            values: over(&[], &values),
            given: Some(values),
        })
    }
}

fn absent(field: &str) -> CatalogError {
    CatalogError::unprocessable(format!("{field} must not be null"))
}

/// The project of a configuration.
fn config_project(id: Option<ProjectId>, name: Option<&str>) -> ProjectChoice {
    let choice = ProjectChoice::new(id, name);
    if choice.is_none() {
        return ProjectChoice::named(Some(Project::DEFAULT_NAME));
    }
    choice
}

/// A request to take keys out of a project's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RemoveKeys {
    /// Project.
    pub project_id: Option<ProjectId>,
    /// Project by name; `Default Project` where neither is given.
    pub project_name: Option<String>,
    /// 1 to 250 keys.
    pub keys: Option<BTreeSet<String>>,
}

impl RemoveKeys {
    /// Checks what does not depend on what is there, and gives the keys.
    ///
    /// # Errors
    /// [`CatalogError`] when there are none, too many, or one is blank.
    pub fn check(&self) -> Result<&BTreeSet<String>, CatalogError> {
        let keys = self.keys.as_ref().filter(|it| !it.is_empty());
        let keys = keys.ok_or_else(|| CatalogError::unprocessable("keys must not be empty"))?;
        if keys.len() > MOST_VALUES {
            return Err(CatalogError::unprocessable(format!(
                "keys size must be between 0 and {MOST_VALUES}"
            )));
        }
        for key in keys {
            check_text(key, "keys")?;
        }
        Ok(keys)
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        config_project(self.project_id, self.project_name.as_deref())
    }
}

/// An environment that is to use a version from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BlueprintEnvironment {
    /// The environment's name, in 50 characters at most.
    pub env_name: String,
    /// The version.
    pub blueprint_id: Option<EntityId>,
}

impl BlueprintEnvironment {
    /// The environment with this name.
    #[must_use]
    pub fn new(env_name: impl Into<String>, blueprint: EntityId) -> Self {
        Self {
            env_name: env_name.into(),
            blueprint_id: Some(blueprint),
        }
    }

    /// Checks what does not depend on what is there.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn check(&self) -> Result<EntityId, CatalogError> {
        check_text(&self.env_name, "env_name")?;
        check_length(Some(&self.env_name), "env_name", 50)?;
        self.blueprint_id.ok_or_else(|| absent("blueprint_id"))
    }

    /// Checks those of one request, which must not name an environment twice, and gives them.
    ///
    /// # Errors
    /// [`CatalogError`]; what is wrong with one of them comes first.
    pub fn check_all(all: Vec<Self>) -> Result<Vec<(String, EntityId)>, CatalogError> {
        let ids: Vec<_> = all.iter().map(Self::check).collect::<Result<_, _>>()?;
        let names: BTreeSet<_> = all.iter().map(|it| it.env_name.as_str()).collect();
        if names.len() != all.len() {
            return Err(CatalogError::invalid("Duplicate env names in request"));
        }
        Ok(all.into_iter().map(|it| it.env_name).zip(ids).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::CatalogErrorKind;
    use super::*;

    fn value(key: &str, kind: &str) -> ConfigValue {
        ConfigValue {
            key: key.to_owned(),
            value: None,
            r#type: kind.to_owned(),
            description: None,
        }
    }

    #[test]
    fn a_version_has_the_values_of_its_request_and_no_others() {
        let project = ProjectId::generate();
        let record = |newest: Option<&Blueprint>, key| {
            let new = NewAgentConfig::new("p", vec![value(key, "string")]);
            new.into_record(project, newest, Timestamp::EPOCH).unwrap()
        };
        let v1 = record(None, "a");
        let v2 = record(Some(&v1), "b");
        assert_eq!(v2.name, "v2");
        assert_eq!(v2.values, [value("b", "string")]);
    }

    #[test]
    fn what_a_request_must_not_hold_is_refused() {
        let good = NewAgentConfig::new("p", vec![value("a", "string")]);
        assert!(good.check().is_ok());
        let mut bad = vec![NewAgentConfig::new("p", Vec::new())];
        for broken in [
            value("", "string"),
            value(&"k".repeat(256), "string"),
            value("a", "list"),
        ] {
            bad.push(NewAgentConfig::new("p", vec![broken]));
        }
        bad.push(NewAgentConfig::new(
            "p",
            (0..251).map(|n| value(&n.to_string(), "string")).collect(),
        ));
        let mut untyped = good.clone();
        untyped.blueprint.as_mut().unwrap().r#type = None;
        bad.push(untyped);
        let mut unversioned = good;
        unversioned.blueprint.as_mut().unwrap().id = Some(EntityId::from_bytes([1; 16]));
        bad.push(unversioned);
        for request in bad {
            assert!(request.check().is_err(), "{request:?}");
        }
        let nameless = NewAgentConfig::default();
        assert_eq!(nameless.project().name.as_deref(), Some("Default Project"));
    }

    #[test]
    fn a_field_that_is_absent_or_null_is_named() {
        let version = |rest| format!(r#"{{"blueprint": {{"type": "blueprint"{rest}}}}}"#);
        let value = |of| version(format!(r#", "values": [{of}]"#));
        let size = "blueprint.values size must be between 1 and 250";
        for (body, says) in [
            ("{}".to_owned(), "blueprint must not be null"),
            (
                r#"{"blueprint": null}"#.to_owned(),
                "blueprint must not be null",
            ),
            (
                r#"{"blueprint": {}}"#.to_owned(),
                "blueprint.type must not be null",
            ),
            (version(String::new()), size),
            (version(r#", "values": null"#.to_owned()), size),
            (
                value(r#"{"type": "string"}"#),
                "blueprint.values.key must not be blank",
            ),
            (
                value(r#"{"key": null, "type": "string"}"#),
                "blueprint.values.key must not be blank",
            ),
            (
                value(r#"{"key": "a"}"#),
                "blueprint.values.type must not be null",
            ),
            (
                value(r#"{"key": "a", "type": null}"#),
                "blueprint.values.type must not be null",
            ),
        ] {
            let request: NewAgentConfig = serde_json::from_str(&body).unwrap();
            let refused = request.check().unwrap_err();
            assert_eq!(refused.kind, CatalogErrorKind::Unprocessable, "{body}");
            assert_eq!(refused.context, says, "{body}");
        }
    }

    #[test]
    fn keys_to_take_out_are_one_to_250_and_not_blank() {
        let of = |body: &str| serde_json::from_str::<RemoveKeys>(body).unwrap();
        for (body, says) in [
            ("{}", "keys must not be empty"),
            (r#"{"keys": null}"#, "keys must not be empty"),
            (r#"{"keys": []}"#, "keys must not be empty"),
            (r#"{"keys": ["a", " "]}"#, "keys must not be blank"),
        ] {
            assert_eq!(of(body).check().unwrap_err().context, says, "{body}");
        }
        let many = |count: u32| RemoveKeys {
            keys: Some((0..count).map(|n| n.to_string()).collect()),
            ..RemoveKeys::default()
        };
        assert_eq!(many(250).check().unwrap().len(), 250);
        let says = "keys size must be between 0 and 250";
        assert_eq!(many(251).check().unwrap_err().context, says);
    }

    #[test]
    fn environments_are_named_once_and_each_is_checked_before() {
        let id = EntityId::generate();
        let twice = vec![BlueprintEnvironment::new("x", id); 2];
        let refused = BlueprintEnvironment::check_all(twice.clone()).unwrap_err();
        assert_eq!(refused.kind, CatalogErrorKind::Invalid);
        let mut blank = twice;
        blank.push(BlueprintEnvironment::new(" ", id));
        let refused = BlueprintEnvironment::check_all(blank).unwrap_err();
        assert_eq!(refused.kind, CatalogErrorKind::Unprocessable);
        let one = vec![BlueprintEnvironment::new("x", id)];
        let checked = BlueprintEnvironment::check_all(one).unwrap();
        assert_eq!(checked, [("x".to_owned(), id)]);
    }
}
