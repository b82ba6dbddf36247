//! How long a server asks to wait.

use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::Timestamp;

/// The wait in an answer's headers, whichever of these comes first:
///
/// 1. `RateLimit-Reset`, in seconds: what Opik sends with 429.
/// 2. `Retry-After`, in seconds or as a date: what proxies send.
/// 3. `Opik-<bucket>-Remaining-Limit-TTL-Millis` of the buckets of which nothing remains.
pub(super) fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("ratelimit-reset").and_then(seconds) {
        return Some(wait);
    }
    if let Some(after) = text("retry-after") {
        return seconds(after).or_else(|| until(after, now));
    }
    let empty_buckets = headers.iter().filter_map(|(name, value)| {
        let bucket = name.as_str().strip_suffix("-remaining-limit-ttl-millis")?;
        let remaining: i64 = text(&format!("{bucket}-remaining-limit"))?.parse().ok()?;
        let millis: u64 = value.to_str().ok()?.trim().parse().ok()?;
        (bucket.starts_with("opik-") && remaining <= 0).then(|| Duration::from_millis(millis))
    });
    empty_buckets.max()
}

/// Whole or fractional seconds that are not negative.
fn seconds(text: &str) -> Option<Duration> {
    if let Ok(whole) = text.parse() {
        return Some(Duration::from_secs(whole));
    }
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// From now to a date such as `Fri, 20 Nov 2026 10:25:15 GMT`; nothing when it is past.
fn until(date: &str, now: Timestamp) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let micros = Timestamp::from_micros(at.as_microsecond()).micros_since(now);
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_of(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let map = headers
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        wait(&map, "2026-11-20T10:25:15Z".parse().unwrap())
    }

    #[test]
    fn the_named_wait_is_found_in_every_form() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(
            wait_of(&[("RateLimit-Reset", "7"), ("Retry-After", "9")]),
            seconds(7)
        );
        assert_eq!(wait_of(&[("Retry-After", " 9 ")]), seconds(9));
        assert_eq!(
            wait_of(&[("Retry-After", "1.5")]),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(
            wait_of(&[("Retry-After", "Fri, 20 Nov 2026 10:25:45 GMT")]),
            seconds(30)
        );
        assert_eq!(
            wait_of(&[("Retry-After", "Fri, 20 Nov 2026 09:00:00 GMT")]),
            seconds(0)
        );
        let buckets = [
            ("Opik-User-Remaining-Limit", "12"),
            ("Opik-User-Remaining-Limit-TTL-Millis", "60000"),
            ("Opik-Workspace-Remaining-Limit", "0"),
            ("Opik-Workspace-Remaining-Limit-TTL-Millis", "2500"),
        ];
        assert_eq!(wait_of(&buckets), Some(Duration::from_millis(2_500)));
    }

    #[test]
    fn nonsense_names_no_wait() {
        for value in ["", "soon", "-1", "NaN", "1e400"] {
            assert_eq!(wait_of(&[("RateLimit-Reset", value)]), None, "{value}");
            assert_eq!(wait_of(&[("Retry-After", value)]), None, "{value}");
        }
        assert_eq!(wait_of(&[]), None);
        assert_eq!(
            wait_of(&[("RateLimit-Reset", "18446744073709551615")]),
            Some(Duration::from_secs(u64::MAX))
        );
    }
}
