//! The suite that every metric passes: a name, finite values, determinism, no panic, no content in
//! errors.
//!
//! Own metrics run it in a test. [`check`] goes through the built-in cases; [`check_case`] takes one
//! case, for property tests. A panic of the metric is a panic of the check.
//!
//! ```
//! use opik_evals::heuristics::Equals;
//! use opik_evals::metric::conformance;
//!
//! conformance::check(&Equals::new())?;
//! # Ok::<(), conformance::Violation>(())
//! ```

use serde_json::{Value, json};
use std::error::Error;
use std::fmt;

use super::{Case, Metric};

/// A text that no error may quote. Texts of cases that hold it show whether an error does.
pub const MARKER: &str = "zq7marker";

/// A promise that a metric broke.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    metric: String,
    promise: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "metric `{}` broke a promise: {}",
            self.metric, self.promise
        )
    }
}

impl Error for Violation {}

/// Checks a metric on the [built-in cases](cases).
///
/// # Errors
///
/// The first promise that is broken.
pub fn check(metric: &dyn Metric) -> Result<(), Violation> {
    cases().iter().try_for_each(|case| check_case(metric, case))
}

/// Checks a metric on one case.
///
/// # Errors
///
/// The first promise that is broken.
pub fn check_case(metric: &dyn Metric, case: &Case) -> Result<(), Violation> {
    let broken = |promise| {
        Err(Violation {
            metric: metric.name().to_owned(),
            promise,
        })
    };
    if metric.name().trim().is_empty() {
        return broken("its name is not blank");
    }
    match (metric.score(case), metric.score(case)) {
        (Ok(first), Ok(second)) => {
            if !first.value().is_finite() {
                return broken("a score is a finite number");
            }
            if first.name() != metric.name() {
                return broken("a score bears the name of its metric");
            }
            if first != second {
                return broken("the same case always gets the same score");
            }
        }
        (Err(first), Err(second)) => {
            if first.kind() != second.kind() || first.to_string() != second.to_string() {
                return broken("the same case always gets the same error");
            }
            let mut error: Option<&(dyn Error + 'static)> = Some(&first);
            while let Some(link) = error {
                if link.to_string().contains(MARKER) {
                    return broken("an error quotes nothing of the case");
                }
                error = link.source();
            }
        }
        _ => return broken("the same case always gets the same answer"),
    }
    Ok(())
}

/// Cases that break careless metrics: nothing, blanks, other types, all kinds of Unicode, repeats.
#[must_use]
pub fn cases() -> Vec<Case> {
    let values: Vec<Value> = vec![
        json!(""),
        json!(" \t\r\n\u{1c}\u{85}\u{a0}\u{3000}"),
        json!("!?.,-"),
        json!("a"),
        json!(format!("The {MARKER} sat on the mat. It did not move!")),
        json!(format!("{MARKER}\n{MARKER}\n\n{MARKER}")),
        json!("Ünïcödé İstanbul ΣΊΣΥΦΟΣ straße ﬁ Ⅷ"),
        json!("日本語のテキスト 👩‍👩‍👧 \u{301}\u{202e}\u{feff}\0"),
        json!("नमस्ते मैं ठीक हूँ"),
        json!("[[{\"a\": \"\\ud800\"}]]"),
        json!("word ".repeat(300)),
        json!("y".repeat(2_000)),
        json!(null),
        json!(true),
        json!(-0.0),
        json!(1e300),
        json!([]),
        json!([MARKER, "b"]),
        json!([MARKER, MARKER, null, 1, [MARKER]]),
        json!({ "k": MARKER }),
    ];
    let mut cases = vec![Case::default()];
    for output in &values {
        cases.push(Case::new(output.clone()));
        for reference in &values {
            cases.push(Case::new(output.clone()).with_reference(reference.clone()));
        }
        cases.push(Case::default().with("conversation", output.clone()));
        cases.push(Case::default().with(
            "conversation",
            json!([
                { "role": "user", "content": output },
                { "role": "assistant", "content": output },
                { "role": "assistant", "content": output },
                { "role": output, "content": MARKER },
                output,
            ]),
        ));
    }
    cases
}
