//! How much a step made.

use serde_json::{Map, Value};

/// Numbers of things: claims, conflicts, blocks and whatever else a workflow counts.
///
/// They become the object `counts` of the metadata. The last number under a name stays.
///
/// ```
/// use opik_observe::workflow::Counts;
///
/// let counts = Counts::new().claims(12).conflicts(1).of("tables", 2);
/// # let _ = counts;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "counts are told with the method `counts` of a job or node"]
pub struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    /// No number yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many claims.
    pub fn claims(self, count: u64) -> Self {
        self.of("claims", count)
    }

    /// How many conflicts between claims.
    pub fn conflicts(self, count: u64) -> Self {
        self.of("conflicts", count)
    }

    /// How many blocks of a manuscript.
    pub fn blocks(self, count: u64) -> Self {
        self.of("blocks", count)
    }

    /// How many of anything else.
    pub fn of(mut self, name: &'static str, count: u64) -> Self {
        self.0.push((name, count));
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let numbers = self.0.iter();
        let object: Map<_, _> = numbers
            .map(|(name, count)| ((*name).to_owned(), Value::from(*count)))
            .collect();
        Value::Object(object)
    }
}
