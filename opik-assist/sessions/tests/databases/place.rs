//! Fresh databases of every kind.

use std::path::{Path, PathBuf};

use opik_sessions::{SessionOptions, Sessions, open};
use opik_testkit::databases::{Database, DatabaseServer, Engine};

/// A fresh, empty database.
#[derive(Debug)]
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
    Server(Engine, Database<'static>),
}

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    MariaDb,
    Postgres,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::MariaDb, Self::Postgres];

    /// A database; `None` where the server is not installed.
    pub(crate) fn fresh(self, test: &str) -> Option<Place> {
        let engine = match self {
            Self::Sqlite => return Some(Place::Sqlite(tempfile::tempdir().unwrap())),
            Self::MariaDb => Engine::MariaDb,
            Self::Postgres => Engine::Postgres,
        };
        let server = DatabaseServer::shared(engine, test).unwrap()?;
        Some(Place::Server(engine, server.database().unwrap()))
    }
}

impl Place {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::Server(Engine::MariaDb, _) => Kind::MariaDb,
            Self::Server(Engine::Postgres, _) => Kind::Postgres,
        }
    }

    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(folder) => Some(folder.path().join("sessions.db")),
            Self::Server(..) => None,
        }
    }

    pub(crate) fn uri(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite:///{}", self.file().unwrap().display()),
            Self::Server(_, database) => database.uri(),
        }
    }

    pub(crate) async fn open(&self) -> Sessions {
        self.open_with(SessionOptions::new()).await
    }

    pub(crate) async fn open_with(&self, options: SessionOptions) -> Sessions {
        open(&self.uri(), options.open_retries(0)).await.unwrap()
    }

    /// Runs statements beside the stores; says what they print, one row a line.
    pub(crate) fn run(&self, sql: &str) -> String {
        match self {
            Self::Sqlite(_) => sqlite(&self.file().unwrap(), sql),
            Self::Server(_, database) => database.run(sql).unwrap(),
        }
    }
}

/// Runs a script on a file; says the values of the last query, rows in lines, columns by `|`.
fn sqlite(file: &Path, sql: &str) -> String {
    let connection = rusqlite::Connection::open(file).unwrap();
    // As Python leaves it: orphans are possible.
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    let (script, query) = match sql.rsplit_once("SELECT") {
        Some((script, query)) => (script, Some(format!("SELECT{query}"))),
        None => (sql, None),
    };
    connection.execute_batch(script).unwrap();
    let Some(query) = query else {
        return String::new();
    };
    let mut statement = connection.prepare(&query).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let values = (0..columns).map(|index| match row.get_ref(index).unwrap() {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Real(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
        });
        lines.push(values.collect::<Vec<_>>().join("|"));
    }
    lines.join("\n")
}
