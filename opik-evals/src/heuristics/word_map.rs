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

fn bit(word: &str) -> u32 {
    1 << word.len().min(31)
}

fn first(word: &str) -> usize {
    usize::from(word.as_bytes().first().copied().unwrap_or_default())
}

impl<V> WordMap<V> {
    /// What is known of a word.
    #[inline]
    pub(super) fn get(&self, word: &str) -> Option<&V> {
        let lengths = self.lengths.get(first(word)).copied().unwrap_or_default();
        if lengths & bit(word) == 0 {
            return None;
        }
        self.words.get(word)
    }

    /// What is known of a word, to be changed.
    pub(super) fn entry(&mut self, word: String) -> &mut V
    where
        V: Default,
    {
        if let Some(lengths) = self.lengths.get_mut(first(&word)) {
            *lengths |= bit(&word);
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

    pub(super) fn contains(&self, word: &str) -> bool {
        self.get(word).is_some()
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
    }
}
