//! Stopping a run from outside.

use tokio_util::sync::CancellationToken;

/// Stops a run. Clones stop the same run; it may be asked for from any thread.
///
/// Trials that are under way are dropped and count as not run; what was finished stays.
///
/// ```
/// use opik_evals::experiment::Stop;
///
/// let stop = Stop::new();
/// let handle = stop.clone();
/// handle.stop();
/// assert!(stop.is_stopped());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A new one, not stopped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    pub(super) async fn stopped(&self) {
        self.0.cancelled().await;
    }
}
