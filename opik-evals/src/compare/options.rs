//! How runs are compared.

/// How runs are compared. The same options on the same runs give the same answer.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct CompareOptions {
    pub(super) confidence: f64,
    pub(super) resamples: usize,
    pub(super) seed: u64,
    pub(super) tolerance: f64,
    pub(super) power: f64,
    pub(super) slices: Vec<String>,
    pub(super) cluster: Option<String>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            resamples: crate::summary::RESAMPLES,
            seed: crate::summary::SEED,
            tolerance: 1e-9,
            power: 0.8,
            slices: Vec::new(),
            cluster: None,
        }
    }
}

impl CompareOptions {
    /// The confidence of intervals, and 1 minus the level at which a difference counts; 0.95.
    /// Anything outside of 0.5 to 0.9999 is moved to the nearer of the two.
    pub fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = if confidence.is_nan() {
            0.95
        } else {
            confidence.clamp(0.5, 0.9999)
        };
        self
    }

    /// Draws of the bootstrap and of sign flips; 10,000.
    pub fn resamples(mut self, draws: usize) -> Self {
        self.resamples = draws.max(1);
        self
    }

    /// The seed of the draws.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The largest difference of scores that is none; 1e-9.
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance.abs();
        self
    }

    /// Also compares the parts of the items by a field of theirs. A dot goes into an object.
    pub fn slice(mut self, field: impl Into<String>) -> Self {
        self.slices.push(field.into());
        self
    }

    /// A field of the items that says which of them belong together, such as the document that
    /// several questions are about.
    pub fn cluster(mut self, field: impl Into<String>) -> Self {
        self.cluster = Some(field.into());
        self
    }
}
