//! Threads: traces of one project with one `thread_id`.
//!
//! A thread has a row from the first trace or score on: an identifier of its own, whether it is
//! closed, and tags. Everything else is added up from its traces when it is read. A thread is
//! inactive when it was closed, or had no trace for a quarter of an hour; a new trace opens it.

use opik_core::model::{Thread, ThreadStatus};
use opik_core::query::{Entity, Filter, Operator, ProjectSelector, Sort, TraceQuery, matches};
use opik_core::source::MAX_PAGE;
use opik_core::{Json, PageRequest, ProjectId, Timestamp, TraceId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{comments, projects};
use crate::catalog::of_traces;
use crate::error::StoreError;
use crate::pack::ProjectRef;
use crate::read::Reader;
use crate::score_key::ScoreKey;
use crate::store::Store;
use crate::write::Work;

/// How long a thread is active after its last trace, in microseconds.
const ACTIVE: i64 = 15 * 60 * 1_000_000;
const USER: &str = "admin";

/// A search for threads of one project.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ThreadQuery {
    /// The project.
    pub project: ProjectSelector,
    /// Conditions, all of which must hold.
    pub filters: Vec<Filter>,
    /// Order; without one by the store's identifier, newest first.
    pub sort: Option<Sort>,
    /// Only threads whose identifier is below this one.
    pub below: Option<TraceId>,
    /// Words that the name of the thread or its first or last message must contain.
    pub text: Option<String>,
    /// Threads to pass over.
    pub skip: usize,
    /// Threads to give, at most.
    pub take: usize,
}

impl ThreadQuery {
    /// The first threads of a project.
    #[must_use]
    pub fn new(project: ProjectSelector) -> Self {
        Self {
            project,
            filters: Vec::new(),
            sort: None,
            below: None,
            text: None,
            skip: 0,
            take: MAX_PAGE,
        }
    }
}

/// The row of a thread.
#[derive(Debug, Clone)]
pub(crate) struct ThreadRow {
    project: i64,
    id: String,
    model: TraceId,
    closed: i64,
    tags: Vec<String>,
    created: i64,
    updated: i64,
}

const SELECT: &str = "SELECT project, id, model, closed, tags, created, updated FROM thread WHERE";

fn row_of(row: &Row<'_>) -> rusqlite::Result<ThreadRow> {
    let tags: String = row.get(4)?;
    Ok(ThreadRow {
        project: row.get(0)?,
        id: row.get(1)?,
        model: TraceId::from_bytes(row.get(2)?),
        closed: row.get(3)?,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        created: row.get(5)?,
        updated: row.get(6)?,
    })
}

/// The thread that the store gave an identifier.
pub(crate) fn by_model(conn: &Connection, model: TraceId) -> Result<Option<ThreadRow>, StoreError> {
    Ok(conn
        .prepare_cached(&format!("{SELECT} model = ?1"))?
        .query_row([model.as_bytes()], row_of)
        .optional()?)
}

fn by_name(conn: &Connection, project: i64, id: &str) -> Result<Option<ThreadRow>, StoreError> {
    Ok(conn
        .prepare_cached(&format!("{SELECT} project = ?1 AND id = ?2"))?
        .query_row(params![project, id], row_of)
        .optional()?)
}

fn in_project(conn: &Connection, project: i64) -> Result<Vec<ThreadRow>, StoreError> {
    Ok(conn
        .prepare_cached(&format!("{SELECT} project = ?1 ORDER BY model DESC"))?
        .query_map([project], row_of)?
        .collect::<Result<_, _>>()?)
}

impl Reader {
    /// A thread with what its traces add up to; `None` when none of them is left.
    fn thread(
        &mut self,
        row: &ThreadRow,
        project: ProjectId,
    ) -> Result<Option<Thread>, StoreError> {
        let filter = Filter::new(Entity::Trace, "thread_id", Operator::Equal, None, &row.id)
            .map_err(|_| StoreError::InvalidQuery("the name of the thread is empty"))?;
        let mut query = TraceQuery::default();
        query.project = ProjectSelector::Id(project);
        query.filters = vec![filter];
        query.without_content = true;
        query.page = PageRequest::first(MAX_PAGE);
        let mut thread = Thread::default();
        let (mut first, mut last) = (None, None);
        let (mut traces, mut cost) = (0_u64, 0.0);
        loop {
            let page = self.search_traces(&query)?;
            for trace in page.items {
                traces += 1;
                cost += trace.total_estimated_cost.unwrap_or(0.0);
                for (name, tokens) in trace.usage.0 {
                    *thread.usage.0.entry(name).or_default() += tokens;
                }
                let start = (trace.start_time, trace.id);
                if first.is_none_or(|known| start < known) {
                    first = Some(start);
                    thread.environment = trace.environment;
                    thread.source = trace.source;
                }
                let end = (trace.end_time, trace.start_time, trace.id);
                if last.is_none_or(|known| end > known) {
                    last = Some(end);
                }
            }
            match page.next {
                Some(next) => query.page = PageRequest::after(next, MAX_PAGE),
                None => break,
            }
        }
        let (Some((start, first)), Some((end, _, last))) = (first, last) else {
            return Ok(None);
        };
        let content = |trace: Option<opik_core::Trace>| -> [Option<Json>; 2] {
            trace.map_or([None, None], |trace| [trace.input, trace.output])
        };
        let [input, output] = content(self.trace(first)?);
        thread.first_message = input;
        thread.last_message = if last == first {
            output
        } else {
            let [_, output] = content(self.trace(last)?);
            output
        };
        thread.id = Some(row.id.clone());
        thread.project_id = Some(project);
        thread.thread_model_id = Some(row.model.to_string());
        thread.start_time = Some(start);
        thread.end_time = end;
        thread.duration = end.map(|end| millis(end.micros_since(start)));
        thread.number_of_messages = Some(traces * 2);
        thread.total_estimated_cost = (cost > 0.0).then_some(cost);
        thread.status = Some(row.status(Timestamp::now().as_micros()));
        thread.tags.clone_from(&row.tags);
        thread.created_at = Some(Timestamp::from_micros(row.created));
        thread.last_updated_at = Some(Timestamp::from_micros(row.updated));
        thread.created_by = Some(USER.to_owned());
        thread.last_updated_by = Some(USER.to_owned());
        let target = opik_core::model::ScoreTarget::Thread(row.id.clone());
        thread.feedback_scores = self.scores_of(&ScoreKey::of(&target, row.project))?;
        thread.comments = comments::of(self.conn(), 2, row.model.as_bytes())?;
        thread.annotation_queues = of_traces::queues(self.conn(), row.model)?;
        Ok(Some(thread))
    }
}

fn millis(micros: i64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "durations are far below 2^53 us"
    )]
    let micros = micros as f64;
    micros / 1_000.0
}

impl ThreadRow {
    fn status(&self, now: i64) -> ThreadStatus {
        if self.closed > 0 || self.updated.saturating_add(ACTIVE) < now {
            ThreadStatus::Inactive
        } else {
            ThreadStatus::Active
        }
    }
}

impl Work<'_> {
    /// The key of a project and the name of a thread in it, which is made if need be.
    fn make_thread(&mut self, project: &ProjectRef, id: &str) -> Result<i64, StoreError> {
        let now = Timestamp::now();
        let project = self.project(project, now.as_micros())?;
        self.conn()
            .prepare_cached(
                "INSERT OR IGNORE INTO thread(project, id, model, closed, tags, created, updated)
                 VALUES (?1, ?2, ?3, 0, '[]', ?4, ?4)",
            )?
            .execute(params![
                project,
                id,
                TraceId::generate_at(now).as_bytes(),
                now.as_micros()
            ])?;
        Ok(project)
    }
}

impl Store {
    /// The threads that match and how many there are in all.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or has no such project.
    pub async fn threads(&self, query: ThreadQuery) -> Result<(Vec<Thread>, u64), StoreError> {
        self.look(move |reader| {
            let Some((key, project)) = projects::find(reader.conn(), &query.project)? else {
                return Err(StoreError::UnknownProject);
            };
            let Some(project) = project.id else {
                return Err(StoreError::UnknownProject);
            };
            let mut rows = in_project(reader.conn(), key)?;
            if let Some(below) = query.below {
                rows.retain(|row| row.model < below);
            }
            let text = query.text.as_deref().map(str::to_lowercase);
            let mut found = Vec::new();
            let mut total = 0_u64;
            let is_plain = query.sort.is_none() && query.below.is_some();
            for row in rows {
                let Some(thread) = reader.thread(&row, project)? else {
                    continue;
                };
                let has_text = text.as_deref().is_none_or(|text| {
                    row.id.to_lowercase().contains(text)
                        || [&thread.first_message, &thread.last_message]
                            .into_iter()
                            .flatten()
                            .any(|json| json.as_str().to_lowercase().contains(text))
                });
                if has_text && matches::thread_matches(&thread, &query.filters) {
                    total += 1;
                    found.push(thread);
                    if is_plain && found.len() >= query.skip.saturating_add(query.take) {
                        break;
                    }
                }
            }
            if let Some(sort) = &query.sort {
                found.sort_by(|left, right| sort.compare_threads(left, right));
            }
            let found = found
                .into_iter()
                .skip(query.skip)
                .take(query.take)
                .collect();
            Ok((found, total))
        })
        .await
    }

    /// One thread of a project; `None` without project, thread or traces.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn thread(
        &self,
        project: ProjectSelector,
        id: String,
    ) -> Result<Option<Thread>, StoreError> {
        self.look(move |reader| {
            let Some((key, project)) = projects::find(reader.conn(), &project)? else {
                return Ok(None);
            };
            let row = by_name(reader.conn(), key, &id)?;
            match (row, project.id) {
                (Some(row), Some(project)) => reader.thread(&row, project),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Makes sure that a thread has a row, for scores that come before its traces.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn make_threads(
        &self,
        threads: Vec<(Option<String>, Option<ProjectId>, String)>,
    ) -> Result<(), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                for (name, project, id) in threads {
                    work.make_thread(&ProjectRef { name, id: project }, &id)?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Closes or opens threads. Gives back the first that does not exist, and changes none then.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn set_threads_open(
        &self,
        project: ProjectSelector,
        ids: Vec<String>,
        open: bool,
    ) -> Result<Option<String>, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let key = projects::find(work.conn(), &project)?.map(|(key, _)| key);
                for id in &ids {
                    let known = key.map(|key| by_name(work.conn(), key, id)).transpose()?;
                    if known.flatten().is_none() {
                        return Ok(Some(id.clone()));
                    }
                }
                let now = Timestamp::now().as_micros();
                for id in &ids {
                    let (closed, updated) = if open { (0, Some(now)) } else { (now, None) };
                    work.conn()
                        .prepare_cached(
                            "UPDATE thread SET closed = ?3, updated = coalesce(?4, updated)
                             WHERE project = ?1 AND id = ?2",
                        )?
                        .execute(params![key, id, closed, updated])?;
                }
                Ok(None)
            })
        })
        .await
    }

    /// Changes the tags of a thread. Tells whether there is one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn set_thread_tags(
        &self,
        model: TraceId,
        tags: Vec<String>,
        merge: bool,
    ) -> Result<bool, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let Some(row) = by_model(work.conn(), model)? else {
                    return Ok(false);
                };
                let mut all = if merge { row.tags } else { Vec::new() };
                all.extend(tags);
                all.sort();
                all.dedup();
                let text = serde_json::to_string(&all)
                    .map_err(|error| StoreError::Internal(error.into()))?;
                work.conn()
                    .prepare_cached("UPDATE thread SET tags = ?2, updated = ?3 WHERE model = ?1")?
                    .execute(params![
                        model.as_bytes(),
                        text,
                        Timestamp::now().as_micros()
                    ])?;
                Ok(true)
            })
        })
        .await
    }

    /// Deletes threads of a project with their traces. Unknown ones are passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub async fn delete_threads(
        &self,
        project: ProjectSelector,
        ids: Vec<String>,
    ) -> Result<(), StoreError> {
        let names = ids.clone();
        let selector = project.clone();
        let traces = self
            .look(move |reader| {
                let mut traces = Vec::new();
                let Some((_, project)) = projects::find(reader.conn(), &selector)? else {
                    return Ok(traces);
                };
                for name in &names {
                    let filter =
                        Filter::new(Entity::Trace, "thread_id", Operator::Equal, None, name)
                            .map_err(|_| StoreError::InvalidQuery("the name is empty"))?;
                    let mut query = TraceQuery::default();
                    query.project = project.id.map_or(ProjectSelector::Any, ProjectSelector::Id);
                    query.filters = vec![filter];
                    query.without_content = true;
                    query.page = PageRequest::first(MAX_PAGE);
                    loop {
                        let page = reader.search_traces(&query)?;
                        traces.extend(page.items.iter().map(|trace| trace.id));
                        match page.next {
                            Some(next) => query.page = PageRequest::after(next, MAX_PAGE),
                            None => break,
                        }
                    }
                }
                Ok(traces)
            })
            .await?;
        self.remove_traces(traces).await?;
        self.change(move |writer| {
            writer.transaction(|work| {
                let Some((key, _)) = projects::find(work.conn(), &project)? else {
                    return Ok(());
                };
                for id in &ids {
                    let Some(row) = by_name(work.conn(), key, id)? else {
                        continue;
                    };
                    let target = opik_core::model::ScoreTarget::Thread(id.clone());
                    let score = ScoreKey::of(&target, key);
                    work.conn()
                        .prepare_cached("DELETE FROM score WHERE kind = ?1 AND target = ?2")?
                        .execute(params![score.kind, score.target])?;
                    work.conn()
                        .prepare_cached("DELETE FROM comment WHERE kind = 2 AND target = ?1")?
                        .execute([row.model.as_bytes()])?;
                    work.conn()
                        .prepare_cached("DELETE FROM thread WHERE project = ?1 AND id = ?2")?
                        .execute(params![key, id])?;
                }
                Ok(())
            })
        })
        .await
    }
}
