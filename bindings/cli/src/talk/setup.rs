//! The assistant of this machine: its traces, its sessions, its runtime.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opik_assist::Assistant;
use opik_assist::assistant::{AskError, AssistantBuilder};
use opik_core::SessionError;
use opik_core::session::SessionErrorKind;
use opik_sessions::{SessionOptions, Sessions};
use opik_store::Store;
use tokio::runtime::Runtime;

use super::model::ModelArgs;
use crate::exit::{Code, Failure};

/// Who asks on this machine.
pub(crate) const USER: &str = "local";
/// How long a turn may take to store how it ended when the command is over.
pub(crate) const ENDING: Duration = Duration::from_secs(5);

/// Threads for the conversation.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("opik-rs-talk")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Code::Failed, "cannot start threads").cause(error))
}

/// An assistant about the traces of this store. The models repeat failed questions themselves.
pub(crate) fn assistant(store: Store, sessions: Sessions, model: &ModelArgs) -> AssistantBuilder {
    let tokens = usize::try_from(model.context_tokens).unwrap_or(usize::MAX);
    Assistant::builder(Arc::new(sessions))
        .source(Arc::new(store))
        .context_tokens(tokens)
        .model_retries(0)
}

/// Opens the sessions at an address, or in a file beside the store.
pub(crate) async fn sessions(uri: Option<&str>, store: &Path) -> Result<Sessions, Failure> {
    let beside = beside(store);
    let uri = match uri.map(str::trim).filter(|uri| !uri.is_empty()) {
        Some(uri) => uri,
        None => &beside,
    };
    let opened = opik_sessions::open(uri, SessionOptions::new()).await;
    opened.map_err(|error| unusable(error, "cannot open the conversations"))
}

/// The address of the file with the conversations about the traces of a store:
/// `traces.sessions.db` beside `traces.db`.
fn beside(store: &Path) -> String {
    let path = store.with_extension("sessions.db");
    let text = path.to_string_lossy();
    let quoted = text
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    format!("sqlite:{quoted}")
}

/// A store of sessions that does not do what it should.
pub(crate) fn unusable(error: SessionError, what: &str) -> Failure {
    let hint = match error.kind() {
        SessionErrorKind::Storage => {
            "make the file and its folder writable, or name another database with --sessions"
        }
        SessionErrorKind::Invalid => {
            "an address is for example sqlite:talks.db or mysql://user@host/database"
        }
        _ => "check the database, or name another one with --sessions",
    };
    Failure::new(Code::Store, what).hint(hint).cause(error)
}

/// A question that was not taken.
pub(crate) fn refused(error: AskError) -> Failure {
    match error {
        AskError::NoSuchTrace(id) => {
            Failure::new(Code::NotFound, format!("there is no trace {id}")).hint("opik-rs traces")
        }
        AskError::NoSuchSpan(id) => Failure::new(
            Code::NotFound,
            format!("there is no span {id} in these traces"),
        )
        .hint("opik-rs show last --tree"),
        AskError::Source(error) => error.into(),
        AskError::Sessions(error) => unusable(error, "cannot read or write the conversation"),
        error @ AskError::TooLong { .. } => {
            Failure::new(Code::Usage, "the question is too long").cause(error)
        }
        other => Failure::new(Code::Failed, "the question was not taken").cause(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_are_beside_the_store_whatever_its_name() {
        assert_eq!(
            beside(Path::new("/a b/traces.db")),
            "sqlite:/a b/traces.sessions.db"
        );
        assert_eq!(
            beside(Path::new("100%?#")),
            "sqlite:100%25%3F%23.sessions.db"
        );
    }
}
