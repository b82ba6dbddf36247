//! A connection to one of the databases, and the few things that are said over it.

use std::sync::Arc;

#[cfg(feature = "mysql")]
use sqlx::MySql;
#[cfg(feature = "postgres")]
use sqlx::Postgres;
#[cfg(feature = "sqlite")]
use sqlx::Sqlite;
use sqlx::database::Database;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Encode, Pool, Type};

/// Statements are made once from fixed texts, never from what a caller says.
pub(crate) type Sql = Arc<str>;

/// A value for a placeholder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bind<'a> {
    Text(&'a str),
    Maybe(Option<&'a str>),
    Int(i64),
    Bytes(&'a [u8]),
}

/// A value of a row.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(Option<String>),
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

/// What a column is read as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Int,
    Bytes,
}

/// A row, read from left to right.
pub(crate) struct Row(std::vec::IntoIter<Cell>);

impl Row {
    pub(crate) fn maybe(&mut self) -> Option<String> {
        match self.0.next() {
            Some(Cell::Text(text)) => text,
            _ => None,
        }
    }

    pub(crate) fn text(&mut self) -> String {
        self.maybe().unwrap_or_default()
    }

    pub(crate) fn int(&mut self) -> Option<i64> {
        match self.0.next() {
            Some(Cell::Int(number)) => number,
            _ => None,
        }
    }

    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.0.next() {
            Some(Cell::Bytes(bytes)) => bytes,
            _ => None,
        }
    }
}

/// Connections to one database.
#[derive(Clone)]
pub(crate) enum Connections {
    #[cfg(feature = "sqlite")]
    Sqlite(Pool<Sqlite>),
    #[cfg(feature = "mysql")]
    MySql(Pool<MySql>),
    #[cfg(feature = "postgres")]
    Postgres(Pool<Postgres>),
}

/// One connection, taken from its pool.
pub(crate) enum Link {
    #[cfg(feature = "sqlite")]
    Sqlite(PoolConnection<Sqlite>),
    #[cfg(feature = "mysql")]
    MySql(PoolConnection<MySql>),
    #[cfg(feature = "postgres")]
    Postgres(PoolConnection<Postgres>),
}

macro_rules! each {
    ($kind:ident, $value:expr, $inner:ident => $body:expr) => {
        match $value {
            #[cfg(feature = "sqlite")]
            $kind::Sqlite($inner) => $body,
            #[cfg(feature = "mysql")]
            $kind::MySql($inner) => $body,
            #[cfg(feature = "postgres")]
            $kind::Postgres($inner) => $body,
        }
    };
}

impl Connections {
    pub(crate) async fn take(&self) -> Result<Link, sqlx::Error> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Link::Sqlite(pool.acquire().await?),
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => Link::MySql(pool.acquire().await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Link::Postgres(pool.acquire().await?),
        })
    }

    /// How many connections stand.
    pub(crate) fn size(&self) -> u32 {
        each!(Self, self, pool => pool.size())
    }

    /// Lets nobody take a connection any more and closes those that are free, then the others as
    /// they come back.
    pub(crate) async fn close(&self) {
        each!(Self, self, pool => pool.close().await);
    }
}

fn bound<'q, DB>(sql: &Sql, binds: &[Bind<'_>]) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    for<'t> String: Encode<'t, DB> + Type<DB>,
    for<'t> Option<String>: Encode<'t, DB> + Type<DB>,
    for<'t> i64: Encode<'t, DB> + Type<DB>,
    for<'t> Vec<u8>: Encode<'t, DB> + Type<DB>,
{
    let mut query = sqlx::query::<DB>(AssertSqlSafe(Arc::clone(sql)));
    for bind in binds {
        query = match bind {
            Bind::Text(text) => query.bind((*text).to_owned()),
            Bind::Maybe(text) => query.bind(text.map(str::to_owned)),
            Bind::Int(number) => query.bind(*number),
            Bind::Bytes(bytes) => query.bind(bytes.to_vec()),
        };
    }
    query
}

macro_rules! cells {
    ($row:expr, $kinds:expr) => {{
        let mut cells = Vec::with_capacity($kinds.len());
        for (index, kind) in $kinds.iter().enumerate() {
            // Unchecked: databases name the types of one text in many ways.
            cells.push(match kind {
                Kind::Text => Cell::Text(sqlx::Row::try_get_unchecked(&$row, index)?),
                Kind::Int => Cell::Int(sqlx::Row::try_get_unchecked(&$row, index)?),
                Kind::Bytes => Cell::Bytes(sqlx::Row::try_get_unchecked(&$row, index)?),
            });
        }
        Row(cells.into_iter())
    }};
}

impl Link {
    /// Runs a statement; says how many rows it changed.
    pub(crate) async fn run(&mut self, sql: &Sql, binds: &[Bind<'_>]) -> Result<u64, sqlx::Error> {
        Ok(each!(Self, self, link => bound(sql, binds).execute(&mut **link).await?.rows_affected()))
    }

    /// Runs a query and reads all its rows.
    pub(crate) async fn rows(
        &mut self,
        sql: &Sql,
        binds: &[Bind<'_>],
        kinds: &[Kind],
    ) -> Result<Vec<Row>, sqlx::Error> {
        each!(Self, self, link => {
            let found = bound(sql, binds).fetch_all(&mut **link).await?;
            found.into_iter().map(|row| Ok(cells!(row, kinds))).collect()
        })
    }

    /// Runs a statement that cannot be prepared.
    pub(crate) async fn plain(&mut self, sql: &Sql) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(Arc::clone(sql));
        each!(Self, self, link => sqlx::raw_sql(sql).execute(&mut **link).await.map(drop))
    }

    /// Closes the connection without a word, so that the database takes back what is open.
    pub(crate) fn discard(self) {
        each!(Self, self, link => drop(link.detach()));
    }
}
