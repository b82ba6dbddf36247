//! What the handlers of the assistant share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opik_assist::assistant::Assistant;
use opik_core::session::{Position, SessionErrorKind};
use opik_core::{ChatModel, Secret, SessionError, SessionKey, SessionStore};

use super::backend::{Backend, Refusal};
use super::caller::Caller;
use super::config::AssistConfig;
use super::internal::Internal;
use super::metrics::Metrics;
use super::monitor::Monitor;

/// How long a confirmed right to a trace is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// Most confirmations and users that are remembered; beyond that the old ones are forgotten.
const REMEMBERED: usize = 10_000;
/// How the Python program names sessions.
const SESSION: &str = "opik-ai-trace-analyzer-";
/// Under which a session remembers its workspace.
pub(crate) const WORKSPACE: &str = "workspace";

/// Which model answers a caller.
pub trait AnsweringModel: Send + Sync + fmt::Debug {
    /// The model that answers somebody with this session of Opik's page and this workspace; `None`
    /// when answers are computed.
    fn model(&self, token: Option<&Secret>, workspace: Option<&str>) -> Option<Arc<dyn ChatModel>>;

    /// Its name, for people.
    fn name(&self) -> Option<String>;
}

/// The state of the assistant's endpoints; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Assist(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: AssistConfig,
    assistant: Assistant,
    backend: Arc<dyn Backend>,
    sessions: Arc<dyn SessionStore>,
    internal: Option<Internal>,
    metrics: Arc<Metrics>,
    monitor: Monitor,
    in_memory: bool,
    models: Arc<dyn AnsweringModel>,
    confirmed: Mutex<HashMap<[u8; 32], Instant>>,
    asked: Mutex<HashMap<String, Bucket>>,
}

/// Questions that a user may still ask at once.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// The conversation that a request is about.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) key: SessionKey,
    /// Whether there is one; `None` when that was not asked.
    pub(crate) exists: Option<bool>,
}

impl Assist {
    pub(crate) fn new(
        config: AssistConfig,
        assistant: Assistant,
        backend: Arc<dyn Backend>,
        sessions: Arc<dyn SessionStore>,
        models: Arc<dyn AnsweringModel>,
        internal: Option<Internal>,
        monitor: Monitor,
    ) -> Self {
        Self(Arc::new(Shared {
            internal,
            metrics: Arc::default(),
            monitor,
            in_memory: config.sessions().is_none(),
            config,
            assistant,
            backend,
            sessions,
            models,
            confirmed: Mutex::default(),
            asked: Mutex::default(),
        }))
    }

    pub(crate) fn config(&self) -> &AssistConfig {
        &self.0.config
    }

    pub(crate) fn assistant(&self) -> &Assistant {
        &self.0.assistant
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    pub(crate) fn sessions(&self) -> &Arc<dyn SessionStore> {
        &self.0.sessions
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Who is told about the assistant's own work.
    pub(crate) fn monitor(&self) -> &Monitor {
        &self.0.monitor
    }

    /// The server that conversations are recorded to, where there is one.
    pub(crate) fn internal(&self) -> Option<&Internal> {
        self.0.internal.as_ref()
    }

    /// Whether conversations end with the process.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.0.in_memory
    }

    pub(crate) fn model(&self, caller: &Caller) -> Option<Arc<dyn ChatModel>> {
        let workspace = caller.workspace.as_deref();
        self.0.models.model(caller.token.as_ref(), workspace)
    }

    /// The conversation of a caller about a trace.
    ///
    /// It has the name that the Python program gives it. Where a conversation of that name belongs to
    /// another workspace, this workspace has one of its own.
    ///
    /// A user whom the sign-in names, and who has none, takes over the one that was kept under the name
    /// of the session.
    pub(crate) async fn session(
        &self,
        caller: &Caller,
        trace: &str,
    ) -> Result<SessionKey, SessionError> {
        Ok(self.found(caller, trace).await?.key)
    }

    /// The same, and whether there is one.
    pub(crate) async fn found(&self, caller: &Caller, trace: &str) -> Result<Found, SessionError> {
        let mut found = self.find(caller, caller.user(), false, trace).await?;
        if let (Some(false), Some(former)) = (found.exists, caller.former_user()) {
            let former = self.find(caller, former, true, trace).await?;
            if former.exists == Some(true) {
                moved(&*self.0.sessions, &former.key, &found.key).await?;
                found.exists = None;
            }
        }
        Ok(found)
    }

    async fn find(
        &self,
        caller: &Caller,
        user: String,
        is_former: bool,
        trace: &str,
    ) -> Result<Found, SessionError> {
        let assistant = &self.0.assistant;
        let key = assistant.session_key(user.clone(), format!("{SESSION}{trace}"));
        let Some(found) = self.0.sessions.session(&key).await? else {
            let exists = Some(false);
            return Ok(Found { key, exists });
        };
        let owner = found
            .state
            .get(WORKSPACE)
            .and_then(serde_json::Value::as_str);
        if owner.is_none_or(|owner| owner.eq_ignore_ascii_case(caller.workspace())) {
            let exists = Some(true);
            return Ok(Found { key, exists });
        }
        let mark = caller.mark(is_former);
        let key = assistant.session_key(user, format!("{SESSION}{trace}-{mark}"));
        let exists = match caller.named {
            Some(_) => Some(self.0.sessions.session(&key).await?.is_some()),
            // Only a move has to know.
            None => None,
        };
        Ok(Found { key, exists })
    }

    /// Remembers that a caller may read a trace.
    pub(crate) fn confirm(&self, caller: &Caller, trace: &str) {
        let mut confirmed = self
            .0
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if confirmed.len() >= REMEMBERED {
            confirmed.retain(|_, at| at.elapsed() < BELIEVED);
            if confirmed.len() >= REMEMBERED {
                confirmed.clear();
            }
        }
        confirmed.insert(caller.fingerprint(trace), Instant::now());
    }

    /// Makes sure that a caller may read a trace, by asking the backend with the caller's session.
    pub(crate) async fn check_right(&self, caller: &Caller, trace: &str) -> Result<(), Refusal> {
        let known = {
            let confirmed = self
                .0
                .confirmed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            confirmed
                .get(&caller.fingerprint(trace))
                .is_some_and(|at| at.elapsed() < BELIEVED)
        };
        if !known {
            self.0.backend.open(caller, trace).await?;
            self.confirm(caller, trace);
        }
        Ok(())
    }

    /// Takes one of the questions that a user may ask.
    ///
    /// # Errors
    /// How many seconds until there is one.
    pub(crate) fn take_question(&self, caller: &Caller) -> Result<(), u64> {
        let rate = f64::from(self.0.config.turns_per_minute);
        let now = Instant::now();
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= REMEMBERED {
            asked.retain(|_, bucket| bucket.at.elapsed() < Duration::from_secs(60));
            if asked.len() >= REMEMBERED {
                asked.clear();
            }
        }
        let full = Bucket {
            left: rate,
            at: now,
        };
        let key = format!("{}\n{}", caller.user(), caller.workspace());
        let bucket = asked.entry(key).or_insert(full);
        let gained = now.duration_since(bucket.at).as_secs_f64() * rate / 60.0;
        bucket.left = (bucket.left + gained).min(rate);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.left) * 60.0 / rate).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most sixty seconds"
        )]
        Err(wait as u64)
    }
}

/// Gives a conversation another key.
async fn moved(
    store: &dyn SessionStore,
    from: &SessionKey,
    to: &SessionKey,
) -> Result<(), SessionError> {
    const PAGE: usize = 500;
    let Some(session) = store.session(from).await? else {
        return Ok(());
    };
    let mut position = match store.create(to, &session.state).await {
        Ok(made) => made.position,
        // Another request of the same user was quicker.
        Err(error) if error.kind() == SessionErrorKind::Conflict => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut read = 0;
    loop {
        let page = store.events(from, Position(read), PAGE).await?;
        if page.is_empty() {
            break;
        }
        read += u64::try_from(page.len()).unwrap_or(0);
        position = store.append(to, position, &page).await?;
    }
    store.delete(from).await.map(drop)
}
