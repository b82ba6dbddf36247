//! What a branch lets through.
//!
//! A policy has one rule for each field of each kind of record:
//!
//! - *keep*: as it was given (after the scrubber, where there is one);
//! - *name*: literals of the program and what [`Names`] adds pass, others become a word and a hash
//!   (types of errors: a word);
//! - *label*: what looks like an identifier passes, anything else becomes a word and a hash;
//! - *hide*: nothing of it passes.

mod field;
mod label;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use opik_core::Secret;

pub use field::{Field, Kinds};
pub use label::Names;

use crate::prompt_hash::{self, Prompt};

/// Which fingerprints of the input a branch adds to the metadata; see
/// [`prompt_hash`](crate::prompt_hash).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromptHash {
    /// None.
    Off,
    /// That of Vyasa as `prompt_hash`, for inputs with messages.
    V1,
    /// Version 2 as `prompt_hash`.
    #[default]
    V2,
    /// Version 2 as `prompt_hash` and that of Vyasa as `prompt_hash_v1`.
    Both,
    /// The keyed form as `prompt_hash`. The stand-ins of hidden names and labels use the key too.
    Keyed(Secret),
}

type Scrubber = dyn Fn(Field, &str) -> Option<String> + Send + Sync;

/// What one branch of the recorder lets through to its exporter.
///
/// The default, [`Policy::metadata_only`], lets no text of the program's data pass: ids, times,
/// declared names, model, provider, tags, thread id, token counts, cost, scores without their reasons,
/// the *type* of an error, the metadata keys that you allow, and a hash of the input as
/// `prompt_hash` (see [`prompt_hash`](crate::prompt_hash)).
///
/// Models, providers, tags, thread ids and the names and categories of scores are labels: they pass
/// when they look like identifiers (at most 128 ASCII letters, digits and `_.:/-=+#`), else a hash
/// stands for them, such as `tag#9f86d081`. Equal labels stay equal.
///
/// ```
/// use opik_core::SpanType;
/// use opik_observe::{Field, Kinds, Names, Policy};
///
/// let remote = Policy::metadata_only()
///     .allow_metadata(["job_id", "attempt"])
///     .names(Names::Identifiers)
///     .allow(Field::Output, [SpanType::Tool, SpanType::Guardrail])
///     .deny(Field::ThreadId, Kinds::ALL)
///     .scrub(|_, text| Some(text.replace("4711", "****")));
/// let local = Policy::full_content();
/// assert!(local.passes_content() && !remote.passes_content());
/// ```
#[derive(Clone)]
pub struct Policy {
    keeps: [Kinds; Field::COUNT],
    hides: [Kinds; Field::COUNT],
    names: Names,
    allowed_names: BTreeSet<String>,
    metadata_keys: BTreeSet<String>,
    prompt_hash: PromptHash,
    scrubber: Option<Arc<Scrubber>>,
}

/// What is done with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Keep,
    Name,
    Label,
    Hide,
}

/// The scrubber panicked.
pub(crate) struct ScrubberPanicked;

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
            keeps: [Kinds::NONE; Field::COUNT],
            hides: [Kinds::NONE; Field::COUNT],
            names: Names::Declared,
            allowed_names: BTreeSet::new(),
            metadata_keys: BTreeSet::new(),
            prompt_hash: PromptHash::default(),
            scrubber: None,
        }
    }

    /// Everything as it was given. For a store on the same machine.
    #[must_use]
    pub fn full_content() -> Self {
        Self {
            keeps: [Kinds::ALL; Field::COUNT],
            names: Names::Any,
            ..Self::metadata_only()
        }
    }

    /// Lets a field of these kinds of records through as it was given.
    ///
    /// A score does not know the type of the span that it is given to: its fields are kept where they
    /// are allowed for [`Kinds::SPANS`].
    #[must_use]
    pub fn allow(mut self, field: Field, kinds: impl Into<Kinds>) -> Self {
        let kinds = kinds.into();
        if let (Some(keeps), Some(hides)) = self.sets(field) {
            (*keeps, *hides) = (*keeps | kinds, hides.without(kinds));
        }
        self
    }

    /// Hides a field of these kinds of records, literals of the program included. A hidden name
    /// becomes the kind of the record, a hidden type of an error `error`, a hidden name of a score
    /// `score`, and a score of a hidden thread is not exported.
    #[must_use]
    pub fn deny(mut self, field: Field, kinds: impl Into<Kinds>) -> Self {
        let kinds = kinds.into();
        if let (Some(keeps), Some(hides)) = self.sets(field) {
            (*keeps, *hides) = (keeps.without(kinds), *hides | kinds);
        }
        self
    }

    fn sets(&mut self, field: Field) -> (Option<&mut Kinds>, Option<&mut Kinds>) {
        let index = field as usize;
        (self.keeps.get_mut(index), self.hides.get_mut(index))
    }

    /// Lets the values under these metadata keys through, whole, for every kind of record.
    #[must_use]
    pub fn allow_metadata<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.metadata_keys.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Which names of traces and spans, and which types of errors, pass. Another name becomes its kind
    /// and eight digits of a hash, so that equal names stay equal; another type becomes `error`.
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

    /// Which fingerprints of the input become metadata. Default: [`PromptHash::V2`].
    #[must_use]
    pub fn prompt_hash(mut self, which: PromptHash) -> Self {
        self.prompt_hash = which;
        self
    }

    /// Shows every text that is about to leave to `scrubber`, which returns what leaves in its
    /// place, or `None` to hold it back. It sees what the other rules let through and can only make
    /// less of it.
    ///
    /// In JSON it sees each text and each key by itself; a text that is held back becomes `null`, a
    /// key takes its value along. Names of token counts ([`Field::Usage`]) and types of spans of the
    /// program's own making ([`Field::Name`]) are texts too; a type that is held back becomes
    /// `general`. Numbers, truth values, and hashes that stand for hidden names are not shown; nor are
    /// the project and the environment, which are settings of the recorder. It runs on the branch's thread, never on the program's. When it panics, the field
    /// is held back and counted in
    /// [`BranchStatistics::fields_lost`](crate::BranchStatistics::fields_lost).
    #[must_use]
    pub fn scrub(
        mut self,
        scrubber: impl Fn(Field, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.scrubber = Some(Arc::new(scrubber));
        self
    }

    /// Whether input, output, error texts and all metadata of all kinds pass.
    #[must_use]
    pub fn passes_content(&self) -> bool {
        [
            Field::Input,
            Field::Output,
            Field::ErrorMessage,
            Field::Metadata,
        ]
        .into_iter()
        .all(|field| self.rule(field, Kinds::ALL) == Rule::Keep)
    }

    /// What is done with a field of a record that may be of any of these kinds.
    #[inline]
    pub(crate) fn rule(&self, field: Field, kinds: Kinds) -> Rule {
        let index = field as usize;
        let of = |sets: &[Kinds; Field::COUNT]| sets.get(index).copied().unwrap_or(Kinds::NONE);
        if of(&self.hides).overlaps(kinds) {
            return Rule::Hide;
        }
        if of(&self.keeps).contains(kinds) {
            return Rule::Keep;
        }
        match field {
            Field::Name | Field::ErrorType => Rule::Name,
            Field::Tags
            | Field::Model
            | Field::Provider
            | Field::Usage
            | Field::ThreadId
            | Field::ScoreName
            | Field::ScoreCategory => Rule::Label,
            Field::Cost => Rule::Keep,
            Field::Input
            | Field::Output
            | Field::Metadata
            | Field::ErrorMessage
            | Field::ScoreReason => Rule::Hide,
        }
    }

    pub(crate) fn passes_metadata(&self, key: &str) -> bool {
        self.metadata_keys.contains(key)
    }

    pub(crate) fn passes_name(&self, name: &str, declared: bool) -> bool {
        declared
            || match self.names {
                Names::Any => true,
                Names::Identifiers => label::is_identifier(name),
                Names::Declared => false,
            }
            || self.allowed_names.contains(name)
    }

    pub(crate) fn passes_label(text: &str) -> bool {
        label::is_label(text)
    }

    /// What stands for a hidden name or label; threads get more digits, since two that meet in one
    /// hash would become one conversation.
    pub(crate) fn stand_in(&self, field: Field, word: Option<&str>, text: &str) -> String {
        let key = match &self.prompt_hash {
            PromptHash::Keyed(key) => Some(key),
            _ => None,
        };
        let bytes = if field == Field::ThreadId { 8 } else { 4 };
        let word = word.unwrap_or_else(|| field.word());
        format!("{word}#{}", prompt_hash::short(text, key, bytes))
    }

    /// The fingerprints of an input with their keys in the metadata.
    pub(crate) fn fingerprints(&self, input: Prompt<'_>) -> [Option<(&'static str, String)>; 2] {
        const KEY: &str = "prompt_hash";
        let old = |key| input.v1().map(|hash| (key, hash));
        match &self.prompt_hash {
            PromptHash::Off => [None, None],
            PromptHash::V1 => [old(KEY), None],
            PromptHash::V2 => [Some((KEY, input.v2())), None],
            PromptHash::Both => [Some((KEY, input.v2())), old("prompt_hash_v1")],
            PromptHash::Keyed(key) => [Some((KEY, input.keyed(key))), None],
        }
    }

    pub(crate) fn adds_prompt_hash(&self) -> bool {
        self.prompt_hash != PromptHash::Off
    }

    pub(crate) fn scrubs(&self) -> bool {
        self.scrubber.is_some()
    }

    /// The text after the scrubber; `None` when it is held back.
    // As a call, the text would go through memory twice, and few policies have a scrubber.
    #[inline(always)]
    pub(crate) fn scrubbed<'a>(
        &self,
        field: Field,
        text: Cow<'a, str>,
    ) -> Result<Option<Cow<'a, str>>, ScrubberPanicked> {
        match &self.scrubber {
            None => Ok(Some(text)),
            Some(scrubber) => scrub(scrubber.as_ref(), field, &text),
        }
    }
}

#[cold]
fn scrub(
    scrubber: &Scrubber,
    field: Field,
    text: &str,
) -> Result<Option<Cow<'static, str>>, ScrubberPanicked> {
    catch_unwind(AssertUnwindSafe(|| scrubber(field, text)))
        .map(|text| text.map(Cow::Owned))
        .map_err(|_| ScrubberPanicked)
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("passes_content", &self.passes_content())
            .field("names", &self.names)
            .field("allowed_names", &self.allowed_names)
            .field("metadata_keys", &self.metadata_keys)
            .field("prompt_hash", &self.prompt_hash)
            .field("scrubs", &self.scrubs())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
