//! Filling the index.

use std::collections::HashSet;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::error::StoreError;
use crate::facet::Entity;
use crate::read::{Document, Reader};
use crate::schema::{self, Location, Setup};

/// "OPTX" in ASCII.
const APPLICATION_ID: u32 = 0x4f50_5458;

const V1: &str = "
CREATE TABLE progress(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    part INTEGER NOT NULL,      -- parts up to this key are in the index
    seq INTEGER NOT NULL,       -- changes of traces up to this number are in it
    gone INTEGER NOT NULL       -- and removals up to this one
) STRICT;
INSERT INTO progress VALUES (1, 0, 0, 0);
CREATE VIRTUAL TABLE span_text USING fts5(
    words, content='', contentless_delete=1, detail=none, tokenize='ascii');
CREATE VIRTUAL TABLE trace_text USING fts5(
    words, content='', contentless_delete=1, detail=none, tokenize='ascii');
-- Fewer and larger segments: less merging while a lot comes in.
INSERT INTO span_text(span_text, rank) VALUES ('hashsize', 8388608);
CREATE TABLE span_doc(doc INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE, hi INTEGER NOT NULL)
    STRICT;
CREATE TABLE trace_doc(doc INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE, hi INTEGER NOT NULL)
    STRICT;
";

const STEPS: &[(u32, &str)] = &[(1, V1)];

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

/// The index and the store that it follows.
#[derive(Debug)]
pub(crate) struct TextIndex {
    store: Reader,
    text: Connection,
}

impl TextIndex {
    pub(crate) fn new(store: Reader, text: Connection) -> Self {
        Self { store, text }
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
        let (news, goal) = self.store.snapshot(|store| {
            let goal = store.text_goal()?;
            if !goal.has_reached(at) {
                // The store lost its latest commits (power loss): keys may mean other rows now.
                tx.execute_batch(
                    "DELETE FROM span_text; DELETE FROM trace_text;
                     DELETE FROM span_doc; DELETE FROM trace_doc;",
                )?;
                at = Progress::default();
            }
            Ok((store.text_news(at)?, goal))
        })?;
        // FTS5 writes out its memory whenever a document sorts before the one before.
        let mut spans = news.spans;
        spans.sort_by_key(Document::number);
        for document in &spans {
            put(&tx, Entity::Part, document)?;
        }
        let mut traces = news.traces;
        traces.sort_by_key(Document::number);
        for document in &traces {
            forget(&tx, Entity::Trace, document.key)?;
            put(&tx, Entity::Trace, document)?;
        }
        for &(entity, key) in &news.gone {
            forget(&tx, entity, key)?;
        }
        let now = news.reached;
        tx.prepare_cached("UPDATE progress SET part = ?1, seq = ?2, gone = ?3")?
            .execute([now.part, now.seq, now.gone])?;
        tx.commit()?;
        Ok((now, !now.has_reached(goal)))
    }
}

impl Document {
    fn number(&self) -> i64 {
        super::document(self.hi, self.key)
    }
}

fn put(text: &Connection, entity: Entity, document: &Document) -> Result<(), StoreError> {
    let (words, docs) = match entity {
        Entity::Part => (
            "INSERT INTO span_text(rowid, words) VALUES (?1, ?2)",
            "INSERT OR REPLACE INTO span_doc(doc, key, hi) VALUES (?1, ?2, ?3)",
        ),
        Entity::Trace => (
            "INSERT INTO trace_text(rowid, words) VALUES (?1, ?2)",
            "INSERT OR REPLACE INTO trace_doc(doc, key, hi) VALUES (?1, ?2, ?3)",
        ),
    };
    let number = document.number();
    text.prepare_cached(words)?
        .execute(params![number, joined(&document.words)])?;
    text.prepare_cached(docs)?
        .execute([number, document.key, document.hi])?;
    Ok(())
}

fn joined(words: &HashSet<String>) -> String {
    let mut all = String::with_capacity(words.len() * 8);
    for word in words {
        all.push_str(word);
        all.push(' ');
    }
    all
}

fn forget(text: &Connection, entity: Entity, key: i64) -> Result<(), StoreError> {
    let (words, docs) = match entity {
        Entity::Part => (
            "DELETE FROM span_text WHERE rowid = (SELECT doc FROM span_doc WHERE key = ?1)",
            "DELETE FROM span_doc WHERE key = ?1",
        ),
        Entity::Trace => (
            "DELETE FROM trace_text WHERE rowid = (SELECT doc FROM trace_doc WHERE key = ?1)",
            "DELETE FROM trace_doc WHERE key = ?1",
        ),
    };
    text.prepare_cached(words)?.execute([key])?;
    text.prepare_cached(docs)?.execute([key])?;
    Ok(())
}
