//! Labels: how they are changed, how many a change may name, and the order in which Opik answers
//! those of prompts.

use std::collections::HashSet;

use super::{CatalogError, check_length};

/// How many labels a change may name at most, and how long each may be, in characters.
const MOST_TAGS: usize = 50;
const LONGEST_TAG: usize = 100;

/// The labels as Opik answers them: each once, in the order of a hash table of Java, which keeps
/// them there. Clients compare lists with what the server said before.
///
/// The place of a text in the table is its hash, `31 * hash + unit` over the UTF-16 units, with
/// the upper half mixed into the lower, modulo the table's size: 16, twice as many whenever three
/// quarters are full. Texts with one place stay in the order in which they came.
pub(super) fn as_set(labels: &[String]) -> Vec<String> {
    let mut once = Vec::with_capacity(labels.len());
    add_tags(&mut once, labels);
    let mut places = 16_usize;
    while once.len() > places / 4 * 3 {
        places = places.saturating_mul(2);
    }
    let mask = u32::try_from(places - 1).unwrap_or(u32::MAX);
    once.sort_by_cached_key(|label| place(label) & mask);
    once
}

/// Adds labels that are not there yet.
pub(super) fn add_tags<'t>(to: &mut Vec<String>, tags: impl IntoIterator<Item = &'t String>) {
    let mut known: HashSet<&str> = to.iter().map(String::as_str).collect();
    let tags = tags.into_iter();
    let new: Vec<_> = tags.filter(|tag| known.insert(tag)).cloned().collect();
    to.extend(new);
}

/// Takes labels away.
pub(super) fn remove_tags<'t>(from: &mut Vec<String>, tags: impl IntoIterator<Item = &'t String>) {
    let gone: HashSet<&String> = tags.into_iter().collect();
    from.retain(|tag| !gone.contains(tag));
}

/// Checks the labels that a change names: 50 different ones of 100 characters at most.
///
/// # Errors
/// [`CatalogErrorKind::Unprocessable`](super::CatalogErrorKind::Unprocessable).
pub fn check_tags(tags: &[String], field: &str) -> Result<(), CatalogError> {
    if tags.iter().collect::<HashSet<_>>().len() > MOST_TAGS {
        return Err(CatalogError::unprocessable(format!(
            "{field} size must be between 0 and {MOST_TAGS}"
        )));
    }
    tags.iter()
        .try_for_each(|tag| check_length(Some(tag), field, LONGEST_TAG))
}

/// What an update says about labels.
pub(super) struct TagChanges<'u> {
    pub(super) tags: Option<&'u [String]>,
    /// Whether those are added instead of taking the place of what is there.
    pub(super) merge: bool,
    pub(super) add: Option<&'u [String]>,
    pub(super) remove: Option<&'u [String]>,
}

impl TagChanges<'_> {
    /// Checks each list, see [`check_tags`].
    pub(super) fn check(&self) -> Result<(), CatalogError> {
        check_tags(self.tags.unwrap_or_default(), "tags")?;
        check_tags(self.add.unwrap_or_default(), "tags_to_add")?;
        check_tags(self.remove.unwrap_or_default(), "tags_to_remove")
    }

    pub(super) fn apply(&self, to: &mut Vec<String>) {
        if let Some(tags) = self.tags {
            if !self.merge {
                to.clear();
            }
            add_tags(to, tags);
        }
        add_tags(to, self.add.unwrap_or_default());
        remove_tags(to, self.remove.unwrap_or_default());
    }
}

fn place(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    });
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::super::{ExperimentUpdate, ItemUpdate, NewExperiment, NewItem};
    use super::*;

    fn ordered(labels: &[&str]) -> Vec<String> {
        as_set(
            &labels
                .iter()
                .map(|&label| label.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    /// The hashes are those of Java: `"qa"` is 3600, `"v2"` 3708, `"Aa"` and `"BB"` are the same.
    #[test]
    fn labels_come_in_the_order_of_their_hashes() {
        assert_eq!(
            ordered(&["production", "v2", "qa"]),
            ["qa", "production", "v2"]
        );
        assert_eq!(ordered(&["BB", "Aa", "BB"]), ["BB", "Aa"]);
        assert_eq!(ordered(&["Aa", "BB"]), ["Aa", "BB"]);
        // Single letters hash to their code points; 13 of them need 32 places.
        assert_eq!(ordered(&["a", "P", "b"]), ["P", "a", "b"]);
        let many: Vec<_> = "abcdefghijkl@".chars().map(String::from).collect();
        let names: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(ordered(&names).first().map(String::as_str), Some("@"));
        assert_eq!(ordered(&["q", "`", "a"]), ["`", "q", "a"]);
    }

    /// Any number of labels may come with a new prompt, and a store writes one request at a time:
    /// comparing each of these with each would take minutes.
    #[test]
    fn of_very_many_labels_each_is_kept_once() {
        let names = |from: u32| (from..from + 200_000).map(|n| n.to_string());
        let mut set = as_set(&names(0).chain(names(0)).collect::<Vec<_>>());
        assert_eq!(set.len(), 200_000);
        add_tags(&mut set, &names(100_000).collect::<Vec<_>>());
        assert_eq!(set.len(), 300_000);
        remove_tags(&mut set, &names(0).collect::<Vec<_>>());
        assert_eq!(set.len(), 100_000);
    }

    #[test]
    fn a_change_names_so_many_labels_at_most() {
        let mut tags: Vec<_> = (0..50).map(|n| n.to_string()).collect();
        tags.push("0".to_owned());
        assert!(check_tags(&tags, "tags").is_ok());
        tags.push("50".to_owned());
        let error = check_tags(&tags, "tags").unwrap_err();
        assert_eq!(error.kind(), super::super::CatalogErrorKind::Unprocessable);
        assert!(check_tags(&["ä".repeat(100)], "tags").is_ok());
        assert!(check_tags(&["a".repeat(101)], "tags").is_err());
    }

    #[test]
    fn items_keep_to_what_a_change_may_name() {
        let at = crate::Timestamp::from_micros(1);
        let new: NewItem = serde_json::from_value(serde_json::json!({
            "source": "sdk", "data": {"q": 1}, "tags": ["a"],
        }))
        .unwrap();
        let mut item = new.into_record(crate::EntityId::generate(), None, at);
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        for field in ["tags", "tags_to_add", "tags_to_remove"] {
            let update: ItemUpdate =
                serde_json::from_value(serde_json::json!({ field: many })).unwrap();
            let error = update.apply(&mut item, true, at).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        assert_eq!(item.tags, ["a"]);
        let text = r#"{"tags":["b","a"],"tags_to_add":["c","b"],"tags_to_remove":["a","x"]}"#;
        let update: ItemUpdate = serde_json::from_str(text).unwrap();
        update.apply(&mut item, true, at).unwrap();
        assert_eq!(item.tags, ["b", "c"]);
    }

    #[test]
    fn experiments_keep_to_what_a_change_may_name() {
        let at = crate::Timestamp::from_micros(1);
        let many: Option<Vec<String>> = Some((0..51).map(|n| n.to_string()).collect());
        let mut new = NewExperiment::on("ds");
        new.tags = Some(vec!["a".to_owned()]);
        let mut experiment = new.clone().into_record(at).unwrap();
        new.tags.clone_from(&many);
        assert!(new.into_record(at).is_err());
        for field in ["tags", "tags_to_add", "tags_to_remove"] {
            let text = serde_json::json!({ field: many }).to_string();
            let update: ExperimentUpdate = serde_json::from_str(&text).unwrap();
            let error = update.apply(&mut experiment, true, at).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        let text = r#"{"tags":["b","a"],"tags_to_add":["c","b"],"tags_to_remove":["a","x"]}"#;
        let update: ExperimentUpdate = serde_json::from_str(text).unwrap();
        update.apply(&mut experiment, true, at).unwrap();
        assert_eq!(experiment.tags, ["b", "c"]);
    }
}
