//! What went wrong in a database, in the words of the trait.

use std::fmt;

use opik_core::SessionError;
use opik_core::session::SessionErrorKind as Kind;

/// Why a step failed, and what may be done about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: SessionError,
    pub(crate) then: Then,
}

/// What a failure means for the transaction and its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The connection is good; the transaction must be taken back.
    Undo,
    /// The database gave up the transaction because of another one: the same again may succeed.
    Again,
    /// The connection is of no more use.
    Discard,
}

impl Failure {
    /// Nothing is wrong with the database.
    pub(crate) fn of(error: SessionError) -> Self {
        let then = Then::Undo;
        Self { error, then }
    }

    pub(crate) fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self::of(SessionError::new(kind, context))
    }

    /// The deadline passed. What the connection is doing nobody knows.
    pub(crate) fn late(what: &str) -> Self {
        let text = format!("{what}: no answer from the database within the time allowed");
        let error = SessionError::new(Kind::Timeout, text);
        let then = Then::Discard;
        Self { error, then }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::of(error)
    }
}

impl From<Failure> for SessionError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// What a database calls its failure. Its own text is left out, because it may quote values.
#[derive(Debug)]
struct Code {
    database: &'static str,
    code: String,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} error {}", self.database, self.code)
    }
}

impl std::error::Error for Code {}

/// Sorts what sqlx says.
pub(crate) fn sort(what: &str, error: sqlx::Error) -> Failure {
    let (kind, text, then) = match &error {
        sqlx::Error::Database(database) => return of_database(what, database.as_ref()),
        sqlx::Error::Io(_) => (
            Kind::Unavailable,
            "the connection to the database failed",
            Then::Discard,
        ),
        sqlx::Error::Tls(_) => (
            Kind::Unavailable,
            "no encrypted connection to the database",
            Then::Discard,
        ),
        sqlx::Error::PoolTimedOut => (
            Kind::Timeout,
            "no connection to the database within the time allowed",
            Then::Discard,
        ),
        sqlx::Error::PoolClosed => (Kind::Unavailable, "the store is closed", Then::Discard),
        sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => (
            Kind::Unavailable,
            "the connection to the database broke",
            Then::Discard,
        ),
        sqlx::Error::Configuration(_) => {
            (Kind::Invalid, "the address cannot be used", Then::Discard)
        }
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnNotFound(_) => (
            Kind::Corrupt,
            "a column holds what its layout does not allow",
            Then::Discard,
        ),
        _ => (Kind::Internal, "the statement failed", Then::Discard),
    };
    let mut sorted = SessionError::new(kind, format!("{what}: {text}"));
    if let sqlx::Error::Io(io) = error {
        sorted = sorted.with_source(io);
    }
    Failure {
        error: sorted,
        then,
    }
}

fn of_database(what: &str, error: &dyn sqlx::error::DatabaseError) -> Failure {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        let number = error.number();
        return made(what, "MySQL", number.to_string(), mysql(number));
    }
    let code = error.code().unwrap_or_default().into_owned();
    #[cfg(feature = "postgres")]
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        let sorted = postgres(&code);
        return made(what, "PostgreSQL", code, sorted);
    }
    let sorted = sqlite(code.parse().unwrap_or(1));
    made(what, "SQLite", code, sorted)
}

type Sorted = (Kind, &'static str, Then);

fn made(what: &str, database: &'static str, code: String, (kind, text, then): Sorted) -> Failure {
    let error = SessionError::new(kind, format!("{what}: {text}"));
    let error = error.with_source(Code { database, code });
    Failure { error, then }
}

const THERE: Sorted = (
    Kind::Conflict,
    "a row of this key is there already",
    Then::Undo,
);
const GONE: Sorted = (Kind::NotFound, "no such session", Then::Undo);
const BUSY: Sorted = (
    Kind::Timeout,
    "somebody else held the lock for too long",
    Then::Undo,
);
#[cfg(any(feature = "mysql", feature = "postgres"))]
const DEADLOCK: Sorted = (
    Kind::Unavailable,
    "the database gave way to another transaction",
    Then::Again,
);
#[cfg(any(feature = "mysql", feature = "postgres"))]
const SLOW: Sorted = (
    Kind::Timeout,
    "the database stopped the statement",
    Then::Undo,
);
const FULL: Sorted = (Kind::Storage, "the database has no room", Then::Undo);
const READ_ONLY: Sorted = (Kind::Storage, "the database is read-only", Then::Undo);
const DISK: Sorted = (
    Kind::Storage,
    "the database cannot use its files",
    Then::Discard,
);
const CORRUPT: Sorted = (Kind::Corrupt, "the database is damaged", Then::Discard);
#[cfg(any(feature = "mysql", feature = "postgres"))]
const GOING: Sorted = (
    Kind::Unavailable,
    "the database is starting or stopping",
    Then::Discard,
);
#[cfg(any(feature = "mysql", feature = "postgres"))]
const CROWDED: Sorted = (
    Kind::Unavailable,
    "the database takes no more connections",
    Then::Discard,
);
const DENIED: Sorted = (Kind::Invalid, "the database denies access", Then::Discard);
#[cfg(any(feature = "mysql", feature = "postgres"))]
const NOWHERE: Sorted = (Kind::Invalid, "there is no such database", Then::Discard);
const TOO_LARGE: Sorted = (
    Kind::Invalid,
    "a value is too large for the database",
    Then::Discard,
);
const OTHER: Sorted = (Kind::Internal, "the statement failed", Then::Discard);

/// By the number of a server that speaks MySQL's protocol.
#[cfg(feature = "mysql")]
fn mysql(number: u16) -> Sorted {
    match number {
        1062 | 1586 => THERE,
        1452 | 1216 => GONE,
        1205 | 1907 => BUSY,
        1213 | 1020 => DEADLOCK,
        1317 | 1969 | 3024 => SLOW,
        1021 | 1114 | 1041 | 1037 | 1038 => FULL,
        1290 | 1792 | 1836 => READ_ONLY,
        1026 | 1030 | 1016 => DISK,
        1034 | 1194 | 1195 | 1712 => CORRUPT,
        1053 | 1077 | 1079 | 1080 | 1927 | 4031 => GOING,
        1040 | 1203 | 1226 => CROWDED,
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1698 => DENIED,
        1049 | 1046 => NOWHERE,
        1153 | 1301 | 1406 | 1118 => TOO_LARGE,
        _ => OTHER,
    }
}

/// By SQLSTATE.
#[cfg(feature = "postgres")]
fn postgres(state: &str) -> Sorted {
    match state {
        "23505" => THERE,
        "23503" => GONE,
        "55P03" => BUSY,
        // The last one: another program made the same table at this moment.
        "40001" | "40P01" | "42P07" => DEADLOCK,
        "57014" | "25P03" | "57P05" => SLOW,
        "53100" | "53200" | "53400" => FULL,
        "25006" => READ_ONLY,
        "58030" | "58P01" => DISK,
        "XX001" | "XX002" => CORRUPT,
        "53300" => CROWDED,
        "3D000" => NOWHERE,
        "42501" => DENIED,
        "54000" | "22001" => TOO_LARGE,
        _ if state.starts_with("28") => DENIED,
        _ if state.starts_with("08") || state.starts_with("57P") => GOING,
        _ => OTHER,
    }
}

/// By the extended result code.
fn sqlite(code: i32) -> Sorted {
    match code {
        1555 | 2067 => return THERE,
        787 => return GONE,
        _ => {}
    }
    match code & 0xff {
        5 | 6 => BUSY,
        8 => READ_ONLY,
        10 | 14 => DISK,
        11 | 26 => CORRUPT,
        13 => FULL,
        18 => TOO_LARGE,
        23 | 3 => DENIED,
        _ => OTHER,
    }
}
