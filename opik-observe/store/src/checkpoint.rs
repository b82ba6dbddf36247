//! Copying the write-ahead log into the file, beside the writer.
//!
//! SQLite would do it within the commit that makes the log long, and whoever waits for that commit
//! would wait for the disk. A thread with a connection of its own does it instead: it copies what
//! was committed while the writer goes on. The log begins again from its start when nothing is
//! left to copy, which never happens under full load; so once it is long, the writer itself copies
//! the little that was added since, between two transactions. Nobody waits for readers: one that
//! stays in an old state makes the log longer, as it always does in SQLite.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::threads::lock;

/// How much the writer adds to the log before it has it copied, in bytes.
const COPY_AFTER: usize = 36 << 20;
/// Length of the log from which it should begin again, in frames of a page: 36 MiB. It then stays
/// below the size to which SQLite cuts the file, and writes over pages that the file has.
const BEGIN_AGAIN: i64 = 9_216;
/// So few frames are copied in a few milliseconds.
const FEW: i64 = 512;
/// How often what was added during a copy is copied as well.
const ROUNDS: usize = 4;
/// What a transaction adds at least: the pages at the ends of indexes.
const PER_COMMIT: usize = 64 << 10;
/// How much longer the log gets than what is written: whole pages, and those of indexes.
const PAGES: usize = 5;
const PAGES_OF: usize = 2;
/// Between two attempts while another process copies.
const PAUSE: Duration = Duration::from_millis(5);

/// What the thread is asked to do.
enum Job {
    /// Copy what is there.
    Copy,
    /// Copy what is there and say how it went.
    Flush(oneshot::Sender<Result<(), StoreError>>),
}

#[derive(Debug, Default)]
struct Shared {
    /// A copy was asked for and has not ended.
    asked: AtomicBool,
    /// The log is long, and little is left to copy.
    long: AtomicBool,
    /// Held while this process copies: SQLite does not wait for others that do.
    copying: Mutex<()>,
}

/// The log as the writer sees it.
#[derive(Debug)]
pub(crate) struct Log {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    added: usize,
}

/// Asks for the log to be flushed.
#[derive(Debug, Clone)]
pub(crate) struct Flusher(Sender<Job>);

/// What the thread needs.
pub(crate) struct Copier {
    conn: Connection,
    jobs: Receiver<Job>,
    shared: Arc<Shared>,
    patience: Duration,
}

/// The two ends: one for the writer, one for a thread of its own. The thread ends with the writer.
pub(crate) fn pair(conn: Connection, patience: Duration) -> (Log, Copier) {
    let (jobs, receiver) = channel();
    let shared = Arc::new(Shared::default());
    let log = Log {
        jobs,
        shared: Arc::clone(&shared),
        added: 0,
    };
    let copier = Copier {
        conn,
        jobs: receiver,
        shared,
        patience,
    };
    (log, copier)
}

/// How a copy went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Copied {
    /// Another connection was at it.
    busy: bool,
    /// Frames in the log.
    frames: i64,
    /// How many of them are in the file.
    done: i64,
}

fn copy(conn: &Connection, mode: &str) -> Result<Copied, StoreError> {
    Ok(
        conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            Ok(Copied {
                busy: row.get(0)?,
                frames: row.get(1)?,
                done: row.get(2)?,
            })
        })?,
    )
}

impl Log {
    /// Says how much content a transaction wrote, in bytes. SQLite does not tell the length of the
    /// log before it copies it, so this is estimated.
    pub(crate) fn added(&mut self, content: usize) {
        let pages = content.saturating_mul(PAGES) / PAGES_OF;
        self.added = self.added.saturating_add(pages).saturating_add(PER_COMMIT);
    }

    /// Keeps the log short; to be called between transactions of `conn`.
    pub(crate) fn tend(&mut self, conn: &Connection) -> Result<(), StoreError> {
        if self.shared.long.swap(false, Ordering::AcqRel) {
            let _copying = lock(&self.shared.copying);
            copy(conn, "PASSIVE")?;
        } else if self.added >= COPY_AFTER && !self.shared.asked.swap(true, Ordering::AcqRel) {
            self.added = 0;
            // The thread lives as long as this.
            drop(self.jobs.send(Job::Copy));
        }
        Ok(())
    }

    /// Copies everything and empties the log, as far as readers and other processes allow.
    pub(crate) fn empty(&self, conn: &Connection) -> Result<(), StoreError> {
        let _copying = lock(&self.shared.copying);
        copy(conn, "TRUNCATE").map(drop)
    }

    pub(crate) fn flusher(&self) -> Flusher {
        Flusher(self.jobs.clone())
    }
}

impl Flusher {
    /// Has everything that is committed written into the file and flushed to the disk.
    pub(crate) fn flush(&self) -> Result<oneshot::Receiver<Result<(), StoreError>>, StoreError> {
        let (answer, wait) = oneshot::channel();
        self.0
            .send(Job::Flush(answer))
            .map_err(|_| StoreError::Closed)?;
        Ok(wait)
    }
}

impl Copier {
    /// Does what it is asked until the writer has gone.
    pub(crate) fn run(self) {
        while let Ok(job) = self.jobs.recv() {
            match job {
                Job::Copy => {
                    if let Err(error) = self.keep_short() {
                        tracing::debug!(target: "opik_store", %error, "the log stays for now");
                    }
                    self.shared.asked.store(false, Ordering::Release);
                }
                // Whoever asked may have gone.
                Job::Flush(answer) => drop(answer.send(self.flush())),
            }
        }
    }

    fn keep_short(&self) -> Result<(), StoreError> {
        let mut known = 0;
        for _ in 0..ROUNDS {
            let now = {
                let _copying = lock(&self.shared.copying);
                copy(&self.conn, "PASSIVE")?
            };
            // Of what a reader still needs the copy has to wait.
            if now.busy || now.frames < BEGIN_AGAIN || now.done < now.frames {
                return Ok(());
            }
            if now.frames - known < FEW {
                break;
            }
            known = now.frames;
        }
        self.shared.long.store(true, Ordering::Release);
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let begin = Instant::now();
        loop {
            let now = {
                let _copying = lock(&self.shared.copying);
                copy(&self.conn, "PASSIVE")?
            };
            if !now.busy {
                return Ok(());
            }
            if begin.elapsed() > self.patience {
                return Err(StoreError::Busy(
                    "another process is flushing the store".into(),
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(path: &std::path::Path) -> Connection {
        let conn = Connection::open(path).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE IF NOT EXISTS t(x)",
        )
        .unwrap();
        conn
    }

    fn write(conn: &Connection, log: &mut Log, mebibytes: usize) {
        for _ in 0..mebibytes {
            conn.execute("INSERT INTO t VALUES (zeroblob(1 << 20))", [])
                .unwrap();
            log.added(1 << 20);
        }
        log.tend(conn).unwrap();
    }

    #[test]
    fn a_long_log_begins_again_though_the_writer_never_rests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let conn = connection(&path);
        let (mut log, copier) = pair(connection(&path), Duration::from_secs(1));
        write(&conn, &mut log, 80);
        assert!(matches!(copier.jobs.try_recv(), Ok(Job::Copy)));
        // A transaction that goes on while the log is copied leaves something to copy.
        conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        conn.execute("INSERT INTO t VALUES (1)", []).unwrap();
        copier.keep_short().unwrap();
        conn.execute_batch("COMMIT").unwrap();
        log.tend(&conn).unwrap();
        write(&conn, &mut log, 1);
        let now = copy(&conn, "PASSIVE").unwrap();
        assert!(now.frames < 600, "{now:?}");
        let rows: i64 = conn
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 82);
    }

    #[test]
    fn a_reader_in_an_old_state_keeps_the_log_but_nobody_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        let conn = connection(&path);
        let (mut log, copier) = pair(connection(&path), Duration::from_secs(1));
        write(&conn, &mut log, 1);
        let reader = connection(&path);
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        write(&conn, &mut log, 80);
        copier.keep_short().unwrap();
        assert!(!copier.shared.long.load(Ordering::Acquire));
        copier.flush().unwrap();
        reader.execute_batch("COMMIT").unwrap();
        copier.keep_short().unwrap();
        assert!(copier.shared.long.load(Ordering::Acquire));
    }
}
