//! A transaction that ends in time, one way or the other.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::dialect::Dialect;
use super::failure::{Failure, Then, sort};
use super::link::{Bind, Connections, Kind, Link, Row, Sql};

/// How long taking back may take before the connection is given up instead.
const UNDO: Duration = Duration::from_secs(1);

/// A connection for one call. Dropped before its end (a failure, a deadline, a caller that lost
/// interest) it is closed, and the database takes back what was not committed.
pub(crate) struct Turn {
    link: Option<Link>,
    what: &'static str,
    deadline: Instant,
    open: Option<Dialect>,
}

impl Turn {
    /// Takes a connection, within `wait` and before the deadline.
    pub(crate) async fn take(
        connections: &Connections,
        what: &'static str,
        wait: Duration,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let patience = deadline.min(Instant::now() + wait);
        let link = match timeout_at(patience, connections.take()).await {
            Ok(Ok(link)) => link,
            // The pool tries again by itself while nobody listens, so this is how that looks.
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) if connections.size() == 0 => {
                let text = format!("{what}: the database cannot be reached");
                let kind = opik_core::session::SessionErrorKind::Unavailable;
                return Err(Failure::new(kind, text));
            }
            Ok(Err(error)) => return Err(sort(what, error)),
            Err(_) => return Err(sort(what, sqlx::Error::PoolTimedOut)),
        };
        Ok(Self {
            link: Some(link),
            what,
            deadline,
            open: None,
        })
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&mut self, dialect: Dialect) -> Result<(), Failure> {
        self.open = Some(dialect);
        self.plain(&dialect.begin()).await
    }

    /// Runs a statement; says how many rows it changed.
    pub(crate) async fn run(&mut self, sql: &Sql, binds: &[Bind<'_>]) -> Result<u64, Failure> {
        let Some(link) = &mut self.link else {
            return Err(Failure::late(self.what));
        };
        match timeout_at(self.deadline, link.run(sql, binds)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(sort(self.what, error)),
            Err(_) => Err(Failure::late(self.what)),
        }
    }

    /// Runs a query and reads all its rows.
    pub(crate) async fn rows(
        &mut self,
        sql: &Sql,
        binds: &[Bind<'_>],
        kinds: &[Kind],
    ) -> Result<Vec<Row>, Failure> {
        let Some(link) = &mut self.link else {
            return Err(Failure::late(self.what));
        };
        match timeout_at(self.deadline, link.rows(sql, binds, kinds)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(sort(self.what, error)),
            Err(_) => Err(Failure::late(self.what)),
        }
    }

    /// The first row of a query.
    pub(crate) async fn row(
        &mut self,
        sql: &Sql,
        binds: &[Bind<'_>],
        kinds: &[Kind],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(sql, binds, kinds).await?.into_iter().next())
    }

    /// Runs a statement that cannot be prepared.
    pub(crate) async fn plain(&mut self, sql: &Sql) -> Result<(), Failure> {
        self.plain_before(sql, self.deadline).await
    }

    async fn plain_before(&mut self, sql: &Sql, deadline: Instant) -> Result<(), Failure> {
        let Some(link) = &mut self.link else {
            return Err(Failure::late(self.what));
        };
        match timeout_at(deadline, link.plain(sql)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(sort(self.what, error)),
            Err(_) => Err(Failure::late(self.what)),
        }
    }

    /// Commits what was done, or takes it back when it failed, and gives the connection back.
    pub(crate) async fn end<T>(mut self, done: Result<T, Failure>) -> Result<T, Failure> {
        let open = self.open.is_some();
        match &done {
            Ok(_) if open => self.plain(&Sql::from("COMMIT")).await?,
            Err(failure) if failure.then == Then::Discard => return done,
            Err(_) if open => {
                let patience = Instant::now() + UNDO;
                if self
                    .plain_before(&Sql::from("ROLLBACK"), patience)
                    .await
                    .is_err()
                {
                    return done;
                }
            }
            _ => {}
        }
        // It is clean, so that it may go back to its pool.
        drop(self.link.take());
        done
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.discard();
        }
    }
}
