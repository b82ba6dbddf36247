//! The file of thresholds.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Thresholds; the [module](super) lists them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Gates {
    /// The confidence of intervals.
    pub confidence: f64,
    /// Thresholds of metrics, by name.
    pub metrics: BTreeMap<String, MetricGates>,
    /// Thresholds of the run as a whole.
    pub cases: CaseGates,
    /// Thresholds of what recorded traces show.
    pub traces: TraceGates,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            metrics: BTreeMap::new(),
            cases: CaseGates::default(),
            traces: TraceGates::default(),
        }
    }
}

/// Thresholds of a metric; the [module](super) says what each means.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the module lists them")]
pub struct MetricGates {
    pub min_mean: Option<f64>,
    pub max_mean: Option<f64>,
    pub min_pass_rate: Option<f64>,
    pub min_pass_all: Option<f64>,
    pub pass_at: Option<f64>,
    pub max_unscored: Option<usize>,
    pub sure: bool,
    pub max_drop: Option<f64>,
    pub no_regression: bool,
    pub max_regressed: Option<usize>,
}

/// Thresholds of the run as a whole; the [module](super) says what each means.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the module lists them")]
pub struct CaseGates {
    pub min_trials: Option<usize>,
    pub max_failed: Option<usize>,
    pub max_failed_rate: Option<f64>,
    pub max_not_run: Option<usize>,
    pub max_cost: Option<f64>,
    pub max_total_cost: Option<f64>,
    pub max_p95_ms: Option<f64>,
    pub max_mean_ms: Option<f64>,
    pub max_tokens: Option<f64>,
}

/// Thresholds of what recorded traces show; the [module](super) says what each means.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the module lists them")]
pub struct TraceGates {
    pub max_new_error_origins: Option<usize>,
    pub max_new_loops: Option<usize>,
    pub max_error_traces_rate: Option<f64>,
    pub max_loop_traces_rate: Option<f64>,
    pub max_critical_path_p95_ms: Option<f64>,
    pub max_cost: Option<f64>,
}

impl TraceGates {
    /// Whether any is set, so that traces are needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why thresholds cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The text is not TOML, or has a name or a value that does not belong there.
    #[error("the thresholds are no TOML that can be used")]
    Toml(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The text is not JSON, or has a name or a value that does not belong there.
    #[error("the thresholds are no JSON that can be used")]
    Json(#[source] serde_json::Error),
    /// A number that no gate can be built with.
    #[error("{0}")]
    Value(String),
    /// No threshold at all: a gate that is always open is a mistake.
    #[error("the file sets no threshold")]
    Empty,
}

impl GateFileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Gates {
    /// Reads a file: JSON when its name ends in `.json`, else TOML.
    ///
    /// # Errors
    /// [`GateFileError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GateFileError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| GateFileError::Io {
            path: path.to_owned(),
            source,
        })?;
        if path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("json"))
        {
            Self::from_json(&text)
        } else {
            Self::from_toml(&text)
        }
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// [`GateFileError`].
    pub fn from_toml(text: &str) -> Result<Self, GateFileError> {
        let gates: Self =
            toml::from_str(text).map_err(|error| GateFileError::Toml(error.into()))?;
        gates.checked()
    }

    /// Reads JSON of the same shape.
    ///
    /// # Errors
    /// [`GateFileError`].
    pub fn from_json(text: &str) -> Result<Self, GateFileError> {
        let gates: Self = serde_json::from_str(text).map_err(GateFileError::Json)?;
        gates.checked()
    }

    fn checked(self) -> Result<Self, GateFileError> {
        if !(self.confidence > 0.5 && self.confidence < 1.0) {
            let problem = "`confidence` has to be above 0.5 and below 1, for example 0.95";
            return Err(GateFileError::Value(problem.to_owned()));
        }
        for (name, metric) in &self.metrics {
            for (what, rate) in [
                ("min_pass_rate", metric.min_pass_rate),
                ("min_pass_all", metric.min_pass_all),
            ] {
                if rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
                    return Err(GateFileError::Value(format!(
                        "`{what}` of {name} has to be between 0 and 1"
                    )));
                }
            }
            if metric
                .max_drop
                .is_some_and(|drop| drop.is_nan() || drop < 0.0)
            {
                return Err(GateFileError::Value(format!(
                    "`max_drop` of {name} has to be 0 or more"
                )));
            }
            let set = MetricGates {
                sure: false,
                pass_at: None,
                ..metric.clone()
            };
            if set == MetricGates::default() {
                return Err(GateFileError::Value(format!("{name} has no threshold")));
            }
        }
        let nothing = self.metrics.is_empty() && self.traces.is_empty();
        if nothing && self.cases == CaseGates::default() {
            return Err(GateFileError::Empty);
        }
        Ok(self)
    }

    /// Whether a baseline is needed.
    #[must_use]
    pub fn needs_baseline(&self) -> bool {
        self.metrics.values().any(|metric| {
            metric.max_drop.is_some() || metric.no_regression || metric.max_regressed.is_some()
        })
    }
}
