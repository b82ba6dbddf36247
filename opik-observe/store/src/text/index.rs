//! Filling the index.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};

use super::{Builder, merge};
use crate::error::StoreError;
use crate::facet::Entity;
use crate::read::{Document, News, Reader};
use crate::recent::Recent;
use crate::schema::{self, Location, Setup};
use crate::threads::Turns;

/// "OPTX" in ASCII.
const APPLICATION_ID: u32 = 0x4f50_5458;

const V3: &str = "
DROP TABLE IF EXISTS span_text;
DROP TABLE IF EXISTS trace_text;
DROP TABLE IF EXISTS span_doc;
DROP TABLE IF EXISTS trace_doc;
DROP TABLE IF EXISTS progress;
DROP TABLE IF EXISTS segment;
DROP TABLE IF EXISTS doc;
DROP TABLE IF EXISTS page;
DROP TABLE IF EXISTS removed;
CREATE TABLE progress(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    part INTEGER NOT NULL,      -- parts up to this key are in the index
    seq INTEGER NOT NULL,       -- changes of traces up to this number are in it
    gone INTEGER NOT NULL       -- and removals up to this one
) STRICT;
INSERT INTO progress VALUES (1, 0, 0, 0);
CREATE TABLE segment(
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    entity INTEGER NOT NULL,
    docs INTEGER NOT NULL,
    newest INTEGER NOT NULL     -- highest bound of a document
) STRICT;
CREATE TABLE doc(
    key INTEGER PRIMARY KEY,    -- segment and number of the first row
    list BLOB NOT NULL          -- documents
) STRICT;
CREATE TABLE page(
    key INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    first BLOB NOT NULL,        -- its first word
    data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX page_first ON page(segment, first);
CREATE TABLE removed(           -- documents that are still in a segment
    entity INTEGER NOT NULL,
    key INTEGER NOT NULL,
    PRIMARY KEY (entity, key)
) STRICT, WITHOUT ROWID;
";

// Version 1 was made of FTS5 tables, version 2 knew no single spans. An index is cheap to build
// again.
const STEPS: &[schema::Step] = &[schema::Step::of(3, V3)];

/// Makes the tables of the index in an empty database.
#[cfg(test)]
pub(super) fn make(conn: &mut Connection) -> Result<(), StoreError> {
    schema::migrate(conn, std::path::Path::new("test"), APPLICATION_ID, STEPS)
}

/// How far the index is, or should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) part: i64,
    pub(crate) seq: i64,
    pub(crate) gone: i64,
}

impl Progress {
    /// Whether everything up to `other` is done.
    pub(crate) fn has_reached(self, other: Self) -> bool {
        self.part >= other.part && self.seq >= other.seq && self.gone >= other.gone
    }
}

/// Opens the index, and makes it where there is none or only a damaged one.
pub(crate) fn open(location: &Location, setup: Setup) -> Result<Connection, StoreError> {
    let setup = Setup {
        create: true,
        durability: crate::Durability::Process,
        ..setup
    };
    let attempt = || {
        let mut conn = schema::connect(location, setup)?;
        schema::migrate(&mut conn, location.path(), APPLICATION_ID, STEPS)?;
        Ok(conn)
    };
    match attempt() {
        Err(StoreError::Corrupt(_) | StoreError::NotAStore { .. }) => {
            if let Location::File(path) = location {
                for suffix in ["", "-wal", "-shm"] {
                    let mut name = path.clone().into_os_string();
                    name.push(suffix);
                    // A file that is not there is as good as removed.
                    drop(std::fs::remove_file(name));
                }
            }
            attempt()
        }
        result => result,
    }
}

/// Opens the index for questions.
pub(crate) fn open_to_read(location: &Location, setup: Setup) -> Result<Connection, StoreError> {
    let conn = schema::connect(
        location,
        Setup {
            create: false,
            ..setup
        },
    )?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// How far the index is.
pub(crate) fn progress(text: &Connection) -> Result<Progress, StoreError> {
    Ok(text
        .prepare_cached("SELECT part, seq, gone FROM progress")?
        .query_row([], |row| {
            Ok(Progress {
                part: row.get(0)?,
                seq: row.get(1)?,
                gone: row.get(2)?,
            })
        })?)
}

/// How many parts and traces a step takes at most.
const STEP: usize = 6_000;
/// How many words of rows it takes, give or take what is read at once. It holds each twice, in four
/// bytes.
const STEP_WORDS: usize = 6_000_000;
/// How many of them are read from one snapshot of the store.
const AT_ONCE: usize = 500;
const GONE: usize = 5_000;

/// The index and the store that it follows.
#[derive(Debug)]
pub(crate) struct TextIndex {
    store: Reader,
    text: Connection,
    recent: Arc<Recent>,
}

impl TextIndex {
    pub(crate) fn new(mut store: Reader, text: Connection, recent: Arc<Recent>) -> Self {
        store.look_into(Arc::clone(&recent));
        Self {
            store,
            text,
            recent,
        }
    }

    pub(crate) fn progress(&self) -> Result<Progress, StoreError> {
        progress(&self.text)
    }

    /// Takes in some of what is new. Tells how far it is, and whether there is more.
    pub(crate) fn advance(&mut self) -> Result<(Progress, bool), StoreError> {
        let goal = self.store.snapshot(|store| store.text_goal())?;
        let known = self.progress()?;
        if known.has_reached(goal) && goal.has_reached(known) {
            return Ok((known, false));
        }
        let tx = self
            .text
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut at = progress(&tx)?;
        let goal = self.store.snapshot(|store| store.text_goal())?;
        if !goal.has_reached(at) {
            // The store lost its latest commits (power loss): keys may mean other rows now.
            tx.execute_batch(
                "DELETE FROM page; DELETE FROM doc; DELETE FROM segment; DELETE FROM removed;",
            )?;
            at = Progress::default();
        }
        let (parts, part) = collect(at.part, STEP_WORDS, |after| {
            self.store.snapshot(|store| store.new_parts(after, AT_ONCE))
        })?;
        let (rows, seq) = collect(at.seq, STEP_WORDS, |after| {
            self.store.snapshot(|store| store.new_rows(after, AT_ONCE))
        })?;
        let gone = self.store.snapshot(|store| store.removed(at.gone, GONE))?;
        parts.words.store(&tx, Entity::Part)?;
        rows.words.store(&tx, Entity::Trace)?;
        for (entity, key) in &gone.items {
            tx.prepare_cached("INSERT OR IGNORE INTO removed(entity, key) VALUES (?1, ?2)")?
                .execute([entity.code(), *key])?;
        }
        let now = Progress {
            part,
            seq,
            gone: gone.reached,
        };
        tx.prepare_cached("UPDATE progress SET part = ?1, seq = ?2, gone = ?3")?
            .execute([now.part, now.seq, now.gone])?;
        tx.commit()?;
        // A block whose parts are in is not asked for again, but for the rows of traces: what is
        // left of those comes from the file.
        self.recent.drop_until(parts.newest_block);
        Ok((now, !now.has_reached(goal)))
    }

    /// Merges some of what many steps left behind. Tells whether there was something.
    pub(crate) fn tidy(&mut self) -> Result<bool, StoreError> {
        let tx = self
            .text
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let any = merge::merge_some(&tx)?;
        tx.commit()?;
        Ok(any)
    }
}

/// The words of some documents.
struct Step {
    words: Builder,
    /// The highest key of a block that was read.
    newest_block: i64,
}

/// Reads documents from a point on, until there are enough words or documents. Tells the point that
/// was reached.
fn collect(
    after: i64,
    most_words: usize,
    mut next: impl FnMut(i64) -> Result<News<Document>, StoreError>,
) -> Result<(Step, i64), StoreError> {
    let mut step = Step {
        words: Builder::default(),
        newest_block: 0,
    };
    let mut reached = after;
    let mut turns = Turns::of(4);
    loop {
        let news = next(reached)?;
        for document in &news.items {
            document.read(&mut step.words)?;
            turns.done();
            step.newest_block = step.newest_block.max(document.block);
        }
        reached = news.reached;
        let full = step.words.len() >= STEP || step.words.words() >= most_words;
        if !news.more || full {
            return Ok((step, reached));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Batch, Exporter as _, Json};
    use opik_testkit::records;

    use crate::Store;

    #[test]
    fn a_step_ends_when_it_has_enough_words_and_the_next_goes_on_from_there() {
        let store = Store::open_in_memory().unwrap();
        for number in 0..40 {
            let words: Vec<String> = (0..1_000).map(|word| format!("w{number}x{word}")).collect();
            let mut span = records::full_span(number, 0);
            span.input = Some(Json::string(&words.join(" ")));
            let batch = Batch::new(vec![records::full_trace(number)], vec![span]);
            pollster::block_on(store.export(&batch)).unwrap();
        }
        let steps = |most_words| {
            let (mut after, mut documents) = (0, Vec::new());
            while documents.iter().sum::<usize>() < 40 {
                let (step, reached) = collect(after, most_words, |after| {
                    store.read(move |reader| reader.new_parts(after, 2))
                })
                .unwrap();
                assert!(reached > after);
                after = reached;
                documents.push(step.words.len());
            }
            documents
        };
        assert_eq!(steps(usize::MAX), [40]);
        // Words are counted when their row has ended: the last one of what was read is not among them.
        let few = steps(5_000);
        assert!(few.iter().all(|documents| *documents <= 8), "{few:?}");
        assert_eq!(few.iter().sum::<usize>(), 40);
    }
}
