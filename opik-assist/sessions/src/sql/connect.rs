//! A store from its address to its first use.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use opik_core::SessionError;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::dialect::Dialect;
use super::failure::{Failure, Then};
use super::link::Connections;
use super::migrate;
use super::statements::Statements;
use super::turn::Turn;
use crate::SessionOptions;
use crate::adk::Limits;

/// Sessions in one database.
pub(crate) struct SqlStore {
    pub(crate) connections: Connections,
    pub(crate) dialect: Dialect,
    pub(crate) options: SessionOptions,
    ready: OnceCell<Ready>,
}

/// What is known once the tables were looked at.
pub(crate) struct Ready {
    pub(crate) statements: Statements,
    pub(crate) limits: Limits,
    /// Whether columns for times of sessions are finer than a second.
    pub(crate) precise: bool,
    /// The largest statement, in bytes, where the server has a limit for it.
    pub(crate) largest: usize,
    /// Whether a space at the end of a key makes no difference to the database.
    pub(crate) pads: bool,
}

impl SqlStore {
    /// A store that connects when it is used first.
    pub(crate) fn new(connections: Connections, dialect: Dialect, options: SessionOptions) -> Self {
        Self {
            connections,
            dialect,
            options,
            ready: OnceCell::new(),
        }
    }

    /// Makes and changes tables unless that was done; what is known about them.
    pub(crate) async fn ready(&self) -> Result<&Ready, Failure> {
        self.ready.get_or_try_init(|| migrate::prepare(self)).await
    }

    /// Whether the tables were looked at, and whether events are documents.
    pub(crate) fn documents(&self) -> Option<bool> {
        self.ready.get().map(|ready| ready.limits.documents)
    }

    /// Connects and migrates, with as many attempts as the options allow.
    pub(crate) async fn open(&self) -> Result<(), SessionError> {
        let last = Instant::now() + self.options.open_timeout;
        let mut delay = self.options.open_retry_delay;
        let mut retries = self.options.open_retries;
        loop {
            let Err(failure) = self.ready().await else {
                return Ok(());
            };
            let is_over = retries == 0 || Instant::now() + delay > last;
            if is_over || !failure.error.is_retryable() {
                return Err(failure.error);
            }
            tracing::debug!(target: "opik_sessions", retries, "the session database cannot be opened yet");
            sleep(delay).await;
            retries -= 1;
            delay = delay.mul_f32(1.5).min(Duration::from_secs(30));
        }
    }

    /// Lets no call begin any more and closes the connections.
    pub(crate) async fn close(&self) {
        // What does not end in time ends with the process.
        let _ended = tokio::time::timeout(self.options.timeout, self.connections.close()).await;
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.options.timeout
    }

    /// A connection for one call.
    pub(crate) async fn turn(
        &self,
        what: &'static str,
        deadline: Instant,
    ) -> Result<Turn, Failure> {
        Turn::take(
            &self.connections,
            what,
            self.options.connect_timeout,
            deadline,
        )
        .await
    }

    /// Does something again while the database gives it up in favour of others.
    pub(crate) async fn persist<T, F>(
        &self,
        mut attempt: impl FnMut(Instant) -> F,
    ) -> Result<T, SessionError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let deadline = self.deadline();
        let mut wait = Duration::from_millis(2);
        loop {
            match attempt(deadline).await {
                Err(failure) if failure.then == Then::Again && Instant::now() + wait < deadline => {
                    sleep(wait).await;
                    wait = wait.saturating_mul(2).min(Duration::from_millis(100));
                }
                done => return done.map_err(SessionError::from),
            }
        }
    }
}

impl fmt::Debug for SqlStore {
    /// Neither address nor password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("database", &self.dialect.name())
            .field("is_ready", &self.ready.initialized())
            .finish_non_exhaustive()
    }
}
