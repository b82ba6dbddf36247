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

/// At most 64 ASCII letters, digits and `_.:/-`.
pub(super) fn is_identifier(name: &str) -> bool {
    is_word(name, 64, b"_.:/-")
}

/// What a program calls things: at most 128 ASCII letters, digits and `_.:/-=+#`.
///
/// No white space, no letters of other scripts, no `@`: a sentence, a name of a person as written
/// by people and an address are no labels.
pub(super) fn is_label(text: &str) -> bool {
    is_word(text, 128, b"_.:/-=+#")
}

fn is_word(text: &str, longest: usize, signs: &[u8]) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || signs.contains(&byte))
}
