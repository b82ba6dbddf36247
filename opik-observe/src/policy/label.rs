//! Which names and labels say nothing about the data.

/// Which names pass as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Names {
    /// Literals of the program and those listed with
    /// [`Policy::allow_name`](crate::Policy::allow_name).
    #[default]
    Declared,
    /// Also any name that looks like an identifier: at most 64 letters, digits and `_.:/-`.
    Identifiers,
    /// Every name.
    Any,
}

const IDENTIFIER: [bool; 256] = table(b"_.:/-");
const LABEL: [bool; 256] = table(b"_.:/-=+#");

/// At most 64 ASCII letters, digits and `_.:/-`.
pub(super) fn is_identifier(name: &str) -> bool {
    is_word(name, 64, &IDENTIFIER)
}

/// What a program calls things: at most 128 ASCII letters, digits and `_.:/-=+#`.
///
/// No white space, no letters of other scripts, no `@`: a sentence, a name of a person as written
/// by people and an address are no labels.
pub(super) fn is_label(text: &str) -> bool {
    is_word(text, 128, &LABEL)
}

/// Letters, digits and these signs.
#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which checks both"
)]
const fn table(signs: &[u8]) -> [bool; 256] {
    let mut known = [false; 256];
    let mut byte = 0;
    while byte < known.len() {
        known[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut sign = 0;
    while sign < signs.len() {
        known[signs[sign] as usize] = true;
        sign += 1;
    }
    known
}

fn is_word(text: &str, longest: usize, known: &[bool; 256]) -> bool {
    let is_known = |byte: u8| known.get(usize::from(byte)).is_some_and(|known| *known);
    !text.is_empty() && text.len() <= longest && text.bytes().all(is_known)
}
