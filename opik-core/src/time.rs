//! Moments in microseconds, in every spelling that Opik's clients use.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod spelling;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
///
/// Prints as `2026-11-20T10:25:15.351281Z`, always with six digits. Reads RFC 3339 with zero to
/// nine digits after the point (the rest is cut), `Z`, an offset or neither (then it is UTC), a
/// `T` or a space between date and time.
///
/// ```
/// use opik_core::Timestamp;
///
/// let at: Timestamp = "2026-11-20 11:25:15.3512819+01:00".parse()?;
/// assert_eq!(at.to_string(), "2026-11-20T10:25:15.351281Z");
/// # Ok::<(), opik_core::time::ParseTimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is not a date with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 date with time")]
pub struct ParseTimestampError;

impl Timestamp {
    /// 1970-01-01T00:00:00Z, which Opik uses for "start unknown".
    pub const EPOCH: Self = Self(0);

    /// The moment this many microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The system's clock, now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Microseconds from `earlier` to this moment; negative when it is the other way round.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment this many microseconds later (earlier when negative), at most the range's end.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(micros(after)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        let distance = Duration::from_micros(at.0.unsigned_abs());
        if at.0 < 0 {
            UNIX_EPOCH - distance
        } else {
            UNIX_EPOCH + distance
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = spelling::write(self.0)
            && let Ok(text) = std::str::from_utf8(&text)
        {
            return f.write_str(text);
        }
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at:.6}"),
            // Outside the years -9999 to 9999: no calendar form, so say the number.
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;
    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let text = text.trim();
        if let Some(micros) = spelling::read(text.as_bytes()) {
            return Ok(Self(micros));
        }
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(floor_micros(at)));
        }
        let local = text
            .parse::<jiff::civil::DateTime>()
            .map_err(|_| ParseTimestampError)?;
        let at = local
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|_| ParseTimestampError)?;
        Ok(Self(floor_micros(at.timestamp())))
    }
}

/// jiff rounds towards zero; before 1970 that would move a moment forwards.
fn floor_micros(at: jiff::Timestamp) -> i64 {
    let below = i64::from(at.subsec_nanosecond() < 0 && at.subsec_nanosecond() % 1_000 != 0);
    at.as_microsecond() - below
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match spelling::write(self.0) {
            Some(text) => {
                serializer.serialize_str(std::str::from_utf8(&text).map_err(S::Error::custom)?)
            }
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ISO 8601 date with time")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Result<i64, ParseTimestampError> {
        text.parse::<Timestamp>().map(Timestamp::as_micros)
    }

    #[test]
    fn every_accepted_spelling_is_the_same_moment() {
        for text in [
            "2026-11-20T10:25:15.351Z",
            "2026-11-20T10:25:15.351000Z",
            "2026-11-20T10:25:15.351000999Z",
            "2026-11-20t10:25:15.351z",
            "2026-11-20 10:25:15.351+00:00",
            "2026-11-20T11:25:15.351+01:00",
            "2026-11-20T10:25:15.351",
            " 2026-11-20T10:25:15.351Z ",
        ] {
            assert_eq!(micros(text), Ok(1_795_170_315_351_000), "{text}");
        }
        assert_eq!(micros("2026-11-20T10:25:15Z"), Ok(1_795_170_315_000_000));
        assert_eq!(micros("1969-12-31T23:59:59.9999995Z"), Ok(-1));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-20T25:00:00Z",
            "1795170315",
        ] {
            assert_eq!(micros(text), Err(ParseTimestampError), "{text}");
        }
    }

    #[test]
    fn prints_six_digits_always() {
        assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            Timestamp::from_micros(-1).to_string(),
            "1969-12-31T23:59:59.999999Z"
        );
    }
}
