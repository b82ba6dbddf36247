//! Tables, connections and migrations.
//!
//! The version of the schema is SQLite's `user_version`, the kind of file its `application_id`.
//! A file of an older version is brought forward when it is opened, one step after the other in
//! one transaction; a file of a newer version is refused and left as it is.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Cause, StoreError};
use crate::options::Durability;

/// "OPIK" in ASCII.
const APPLICATION_ID: u32 = 0x4f50_494b;

type Then = fn(&Connection) -> Result<(), StoreError>;

/// One step forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// The version that it leads to.
    version: u32,
    statements: &'static str,
    /// What statements alone cannot do, after them.
    then: Option<Then>,
}

impl Step {
    pub(crate) const fn of(version: u32, statements: &'static str) -> Self {
        Self {
            version,
            statements,
            then: None,
        }
    }
}

/// Every step from an empty file to the newest schema. Released steps never change.
const STEPS: &[Step] = &[
    Step::of(1, V1),
    Step::of(2, V2),
    Step::of(3, crate::catalog::schema::TABLES),
    Step::of(4, V4),
    Step::of(5, V5),
    Step {
        version: 6,
        statements: V6,
        then: Some(crate::tally::fill),
    },
    Step::of(7, V7),
];

const V1: &str = "
CREATE TABLE counter(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,       -- of the latest change to a trace
    trace INTEGER NOT NULL,     -- latest keys; keys are never used again
    part INTEGER NOT NULL,
    block INTEGER NOT NULL
) STRICT;
INSERT INTO counter VALUES (1, 0, 0, 0, 0);
CREATE TABLE project(
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    fold TEXT NOT NULL UNIQUE,  -- the name in lower case
    name TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE TABLE block(
    key INTEGER PRIMARY KEY,
    live INTEGER NOT NULL,      -- how many parts and traces refer to it
    raw INTEGER NOT NULL,       -- its size when decompressed
    data BLOB NOT NULL
) STRICT;
CREATE TABLE trace(
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    project INTEGER NOT NULL,
    present INTEGER NOT NULL,   -- 0 while only spans have arrived
    updated INTEGER NOT NULL,   -- last_updated_at of the row
    start INTEGER NOT NULL,     -- of the row, else of the earliest span
    arrived INTEGER NOT NULL,
    seq INTEGER NOT NULL,       -- of its latest change
    row_seq INTEGER NOT NULL,   -- of the latest change to the row itself
    parts INTEGER NOT NULL,
    dead INTEGER NOT NULL,      -- replaced rows that are still in parts
    block INTEGER NOT NULL,
    at INTEGER NOT NULL,
    len INTEGER NOT NULL,
    totals BLOB NOT NULL,
    head BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX trace_id ON trace(id);
CREATE INDEX trace_seq ON trace(seq);
CREATE TABLE part(
    key INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL,
    project INTEGER NOT NULL,
    hi INTEGER NOT NULL,        -- first half of the newest identifier
    rows INTEGER NOT NULL,
    arrived INTEGER NOT NULL,
    block INTEGER NOT NULL,
    at INTEGER NOT NULL,
    len INTEGER NOT NULL,
    dead BLOB,                  -- bit set of replaced rows
    head BLOB NOT NULL
) STRICT;
CREATE INDEX part_trace ON part(trace);
CREATE TABLE facet_name(
    fid INTEGER PRIMARY KEY,
    entity INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    value TEXT NOT NULL,
    project INTEGER NOT NULL,
    UNIQUE (entity, kind, value, project)
) STRICT;
CREATE TABLE facet(
    fid INTEGER NOT NULL,
    hi INTEGER NOT NULL,
    ref INTEGER NOT NULL,
    PRIMARY KEY (fid, hi, ref)
) STRICT, WITHOUT ROWID;
CREATE TABLE score(
    kind INTEGER NOT NULL,      -- 0 trace, 1 span, 2 thread
    target BLOB NOT NULL,
    name TEXT NOT NULL,
    author TEXT NOT NULL,
    updated INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, target, name, author)
) STRICT, WITHOUT ROWID;
CREATE TABLE gone(              -- what the text index has to forget
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    entity INTEGER NOT NULL,
    key INTEGER NOT NULL
) STRICT;
";

/// What a server keeps beside traces and spans: see `records`. Threads of traces that are there
/// already get their rows here.
const V2: &str = "
CREATE TABLE project_detail(
    project INTEGER PRIMARY KEY,
    deleted INTEGER NOT NULL,   -- its key and name stay taken by nobody
    description TEXT,
    visibility TEXT NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
CREATE TABLE overlay(           -- fields that were changed apart from their row
    kind INTEGER NOT NULL,      -- 0 trace, 1 span
    target BLOB NOT NULL,
    based INTEGER NOT NULL,     -- 0 while the row itself has not arrived
    at INTEGER NOT NULL,        -- of the latest change
    body BLOB NOT NULL,
    PRIMARY KEY (kind, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX overlay_at ON overlay(based, at);
CREATE TABLE thread(
    project INTEGER NOT NULL,
    id TEXT NOT NULL,
    model BLOB NOT NULL UNIQUE,
    closed INTEGER NOT NULL,
    tags TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;
INSERT INTO thread(project, id, model, closed, tags, created, updated)
    SELECT project, value,
           unhex(printf('%012x', unixepoch() * 1000) || '7' || substr(hex(randomblob(2)), 2)
                 || 'a' || substr(hex(randomblob(2)), 2) || hex(randomblob(6))),
           0, '[]', unixepoch() * 1000000, unixepoch() * 1000000
    FROM facet_name WHERE entity = 1 AND kind = 7
     AND EXISTS (SELECT 1 FROM facet WHERE facet.fid = facet_name.fid);
CREATE INDEX thread_updated ON thread(project, updated);
CREATE TABLE comment(
    id BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,      -- 0 trace, 1 span, 2 thread
    target BLOB NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX comment_target ON comment(kind, target);
CREATE TABLE guardrail(
    trace BLOB NOT NULL,
    span BLOB NOT NULL,
    name TEXT NOT NULL,
    result TEXT NOT NULL,
    config TEXT NOT NULL,
    details TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (trace, span, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE assertion(
    kind INTEGER NOT NULL,
    target BLOB NOT NULL,
    name TEXT NOT NULL,
    passed INTEGER NOT NULL,
    reason TEXT,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (kind, target, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE attachment(
    key INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,      -- 0 trace, 1 span
    target BLOB NOT NULL,
    name TEXT NOT NULL,
    project INTEGER NOT NULL,
    mime TEXT NOT NULL,
    size INTEGER NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (kind, target, name)
) STRICT;
CREATE TABLE attachment_piece(
    attachment INTEGER NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (attachment, number)
) STRICT;
";

/// When traces of OpenTelemetry began.
const V4: &str = "
CREATE TABLE otlp_trace(
    id TEXT PRIMARY KEY,
    start INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// When those moments were last asked for, so that old ones can be forgotten, and what was last
/// done to keep the store in order.
const V5: &str = "
ALTER TABLE otlp_trace ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE otlp_trace SET used = unixepoch() * 1000000;
CREATE INDEX otlp_trace_used ON otlp_trace(used);
CREATE TABLE upkeep(
    what TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// How many rows have a facet (see `tally`), and a number that every change to the store raises.
const V6: &str = "
CREATE TABLE tally(
    fid INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL       -- live spans, or traces
) STRICT;
ALTER TABLE counter ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
";

/// Parts with rows that were replaced. Mostly there is none, and then nothing that is counted by
/// parts has to be looked at.
const V7: &str = "
CREATE INDEX part_dead ON part(key) WHERE dead IS NOT NULL;
";

/// The newest version that this library knows.
pub(crate) fn newest() -> u32 {
    STEPS.last().map_or(0, |step| step.version)
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// In a file.
    File(PathBuf),
    /// In memory, shared by the connections of this process under a name.
    Memory(String),
}

impl Location {
    /// Where the text index is that belongs to this database.
    pub(crate) fn text(&self) -> Self {
        match self {
            Self::File(path) => {
                let mut name = path.clone().into_os_string();
                name.push("-text");
                Self::File(name.into())
            }
            Self::Memory(name) => Self::Memory(format!("{name}-text")),
        }
    }

    fn open(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        match self {
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(name) => Connection::open_with_flags(
                format!("file:/{name}?vfs=memdb"),
                flags | OpenFlags::SQLITE_OPEN_URI,
            ),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Memory(_) => Path::new(":memory:"),
        }
    }
}

/// Creates an empty file that only its owner can read, unless there is one.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Whether a file begins like every SQLite file, or with nothing.
fn is_sqlite_or_empty(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(head.is_empty() || head == b"SQLite format 3\0")
}

/// Whether a file begins like every SQLite file.
pub(crate) fn is_sqlite(path: &Path) -> std::io::Result<bool> {
    Ok(is_sqlite_or_empty(path)? && std::fs::metadata(path)?.len() > 0)
}

/// Whether a file is a store that this library can read.
pub(crate) fn check_readable(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let (version, kind) = (
        pragma(conn, "user_version")?,
        pragma(conn, "application_id")?,
    );
    if kind != APPLICATION_ID {
        return Err(StoreError::NotAStore {
            path: path.to_owned(),
        });
    }
    if version > newest() {
        return Err(StoreError::NewerSchema {
            found: version,
            supported: newest(),
        });
    }
    Ok(())
}

/// How connections are set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) create: bool,
}

/// Opens a connection that may write, without looking at what is in the file.
pub(crate) fn connect(location: &Location, setup: Setup) -> Result<Connection, StoreError> {
    let refused = |source: Cause| StoreError::Open {
        path: location.path().to_owned(),
        source,
    };
    if let Location::File(path) = location {
        if setup.create {
            create_private(path).map_err(|error| refused(error.into()))?;
        }
        if !is_sqlite_or_empty(path).map_err(|error| refused(error.into()))? {
            return Err(StoreError::NotAStore {
                path: path.to_owned(),
            });
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = location
        .open(match location {
            Location::File(_) => flags,
            Location::Memory(_) => flags | OpenFlags::SQLITE_OPEN_CREATE,
        })
        .map_err(|error| refused(error.into()))?;
    conn.busy_timeout(setup.busy_timeout)?;
    conn.set_prepared_statement_cache_capacity(64);
    // Plans must not depend on bound values: SQLite would plan again whenever a LIMIT is bound.
    conn.set_db_config(
        rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG,
        true,
    )?;
    // Sizes only matter for a new file, and have to come before the first write.
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    if matches!(location, Location::File(_)) {
        write_ahead(&conn, setup.busy_timeout)?;
        conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
        // 32 MiB: pages that most batches touch are copied into the file once for many of them.
        conn.pragma_update(None, "wal_autocheckpoint", 8_192)?;
    }
    conn.pragma_update(
        None,
        "synchronous",
        match setup.durability {
            Durability::Process => "NORMAL",
            Durability::PowerLoss => "FULL",
        },
    )?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

/// Turns write-ahead logging on. SQLite does not wait for a lock here, so this does.
fn write_ahead(conn: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let begin = Instant::now();
    loop {
        match conn.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && begin.elapsed() < patience =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// Makes or migrates the trace store in a database.
pub(crate) fn prepare(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate(conn, path, APPLICATION_ID, STEPS)
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<u32> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

/// Brings a database to the last of the steps.
pub(crate) fn migrate(
    conn: &mut Connection,
    path: &Path,
    application: u32,
    steps: &[Step],
) -> Result<(), StoreError> {
    let supported = steps.last().map_or(0, |step| step.version);
    let check = |conn: &Connection| -> Result<u32, StoreError> {
        let (version, kind) = (
            pragma(conn, "user_version")?,
            pragma(conn, "application_id")?,
        );
        let tables: u32 =
            conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if kind != application && (kind != 0 || version != 0 || tables != 0) {
            return Err(StoreError::NotAStore {
                path: path.to_owned(),
            });
        }
        if version > supported {
            return Err(StoreError::NewerSchema {
                found: version,
                supported,
            });
        }
        Ok(version)
    };
    if check(conn)? == supported {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it in the meantime.
    let version = check(&tx)?;
    for step in steps.iter().filter(|step| step.version > version) {
        tx.execute_batch(step.statements)?;
        if let Some(then) = step.then {
            then(&tx)?;
        }
    }
    tx.pragma_update(None, "application_id", application)?;
    tx.pragma_update(None, "user_version", supported)?;
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Step = Step::of(1, "CREATE TABLE a(x INTEGER)");
    const SECOND: Step = Step::of(
        2,
        "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1",
    );
    const BROKEN: Step = Step::of(3, "DROP TABLE a; CREATE TABLE b(x INTEGER); NONSENSE");

    fn run(conn: &mut Connection, steps: &[Step]) -> Result<(), StoreError> {
        migrate(conn, Path::new("x"), 7, steps)
    }

    #[test]
    fn an_old_file_is_brought_forward_with_its_rows() {
        let mut conn = Connection::open_in_memory().unwrap();
        run(&mut conn, &[FIRST]).unwrap();
        conn.execute("INSERT INTO a VALUES (41)", []).unwrap();
        run(&mut conn, &[FIRST, SECOND]).unwrap();
        let y: i64 = conn
            .query_row("SELECT y FROM a", [], |row| row.get(0))
            .unwrap();
        assert_eq!(y, 42);
        assert_eq!(pragma(&conn, "user_version").unwrap(), 2);
        run(&mut conn, &[FIRST, SECOND]).unwrap();
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_version_whole() {
        let mut conn = Connection::open_in_memory().unwrap();
        run(&mut conn, &[FIRST, SECOND]).unwrap();
        conn.execute("INSERT INTO a VALUES (1, 2)", []).unwrap();
        run(&mut conn, &[FIRST, SECOND, BROKEN]).unwrap_err();
        let rows: i64 = conn
            .query_row("SELECT count(*) FROM a", [], |row| row.get(0))
            .unwrap();
        assert_eq!((rows, pragma(&conn, "user_version").unwrap()), (1, 2));
    }

    #[test]
    fn a_newer_or_foreign_file_is_refused_and_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        run(&mut conn, &[FIRST, SECOND]).unwrap();
        let error = run(&mut conn, &[FIRST]).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::NewerSchema {
                    found: 2,
                    supported: 1
                }
            ),
            "{error}"
        );
        assert_eq!(pragma(&conn, "user_version").unwrap(), 2);

        let mut conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE other(x)").unwrap();
        assert!(matches!(
            run(&mut conn, &[FIRST]),
            Err(StoreError::NotAStore { .. })
        ));
    }
}
