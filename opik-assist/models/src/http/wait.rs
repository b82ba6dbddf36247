//! How long a server asks to wait.

use std::time::Duration;

use opik_core::Timestamp;
use reqwest::header::HeaderMap;

/// The wait in an answer's headers, whichever of these comes first: `Retry-After-Ms` (OpenAI),
/// `Retry-After` in seconds or as a date, `RateLimit-Reset` in seconds (Opik).
pub(super) fn named(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(seconds) {
        return Some(wait / 1_000);
    }
    if let Some(after) = text("retry-after") {
        return seconds(after).or_else(|| until(after, now));
    }
    text("ratelimit-reset").and_then(seconds)
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

    #[test]
    fn the_named_wait_is_found_in_every_form() {
        for (name, value, millis) in [
            ("Retry-After", " 9 ", Some(9_000)),
            ("Retry-After", "1.5", Some(1_500)),
            ("Retry-After", "Fri, 20 Nov 2026 10:25:45 GMT", Some(30_000)),
            ("Retry-After", "Fri, 20 Nov 2026 09:00:00 GMT", Some(0)),
            ("Retry-After-Ms", "250", Some(250)),
            ("RateLimit-Reset", "7", Some(7_000)),
            ("Retry-After", "soon", None),
            ("Retry-After", "-1", None),
            ("RateLimit-Reset", "1e400", None),
            ("X-Other", "7", None),
        ] {
            let name: reqwest::header::HeaderName = name.parse().unwrap();
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            let found = named(&headers, "2026-11-20T10:25:15Z".parse().unwrap());
            assert_eq!(found, millis.map(Duration::from_millis), "{value}");
        }
    }
}
