//! The write side: everything that one connection does inside `BEGIN IMMEDIATE`.
//!
//! A transaction takes any number of packed batches. For a trace that the store has not seen the
//! parts go in as they are; for a known one the rows are compared with what is there first (see
//! [`spans`]). Caches hold nothing that another process could have changed without notice: keys
//! of projects and facets never change, and the spans of a trace are remembered together with the
//! trace's `seq`.

mod blocks;
mod delete;
mod merge;
mod names;
mod overlays;
mod scores;
mod spans;
mod traces;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use opik_core::TraceId;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::checkpoint::Log;
use crate::error::StoreError;
use crate::facet::{Entity, Facet};
use crate::pack::Packed;
use crate::recent::Recent;
use crate::threads::Turns;
use blocks::Wipe;
use names::Posting;
use spans::SpanCache;

pub(crate) use delete::{CHUNK, Deleted};
pub(crate) use spans::is_dead;

/// What the writer remembers between transactions.
#[derive(Debug, Default)]
struct State {
    projects: HashMap<String, i64>,
    /// State of the file, as SQLite counts the commits of other connections.
    others: i64,
    facets: HashMap<(Entity, i64), HashMap<Facet, i64, RandomState>, RandomState>,
    spans: SpanCache,
}

/// The connection that writes, and what it remembers.
#[derive(Debug)]
pub(crate) struct Writer {
    conn: Connection,
    state: State,
    log: Log,
    /// For the text index, if this process fills it.
    recent: Option<Arc<Recent>>,
}

/// One transaction.
pub(crate) struct Work<'w> {
    conn: &'w Connection,
    state: &'w mut State,
    seq: i64,
    trace: i64,
    part: i64,
    block: i64,
    wipes: BTreeMap<i64, Wipe>,
    /// The block that rows were last compared with, and its content.
    compared: Option<(i64, Vec<u8>)>,
    /// Postings that are not written yet.
    postings: Vec<Posting>,
    /// What has to be added to tallies, by facet.
    tallies: BTreeMap<i64, i64>,
    /// Bytes of content that were written.
    written: usize,
    /// Blocks that were written, and those that were overwritten or deleted.
    fresh: Vec<(i64, Arc<Vec<u8>>)>,
    overwritten: HashSet<i64>,
    /// Whether there are overlays, and anything else on records, where it was looked at.
    overlays: Option<bool>,
    attached: Option<bool>,
}

/// What a transaction did to blocks.
struct Done {
    written: usize,
    fresh: Vec<(i64, Arc<Vec<u8>>)>,
    overwritten: HashSet<i64>,
}

impl Writer {
    pub(crate) fn new(conn: Connection, log: Log, recent: Option<Arc<Recent>>) -> Self {
        Self {
            conn,
            state: State::default(),
            log,
            recent,
        }
    }

    /// Writes batches in one transaction: all or none.
    pub(crate) fn write(&mut self, batches: &[&Packed]) -> Result<(), StoreError> {
        self.transaction(|work| {
            for packed in batches {
                work.batch(packed)?;
            }
            Ok(())
        })
    }

    /// Runs `act` in a transaction that is committed when it succeeds.
    pub(crate) fn transaction<T>(
        &mut self,
        act: impl FnOnce(&mut Work<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = Self::attempt(&mut self.conn, &mut self.state, act);
        match result {
            Ok((value, done)) => {
                self.log.added(done.written);
                if let Some(recent) = &self.recent {
                    recent.put(done.fresh, &done.overwritten);
                }
                Ok(value)
            }
            Err(error) => {
                // What was remembered may have been rolled back.
                self.state = State::default();
                Err(error)
            }
        }
    }

    /// Keeps the log short; to be called when nobody waits for a commit.
    pub(crate) fn tend_log(&mut self) {
        if let Err(error) = self.log.tend(&self.conn) {
            tracing::debug!(target: "opik_store", %error, "the log stays for now");
        }
    }

    fn attempt<T>(
        conn: &mut Connection,
        state: &mut State,
        act: impl FnOnce(&mut Work<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, Done), StoreError> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let others = tx
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if state.others != others {
            // Another process may have renamed or deleted projects.
            state.others = others;
            state.projects.clear();
        }
        let (seq, trace, part, block) = tx
            .prepare_cached("SELECT seq, trace, part, block FROM counter")?
            .query_row([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
        let before = (seq, trace, part, block);
        let changes = tx.total_changes();
        let wipes = BTreeMap::new();
        let mut work = Work {
            conn: &tx,
            state,
            seq,
            trace,
            part,
            block,
            wipes,
            compared: None,
            postings: Vec::new(),
            tallies: BTreeMap::new(),
            written: 0,
            fresh: Vec::new(),
            overwritten: HashSet::new(),
            overlays: None,
            attached: None,
        };
        let value = act(&mut work)?;
        work.flush_wipes()?;
        work.flush_postings()?;
        work.flush_tallies()?;
        let after = (work.seq, work.trace, work.part, work.block);
        // Totals that were counted before any change to the store no longer count.
        if after != before || tx.total_changes() != changes {
            let update = "UPDATE counter
                          SET seq = ?1, trace = ?2, part = ?3, block = ?4, change = change + 1";
            tx.prepare_cached(update)?
                .execute(params![after.0, after.1, after.2, after.3])?;
        }
        let done = Done {
            written: work.written,
            fresh: work.fresh,
            overwritten: work.overwritten,
        };
        tx.commit()?;
        Ok((value, done))
    }
}

impl Work<'_> {
    fn batch(&mut self, packed: &Packed) -> Result<(), StoreError> {
        self.rows(packed)?;
        self.meet_overlays(packed)
    }

    /// Takes the rows of a batch as they are.
    fn rows(&mut self, packed: &Packed) -> Result<(), StoreError> {
        let projects = packed
            .projects
            .iter()
            .map(|project| self.project(project, packed.arrived))
            .collect::<Result<Vec<_>, _>>()?;
        let mut blocks = blocks::Blocks::new(&packed.blocks);
        let mut turns = Turns::of(8);
        for trace in &packed.traces {
            self.trace(packed.arrived, &projects, &mut blocks, trace)?;
            turns.done();
        }
        blocks.finish(self)?;
        self.scores(&packed.scores, packed.arrived)
    }

    /// The connection, inside the transaction.
    pub(crate) fn conn(&self) -> &Connection {
        self.conn
    }

    /// Forgets keys of projects, after names changed.
    pub(crate) fn forget_projects(&mut self) {
        self.state.projects.clear();
    }

    /// Notes that something about a trace changed that is not in its row.
    pub(crate) fn trace_changed(&mut self, id: TraceId) -> Result<(), StoreError> {
        let seq = self.next_seq();
        self.conn
            .prepare_cached("UPDATE trace SET seq = ?2 WHERE id = ?1")?
            .execute(params![id.as_bytes(), seq])?;
        Ok(())
    }

    fn next_seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }
}
