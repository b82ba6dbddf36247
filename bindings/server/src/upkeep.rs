//! What a server does to its store by itself: retention, every hour.

use std::time::Duration;

use opik_store::Store;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;

/// How often the store is looked at.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Forgets what is not to be kept, now and every hour, until it is told to stop.
pub(crate) async fn run(config: ServerConfig, store: Store, stop: CancellationToken) {
    while let Some(keep) = config.retention() {
        let store = store.clone();
        let pruned = tokio::task::spawn_blocking(move || store.prune(keep)).await;
        match pruned {
            Ok(Ok(report)) if report.traces > 0 => {
                tracing::info!(target: "opik_server", traces = report.traces, spans = report.spans, "retention");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(target: "opik_server", error = &error as &dyn std::error::Error, "retention failed; it is tried again in an hour");
            }
            Err(_) => tracing::error!(target: "opik_server", "retention failed; this is a defect"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
