//! Opik's table of operators, and what values each type of field takes.

use super::{FieldType, Operator};
use crate::Timestamp;

/// Whether the operator goes with the type.
pub(super) fn allows(kind: FieldType, operator: Operator) -> bool {
    use Operator::{
        Contains, EndsWith, Equal, Greater, GreaterEqual, In, IsEmpty, IsNotEmpty, Less, LessEqual,
        NotContains, NotEqual, NotIn, StartsWith,
    };
    match operator {
        Equal | NotEqual => kind != FieldType::ErrorContainer,
        Greater | Less => !matches!(
            kind,
            FieldType::List | FieldType::Enum | FieldType::ErrorContainer
        ),
        GreaterEqual | LessEqual => matches!(
            kind,
            FieldType::DateTime | FieldType::Number | FieldType::FeedbackScores
        ),
        Contains | NotContains => kind == FieldType::List || allows(kind, StartsWith),
        StartsWith | EndsWith => matches!(
            kind,
            FieldType::String | FieldType::StringExact | FieldType::Dictionary
        ),
        IsEmpty | IsNotEmpty => matches!(
            kind,
            FieldType::List
                | FieldType::Dictionary
                | FieldType::FeedbackScores
                | FieldType::Enum
                | FieldType::ErrorContainer
        ),
        In | NotIn => kind == FieldType::Enum,
    }
}

/// Whether key and value go with the type. The operator is one that [`allows`] lets through.
pub(super) fn accepts(kind: FieldType, operator: Operator, key: &str, value: &str) -> bool {
    if kind.has_key() && key.trim().is_empty() {
        return false;
    }
    if matches!(operator, Operator::IsEmpty | Operator::IsNotEmpty) {
        return true;
    }
    match kind {
        FieldType::DateTime => value.parse::<Timestamp>().is_ok(),
        FieldType::Number | FieldType::FeedbackScores => parse_number(value).is_some(),
        // An empty text is compared with what is at the key, which is empty where nothing is.
        FieldType::Dictionary => true,
        FieldType::String
        | FieldType::StringExact
        | FieldType::List
        | FieldType::Enum
        | FieldType::ErrorContainer => !value.trim().is_empty(),
    }
}

/// A number as Opik reads it: an optional minus, digits and at most one point, which is not last.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let points = digits.bytes().filter(|&byte| byte == b'.').count();
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if digits.is_empty() || digits.ends_with('.') || points > 1 || !plain {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line per type, one column per operator, in the order of [`Operator::ALL`]:
    /// `= != > >= < <= contains not_contains starts_with ends_with is_empty is_not_empty in not_in`.
    const TABLE: [(FieldType, &str); 9] = [
        (FieldType::String, "xxx-x-xxxx----"),
        (FieldType::StringExact, "xxx-x-xxxx----"),
        (FieldType::DateTime, "xxxxxx--------"),
        (FieldType::Number, "xxxxxx--------"),
        (FieldType::List, "xx----xx--xx--"),
        (FieldType::Dictionary, "xxx-x-xxxxxx--"),
        (FieldType::FeedbackScores, "xxxxxx----xx--"),
        (FieldType::Enum, "xx--------xxxx"),
        (FieldType::ErrorContainer, "----------xx--"),
    ];

    #[test]
    fn every_cell_of_the_table() {
        for (kind, row) in TABLE {
            for ((operator, name), cell) in Operator::ALL.into_iter().zip(row.chars()) {
                assert_eq!(allows(kind, operator), cell == 'x', "{kind:?} {name}");
            }
        }
    }

    #[test]
    fn numbers_have_no_exponent_no_plus_and_no_last_point() {
        for (text, value) in [("1", 1.0), ("-2.5", -2.5), (".5", 0.5), ("007", 7.0)] {
            assert_eq!(parse_number(text), Some(value), "{text}");
        }
        for text in [
            "", "-", ".", "1.", "1e3", "+1", "1.2.3", " 1", "NaN", "inf", "--1", "0x1",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn values_fit_their_type() {
        use FieldType::{DateTime, Dictionary, Enum, FeedbackScores, List, Number, StringExact};
        let equal = |kind, key, value| accepts(kind, Operator::Equal, key, value);
        for kind in [FieldType::String, StringExact, List, Enum] {
            assert!(equal(kind, "", "x") && !equal(kind, "", " \t"), "{kind:?}");
        }
        assert!(equal(DateTime, "", "2026-01-01T00:00:00Z") && !equal(DateTime, "", "2026"));
        assert!(equal(Number, "", "1") && !equal(Number, "", "one"));
        assert!(equal(Dictionary, "a.b", "x") && equal(Dictionary, "a.b", ""));
        assert!(!equal(Dictionary, "", "x") && !equal(Dictionary, "", ""));
        assert!(equal(FeedbackScores, "acc", "0.5"));
        assert!(!equal(FeedbackScores, "", "0.5") && !equal(FeedbackScores, "acc", "good"));
        assert!(accepts(Dictionary, Operator::IsEmpty, "a", ""));
        assert!(!accepts(FeedbackScores, Operator::IsEmpty, "", ""));
        assert!(accepts(
            FieldType::ErrorContainer,
            Operator::IsNotEmpty,
            "",
            ""
        ));
    }
}
