//! A text inside another.

use serde_json::Value;

use super::{caseless, words};
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "contains_metric";

/// 1 when the reference occurs in the output, else 0. Upper and lower case are the same by default.
///
/// The reference comes from the case, or else from the metric. Without one, or with an empty one,
/// there is no score: every text contains nothing.
#[derive(Debug, Clone, Default)]
pub struct Contains {
    case_sensitive: bool,
    reference: Option<String>,
}

impl Contains {
    /// A metric that ignores case and takes the reference from the case.
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

    /// The reference of cases that have none.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}

impl Metric for Contains {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let reference = match (case.get("reference"), &self.reference) {
            (Some(Value::String(reference)), _) => reference,
            (None | Some(Value::Null), Some(reference)) => reference,
            (None | Some(Value::Null), None) => {
                return Err(MetricError::parameter(
                    "neither the case nor the metric has a reference",
                ));
            }
            (Some(_), _) => return Err(MetricError::parameter("the reference is not text")),
        };
        if reference.is_empty() {
            return Err(MetricError::parameter("the reference is empty"));
        }
        let output = case.text("output")?;
        let found = if self.case_sensitive {
            output.contains(reference.as_str())
        } else {
            caseless::contains(output, reference).unwrap_or_else(|| {
                let (output, reference) = (words::lower(output), words::lower(reference));
                memchr::memmem::find(output.as_bytes(), reference.as_bytes()).is_some()
            })
        };
        Ok(Score::fixed(NAME, f64::from(u8::from(found))))
    }
}
