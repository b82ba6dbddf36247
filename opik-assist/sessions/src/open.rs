//! One address, one store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::session::{Position, State};
use opik_core::{Event, Session, SessionError, SessionKey, SessionStore};

use crate::uri::{Target, parse};
use crate::{Layout, MemorySessions, Pruned, Retention, SessionOptions};

/// What a store does beyond its trait.
#[async_trait]
pub(crate) trait Keeper: SessionStore {
    async fn prune(&self, retention: &Retention) -> Result<Pruned, SessionError>;
    async fn close(&self);
    async fn open(&self) -> Result<(), SessionError>;
    fn layout(&self) -> Option<Layout>;
}

#[async_trait]
impl Keeper for MemorySessions {
    async fn prune(&self, retention: &Retention) -> Result<Pruned, SessionError> {
        Ok(Self::prune(self, retention))
    }

    async fn close(&self) {}

    async fn open(&self) -> Result<(), SessionError> {
        Ok(())
    }

    fn layout(&self) -> Option<Layout> {
        None
    }
}

/// A store that was picked by its address. Clones share it.
#[derive(Clone)]
pub struct Sessions(Arc<dyn Keeper>);

/// Opens the store that an address names: connects, makes the tables that are missing, and
/// migrates.
///
/// | address | store |
/// |---|---|
/// | `memory:`, `sqlite::memory:`, `sqlite://` | [`MemorySessions`] |
/// | `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:path` | `SqliteSessions` |
/// | `mysql://user:password@host:3306/database`, `mariadb://..` | `MySqlSessions` |
/// | `postgres://user:password@host:5432/database`, `postgresql://..` | `PostgresSessions` |
///
/// Names of Python drivers, as in `mysql+pymysql://` or `postgresql+asyncpg://`, are understood and
/// make no difference. No error quotes the address.
///
/// # Errors
/// [`SessionErrorKind::Invalid`](opik_core::session::SessionErrorKind::Invalid) for an address that
/// is not one or names a database that this build does not know; others when the database cannot be
/// reached within the attempts that the options allow.
pub async fn open(uri: &str, options: SessionOptions) -> Result<Sessions, SessionError> {
    let sessions = Sessions::lazy(uri, options)?;
    sessions.0.open().await?;
    Ok(sessions)
}

#[cfg(not(all(feature = "sqlite", feature = "mysql", feature = "postgres")))]
fn not_built(feature: &str) -> SessionError {
    crate::uri::refused(format!(
        "this build is without the feature `{feature}` of opik-sessions"
    ))
}

impl Sessions {
    /// A store that connects and migrates at its first use, so that a server can start while its
    /// database is down. As long as the database cannot be reached, each call fails within its time,
    /// and the next one tries again.
    ///
    /// # Errors
    /// [`SessionErrorKind::Invalid`](opik_core::session::SessionErrorKind::Invalid) for an address
    /// that is not one or names a database that this build does not know.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "mysql", feature = "postgres")),
        expect(
            unused_variables,
            clippy::needless_pass_by_value,
            reason = "for the databases"
        )
    )]
    pub fn lazy(uri: &str, options: SessionOptions) -> Result<Self, SessionError> {
        Ok(Self(match parse(uri)? {
            Target::Memory => Arc::new(MemorySessions::new()),
            #[cfg(feature = "sqlite")]
            Target::Sqlite(_) => Arc::new(crate::SqliteSessions::lazy(uri, options)?),
            #[cfg(not(feature = "sqlite"))]
            Target::Sqlite(_) => return Err(not_built("sqlite")),
            #[cfg(feature = "mysql")]
            Target::MySql(_) => Arc::new(crate::MySqlSessions::lazy(uri, options)?),
            #[cfg(not(feature = "mysql"))]
            Target::MySql(_) => return Err(not_built("mysql")),
            #[cfg(feature = "postgres")]
            Target::Postgres(_) => Arc::new(crate::PostgresSessions::lazy(uri, options)?),
            #[cfg(not(feature = "postgres"))]
            Target::Postgres(_) => return Err(not_built("postgres")),
        }))
    }

    /// Deletes what the rules name.
    ///
    /// # Errors
    /// [`SessionError`] when the database fails; what was deleted before stays deleted.
    pub async fn prune(&self, retention: &Retention) -> Result<Pruned, SessionError> {
        self.0.prune(retention).await
    }

    /// Which layout the tables have; `None` in memory and before the first use of a lazy store.
    #[must_use]
    pub fn layout(&self) -> Option<Layout> {
        self.0.layout()
    }

    /// Lets no call begin any more and closes the connections, within the time that a call has.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sessions").field(&self.0).finish()
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, key: &SessionKey, state: &State) -> Result<Session, SessionError> {
        self.0.create(key, state).await
    }

    async fn create_with(
        &self,
        key: &SessionKey,
        state: &State,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        self.0.create_with(key, state, events).await
    }

    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError> {
        self.0.session(key).await
    }

    async fn append(
        &self,
        key: &SessionKey,
        expected: Position,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        self.0.append(key, expected, events).await
    }

    async fn events(
        &self,
        key: &SessionKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Event>, SessionError> {
        self.0.events(key, from, limit).await
    }

    async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError> {
        self.0.list(app, user).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError> {
        self.0.delete(key).await
    }
}
