//! Equality of texts.

use serde_json::Value;

use super::{caseless, python};
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "equals_metric";

/// 1 when output and reference print alike, else 0. Upper and lower case are the same by default.
///
/// Values that are not text are compared as Python prints them: `1.0` equals `"1.0"`, not `"1"`.
#[derive(Debug, Clone, Default)]
pub struct Equals {
    case_sensitive: bool,
}

impl Equals {
    /// A metric that ignores case.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether upper and lower case differ. Default: they do not.
    #[must_use]
    pub fn case_sensitive(mut self, yes: bool) -> Self {
        self.case_sensitive = yes;
        self
    }

    fn equal(&self, output: &str, reference: &str) -> bool {
        if self.case_sensitive {
            return output == reference;
        }
        caseless::equal(output, reference)
            .unwrap_or_else(|| output.to_lowercase() == reference.to_lowercase())
    }
}

impl Metric for Equals {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let equal = match (case.require("output")?, case.require("reference")?) {
            (Value::String(output), Value::String(reference)) => self.equal(output, reference),
            (output, reference) => self.equal(&python::text(output), &python::text(reference)),
        };
        Ok(Score::fixed(NAME, f64::from(u8::from(equal))))
    }
}
