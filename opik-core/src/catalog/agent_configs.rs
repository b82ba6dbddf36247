//! Configurations of agents: values under keys, in versions that are called blueprints.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use super::Audit;
use crate::{EntityId, ProjectId, Timestamp};

pub(super) const BLUEPRINT: &str = "blueprint";
pub(super) const MASK: &str = "mask";
/// The type of values that follow the newest version of a prompt.
pub(super) const PROMPT: &str = "prompt";

/// A value of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfigValue {
    /// What it is called; empty where a request does not say it.
    #[serde(default, deserialize_with = "or_empty")]
    pub key: String,
    /// The value as text; of prompts the commit of a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `string`, `integer`, `float`, `boolean`, `prompt` (moves on with the prompt) or
    /// `prompt_commit` (stays); empty where a request does not say it.
    #[serde(default, deserialize_with = "or_empty")]
    pub r#type: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A text that may be null, so that what checks the request says which field it lacks.
fn or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(from).map(Option::unwrap_or_default)
}

/// A version of a project's configuration, or a mask: values that go over those of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Blueprint {
    /// Identifier.
    pub id: EntityId,
    /// `v1`, `v2`, …; a mask has the name of the version that would come next.
    pub name: String,
    /// Project that it belongs to.
    pub project_id: ProjectId,
    /// `blueprint` or `mask`.
    pub r#type: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The environments that use it; on reading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub envs: Vec<String>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// All values; of a mask its own.
    pub values: Vec<ConfigValue>,
    /// The values that were given when it was made; only where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Vec<ConfigValue>>,
}

impl Blueprint {
    /// Whether it is a mask, which lists do not show.
    #[must_use]
    pub fn is_mask(&self) -> bool {
        self.r#type == MASK
    }

    /// Its place among the versions, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        let digits = self.name.trim_start_matches('v');
        digits.parse().unwrap_or_default()
    }

    /// The version that follows: the same values with others over them.
    #[must_use]
    pub fn followed_by(&self, values: Vec<ConfigValue>, at: Timestamp) -> Self {
        Self {
            id: EntityId::generate_at(at),
            name: format!("v{}", self.number() + 1),
            project_id: self.project_id,
            r#type: BLUEPRINT.to_owned(),
            description: None,
            envs: Vec::new(),
            audit: Audit::new(at),
            values: over(&self.values, &values),
            given: Some(values),
        }
    }

    /// The version that follows without some keys, which its description names; `None` where it
    /// has none of them.
    #[must_use]
    pub fn without(&self, keys: &BTreeSet<String>, at: Timestamp) -> Option<Self> {
        let mut next = self.followed_by(Vec::new(), at);
        next.values.retain(|it| !keys.contains(&it.key));
        let names: Vec<_> = keys.iter().map(String::as_str).collect();
        let text = format!("Deleted configuration parameters: [{}]", names.join(", "));
        next.description = Some(text);
        (next.values.len() != self.values.len()).then_some(next)
    }

    /// The commits that values of type `prompt` name.
    pub fn prompts(&self) -> impl Iterator<Item = &str> {
        let all = self.values.iter().filter(|it| it.r#type == PROMPT);
        all.filter_map(|it| it.value.as_deref())
    }

    /// The values of type `prompt` that name one of these commits, with a newer one instead.
    #[must_use]
    pub fn moved_to(&self, commit: &str, from: &BTreeSet<String>) -> Vec<ConfigValue> {
        let is_old = |it: &&ConfigValue| {
            let named = it.value.as_ref();
            it.r#type == PROMPT
                && named.is_some_and(|named| named != commit && from.contains(named))
        };
        let newer = |it: &ConfigValue| ConfigValue {
            value: Some(commit.to_owned()),
            description: None,
            ..it.clone()
        };
        self.values.iter().filter(is_old).map(newer).collect()
    }

    /// With the values of a mask over its own.
    #[must_use]
    pub fn masked(mut self, mask: &Self) -> Self {
        self.values = over(&self.values, &mask.values);
        self
    }

    /// As it is answered: all values, or only those that were given with it.
    #[must_use]
    pub fn shown(mut self, only_given: bool) -> Self {
        let given = self.given.take();
        if only_given {
            self.values = given.unwrap_or_default();
        }
        self
    }
}

/// The first values, with the others in the place of those with the same keys or at the end.
pub(super) fn over(base: &[ConfigValue], values: &[ConfigValue]) -> Vec<ConfigValue> {
    let mut all = base.to_vec();
    for value in values {
        match all.iter_mut().find(|known| known.key == value.key) {
            Some(known) => known.clone_from(value),
            None => all.push(value.clone()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::NewAgentConfig;
    use super::*;

    fn value(key: &str, kind: &str, text: &str) -> ConfigValue {
        ConfigValue {
            key: key.to_owned(),
            value: Some(text.to_owned()),
            r#type: kind.to_owned(),
            description: Some("d".to_owned()),
        }
    }

    fn first(values: Vec<ConfigValue>) -> Blueprint {
        let new = NewAgentConfig::new("p", values);
        let project = ProjectId::generate();
        new.into_record(project, None, Timestamp::EPOCH).unwrap()
    }

    fn texts(of: &Blueprint) -> Vec<(&str, &str)> {
        of.values
            .iter()
            .map(|it| (it.key.as_str(), it.value.as_deref().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn what_follows_has_the_values_before_it_and_says_what_was_given() {
        let v1 = first(vec![
            value("a", "string", "1"),
            value("b", "string", "2"),
            value("a", "string", "3"),
        ]);
        assert_eq!((v1.name.as_str(), v1.number()), ("v1", 1));
        assert_eq!(texts(&v1), [("a", "3"), ("b", "2")]);
        let v2 = v1.followed_by(vec![value("c", "float", "4")], Timestamp::EPOCH);
        assert_eq!(v2.name, "v2");
        assert_eq!(texts(&v2), [("a", "3"), ("b", "2"), ("c", "4")]);
        assert_eq!(texts(&v2.clone().shown(true)), [("c", "4")]);
        let keys = BTreeSet::from(["a".to_owned(), "x".to_owned()]);
        let v3 = v2.without(&keys, Timestamp::EPOCH).unwrap();
        assert_eq!(texts(&v3), [("b", "2"), ("c", "4")]);
        let text = "Deleted configuration parameters: [a, x]";
        assert_eq!(v3.description.as_deref(), Some(text));
        assert!(v3.without(&keys, Timestamp::EPOCH).is_none());
    }

    #[test]
    fn a_mask_goes_over_a_version_and_does_not_count() {
        let v1 = first(vec![value("a", "string", "1"), value("b", "string", "2")]);
        let new = NewAgentConfig::new("p", vec![value("b", "string", "5")]).mask();
        let mask = new
            .into_record(v1.project_id, Some(&v1), Timestamp::EPOCH)
            .unwrap();
        assert!(mask.is_mask());
        assert_eq!(texts(&mask), [("b", "5")]);
        assert_eq!(texts(&v1.masked(&mask)), [("a", "1"), ("b", "5")]);
    }

    #[test]
    fn only_values_that_follow_a_prompt_move_on() {
        let v1 = first(vec![
            value("follows", "prompt", "old"),
            value("stays", "prompt_commit", "old"),
            value("other", "prompt", "else"),
            value("text", "string", "old"),
        ]);
        assert_eq!(v1.prompts().collect::<Vec<_>>(), ["old", "else"]);
        let older = BTreeSet::from(["old".to_owned(), "new".to_owned()]);
        let moved = v1.moved_to("new", &older);
        let keys: Vec<_> = moved
            .iter()
            .map(|it| (&*it.key, it.value.as_deref()))
            .collect();
        assert_eq!(keys, [("follows", Some("new"))]);
        let v2 = v1.followed_by(moved, Timestamp::EPOCH);
        assert!(v2.moved_to("new", &older).is_empty());
    }
}
