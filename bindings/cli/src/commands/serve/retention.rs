//! Old conversations are deleted while the server runs, where that is asked for.

use std::time::Duration;

use opik_sessions::{Retention, Sessions};
use tokio::task::JoinSet;

/// The name under which the assistant keeps its conversations.
const APP: &str = "trace-analyzer";
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(3_600);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The task that deletes; it ends when this is stopped or dropped.
#[derive(Debug)]
pub(super) struct Retained(JoinSet<()>);

impl Retained {
    /// Deletes conversations that nobody went on with for so many days: now, and every hour. Several
    /// servers over one database may do it at once.
    pub(super) fn start(sessions: &Sessions, days: Option<u32>) -> Self {
        let mut tasks = JoinSet::new();
        if let Some(days) = days {
            let (sessions, rules) = (sessions.clone(), rules(days));
            tasks.spawn(async move {
                loop {
                    look(&sessions, &rules).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self(tasks)
    }

    /// Ends the task; what it has deleted stays deleted.
    pub(super) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

fn rules(days: u32) -> Retention {
    Retention::new().older_than(DAY * days).app(APP)
}

async fn look(sessions: &Sessions, rules: &Retention) {
    match tokio::time::timeout(PATIENCE, sessions.prune(rules)).await {
        Ok(Ok(pruned)) => {
            tracing::info!(target: "opik_rs", sessions = pruned.sessions, orphans = pruned.orphans, "old conversations are deleted");
        }
        Ok(Err(error)) => {
            tracing::warn!(target: "opik_rs", error = &error as &dyn std::error::Error, "old conversations cannot be deleted; it is tried again in an hour");
        }
        Err(_) => {
            tracing::warn!(target: "opik_rs", "deleting old conversations takes too long; it is tried again in an hour");
        }
    }
}
