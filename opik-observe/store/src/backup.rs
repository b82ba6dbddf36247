//! Copies of a store, made while it is used, and brought back.
//!
//! A copy is one file without a log: what was committed when it began, compact, with nothing of
//! deleted content. It is written beside its place under another name, flushed to the disk and
//! renamed, so that there is never half a copy under its name. The text index is not copied; it
//! is built again.
//!
//! Bringing a copy back replaces the file of a store that nobody uses. The file that was there is
//! kept under another name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opik_core::Timestamp;
use rusqlite::{Connection, OpenFlags, params};

use crate::error::StoreError;
use crate::options::Durability;
use crate::schema::{self, Location, Setup};
use crate::store::Store;

/// How long to wait for others to let go of a store that is to be replaced.
const PATIENCE: Duration = Duration::from_secs(1);

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The copy.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Traces in it that have a row.
    pub traces: u64,
}

/// A copy that was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Traces in it that have a row.
    pub traces: u64,
    /// Where the file is that was there before.
    pub kept: Option<PathBuf>,
}

/// What was last done to keep a store in order, with its moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkeep {
    /// When the last copy was made, and where it was put.
    pub backup: Option<(Timestamp, PathBuf)>,
    /// When traces were last pruned.
    pub prune: Option<Timestamp>,
    /// Bytes of the file that are free for what is to come.
    pub free_bytes: u64,
}

impl Store {
    /// Writes a copy of the store to a file that does not exist yet, while others read and write.
    /// The copy has what was acknowledged before the call, and is readable by its owner only.
    ///
    /// Reads everything once; the write-ahead log grows meanwhile with what is written. Waits for
    /// the copy, so it belongs into a blocking context.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the file is there; others when it cannot be written.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport, StoreError> {
        let to = std::path::absolute(to.as_ref()).map_err(storage)?;
        if to.exists() {
            return Err(StoreError::Exists { path: to });
        }
        let conn = schema::connect(self.location(), setup(false))?;
        copy_into(&conn, &to)?;
        let traces = traces_of(&open_to_read(&to)?)?;
        let bytes = fs::metadata(&to).map_err(storage)?.len();
        self.note_upkeep("backup", &to.to_string_lossy())?;
        Ok(BackupReport {
            path: to,
            bytes,
            traces,
        })
    }

    /// What was last done to keep the store in order.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn upkeep(&self) -> Result<Upkeep, StoreError> {
        self.read(|reader| {
            let conn = reader.conn();
            let mut all = Upkeep::default();
            let mut statement = conn.prepare("SELECT what, at, detail FROM upkeep")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (what, detail): (String, String) = (row.get(0)?, row.get(2)?);
                let at = Timestamp::from_micros(row.get(1)?);
                match what.as_str() {
                    "backup" => all.backup = Some((at, detail.into())),
                    "prune" => all.prune = Some(at),
                    _ => {}
                }
            }
            let pragma = |name: &str| -> Result<u64, StoreError> {
                let value: i64 = conn.pragma_query_value(None, name, |row| row.get(0))?;
                Ok(value.max(0).cast_unsigned())
            };
            all.free_bytes = pragma("freelist_count")? * pragma("page_size")?;
            Ok(all)
        })
    }

    pub(crate) fn note_upkeep(&self, what: &'static str, detail: &str) -> Result<(), StoreError> {
        let detail = detail.to_owned();
        self.write(move |writer| {
            writer.transaction(|work| {
                work.conn().execute(
                    "INSERT INTO upkeep VALUES (?1, ?2, ?3)
                     ON CONFLICT (what) DO UPDATE SET at = excluded.at, detail = excluded.detail",
                    params![what, Timestamp::now().as_micros(), detail],
                )?;
                Ok(())
            })
        })
    }

    /// Brings a copy back: checks it, and puts it where a store is or is to be. Nobody may use
    /// that store. A file that is there is only replaced with `replace`, and is then kept beside
    /// it, as `<name>.before-restore`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] without `replace`, [`StoreError::InUse`] while others use the store,
    /// [`StoreError::Corrupt`] or [`StoreError::Damaged`] when the copy is not whole; the store is
    /// as it was then.
    pub fn restore(
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        replace: bool,
    ) -> Result<RestoreReport, StoreError> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let to = std::path::absolute(to).map_err(storage)?;
        let copy = open_to_read(from)?;
        schema::check_readable(&copy, from)?;
        let verdict: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::Damaged("the copy is not whole"));
        }
        let is_there = to.exists();
        if is_there && !replace {
            return Err(StoreError::Exists { path: to });
        }
        if is_there {
            nobody_uses(&to)?;
        }
        let fresh = beside(&to, ".restoring");
        remove(&fresh)?;
        copy_into(&copy, &fresh)?;
        let traces = traces_of(&copy)?;
        let kept = is_there.then(|| set_aside(&to)).transpose()?;
        // The index is of the store that was there.
        for end in ["-text", "-text-wal", "-text-shm", "-wal", "-shm"] {
            remove(&beside(&to, end))?;
        }
        fs::rename(&fresh, &to).map_err(storage)?;
        flush_folder_of(&to)?;
        Ok(RestoreReport { traces, kept })
    }
}

fn storage(error: io::Error) -> StoreError {
    StoreError::Storage(error.into())
}

fn setup(create: bool) -> Setup {
    Setup {
        durability: Durability::Process,
        busy_timeout: PATIENCE,
        create,
    }
}

/// The path with something at the end of its name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    name.into()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage(error)),
        _ => Ok(()),
    }
}

fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    if !schema::is_sqlite(path).map_err(|error| StoreError::Open {
        path: path.to_owned(),
        source: error.into(),
    })? {
        return Err(StoreError::NotAStore {
            path: path.to_owned(),
        });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| StoreError::Open {
        path: path.to_owned(),
        source: error.into(),
    })
}

fn traces_of(conn: &Connection) -> Result<u64, StoreError> {
    let count: i64 = conn.query_row("SELECT count(*) FROM trace WHERE present = 1", [], |row| {
        row.get(0)
    })?;
    Ok(count.max(0).cast_unsigned())
}

/// Writes what a connection sees into a file of its own.
fn copy_into(conn: &Connection, to: &Path) -> Result<(), StoreError> {
    let part = beside(to, &format!(".{}.part", std::process::id()));
    remove(&part)?;
    schema::create_private(&part).map_err(|error| StoreError::Open {
        path: part.clone(),
        source: error.into(),
    })?;
    let written = || -> Result<(), StoreError> {
        conn.execute("VACUUM INTO ?1", [part.to_string_lossy()])?;
        File::options()
            .write(true)
            .open(&part)
            .and_then(|file| file.sync_all())
            .map_err(storage)?;
        fs::rename(&part, to).map_err(storage)?;
        flush_folder_of(to)
    };
    let result = written();
    if result.is_err() {
        remove(&part)?;
    }
    result
}

/// A file's name is on the disk when its folder is. Other systems than Unix have no such thing.
fn flush_folder_of(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(storage)?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Leaves write-ahead logging, which SQLite allows to the only connection. What is in the log is
/// in the file then. A file that is no store any more is used by nobody.
fn nobody_uses(path: &Path) -> Result<(), StoreError> {
    let left = || -> Result<(), StoreError> {
        let conn = schema::connect(&Location::File(path.to_owned()), setup(false))?;
        conn.pragma_update(None, "journal_mode", "DELETE")?;
        Ok(())
    };
    match left() {
        Err(StoreError::Busy(_)) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(StoreError::Corrupt(_) | StoreError::NotAStore { .. } | StoreError::Damaged(_)) => {
            Ok(())
        }
        other => other,
    }
}

/// Gives the file that is there another name, which nothing has.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut kept = beside(path, ".before-restore");
    for number in 2..10_000 {
        if !kept.exists() {
            break;
        }
        kept = beside(path, &format!(".before-restore-{number}"));
    }
    fs::rename(path, &kept).map_err(storage)?;
    Ok(kept)
}
