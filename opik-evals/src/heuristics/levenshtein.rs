//! Likeness of two texts, letter by letter.

use rapidfuzz::distance::indel;

use crate::{Case, Metric, MetricError, Score};

/// How alike output and reference are, letter by letter: 2 · LCS / (n + m), from 0 to 1.
///
/// The name is Opik's, the formula is the Indel similarity: insertions and deletions count, a
/// replacement is one of each. LCS is the longest common subsequence in code points. Two empty
/// texts are alike. Case is ignored by default. Time grows with the product of the lengths, divided
/// by 64.
#[derive(Debug, Clone, Default)]
pub struct LevenshteinRatio {
    case_sensitive: bool,
}

impl LevenshteinRatio {
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
}

impl Metric for LevenshteinRatio {
    fn name(&self) -> &str {
        "levenshtein_ratio_metric"
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let (output, reference) = (case.text("output")?, case.text("reference")?);
        // Letters of ASCII are their bytes.
        let value = if output.is_ascii() && reference.is_ascii() {
            if self.case_sensitive {
                indel::normalized_similarity(output.bytes(), reference.bytes())
            } else {
                let lower = |text: &str| text.to_ascii_lowercase().into_bytes();
                indel::normalized_similarity(lower(output), lower(reference))
            }
        } else if self.case_sensitive {
            indel::normalized_similarity(output.chars(), reference.chars())
        } else {
            let (output, reference) = (output.to_lowercase(), reference.to_lowercase());
            indel::normalized_similarity(output.chars(), reference.chars())
        };
        Ok(Score::new(self.name(), value))
    }
}
