//! The thread that fetches.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::cache::{Key, Outcome};
use super::registry::Shared;
use super::source::PromptSource;
use crate::context;

/// Fetches that run at the same time.
const CONCURRENT: usize = 4;
/// Most bytes of a prompt.
const MAX_BYTES: usize = 1 << 20;

/// What the thread needs.
pub(super) struct Refresh {
    pub(super) source: Arc<dyn PromptSource>,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Receiver<Arc<Key>>,
    pub(super) timeout: Duration,
}

impl Refresh {
    /// Fetches until the last handle on the registry is gone.
    pub(super) fn run(mut self) {
        context::suppress_thread();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("opik-prompts")
            .on_thread_start(context::suppress_thread)
            .build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(self.serve());
                // A name lookup of the source may hang on the blocking pool.
                runtime.shutdown_background();
            }
            Err(_) => {
                while let Some(key) = self.requests.blocking_recv() {
                    self.shared.settle(&key, Outcome::Failed);
                }
            }
        }
    }

    async fn serve(&mut self) {
        let places = Arc::new(Semaphore::new(CONCURRENT));
        // Dropping it ends what is under way.
        let mut running = JoinSet::new();
        while let Some(key) = self.requests.recv().await {
            while running.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let mut fetch = Fetch {
                shared: Arc::clone(&self.shared),
                key,
                outcome: Outcome::Failed,
            };
            let (source, timeout) = (Arc::clone(&self.source), self.timeout);
            running.spawn(async move {
                fetch.outcome = outcome(source.as_ref(), &fetch.key, timeout).await;
                drop(fetch);
                drop(place);
            });
        }
    }
}

async fn outcome(source: &dyn PromptSource, key: &Key, timeout: Duration) -> Outcome {
    let fetch = source.fetch(&key.name, &key.tag);
    match tokio::time::timeout(timeout, fetch).await {
        Ok(Ok(Some(prompt))) if prompt.text.len() <= MAX_BYTES => Outcome::Found(prompt),
        Ok(Ok(None)) => Outcome::Missing,
        Ok(Ok(Some(_)) | Err(_)) | Err(_) => Outcome::Failed,
    }
}

/// A fetch under way. It is settled however it ends, also by a panic of the source.
struct Fetch {
    shared: Arc<Shared>,
    key: Arc<Key>,
    outcome: Outcome,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Failed);
        self.shared.settle(&self.key, outcome);
    }
}
