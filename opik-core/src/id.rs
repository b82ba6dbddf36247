//! Identifiers. Opik's are UUIDs of version 7: the first 48 bits are the moment of creation.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Timestamp;

/// A text that is not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct ParseIdError;

thread_local! {
    /// State of the thread's generator of random bits; 0 until the first use.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// 64 random bits: SplitMix64 over a seed that each thread takes from the system once.
///
/// Good enough for identifiers, which must be unique and need not be secret.
#[inline]
pub(crate) fn random_bits() -> u64 {
    RANDOM.with(|state| {
        let mut seed = state.get();
        if seed == 0 {
            seed = first_seed();
        }
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(seed);
        let mut z = seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cold]
fn first_seed() -> u64 {
    let (high, low) = Uuid::now_v7().as_u64_pair();
    low ^ high.rotate_left(32) | 1
}

/// Version 7 bytes for a moment: milliseconds, then the rest of the microseconds in the twelve
/// bits after the version (method 3 of RFC 9562, section 6.2), then `random`.
#[inline]
fn v7_bytes(at: Timestamp, random: u64) -> [u8; 16] {
    let micros = at.as_micros().max(0).unsigned_abs();
    let (millis, rest) = (micros / 1_000, micros % 1_000);
    let fraction = rest * 4_096 / 1_000;
    let high = (millis << 16) | 0x7000 | fraction;
    let low = (random >> 2) | 0x8000_0000_0000_0000;
    Uuid::from_u64_pair(high, low).into_bytes()
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Prints in lower case with hyphens; reads any case.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new identifier for this moment.
            #[must_use]
            pub fn generate() -> Self {
                Self::generate_at(Timestamp::now())
            }

            /// A new identifier that sorts at the given moment (to about a microsecond).
            #[must_use]
            #[inline]
            pub fn generate_at(at: Timestamp) -> Self {
                Self::from_parts(at, random_bits())
            }

            /// An identifier made of a moment and 62 bits that the caller provides, for example
            /// a hash of a foreign identifier: equal parts make equal identifiers.
            #[must_use]
            #[inline]
            pub fn from_parts(at: Timestamp, random: u64) -> Self {
                Self(v7_bytes(at, random))
            }

            /// The identifier with these sixteen bytes, whatever their UUID version.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes in network order.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Whether this is a version 7 UUID, the only kind that Opik's backend accepts.
            #[must_use]
            pub fn is_v7(&self) -> bool {
                Uuid::from_bytes(self.0).get_version_num() == 7
            }

            /// The moment in the identifier, to the millisecond; `None` unless it is version 7.
            #[must_use]
            pub fn timestamp(&self) -> Option<Timestamp> {
                let millis = i64::try_from(Uuid::from_bytes(self.0).as_u64_pair().0 >> 16).ok()?;
                self.is_v7().then(|| Timestamp::from_micros(millis * 1_000))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Uuid::from_bytes(self.0).hyphenated().encode_lower(&mut [0; 36]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::from_str(text).map(|id| Self(id.into_bytes())).map_err(|_| ParseIdError)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer
                    .serialize_str(Uuid::from_bytes(self.0).hyphenated().encode_lower(&mut [0; 36]))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a UUID")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

id_type! {
    /// Identifies a trace.
    TraceId
}
id_type! {
    /// Identifies a span.
    SpanId
}
id_type! {
    /// Identifies a project.
    ProjectId
}
id_type! {
    /// Identifies something in the [`catalog`](crate::catalog): a dataset, an item, a version of a
    /// prompt and so on.
    EntityId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_version_7_and_carry_their_moment() {
        let at = Timestamp::from_micros(1_795_170_315_351_281);
        let id = SpanId::generate_at(at);
        assert!(id.is_v7());
        assert_eq!(
            id.timestamp(),
            Some(Timestamp::from_micros(1_795_170_315_351_000))
        );
        assert_ne!(id, SpanId::generate_at(at));
        // The variant of RFC 9562, whatever the random bits are.
        for random in [0, u64::MAX] {
            assert_eq!(SpanId::from_parts(at, random).as_bytes()[8] >> 6, 0b10);
        }
    }

    #[test]
    fn ids_sort_by_microsecond_and_round_trip_in_any_case() {
        let a = TraceId::generate_at(Timestamp::from_micros(5_000));
        let b = TraceId::generate_at(Timestamp::from_micros(5_001));
        assert!(a < b);
        // Whatever the random bits are, so that none of these is luck.
        for micros in 4_000..6_000 {
            let last = TraceId::from_parts(Timestamp::from_micros(micros), u64::MAX);
            let next = TraceId::from_parts(Timestamp::from_micros(micros + 1), 0);
            assert!(last < next, "{micros}");
        }
        assert_eq!(a.to_string().to_uppercase().parse::<TraceId>(), Ok(a));
        assert_eq!("not an id".parse::<TraceId>(), Err(ParseIdError));
    }

    #[test]
    fn generated_ids_do_not_repeat_across_threads() {
        let at = Timestamp::from_micros(1);
        let mut all: Vec<TraceId> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..20_000)
                            .map(|_| TraceId::generate_at(at))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 80_000);
    }
}
