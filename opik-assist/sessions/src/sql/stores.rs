//! The stores by their databases.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use opik_core::session::{Position, State};
use opik_core::{Event, Session, SessionError, SessionKey, SessionStore};

use super::SqlStore;
use super::dialect::Dialect;
use super::link::Connections;
use crate::open::Keeper;
use crate::uri::{Target, parse, refused};
use crate::{Layout, Pruned, Retention, SessionOptions};

macro_rules! store {
    ($(#[$doc:meta])* $name:ident, $target:ident, $connect:path, $scheme:literal) => {
        $(#[$doc])*
        pub struct $name(SqlStore);

        impl $name {
            /// Connects, makes the tables that are missing, and migrates.
            ///
            /// # Errors
            /// [`SessionErrorKind::Invalid`](opik_core::session::SessionErrorKind::Invalid) for an
            /// address that is not one, a denied access or tables of another program; others when
            /// the database cannot be reached within the attempts that the options allow.
            pub async fn open(uri: &str, options: SessionOptions) -> Result<Self, SessionError> {
                let store = Self::lazy(uri, options)?;
                store.0.open().await?;
                Ok(store)
            }

            /// A store that connects and migrates at its first use. As long as the database cannot be
            /// reached, each call fails within its time, and the next one tries again.
            ///
            /// # Errors
            /// [`SessionErrorKind::Invalid`](opik_core::session::SessionErrorKind::Invalid) for an
            /// address that is not one.
            pub fn lazy(uri: &str, options: SessionOptions) -> Result<Self, SessionError> {
                match parse(uri)? {
                    Target::$target(target) => {
                        // The pool has a task of its own.
                        if tokio::runtime::Handle::try_current().is_err() {
                            return Err(refused("a store is made inside a Tokio runtime"));
                        }
                        let (connections, dialect) = $connect(&target, &options)?;
                        Ok(Self(SqlStore::new(connections, dialect, options)))
                    }
                    _ => Err(refused(concat!("this store takes addresses of ", $scheme))),
                }
            }

            /// Which layout the tables have; `None` before the first use of a lazy store.
            #[must_use]
            pub fn layout(&self) -> Option<Layout> {
                let documents = self.0.documents()?;
                Some(if documents { Layout::V1 } else { Layout::V0 })
            }

            /// Deletes what the rules name.
            ///
            /// # Errors
            /// [`SessionError`] when the database fails; what was deleted before stays deleted.
            pub async fn prune(&self, retention: &Retention) -> Result<Pruned, SessionError> {
                self.0.prune(retention).await
            }

            /// Lets no call begin any more and closes the connections, within the time that a call has.
            pub async fn close(&self) {
                self.0.close().await;
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }

        #[async_trait]
        impl SessionStore for $name {
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

        #[async_trait]
        impl Keeper for $name {
            async fn prune(&self, retention: &Retention) -> Result<Pruned, SessionError> {
                self.0.prune(retention).await
            }

            async fn close(&self) {
                self.0.close().await;
            }

            async fn open(&self) -> Result<(), SessionError> {
                self.0.open().await
            }

            fn layout(&self) -> Option<Layout> {
                Self::layout(self)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
store! {
    /// Sessions in a SQLite file, of this program or of the Python program.
    ///
    /// A new file uses SQLite's write-ahead log, so it belongs on a local disk. Several processes may
    /// use one file.
    SqliteSessions, Sqlite, sqlite, "SQLite files"
}

#[cfg(feature = "mysql")]
store! {
    /// Sessions in MySQL or MariaDB.
    ///
    /// Tables of the Python program, whose keys ignore case and spaces at the end, get a collation
    /// that does not when they are opened first.
    MySqlSessions, MySql, mysql, "MySQL and MariaDB"
}

#[cfg(feature = "postgres")]
store! {
    /// Sessions in PostgreSQL.
    PostgresSessions, Postgres, postgres, "PostgreSQL"
}

type Connected = Result<(Connections, Dialect), SessionError>;

/// A connection that was used within this time is not asked whether it still stands.
const FRESH: Duration = Duration::from_secs(1);

macro_rules! pool {
    ($options:expr) => {
        sqlx::pool::PoolOptions::new()
            .max_connections($options.max_connections)
            .acquire_timeout($options.connect_timeout)
            .max_lifetime($options.max_lifetime)
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for >= FRESH {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
    };
}

#[cfg(feature = "sqlite")]
fn sqlite(file: &crate::uri::SqliteFile, options: &SessionOptions) -> Connected {
    let connect = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&file.path)
        .create_if_missing(file.create)
        .read_only(file.read_only)
        .busy_timeout(options.timeout)
        .foreign_keys(true);
    let connect = sqlx::ConnectOptions::disable_statement_logging(connect);
    let pool = pool!(options).connect_lazy_with(connect);
    Ok((Connections::Sqlite(pool), Dialect::Sqlite))
}

#[cfg(feature = "mysql")]
fn mysql(url: &url::Url, options: &SessionOptions) -> Connected {
    let connect = <sqlx::mysql::MySqlConnectOptions as sqlx::ConnectOptions>::from_url(url)
        .map_err(|_| refused("a parameter has a value that is not known"))?;
    let connect = sqlx::ConnectOptions::disable_statement_logging(connect);
    let seconds = options.timeout.as_secs().max(1);
    let setup = format!(
        "SET SESSION innodb_lock_wait_timeout = {seconds}, SESSION lock_wait_timeout = {seconds}"
    );
    let pool = pool!(options)
        .after_connect(move |connection, _| {
            let setup = sqlx::AssertSqlSafe(setup.clone());
            Box::pin(async move {
                sqlx::raw_sql(setup).execute(connection).await?;
                Ok(())
            })
        })
        .connect_lazy_with(connect);
    Ok((Connections::MySql(pool), Dialect::MySql))
}

#[cfg(feature = "postgres")]
fn postgres(url: &url::Url, options: &SessionOptions) -> Connected {
    let millis = options.timeout.as_millis().max(1).to_string();
    let connect = <sqlx::postgres::PgConnectOptions as sqlx::ConnectOptions>::from_url(url)
        .map_err(|_| refused("a parameter has a value that is not known"))?
        .application_name("opik-sessions")
        .options([
            ("statement_timeout", millis.as_str()),
            ("lock_timeout", millis.as_str()),
            ("idle_in_transaction_session_timeout", millis.as_str()),
        ]);
    let connect = sqlx::ConnectOptions::disable_statement_logging(connect);
    let pool = pool!(options).connect_lazy_with(connect);
    Ok((Connections::Postgres(pool), Dialect::Postgres))
}
