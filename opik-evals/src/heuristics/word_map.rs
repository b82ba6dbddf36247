//! Words of a list, and what is to be known of each.

use std::fmt;

use foldhash::HashMap;

/// A map from a few words, which most words of a text are not in. Those are told by first byte and
/// length.
#[derive(Clone)]
pub(super) struct WordMap<V> {
    words: HashMap<String, V>,
    /// For each first byte a bit for each length, the highest for all that are longer.
    lengths: Box<[u32; 256]>,
}

impl<V> Default for WordMap<V> {
    fn default() -> Self {
        Self {
            words: HashMap::default(),
            lengths: Box::new([0; 256]),
        }
    }
}

fn bit(length: usize) -> u32 {
    1 << length.min(31)
}

fn first(word: &str) -> usize {
    usize::from(word.as_bytes().first().copied().unwrap_or_default())
}

impl<V> WordMap<V> {
    /// What is known of a word.
    #[inline]
    pub(super) fn get(&self, word: &str) -> Option<&V> {
        self.may_have(word, word.len())
            .then(|| self.words.get(word))
            .flatten()
    }

    /// What is known of a phrase of these words, with a space between them.
    pub(super) fn phrase(&self, words: &[&str]) -> Option<&V> {
        let letters: usize = words.iter().map(|word| word.len()).sum();
        let length = letters + words.len().saturating_sub(1);
        let head = words
            .first()
            .filter(|word| !word.is_empty())
            .unwrap_or(&" ");
        if !self.may_have(head, length) {
            return None;
        }
        self.words.get(words.join(" ").as_str())
    }

    /// Whether a word of this length may be here that begins like this one.
    #[inline]
    fn may_have(&self, head: &str, length: usize) -> bool {
        let lengths = self.lengths.get(first(head)).copied();
        lengths.unwrap_or_default() & bit(length) != 0
    }

    pub(super) fn contains(&self, word: &str) -> bool {
        self.get(word).is_some()
    }

    /// What is known of a word, to be changed.
    pub(super) fn entry(&mut self, word: String) -> &mut V
    where
        V: Default,
    {
        if let Some(lengths) = self.lengths.get_mut(first(&word)) {
            *lengths |= bit(word.len());
        }
        self.words.entry(word).or_default()
    }

    /// Forgets what does not pass.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        self.words.retain(|_, value| keep(value));
    }
}

impl WordMap<()> {
    /// A list of words.
    pub(super) fn of(words: &[&str]) -> Self {
        let mut map = Self::default();
        for word in words {
            map.entry((*word).to_owned());
        }
        map
    }
}

impl<V: fmt::Debug> fmt::Debug for WordMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_list_are_found_and_no_others() {
        let long = "x".repeat(40);
        let words = ["", "a", "ab", "é", "the", &long];
        let map = WordMap::of(&words);
        assert!(words.iter().all(|word| map.contains(word)));
        let others = ["b", "ac", "xyz", "ê", &"x".repeat(31), &"x".repeat(41)];
        assert!(others.iter().all(|word| !map.contains(word)));
        let phrases = WordMap::of(&["at all", " b", "a"]);
        for phrase in [&["at", "all"][..], &["", "b"], &["a"]] {
            assert!(phrases.phrase(phrase).is_some(), "{phrase:?}");
        }
        for phrase in [&["at", "ill"][..], &["", "c"], &["b"], &["", ""], &[]] {
            assert!(phrases.phrase(phrase).is_none(), "{phrase:?}");
        }
    }
}
