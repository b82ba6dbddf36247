//! Token counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Token counts of a model call by name, as on the wire: `prompt_tokens`, `completion_tokens`,
/// `total_tokens` and the provider's own under `original_usage.<path>`.
///
/// Reads whole numbers, also when written with a point; other numbers are an error that names the
/// key, and `null` entries are dropped.
///
/// ```
/// use opik_core::Usage;
///
/// let usage = Usage::of_tokens(1_200, 80);
/// assert_eq!(usage.total_tokens(), Some(1_280));
/// assert_eq!(usage.get("original_usage.cached_tokens"), None);
/// let own = Usage::from([("prompt_tokens", 1_200), ("original_usage.cached_tokens", 900)]);
/// assert_eq!(own.get("original_usage.cached_tokens"), Some(900));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Usage(pub BTreeMap<String, i64>);

impl Usage {
    /// Counts of one call; the total is their sum.
    #[must_use]
    pub fn of_tokens(prompt: i64, completion: i64) -> Self {
        Self(BTreeMap::from([
            ("prompt_tokens".to_owned(), prompt),
            ("completion_tokens".to_owned(), completion),
            ("total_tokens".to_owned(), prompt.saturating_add(completion)),
        ]))
    }

    /// The count with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<i64> {
        self.0.get(name).copied()
    }

    /// Tokens of the prompt.
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<i64> {
        self.get("prompt_tokens")
    }

    /// Tokens of the reply.
    #[must_use]
    pub fn completion_tokens(&self) -> Option<i64> {
        self.get("completion_tokens")
    }

    /// All tokens: the stated total, else the sum of what is stated.
    #[must_use]
    pub fn total_tokens(&self) -> Option<i64> {
        self.get("total_tokens").or_else(|| {
            match (self.prompt_tokens(), self.completion_tokens()) {
                (None, None) => None,
                (prompt, completion) => {
                    Some(prompt.unwrap_or(0).saturating_add(completion.unwrap_or(0)))
                }
            }
        })
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>> FromIterator<(N, i64)> for Usage {
    /// Of counts with the same name the last one stays.
    fn from_iter<I: IntoIterator<Item = (N, i64)>>(counts: I) -> Self {
        let counts = counts.into_iter();
        Self(counts.map(|(name, count)| (name.into(), count)).collect())
    }
}

impl<N: Into<String>, const COUNT: usize> From<[(N, i64); COUNT]> for Usage {
    fn from(counts: [(N, i64); COUNT]) -> Self {
        counts.into_iter().collect()
    }
}

/// A count as it is written.
enum Count {
    Whole(i64),
    Point(f64),
    Absent,
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or null")
            }
            fn visit_i64<E>(self, n: i64) -> Result<Count, E> {
                Ok(Count::Whole(n))
            }
            #[expect(clippy::cast_precision_loss, reason = "far too many to be counts")]
            fn visit_u64<E>(self, n: u64) -> Result<Count, E> {
                Ok(i64::try_from(n).map_or(Count::Point(n as f64), Count::Whole))
            }
            fn visit_f64<E>(self, x: f64) -> Result<Count, E> {
                Ok(Count::Point(x))
            }
            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count::Absent)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Usage;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Usage, A::Error> {
                let mut counts = BTreeMap::new();
                while let Some((name, count)) = map.next_entry::<String, Count>()? {
                    // Of several with one name the last one counts.
                    match count {
                        Count::Whole(n) => counts.insert(name, n),
                        #[expect(
                            clippy::cast_possible_truncation,
                            reason = "checked to be whole and in range"
                        )]
                        Count::Point(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => {
                            counts.insert(name, x as i64)
                        }
                        Count::Point(_) => {
                            return Err(A::Error::custom(format_args!(
                                "usage `{name}` is not a whole number"
                            )));
                        }
                        Count::Absent => counts.remove(&name),
                    };
                }
                Ok(Usage(counts))
            }
        }
        deserializer.deserialize_map(Counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_any_spelling_and_others_named() {
        let usage: Usage =
            serde_json::from_str(r#"{"prompt_tokens": 3.0, "x": 2, "y": null}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&usage).unwrap(),
            r#"{"prompt_tokens":3,"x":2}"#
        );
        let again: Usage = serde_json::from_str(r#"{"x": 1, "y": 5, "x": 2, "y": null}"#).unwrap();
        assert_eq!(again, Usage::from([("x", 2)]));
        for other in [r#"{"x": "1"}"#, r#"{"x": 18446744073709551615}"#, "[]"] {
            assert!(serde_json::from_str::<Usage>(other).is_err(), "{other}");
        }
        let error = serde_json::from_str::<Usage>(r#"{"x": 0.5}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("usage `x` is not a whole number")
        );
    }

    #[test]
    fn the_total_falls_back_to_the_sum() {
        assert_eq!(Usage::of_tokens(3, 4).total_tokens(), Some(7));
        let only_prompt = Usage(BTreeMap::from([("prompt_tokens".to_owned(), 5)]));
        assert_eq!(only_prompt.total_tokens(), Some(5));
        assert_eq!(Usage::default().total_tokens(), None);
    }
}
