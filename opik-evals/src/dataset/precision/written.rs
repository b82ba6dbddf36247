//! How many digits a number is written with.

use std::borrow::Cow;

use crate::dataset::node::View;
use crate::dataset::vyasa::Numeric;
use crate::dataset::vyasa::decimal::Decimal;

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) decimals: usize,
    pub(super) significant: usize,
    /// With an exponent.
    pub(super) scientific: bool,
}

/// How the number is written that a cell holds.
#[inline]
pub(super) fn number(cell: View<'_>) -> Option<Written> {
    let text = match cell {
        View::Text(text) => {
            let text = text.trim();
            Cow::Borrowed(text.strip_suffix('%').unwrap_or(text))
        }
        View::Int(_) | View::Float(_) => cell.to_python(),
        _ => return None,
    };
    plain(&text).unwrap_or_else(|| written(&text))
}

/// Digits of ASCII with a point at most, or a text that begins with a letter, which is no number.
/// Nearly all cells are one of these; `None` is for the others.
fn plain(text: &str) -> Option<Option<Written>> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    if first.is_ascii_alphabetic() && !matches!(first, b'e' | b'E') {
        return Some(None);
    }
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let point = memchr::memchr(b'.', digits);
    let (whole, fraction) = digits.split_at_checked(point.unwrap_or(digits.len()))?;
    let fraction = fraction.get(1..).unwrap_or_default();
    let is_number = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let all = whole.iter().chain(fraction);
    let zeros = all.clone().take_while(|digit| **digit == b'0').count();
    // Zero itself has one digit, which is dropped again where nothing stands behind the point.
    let count = (whole.len() + fraction.len() - zeros).max(1);
    let dropped = if fraction.is_empty() {
        let trailing = whole
            .iter()
            .rev()
            .take_while(|digit| **digit == b'0')
            .count();
        trailing.min(count)
    } else {
        0
    };
    Some(Some(Written {
        decimals: fraction.len(),
        significant: count - dropped,
        scientific: false,
    }))
}

/// Any text.
fn written(text: &str) -> Option<Written> {
    let ascii = Numeric::of_text(text).ascii()?;
    let number = Decimal::parse(&ascii)?;
    Some(Written {
        decimals: number.decimals(),
        significant: number.significant(),
        scientific: ascii.contains('e'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_numbers_are_read_as_any_text(
            text in "-?[0-9]{0,3}[.,0]?[0-9]{0,3}[a-e% ]?",
            word in "[a-zA-Z0-9. ]{0,4}",
        ) {
            for text in [text, word] {
                if let Some(found) = plain(&text) {
                    prop_assert_eq!(found, written(&text), "{}", text);
                }
            }
        }
    }
}
