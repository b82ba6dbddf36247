//! Vyasa's `format_number`: decimal arithmetic as Python's `decimal` does it with 28 digits.

use super::{Numeric, Raised};
use crate::dataset::Node;

/// Digits that Python's default context keeps.
const PRECISION: i64 = 28;

/// How the last digit is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Half goes away from zero.
    HalfUp,
    /// Half goes to the even digit.
    Bankers,
}

impl Rounding {
    /// `half_up` or `bankers`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "half_up" => Some(Self::HalfUp),
            "bankers" => Some(Self::Bankers),
            _ => None,
        }
    }
}

/// A decimal number: digits, the first of them the most significant, times a power of ten.
#[derive(Debug, Clone)]
pub(crate) struct Decimal {
    negative: bool,
    /// Without leading zeros; one zero for zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Reads a number in ASCII with a point and an exponent at most.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let negative = text.starts_with('-');
        let text = text.trim_start_matches(['+', '-']);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i64 = exponent.parse().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let digits: Vec<u8> = whole
            .bytes()
            .chain(fraction.bytes())
            .map(|digit| digit.wrapping_sub(b'0'))
            .skip_while(|digit| *digit == 0)
            .collect();
        Some(Self {
            negative,
            digits: if digits.is_empty() { vec![0] } else { digits },
            exponent,
        })
    }

    pub(crate) fn digit_count(&self) -> usize {
        self.digits.len()
    }

    /// The digits from the first that is not zero, without zeros at the end of a whole number, and
    /// how many of the digits stand behind the point.
    pub(crate) fn significant(&self) -> usize {
        let trailing = if self.exponent >= 0 {
            self.digits.iter().rev().take_while(|d| **d == 0).count()
        } else {
            0
        };
        self.digits.len().saturating_sub(trailing)
    }

    /// How many digits stand behind the point when the number is written out.
    pub(crate) fn decimals(&self) -> usize {
        usize::try_from(self.exponent.saturating_neg()).unwrap_or(0)
    }

    fn count(&self) -> i64 {
        i64::try_from(self.digits.len()).unwrap_or(i64::MAX)
    }

    /// Rounds to a number of decimals; `None` when that needs more than 28 digits.
    fn quantize(&self, decimals: usize, rounding: Rounding) -> Option<Self> {
        let target = i64::try_from(decimals).ok()?.checked_neg()?;
        let is_zero = self.digits == [0];
        if self.exponent >= target {
            let zeros = self.exponent.checked_sub(target)?;
            if !is_zero && self.count().checked_add(zeros)? > PRECISION {
                return None;
            }
            let mut digits = self.digits.clone();
            if !is_zero {
                digits.resize(digits.len() + usize::try_from(zeros).ok()?, 0);
            }
            return Some(Self {
                negative: self.negative,
                digits,
                exponent: target,
            });
        }
        let dropped = target.checked_sub(self.exponent)?;
        let kept = self.count().saturating_sub(dropped);
        let mut digits: Vec<u8>;
        let up;
        if kept < 0 {
            (digits, up) = (Vec::new(), false);
        } else {
            let kept = usize::try_from(kept).ok()?;
            digits = self.digits.get(..kept).unwrap_or_default().to_vec();
            let rest = self.digits.get(kept..).unwrap_or_default();
            let first = rest.first().copied().unwrap_or(0);
            let beyond = rest.iter().skip(1).any(|digit| *digit != 0);
            let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
            up = match rounding {
                Rounding::HalfUp => first >= 5,
                Rounding::Bankers => first > 5 || (first == 5 && (beyond || odd)),
            };
        }
        if up {
            let mut carry = true;
            for digit in digits.iter_mut().rev() {
                *digit = if *digit == 9 { 0 } else { *digit + 1 };
                carry = *digit == 0;
                if !carry {
                    break;
                }
            }
            if carry {
                digits.insert(0, 1);
            }
        }
        if digits.is_empty() {
            digits.push(0);
        }
        if i64::try_from(digits.len()).ok()? > PRECISION {
            return None;
        }
        Some(Self {
            negative: self.negative,
            digits,
            exponent: target,
        })
    }

    /// Without an exponent; only for what [`quantize`](Self::quantize) gave.
    fn plain(&self) -> String {
        let decimals = self.decimals();
        let digits = self.digits.iter().map(|digit| char::from(b'0' + digit));
        let padding = (decimals + 1).saturating_sub(self.digits.len());
        let mut text: String = std::iter::repeat_n('0', padding).chain(digits).collect();
        if decimals > 0 {
            text.insert(text.len() - decimals, '.');
        }
        if self.negative {
            text.insert(0, '-');
        }
        text
    }
}

/// What Vyasa's `format_number` makes of a value: a number with so many decimals, anything else as
/// Python prints it.
///
/// A text that has exactly so many characters behind its point comes back as it is. Digits beyond
/// `max_sig_figs` are not rounded away: the number is first rounded to as many *decimals* as it has
/// digits too many. Both are as they are there.
///
/// # Errors
///
/// [`Raised`] when more than 28 digits would be needed.
pub fn format_number(
    value: &Node,
    max_decimals: usize,
    max_sig_figs: usize,
    rounding: Rounding,
) -> Result<String, Raised> {
    if let Node::Text(text) = value
        && let Some((_, decimals)) = text.split_once('.')
        && decimals.chars().count() == max_decimals
    {
        return Ok(text.clone());
    }
    let Some(number) = Numeric::of(value)
        .ascii()
        .and_then(|text| Decimal::parse(&text))
    else {
        return Ok(value.to_python());
    };
    let invalid = || Raised::new("InvalidOperation", "the number has too many digits");
    let excess = number.digit_count().saturating_sub(max_sig_figs);
    let shortened = if excess > 0 {
        number.quantize(excess, rounding).ok_or_else(invalid)?
    } else {
        number
    };
    let rounded = shortened
        .quantize(max_decimals, rounding)
        .ok_or_else(invalid)?;
    Ok(rounded.plain())
}
