//! How texts become words: Python's `str.strip` and `str.split`.

use crate::MetricError;

/// Python's `str.isspace`: Unicode white space and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// `str.split()`.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// An error when a text is blank.
pub(super) fn not_blank(text: &str, what: &'static str) -> Result<(), MetricError> {
    if is_blank(text) {
        return Err(MetricError::input(format!("the {what} is blank")));
    }
    Ok(())
}

/// An error when there is no reference, or a blank one.
pub(super) fn none_blank(references: &[&str]) -> Result<(), MetricError> {
    if references.is_empty() {
        return Err(MetricError::input("there is no reference"));
    }
    references
        .iter()
        .try_for_each(|reference| not_blank(reference, "reference"))
}
