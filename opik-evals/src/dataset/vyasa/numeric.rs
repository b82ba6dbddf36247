//! Which values are numbers, and how many decimals they have.

use std::sync::LazyLock;

use regex::Regex;

use crate::dataset::Node;

/// What Vyasa's precision guard says about one value.
///
/// ```
/// use opik_evals::dataset::Node;
/// use opik_evals::dataset::vyasa::Numeric;
///
/// let value = Numeric::of(&Node::from("1,234.56"));
/// assert_eq!((value.is_numeric(), value.decimals()), (true, 2));
/// assert!(!Numeric::of(&Node::from("12.5 kg")).is_numeric());
/// assert!(!Numeric::of(&Node::Bool(true)).is_numeric());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numeric {
    normalized: Option<String>,
}

impl Numeric {
    /// Looks at a value as Python prints it.
    #[must_use]
    pub fn of(value: &Node) -> Self {
        Self::of_text(&value.view().to_python())
    }

    /// Looks at a text.
    pub(in crate::dataset) fn of_text(text: &str) -> Self {
        let text = text.trim_matches(is_space);
        let usable = !text.ends_with('%')
            && !text.contains('%')
            && !text
                .chars()
                .any(|c| is_letter(c) && !matches!(c, 'e' | 'E'));
        Self {
            normalized: usable.then(|| text.replace(',', "")),
        }
    }

    /// The text without white space around it and without commas; `None` when it has letters but
    /// `e`, or a per cent sign.
    #[must_use]
    pub fn normalized(&self) -> Option<&str> {
        self.normalized.as_deref()
    }

    /// The characters behind the point, before an exponent.
    #[must_use]
    pub fn decimals(&self) -> usize {
        let text = self.normalized().unwrap_or_default();
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        mantissa
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.chars().count())
    }

    /// Whether Python's `float()` reads it as a number.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        self.ascii().is_some()
    }

    /// The number in ASCII, without underscores.
    pub(in crate::dataset) fn ascii(&self) -> Option<String> {
        ascii_number(self.normalized()?)
    }
}

/// Python's `str.isspace`.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `str.isalpha` of one character.
fn is_letter(c: char) -> bool {
    static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{L}").ok());
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    c.is_alphabetic()
        && LETTER
            .as_ref()
            .is_some_and(|letter| letter.is_match(c.encode_utf8(&mut [0; 4])))
}

/// The value of a decimal digit of any script.
fn digit(c: char) -> Option<u32> {
    static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{Nd}").ok());
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let is_digit = |c: char| {
        DIGIT
            .as_ref()
            .is_some_and(|digit| digit.is_match(c.encode_utf8(&mut [0; 4])))
    };
    if !c.is_numeric() || !is_digit(c) {
        return None;
    }
    // The digits of a script stand in a row that begins with its zero; rows of ten may adjoin.
    let mut start = u32::from(c);
    while char::from_u32(start.wrapping_sub(1)).is_some_and(is_digit) {
        start -= 1;
    }
    Some((u32::from(c) - start) % 10)
}

/// A number as Python's `float()` takes it, in ASCII and without underscores. Words such as `nan` do
/// not come here.
fn ascii_number(text: &str) -> Option<String> {
    let text = text.trim_matches(is_space);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    if let Some(sign) = rest.next_if(|c| matches!(c, '+' | '-')) {
        out.push(sign);
    }
    let whole = digits(&mut rest, &mut out)?;
    let mut fraction = 0;
    if rest.next_if_eq(&'.').is_some() {
        out.push('.');
        fraction = digits(&mut rest, &mut out)?;
    }
    if whole + fraction == 0 {
        return None;
    }
    if rest.next_if(|c| matches!(c, 'e' | 'E')).is_some() {
        out.push('e');
        if let Some(sign) = rest.next_if(|c| matches!(c, '+' | '-')) {
            out.push(sign);
        }
        if digits(&mut rest, &mut out)? == 0 {
            return None;
        }
    }
    rest.next().is_none().then_some(out)
}

/// Takes digits with single underscores between them; `None` for an underscore elsewhere.
fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<usize> {
    let mut count = 0;
    loop {
        match rest.peek().copied() {
            Some('_') => {
                rest.next();
                let next = rest.peek().copied().and_then(digit);
                if count == 0 || next.is_none() {
                    return None;
                }
            }
            Some(c) => match digit(c) {
                Some(value) => {
                    rest.next();
                    out.extend(char::from_digit(value, 10));
                    count += 1;
                }
                None => return Some(count),
            },
            None => return Some(count),
        }
    }
}
