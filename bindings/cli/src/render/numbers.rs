//! Numbers for people: durations, moments, money, counts, sizes.

use opik_core::Timestamp;

/// A duration in the unit that fits: `840 us`, `12.3 ms`, `4.56 s`, `3m 07s`, `2h 05m`.
pub(crate) fn duration(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    match micros {
        0..1_000 => format!("{sign}{micros} us"),
        1_000..1_000_000 => format!("{sign}{} ms", three_digits(micros, 1_000)),
        1_000_000..59_950_000 => format!("{sign}{} s", three_digits(micros, 1_000_000)),
        59_950_000..3_600_000_000 => {
            let seconds = seconds.max(60);
            format!("{sign}{}m {:02}s", seconds / 60, seconds % 60)
        }
        3_600_000_000..86_400_000_000 => {
            format!("{sign}{}h {:02}m", seconds / 3_600, seconds / 60 % 60)
        }
        _ => format!("{sign}{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A duration that is known in milliseconds.
pub(crate) fn millis(ms: f64) -> String {
    duration(micros_of(ms))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and no duration comes near"
)]
fn micros_of(ms: f64) -> i64 {
    (ms * 1_000.0).round() as i64
}

/// `value / unit` with about three digits and no superfluous zeros.
fn three_digits(value: u64, unit: u64) -> String {
    let decimals = match value / unit {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    let scale = 10u64.pow(decimals);
    let rounded = (value * scale + unit / 2) / unit;
    let (whole, part) = (rounded / scale, rounded % scale);
    if part == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(decimals).unwrap_or(2);
    let text = format!("{whole}.{part:0width$}");
    text.trim_end_matches('0').to_owned()
}

/// A moment to the second, in UTC: `2025-01-01 00:01:07`.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19)
        .map_or_else(|| text.clone(), |text| text.replacen('T', " ", 1))
}

/// US dollars; small amounts keep the digits that matter.
pub(crate) fn dollars(amount: f64) -> String {
    let size = amount.abs();
    if size == 0.0 {
        "$0".to_owned()
    } else if size < 0.000_05 {
        "<$0.0001".to_owned()
    } else if size < 1.0 {
        format!("${amount:.4}")
    } else {
        format!("${amount:.2}")
    }
}

/// A whole number with thousands apart: `12,345`.
pub(crate) fn count(n: impl Into<i128>) -> String {
    let n = n.into();
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// A count of things with the right form of the word: `1 span`, `2 spans`.
pub(crate) fn things(n: u64, one: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {one}{s}", count(n))
}

/// A size: `512 B`, `1.5 KB`, `2.1 MB`, in powers of 1,000.
pub(crate) fn bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{} KB", three_digits(size, 1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", three_digits(size, 1_000_000)),
        _ => format!("{} GB", three_digits(size, 1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_fits() {
        let cases = [
            (0, "0 us"),
            (999, "999 us"),
            (1_000, "1 ms"),
            (1_234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (999_400, "999 ms"),
            (1_500_000, "1.5 s"),
            (59_949_000, "59.9 s"),
            (59_999_000, "1m 00s"),
            (67_000_000, "1m 07s"),
            (7_500_000_000, "2h 05m"),
            (90_000_000_000, "1d 01h"),
            (-2_000_000, "-2 s"),
        ];
        for (micros, text) in cases {
            assert_eq!(duration(micros), text);
        }
        assert_eq!(millis(12.3456), "12.3 ms");
        assert_eq!(millis(f64::NAN), "0 us");
    }

    #[test]
    fn money_counts_and_sizes() {
        assert_eq!(dollars(0.0), "$0");
        assert_eq!(dollars(0.000_01), "<$0.0001");
        assert_eq!(dollars(0.012_34), "$0.0123");
        assert_eq!(dollars(12.345), "$12.35");
        assert_eq!(count(999), "999");
        assert_eq!(count(-1_234_567), "-1,234,567");
        assert_eq!(things(1, "span"), "1 span");
        assert_eq!(things(1_200, "span"), "1,200 spans");
        assert_eq!(bytes(1_500), "1.5 KB");
        assert_eq!(bytes(2_100_000), "2.1 MB");
    }

    #[test]
    fn moments_are_to_the_second_in_utc() {
        let at: Timestamp = "2025-01-01T00:01:07.9Z".parse().unwrap();
        assert_eq!(moment(at), "2025-01-01 00:01:07");
    }
}
