//! The order in which Opik answers the labels of prompts.

/// The labels as Opik answers them: each once, in the order of a hash table of Java, which keeps
/// them there. Clients compare lists with what the server said before.
///
/// The place of a text in the table is its hash, `31 * hash + unit` over the UTF-16 units, with
/// the upper half mixed into the lower, modulo the table's size: 16, twice as many whenever three
/// quarters are full. Texts with one place stay in the order in which they came.
pub(super) fn as_set(labels: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        if !once.contains(&label) {
            once.push(label);
        }
    }
    let mut places = 16_usize;
    while once.len() > places / 4 * 3 {
        places = places.saturating_mul(2);
    }
    let mask = u32::try_from(places - 1).unwrap_or(u32::MAX);
    once.sort_by_cached_key(|label| place(label) & mask);
    once
}

fn place(text: &str) -> u32 {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    });
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(labels: &[&str]) -> Vec<String> {
        as_set(labels.iter().map(|&label| label.to_owned()).collect())
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
}
