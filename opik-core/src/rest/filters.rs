//! Conditions as the server reads them.

use serde::Serialize;

use crate::Timestamp;
use crate::query::{FieldType, Filter};

/// A condition on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct WireFilter<'a> {
    field: &'static str,
    operator: &'static str,
    key: &'a str,
    value: String,
}

impl<'a> WireFilter<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        let kind = filter.field().kind();
        Self {
            field: filter.field().name(),
            operator: filter.operator().as_str(),
            key: filter.key().unwrap_or_default(),
            value: value(kind, filter.value()),
        }
    }
}

/// The value in the spelling that the server understands: moments end in `Z`, numbers have no
/// exponent, and everything but text is escaped, because the server decodes it like a part of a URL
/// (a plus would become a space).
fn value(kind: FieldType, text: &str) -> String {
    let spelled = match kind {
        FieldType::String | FieldType::StringExact => return text.to_owned(),
        FieldType::DateTime => text.parse().map(|at: Timestamp| at.to_string()).ok(),
        FieldType::Number | FieldType::FeedbackScores if text.contains(['e', 'E']) => {
            text.parse().map(|number: f64| number.to_string()).ok()
        }
        _ => None,
    };
    let text = spelled.as_deref().unwrap_or(text);
    text.replace('%', "%25").replace('+', "%2B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_for_the_server() {
        assert_eq!(value(FieldType::String, "a+b %"), "a+b %");
        assert_eq!(value(FieldType::List, "a+b %"), "a%2Bb %25");
        assert_eq!(
            value(FieldType::DateTime, "2026-11-20T11:25:15+01:00"),
            "2026-11-20T10:25:15.000000Z"
        );
        assert_eq!(value(FieldType::Number, "1.5e3"), "1500");
        assert_eq!(value(FieldType::Number, "-2"), "-2");
        assert_eq!(value(FieldType::FeedbackScores, "1e-3"), "0.001");
    }
}
