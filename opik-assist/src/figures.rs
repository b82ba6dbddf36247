//! Numbers as people read them.

/// A duration: `350 us`, `1.25 ms`, `340 ms`, `2.41 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(micros: i64) -> String {
    let millis = millis(micros);
    match micros.unsigned_abs() {
        0 => "0 ms".to_owned(),
        1..=999 => format!("{micros} us"),
        1_000..=9_999 => rounded(micros, 10, 2, "ms").unwrap_or_else(|| format!("{millis:.2} ms")),
        10_000..=99_999 => {
            rounded(micros, 100, 1, "ms").unwrap_or_else(|| format!("{millis:.1} ms"))
        }
        100_000..=999_499 => {
            rounded(micros, 1_000, 0, "ms").unwrap_or_else(|| format!("{millis:.0} ms"))
        }
        999_500..=119_994_999 => {
            rounded(micros, 10_000, 2, "s").unwrap_or_else(|| format!("{:.2} s", millis / 1_000.0))
        }
        seconds => {
            let seconds = (seconds + 500_000) / 1_000_000;
            let sign = if micros < 0 { "-" } else { "" };
            if seconds < 7_200 {
                format!("{sign}{} min {} s", seconds / 60, seconds % 60)
            } else {
                format!("{sign}{} h {} min", seconds / 3_600, seconds / 60 % 60)
            }
        }
    }
}

/// Microseconds as multiples of a step, written with so many digits after the point; `None` for what lies
/// in the middle between two, and for negative numbers. Floating point numbers take many times the effort.
fn rounded(micros: i64, step: i64, digits: usize, unit: &str) -> Option<String> {
    if micros < 0 || micros % step * 2 == step {
        return None;
    }
    let steps = (micros + step / 2) / step;
    let parts = match digits {
        0 => (steps, 0),
        1 => (steps / 10, steps % 10),
        _ => (steps / 100, steps % 100),
    };
    let mut text = String::with_capacity(24);
    push_whole(&mut text, parts.0.unsigned_abs());
    if digits > 0 {
        text.push('.');
        if digits > 1 && parts.1 < 10 {
            text.push('0');
        }
        push_whole(&mut text, parts.1.unsigned_abs());
    }
    text.push(' ');
    text.push_str(unit);
    Some(text)
}

/// Appends the digits of a number, which takes a fraction of what formatting takes.
pub(crate) fn push_whole(text: &mut String, value: u64) {
    let digit = |digit: u64| char::from(b'0' + u8::try_from(digit).unwrap_or_default());
    let mut unit = 1;
    while value / unit >= 10 {
        unit *= 10;
    }
    while unit > 0 {
        text.push(digit(value / unit % 10));
        unit /= 10;
    }
}

/// Microseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn millis(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

/// The share of a whole in percent; 0 of nothing.
pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        part / whole * 100.0
    } else {
        0.0
    }
}

/// The share of a whole stretch of time in percent.
pub(crate) fn time_share(part: i64, whole: i64) -> f64 {
    share(millis(part), millis(whole))
}

/// A percentage: `<1 %`, `7 %`, `62 %`.
pub(crate) fn percent(value: f64) -> String {
    if value > 0.0 && value < 1.0 {
        "<1 %".to_owned()
    } else {
        format!("{value:.0} %")
    }
}

/// US dollars with at least two digits that matter: `$0.0012`, `$1.23`.
pub(crate) fn dollars(value: f64) -> String {
    if value >= 0.1 || value == 0.0 {
        format!("${value:.2}")
    } else if value >= 0.001 {
        format!("${value:.4}")
    } else {
        format!("${value:.6}")
    }
}

/// A whole number with separators: `12,345`.
pub(crate) fn whole(value: i64) -> String {
    let mut text = String::with_capacity(26);
    if value < 0 {
        text.push('-');
    }
    let sign = text.len();
    push_whole(&mut text, value.unsigned_abs());
    let mut place = text.len();
    while place > sign + 3 {
        place -= 3;
        text.insert(place, ',');
    }
    text
}

/// A number of things: `1 call`, `3 calls`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    let number = whole(i64::try_from(number).unwrap_or(i64::MAX));
    [&number, " ", thing, ending].concat()
}

/// A count as the value of a quantity.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn number(value: usize) -> f64 {
    value as f64
}

/// A whole number as the value of a quantity.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn real(value: i64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_fits() {
        let text = [
            0,
            350,
            99_999,
            340_000,
            999_499,
            2_410_000,
            200_000_000,
            7_500_000_000,
        ]
        .map(duration)
        .join("; ");
        assert_eq!(
            text,
            "0 ms; 350 us; 100.0 ms; 340 ms; 999 ms; 2.41 s; 3 min 20 s; 2 h 5 min"
        );
    }

    proptest::proptest! {
        #[test]
        fn durations_are_rounded_as_floating_point_numbers_are(micros in 0_i64..130_000_000) {
            let close = [micros, micros / 10, micros / 100, micros / 1_000 * 1_000];
            for micros in close {
                let millis = millis(micros);
                let simply = match micros {
                    0 => "0 ms".to_owned(),
                    1..=999 => format!("{micros} us"),
                    1_000..=9_999 => format!("{millis:.2} ms"),
                    10_000..=99_999 => format!("{millis:.1} ms"),
                    100_000..=999_499 => format!("{millis:.0} ms"),
                    999_500..=119_994_999 => format!("{:.2} s", millis / 1_000.0),
                    _ => continue,
                };
                proptest::prop_assert_eq!(duration(micros), simply);
            }
        }
    }

    #[test]
    fn whole_numbers_have_separators() {
        assert_eq!(
            [0, 999, 1_000, -1_234_567].map(whole).join(" "),
            "0 999 1,000 -1,234,567"
        );
        assert_eq!(
            count(1, "call") + ", " + &count(2, "call"),
            "1 call, 2 calls"
        );
        assert_eq!(
            [0.0, 0.000_12, 0.004, 1.234].map(dollars).join(" "),
            "$0.00 $0.000120 $0.0040 $1.23"
        );
    }
}
