//! The read side: one connection, one snapshot per question.

mod ahead;
mod candidates;
mod check;
mod count;
mod cursor;
mod documents;
mod page;
mod plan;
mod records;
mod scores;
mod spans;
mod stats;
mod together;
mod totals;
mod traces;

use std::sync::Arc;

use opik_core::query::ProjectSelector;
use opik_core::{ProjectId, Trace};
use rusqlite::{Connection, OptionalExtension};

use crate::block;
use crate::catalog::of_traces;
use crate::error::StoreError;
use crate::readers::Asker;
use crate::recent::Recent;
use crate::text;

use records::Spare;

pub(crate) use cursor::Newest;
pub(crate) use documents::{Document, News};
pub(crate) use spans::trace_of_span;
pub(crate) use totals::Counted;

/// Blocks that are kept while a question is answered; neighbours of a page share blocks.
const MOST_BLOCKS: usize = 4;

/// Projects that were met, the one that was asked for last at the end. There are few: a list is
/// mostly that of one.
#[derive(Debug, Default)]
struct Projects(Vec<(i64, ProjectId, String)>);

impl Projects {
    fn get(&mut self, conn: &Connection, key: i64) -> Result<(ProjectId, &str), StoreError> {
        match self.0.iter().rposition(|(known, ..)| *known == key) {
            Some(at) if at + 1 == self.0.len() => {}
            Some(at) => {
                let last = self.0.len() - 1;
                self.0.swap(at, last);
            }
            None => {
                let (id, name) = conn
                    .prepare_cached("SELECT id, name FROM project WHERE key = ?1")?
                    .query_row([key], |row| {
                        Ok((ProjectId::from_bytes(row.get(0)?), row.get(1)?))
                    })
                    .optional()?
                    .ok_or(MISSING)?;
                self.0.push((key, id, name));
            }
        }
        let (_, id, name) = self.0.last().ok_or(MISSING)?;
        Ok((*id, name))
    }
}

const MISSING: StoreError = StoreError::Damaged("a project is missing");

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct Reader {
    conn: Connection,
    /// The text index, if there is one.
    text: Option<Connection>,
    /// Projects that were met while a question is answered.
    projects: Projects,
    spare: Spare,
    blocks: Vec<(i64, Arc<Vec<u8>>)>,
    /// Blocks that need not be read from the file; only the text index has them.
    recent: Option<Arc<Recent>>,
    /// Totals that readers of this process counted.
    counted: Option<Arc<Counted>>,
    /// The readers of this process, this one among them.
    others: Option<Asker<Self>>,
    has_scores: [Option<bool>; 2],
    has_attached: Option<bool>,
    is_catalogued: Option<bool>,
}

impl Reader {
    pub(crate) fn new(conn: Connection, text: Option<Connection>) -> Self {
        Self {
            conn,
            text,
            projects: Projects::default(),
            spare: Spare::default(),
            blocks: Vec::new(),
            recent: None,
            counted: None,
            others: None,
            has_scores: [None; 2],
            has_attached: None,
            is_catalogued: None,
        }
    }

    /// Takes blocks from memory when they are there.
    pub(crate) fn look_into(&mut self, recent: Arc<Recent>) {
        self.recent = Some(recent);
    }

    /// Shares totals that are counted with other readers, and has them count.
    pub(crate) fn share(&mut self, counted: Arc<Counted>, others: Asker<Self>) {
        self.counted = Some(counted);
        self.others = Some(others);
    }

    /// Answers one question from one state of the store.
    pub(crate) fn snapshot<T>(
        &mut self,
        ask: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.blocks.clear();
        self.projects.0.clear();
        self.has_scores = [None; 2];
        self.has_attached = None;
        self.is_catalogued = None;
        begin(&self.conn)?;
        if let Some(text) = &self.text {
            begin(text)?;
        }
        let answer = ask(self);
        // A read has nothing to lose; ending it must not hide the answer.
        end(&self.conn);
        self.text.as_ref().map(end);
        answer
    }

    /// Begins with the state of the text index where words are asked for: what is in it is in the
    /// store as well then, and what is new in the store is looked at beside it.
    fn see_index_first(&self, words: Option<&str>) -> Result<(), StoreError> {
        if let (Some(text), Some(_)) = (&self.text, words) {
            text::progress(text)?;
        }
        Ok(())
    }

    /// The connection that reads.
    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Whether anything has a comment or a guardrail; mostly nothing has.
    fn any_attached(&mut self) -> Result<bool, StoreError> {
        if let Some(known) = self.has_attached {
            return Ok(known);
        }
        let any = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM comment) OR EXISTS (SELECT 1 FROM guardrail)",
            )?
            .query_row([], |row| row.get(0))?;
        self.has_attached = Some(any);
        Ok(any)
    }

    /// Puts the experiment and the annotation queues of a trace in; mostly there are none.
    fn join_catalog(&mut self, trace: &mut Trace) -> Result<(), StoreError> {
        let any = match self.is_catalogued {
            Some(known) => known,
            None => of_traces::any(&self.conn)?,
        };
        self.is_catalogued = Some(any);
        if any {
            of_traces::join(&self.conn, trace)?;
        }
        Ok(())
    }

    fn project_id(&mut self, key: i64) -> Result<ProjectId, StoreError> {
        Ok(self.projects.get(&self.conn, key)?.0)
    }

    /// The key of the project that is asked for; `None` for every project.
    pub(crate) fn selected(&self, project: &ProjectSelector) -> Result<Option<i64>, StoreError> {
        let key: Option<i64> = match project {
            ProjectSelector::Name(name) => self
                .conn
                .prepare_cached("SELECT key FROM project WHERE fold = ?1")?
                .query_row([name.trim().to_lowercase()], |row| row.get(0))
                .optional()?,
            ProjectSelector::Id(id) => self
                .conn
                .prepare_cached("SELECT key FROM project WHERE id = ?1")?
                .query_row([id.as_bytes()], |row| row.get(0))
                .optional()?,
            _ => return Ok(None),
        };
        match key {
            Some(key) => Ok(Some(key)),
            // The default project is there from the start, only empty.
            None if is_default(project) => Ok(Some(0)),
            None => Err(StoreError::UnknownProject),
        }
    }

    /// What is stored of a block, and its size when it is decompressed.
    fn with_stored_block<T>(
        &self,
        key: i64,
        see: impl FnOnce(usize, &[u8]) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT raw, data FROM block WHERE key = ?1")?;
        let mut rows = statement.query([key])?;
        let row = rows
            .next()?
            .ok_or(StoreError::Damaged("a block is missing"))?;
        let raw: i64 = row.get(0)?;
        let data = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        see(usize::try_from(raw).unwrap_or(usize::MAX), data)
    }

    /// A copy of what is stored of a block, with its size when it is decompressed.
    fn stored_block(&self, key: i64) -> Result<(usize, Vec<u8>), StoreError> {
        self.with_stored_block(key, |raw, data| Ok((raw, data.to_vec())))
    }

    /// The content of a block.
    fn block(&mut self, key: i64) -> Result<Arc<Vec<u8>>, StoreError> {
        if let Some((_, content)) = self.blocks.iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(content));
        }
        if let Some(content) = self.recent.as_ref().and_then(|recent| recent.get(key)) {
            return Ok(content);
        }
        let content =
            Arc::new(self.with_stored_block(key, |raw, data| block::decompress(data, raw))?);
        if self.blocks.len() >= MOST_BLOCKS {
            self.blocks.remove(0);
        }
        self.blocks.push((key, Arc::clone(&content)));
        Ok(content)
    }
}

fn begin(conn: &Connection) -> Result<(), StoreError> {
    if conn.is_autocommit() {
        conn.prepare_cached("BEGIN")?.execute([])?;
    }
    Ok(())
}

fn end(conn: &Connection) {
    if let Err(error) = conn
        .prepare_cached("COMMIT")
        .and_then(|mut statement| statement.execute([]))
    {
        // The next question begins where this one is: it sees an old state, and ends it again.
        tracing::debug!(target: "opik_store", %error, "a read did not end");
    }
}

fn is_default(project: &ProjectSelector) -> bool {
    matches!(project, ProjectSelector::Name(name)
        if name.trim().eq_ignore_ascii_case(opik_core::Project::DEFAULT_NAME))
}
