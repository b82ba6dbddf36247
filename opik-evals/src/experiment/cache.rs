//! Answers that are kept, so that the same question is not paid for twice.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A folder of outputs and scores, each under the hash of all that it depends on.
///
/// An output depends on the version of the task, the model, the content of the item, the seed and
/// the repetition; a score on the identity of its metric and on the case. Failures are not kept.
/// What is in the folder is never changed, several runs may share it, and any file in it may be
/// deleted. An entry that cannot be read is one that is not there.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Arc<PathBuf>,
}

impl Cache {
    /// A cache in that folder, which is made when the first entry is.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Arc::new(folder.into()),
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        let (start, rest) = key.split_at_checked(2).unwrap_or(("", key));
        self.folder.join(start).join(format!("{rest}.json"))
    }

    pub(super) async fn get<T>(&self, key: &str) -> Option<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let path = self.path(key);
        let read = move || serde_json::from_slice(&fs::read(path).ok()?).ok();
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Keeps an entry. A full disk must not cost a run its result, so failures are only logged.
    pub(super) async fn put<T: Serialize>(&self, key: &str, value: &T) {
        let path = self.path(key);
        let Ok(text) = serde_json::to_vec(value) else {
            return;
        };
        let write = move || -> io::Result<()> {
            let folder = path.parent().unwrap_or(&path);
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&text)?;
            file.persist(&path)?;
            Ok(())
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(target: "opik_evals", %error, "an answer could not be cached");
            }
            Err(_) => tracing::warn!(target: "opik_evals", "an answer could not be cached"),
        }
    }
}
