//! Numbers with units: how they are read, and when two are the same.

use std::borrow::Cow;

use super::words::Word;
use crate::finding::{self, Unit};

/// Bytes of the longest word for a unit, `microseconds`.
const LONGEST_UNIT: usize = 12;
/// Whole numbers without a unit up to this one are too common to be looked up.
const COMMON: f64 = 10.0;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Time, in microseconds.
    Time,
    /// Parts of a hundred.
    Percent,
    /// US dollars.
    Money,
    /// Things, or it is not known.
    Plain,
}

/// A number as it is written, with the range of values that are rounded to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantity {
    kind: Kind,
    value: f64,
    /// The value of its last digit.
    step: f64,
    /// Whether a unit was written.
    has_unit: bool,
}

impl Quantity {
    /// Reads a word, with its unit in it or in the next one. More than one where the writing is
    /// ambiguous (`1,234`). Says how many of the next words belong to it.
    pub(super) fn read(word: &Word<'_>, after: &[Word<'_>]) -> Option<(Vec<Self>, usize)> {
        let (digits, suffix) = split(word.text)?;
        let next = after
            .first()
            .filter(|next| follows(word, next))
            .map(|next| next.text);
        let (unit, mut used) = match unit(suffix) {
            Some(unit) if !suffix.is_empty() => (unit, 0),
            // A word that goes on with other letters is a name.
            None => return None,
            Some(_) => match next.and_then(unit_of_next) {
                Some(unit) => (unit, 1),
                None => (plain(), 0),
            },
        };
        let money = word.text.contains(['$', '€']);
        let mut all = Vec::new();
        for (value, step) in readings(digits) {
            let mut quantity = Self {
                kind: unit.0,
                value: value * unit.1,
                step: step * unit.1,
                has_unit: unit != plain(),
            };
            if money {
                quantity.kind = Kind::Money;
                quantity.has_unit = true;
            }
            all.push(quantity);
        }
        // `3 min 20 s` is one number.
        if let ([first], Kind::Time) = (all.as_mut_slice(), unit.0)
            && unit.1 >= 60e6
            && let Some(rest) = after.get(used)
            && let Some((smaller, more)) =
                Self::read(rest, after.get(used + 1..).unwrap_or_default())
            && let [second] = smaller.as_slice()
            && second.kind == Kind::Time
            && second.step < first.step
        {
            first.value += second.value;
            first.step = second.step;
            used += 1 + more;
        }
        (!all.is_empty()).then_some((all, used))
    }

    /// Whether it is a small whole number without a unit.
    pub(super) fn is_common(&self) -> bool {
        !self.has_unit && self.value <= COMMON && self.value.fract() == 0.0
    }

    /// Whether this value may be written so: rounded, or cut after the last digit.
    fn covers(&self, value: f64) -> bool {
        let slack = 1e-9 * self.value.abs().max(1e-9);
        let low = self.value - self.step / 2.0 - slack;
        let high = (self.value + self.step - slack).max(self.value + slack);
        (low..high).contains(&value.abs())
    }

    fn at(self, kind: Kind, factor: f64) -> Self {
        Self {
            kind,
            value: self.value * factor,
            step: self.step * factor,
            has_unit: self.has_unit,
        }
    }
}

/// All numbers that were told, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    time: Vec<f64>,
    percent: Vec<f64>,
    money: Vec<f64>,
    plain: Vec<f64>,
    /// Numbers before a word (`3 spans`), which are never times, shares or money.
    counts: Vec<f64>,
}

impl Numbers {
    /// Adds the numbers of a word of a text.
    pub(super) fn add_word(
        &mut self,
        before: Option<&Word<'_>>,
        word: &Word<'_>,
        after: &[Word<'_>],
    ) {
        if let Some((quantities, _)) = Quantity::read(word, after) {
            let key = before.map_or("", |before| before.text);
            let next = after
                .first()
                .filter(|next| next.at == word.at + word.text.len() + 1);
            let is_count = next.is_some_and(|next| next.text.starts_with(char::is_alphabetic));
            for quantity in quantities {
                if is_count && !quantity.has_unit {
                    self.counts.push(quantity.value.abs());
                } else {
                    self.add(by_key(key, quantity));
                }
            }
        }
        // A list of numbers without spaces; of ranges, fractions and dates the parts.
        let key = before.map_or("", |before| before.text);
        for (separators, is_list) in [(&[','][..], true), (&['/', '–', ':', '-'][..], false)] {
            if !word.text.contains(separators) {
                continue;
            }
            for part in word.text.split(separators) {
                if part.len() == word.text.len() {
                    continue;
                }
                let number = Word {
                    at: word.at,
                    text: part,
                };
                match Quantity::read(&number, &[]) {
                    Some((quantities, _)) if is_list => {
                        for quantity in quantities {
                            self.add(by_key(key, quantity));
                        }
                    }
                    Some((quantities, _)) => {
                        let values = quantities.iter().map(|quantity| quantity.value.abs());
                        self.counts.extend(values);
                    }
                    None => {}
                }
            }
        }
    }

    pub(super) fn add_quantity(&mut self, number: &finding::Quantity) {
        let value = number.value.abs();
        match number.unit {
            Unit::Milliseconds => self.time.push(value * 1e3),
            Unit::Percent => self.percent.push(value),
            Unit::Dollars => self.money.push(value),
            Unit::Tokens | Unit::Count | Unit::Ratio => self.plain.push(value),
        }
    }

    fn add(&mut self, quantity: Quantity) {
        let list = match quantity.kind {
            Kind::Time => &mut self.time,
            Kind::Percent => &mut self.percent,
            Kind::Money => &mut self.money,
            Kind::Plain => &mut self.plain,
        };
        list.push(quantity.value.abs());
    }

    pub(super) fn sort(&mut self) {
        for list in [
            &mut self.time,
            &mut self.percent,
            &mut self.money,
            &mut self.plain,
            &mut self.counts,
        ] {
            list.sort_unstable_by(f64::total_cmp);
            list.dedup();
        }
    }

    /// Whether any of them can be written like this.
    pub(super) fn has(&self, wanted: &Quantity) -> bool {
        let plain = |factor: f64| any(&self.plain, &wanted.at(Kind::Plain, factor));
        match wanted.kind {
            // Numbers without a unit: microseconds, milliseconds, seconds.
            Kind::Time => any(&self.time, wanted) || plain(1.0) || plain(1e-3) || plain(1e-6),
            Kind::Percent => any(&self.percent, wanted) || plain(1.0) || plain(0.01),
            Kind::Money => any(&self.money, wanted) || plain(1.0),
            Kind::Plain => {
                plain(1.0)
                    || any(&self.counts, wanted)
                    || !wanted.has_unit
                        && (any(&self.percent, wanted)
                            || any(&self.money, wanted)
                            || any(&self.time, &wanted.at(Kind::Time, 1.0))
                            || any(&self.time, &wanted.at(Kind::Time, 1e3))
                            || any(&self.time, &wanted.at(Kind::Time, 1e6)))
            }
        }
    }
}

/// Whether a sorted list has a value that can be written like this.
fn any(list: &[f64], wanted: &Quantity) -> bool {
    let low = wanted.value - wanted.step;
    let from = list.partition_point(|&value| value < low);
    let near = list.get(from..).unwrap_or_default();
    near.iter()
        .take_while(|&&value| value <= wanted.value + 2.0 * wanted.step + 1e-9)
        .any(|&value| wanted.covers(value))
}

/// A number of JSON has its unit in its key.
fn by_key(key: &str, quantity: Quantity) -> Quantity {
    if quantity.has_unit {
        return quantity;
    }
    let key = key.to_ascii_lowercase();
    if key.ends_with("_ms") || key == "duration" || key == "ttft" || key.starts_with("saved_ms") {
        quantity.at(Kind::Time, 1e3)
    } else if key.ends_with("_us") {
        quantity.at(Kind::Time, 1.0)
    } else if key.ends_with("percent") || key.starts_with("percent_") {
        quantity.at(Kind::Percent, 1.0)
    } else if key.ends_with("_usd") || key.ends_with("cost") {
        quantity.at(Kind::Money, 1.0)
    } else {
        quantity
    }
}

/// Digits of a word and what follows them; `None` when the word does not begin with a number.
fn split(word: &str) -> Option<(&str, &str)> {
    let word = word.trim_start_matches(['$', '€', '-', '+', '−']);
    let is_part = |letter: char| {
        letter.is_ascii_digit() || matches!(letter, '.' | ',' | '\u{a0}' | '\u{202f}')
    };
    let end = word
        .find(|letter: char| !is_part(letter))
        .unwrap_or(word.len());
    let (digits, suffix) = word.split_at_checked(end)?;
    let digits = digits.trim_end_matches(['.', ',']);
    digits
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then_some((digits, suffix))
}

/// The values that these digits may stand for, each with the value of its last digit.
fn readings(digits: &str) -> Vec<(f64, f64)> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits
            .parse()
            .map(|value| (value, 1.0))
            .into_iter()
            .collect();
    }
    let digits: String = digits
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .collect();
    let commas = digits.matches(',').count();
    let points = digits.matches('.').count();
    let mut all = Vec::new();
    let mut add = |text: &str| {
        if let Ok(value) = text.parse::<f64>() {
            let places = text.split_once('.').map_or(0, |(_, places)| places.len());
            let places = i32::try_from(places).unwrap_or(0);
            all.push((value, 10f64.powi(-places)));
        }
    };
    if points <= 1 {
        add(&digits.replace(',', ""));
    }
    if commas == 1 && points == 0 {
        add(&digits.replace(',', "."));
    }
    // `1.234.567`, and `1.234,5`.
    if commas <= 1 && points >= 1 && (points > 1 || commas == 1 || grouped(&digits)) {
        add(&digits.replace('.', "").replace(',', "."));
    }
    all
}

/// Whether a point may separate thousands: three digits follow it.
fn grouped(digits: &str) -> bool {
    digits
        .split_once('.')
        .is_some_and(|(_, rest)| rest.len() == 3)
}

fn plain() -> (Kind, f64) {
    (Kind::Plain, 1.0)
}

/// What a suffix stands for, with its factor; `None` when it is no unit.
fn unit(suffix: &str) -> Option<(Kind, f64)> {
    Some(match suffix {
        "" | "x" | "X" | "×" => plain(),
        "k" | "K" => (Kind::Plain, 1e3),
        "M" => (Kind::Plain, 1e6),
        other => return unit_of_next(other),
    })
}

/// What a word behind a number stands for.
fn unit_of_next(word: &str) -> Option<(Kind, f64)> {
    // Most words are none, and most of those are longer.
    if word.len() > LONGEST_UNIT {
        return None;
    }
    let is_lower = word
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    let lower = if is_lower {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(word.to_lowercase())
    };
    Some(match &*lower {
        "us" | "µs" | "μs" | "microseconds" | "microsecond" => (Kind::Time, 1.0),
        "ms" | "msec" | "milliseconds" | "millisecond" => (Kind::Time, 1e3),
        "s" | "sec" | "secs" | "seconds" | "second" => (Kind::Time, 1e6),
        "min" | "mins" | "minutes" | "minute" | "m" => (Kind::Time, 60e6),
        "h" | "hrs" | "hours" | "hour" => (Kind::Time, 3_600e6),
        "%" | "percent" | "pct" => (Kind::Percent, 1.0),
        "usd" | "dollars" | "dollar" => (Kind::Money, 1.0),
        "cents" | "cent" | "¢" => (Kind::Money, 0.01),
        "thousand" => (Kind::Plain, 1e3),
        "million" => (Kind::Plain, 1e6),
        _ => return None,
    })
}

/// Whether nothing but a space stands between two words.
fn follows(word: &Word<'_>, next: &Word<'_>) -> bool {
    let end = word.at + word.text.len();
    (end..=end + 3).contains(&next.at)
}
