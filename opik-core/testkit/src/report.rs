//! How a suite runs its cases and what it reports.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt as _;

/// A case that an implementation declares it does not fulfil, and why.
pub type Skip = (&'static str, &'static str);

/// What became of the cases of a suite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuiteReport {
    /// Name of the suite.
    pub suite: &'static str,
    /// Cases that held.
    pub passed: Vec<&'static str>,
    /// Cases that did not hold, and what was seen.
    pub failed: Vec<(&'static str, String)>,
    /// Cases that were left out, and why.
    pub skipped: Vec<(&'static str, String)>,
}

impl SuiteReport {
    /// Whether every case held or was declared as a skip.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }

    /// Whether this case did not hold.
    #[must_use]
    pub fn has_failed(&self, case: &str) -> bool {
        self.failed.iter().any(|(name, _)| *name == case)
    }

    /// Fails the test with the list of cases that did not hold.
    ///
    /// # Panics
    /// When a case failed, or when no case ran at all.
    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub fn assert_ok(&self) {
        if !self.is_ok() || self.passed.is_empty() {
            panic!("{self}");
        }
    }
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed) = (self.passed.len(), self.failed.len());
        let (suite, skipped) = (self.suite, self.skipped.len());
        write!(
            f,
            "{suite}: {passed} passed, {failed} failed, {skipped} skipped"
        )?;
        for (case, message) in &self.failed {
            write!(f, "\n  FAILED {case}: {message}")?;
        }
        for (case, reason) in &self.skipped {
            write!(f, "\n  skipped {case}: {reason}")?;
        }
        Ok(())
    }
}

/// Why a case does not hold.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = format!("unexpected error: {error}");
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        Self(format!("{text} ({error:?})"))
    }
}

/// What a case comes to.
pub(crate) type Outcome = Result<(), Failure>;

/// A case on its way.
pub(crate) type CaseFuture<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// Ends a case when a condition does not hold.
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::report::Failure::new(format!($($message)+)));
        }
    };
}
pub(crate) use check;

/// Ends a case when two values differ.
macro_rules! check_eq {
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    let what = format!($($message)+);
                    return Err($crate::report::Failure::new(format!(
                        "{what}: got {left:?}, expected {right:?}"
                    )));
                }
            }
        }
    };
}
pub(crate) use check_eq;

/// Runs cases one by one and collects what became of them.
pub(crate) struct Runner<'a> {
    report: SuiteReport,
    skips: &'a [Skip],
}

impl<'a> Runner<'a> {
    pub(crate) fn new(suite: &'static str, skips: &'a [Skip]) -> Self {
        Self {
            report: SuiteReport {
                suite,
                ..SuiteReport::default()
            },
            skips,
        }
    }

    /// Runs a case unless it is skipped. A panic inside it is a failure of this case only.
    pub(crate) async fn case<'f>(
        &mut self,
        name: &'static str,
        start: impl FnOnce() -> CaseFuture<'f>,
    ) {
        if let Some((_, reason)) = self.skips.iter().find(|(skip, _)| *skip == name) {
            self.report.skipped.push((name, (*reason).to_owned()));
            return;
        }
        match AssertUnwindSafe(start()).catch_unwind().await {
            Ok(Ok(())) => self.report.passed.push(name),
            Ok(Err(Failure(message))) => self.report.failed.push((name, message)),
            Err(panic) => self.report.failed.push((name, panic_text(&*panic))),
        }
    }

    /// The report. A skip that names no case is a failure: it hides nothing and means nothing.
    pub(crate) fn finish(mut self) -> SuiteReport {
        for (skip, _) in self.skips {
            if !self.report.skipped.iter().any(|(name, _)| name == skip) {
                let message = "the suite has no case of this name to skip".to_owned();
                self.report.failed.push((skip, message));
            }
        }
        self.report
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a text"))
}
