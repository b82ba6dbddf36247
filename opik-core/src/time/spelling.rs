//! The one spelling that nearly every client writes, read and written without a calendar library:
//! `2026-11-20T10:25:15.351281Z`. A batch of spans has three of them each.

use std::ops::RangeInclusive;

const MICROS: i64 = 1_000_000;
const SECONDS_OF_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const TO_EPOCH: i64 = 719_468;
const DAYS_OF_ERA: i64 = 146_097;
/// Years that are well within what every reader can take.
const YEARS: RangeInclusive<i64> = 1..=9_998;

/// Microseconds of a moment; `None` for any other spelling, and for what is no moment.
pub(super) fn read(text: &[u8]) -> Option<i64> {
    let (moment, rest) = text.split_first_chunk::<19>()?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = *moment
    else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let is_there = YEARS.contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_there {
        return None;
    }
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => fraction(rest)?,
        _ => (0, rest),
    };
    if rest != b"Z" && rest != b"+00:00" {
        return None;
    }
    let seconds = days(year, month, day) * SECONDS_OF_DAY + hour * 3_600 + minute * 60 + second;
    Some(seconds * MICROS + fraction)
}

/// The spelling of a moment, unless its year is an unusual one.
pub(super) fn write(micros: i64) -> Option<[u8; 27]> {
    let seconds = micros.div_euclid(MICROS);
    let (year, month, day) = date(seconds.div_euclid(SECONDS_OF_DAY));
    if !YEARS.contains(&year) {
        return None;
    }
    let second = seconds.rem_euclid(SECONDS_OF_DAY);
    let fraction = micros.rem_euclid(MICROS);
    let [y1, y2] = digits(year / 100);
    let [y3, y4] = digits(year % 100);
    let [m1, m2] = digits(month);
    let [d1, d2] = digits(day);
    let [h1, h2] = digits(second / 3_600);
    let [n1, n2] = digits(second / 60 % 60);
    let [s1, s2] = digits(second % 60);
    let [f1, f2] = digits(fraction / 10_000);
    let [f3, f4] = digits(fraction / 100 % 100);
    let [f5, f6] = digits(fraction % 100);
    Some([
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.',
        f1, f2, f3, f4, f5, f6, b'Z',
    ])
}

/// A number of two digits.
fn two(tens: u8, ones: u8) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// The digits of a number below a hundred.
fn digits(number: i64) -> [u8; 2] {
    let digit = |number: i64| b'0' + u8::try_from(number % 10).unwrap_or(0);
    [digit(number / 10), digit(number)]
}

/// Microseconds of one to nine digits, of which those after the sixth are cut, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let (digits, rest) = text.split_at(count);
    let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    let micros = padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((micros, rest))
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch. Years are taken from March on, so that the leap day is their last, and in
/// eras of 400 years, which all have as many days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_OF_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - TO_EPOCH
}

/// Year, month and day of a day since the epoch: [`days`] the other way round.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(TO_EPOCH);
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = (from_march + 2) % 12 + 1;
    let year = of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the calendar library reads and writes it.
    fn slow(text: &str) -> Option<i64> {
        let at = text.parse::<jiff::Timestamp>().ok()?;
        Some(super::super::floor_micros(at))
    }

    proptest! {
        #[test]
        fn every_moment_is_written_and_read_as_the_calendar_says(
            micros in -62_135_596_800_000_000_i64..253_370_764_800_000_000,
        ) {
            let written = write(micros).unwrap();
            let at = jiff::Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(std::str::from_utf8(&written).unwrap(), format!("{at:.6}"));
            prop_assert_eq!(read(&written), Some(micros));
        }

        #[test]
        fn what_is_read_is_what_the_calendar_reads(
            text in "[01][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|\\+00:00|\\+01:00|)",
        ) {
            if let Some(micros) = read(text.as_bytes()) {
                prop_assert_eq!(Some(micros), slow(&text), "{}", text);
            }
        }
    }

    #[test]
    fn every_day_of_four_hundred_years_is_where_it_was() {
        for day in -10_000..150_000 {
            let (year, month, of_month) = date(day);
            assert!((1..=days_of(year, month)).contains(&of_month));
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn other_spellings_are_left_to_the_calendar() {
        assert_eq!(read(b"1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read(b"1969-12-31T23:59:59.9999995Z"), Some(-1));
        assert_eq!(
            read(b"2024-02-29T00:00:00+00:00"),
            Some(1_709_164_800_000_000)
        );
        for text in [
            "2023-02-29T00:00:00Z",
            "2026-11-20T10:25:60Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20 10:25:15Z",
            "2026-11-20T10:25:15.Z",
            "2026-11-20T10:25:15.1234567890Z",
            "2026-11-20T10:25:15+01:00",
            "2026-11-20T10:25:15",
            "0000-01-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(write(i64::MAX), None);
        assert_eq!(write(i64::MIN), None);
    }
}
