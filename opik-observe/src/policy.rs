//! What a branch lets through.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::prompt_hash;

/// Which names pass as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// Literals of the program and those listed with [`Policy::allow_name`].
    #[default]
    Declared,
    /// Also any name that looks like an identifier: at most 64 letters, digits and `_.:/-`.
    Identifiers,
    /// Every name.
    Any,
}

/// What one branch of the recorder lets through to its exporter.
///
/// The default, [`Policy::metadata_only`], lets no text of the program's data pass: ids, times,
/// declared names, model, provider, tags, token counts, cost, scores without their reasons, the
/// *type* of an error, the metadata keys that you allow, and a hash of the input as `prompt_hash`
/// (see [`prompt_hash`](crate::prompt_hash)). Tags, models, providers, thread ids and the names of
/// scores are labels that pass: put no content there.
///
/// ```
/// use opik_observe::{Names, Policy};
///
/// let remote = Policy::metadata_only()
///     .allow_metadata(["job_id", "attempt"])
///     .names(Names::Identifiers);
/// let local = Policy::full_content();
/// assert!(local.passes_content() && !remote.passes_content());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    content: bool,
    names: Names,
    allowed_names: BTreeSet<String>,
    metadata_keys: BTreeSet<String>,
    prompt_hash: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self::metadata_only()
    }
}

impl Policy {
    /// No text of input, output, error or undeclared metadata. This is the default.
    #[must_use]
    pub fn metadata_only() -> Self {
        Self {
            content: false,
            names: Names::Declared,
            allowed_names: BTreeSet::new(),
            metadata_keys: BTreeSet::new(),
            prompt_hash: true,
        }
    }

    /// Everything as it was given. For a store on the same machine.
    #[must_use]
    pub fn full_content() -> Self {
        Self {
            content: true,
            names: Names::Any,
            ..Self::metadata_only()
        }
    }

    /// Lets the values under these metadata keys through, whole.
    #[must_use]
    pub fn allow_metadata<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.metadata_keys.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Which names pass. Others become their kind and eight digits of a hash, so that equal names
    /// stay equal.
    #[must_use]
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Lets one name through that is not a literal of the program.
    #[must_use]
    pub fn allow_name(mut self, name: impl Into<String>) -> Self {
        self.allowed_names.insert(name.into());
        self
    }

    /// Whether records with an input get its hash as metadata `prompt_hash`. Default: yes.
    #[must_use]
    pub fn prompt_hash(mut self, on: bool) -> Self {
        self.prompt_hash = on;
        self
    }

    /// Whether input, output, error texts and all metadata pass.
    #[must_use]
    pub fn passes_content(&self) -> bool {
        self.content
    }

    pub(crate) fn adds_prompt_hash(&self) -> bool {
        self.prompt_hash
    }

    pub(crate) fn passes_metadata(&self, key: &str) -> bool {
        self.content || self.metadata_keys.contains(key)
    }

    pub(crate) fn passes_name(&self, name: &str, declared: bool) -> bool {
        declared
            || match self.names {
                Names::Any => true,
                Names::Identifiers => is_identifier(name),
                Names::Declared => false,
            }
            || self.allowed_names.contains(name)
    }

    /// The name, or what stands for it.
    pub(crate) fn name<'a>(&self, kind: &str, name: &'a str, declared: bool) -> Cow<'a, str> {
        if self.passes_name(name, declared) {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(format!("{kind}#{}", prompt_hash::short(name)))
        }
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_pass_as_the_policy_says_and_equal_ones_stay_equal() {
        let strict = Policy::default().allow_name("search web");
        assert_eq!(strict.name("tool", "lookup", true), "lookup");
        assert_eq!(strict.name("tool", "search web", false), "search web");
        let hidden = strict.name("tool", "lookup", false);
        assert!(
            hidden.starts_with("tool#") && hidden.len() == 13,
            "{hidden}"
        );
        assert_eq!(hidden, strict.name("tool", "lookup", false));

        let words = Policy::default().names(Names::Identifiers);
        assert_eq!(words.name("tool", "web.search-1", false), "web.search-1");
        assert_ne!(words.name("tool", "web search", false), "web search");
        assert_ne!(words.name("tool", &"a".repeat(65), false), "a".repeat(65));
    }
}
