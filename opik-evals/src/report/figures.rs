//! Numbers as people read them.

/// A score: four digits, and fewer where they are zeros of a whole number.
pub(super) fn score(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 {
        format!("{value:.0}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// A difference of scores, with its sign.
pub(super) fn change(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:+.3}")
    }
}

/// A share of 1.
pub(super) fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// A chance.
pub(super) fn chance(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// US dollars.
pub(super) fn dollars(value: f64) -> String {
    if value == 0.0 || value.abs() >= 0.1 {
        format!("${value:.2}")
    } else {
        format!("${value:.5}")
    }
}

/// Milliseconds.
pub(super) fn millis(value: f64) -> String {
    if value >= 60_000.0 {
        format!("{:.1} min", value / 60_000.0)
    } else if value >= 1_000.0 {
        format!("{:.2} s", value / 1_000.0)
    } else if value >= 10.0 {
        format!("{value:.0} ms")
    } else {
        format!("{value:.2} ms")
    }
}

/// A number and what it counts.
pub(super) fn things(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
