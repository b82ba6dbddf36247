//! The store as its users see it.

mod export;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{Page, PageRequest, Project, SourceError, Span, Trace, TraceId, TraceSource};
use tokio::sync::{Semaphore, oneshot};

use crate::checkpoint::{self, Flusher};
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::read::{Counted, Reader};
use crate::readers::{Readers, Task};
use crate::recent::Recent;
use crate::schema::{self, Location, Setup};
use crate::text::{self, TextIndex};
use crate::threads::{self, Signals, WriteJob, lock};
use crate::write::Writer;

/// What may wait for the writer, in KiB. Whatever is smaller counts [`LEAST_WEIGHT`], so that no
/// more than 64 batches and changes wait.
const MOST_WAITING: u32 = 64 << 10;
/// What a small batch or a change counts, in KiB.
const LEAST_WEIGHT: u32 = 1 << 10;

/// Pages that a reading connection keeps, in KiB.
const READER_CACHE: i64 = 8 << 10;

/// What a store holds and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// The file; `None` in memory.
    pub path: Option<PathBuf>,
    /// Size of the file with its log, in bytes.
    pub file_bytes: u64,
    /// Size of the text index with its log, in bytes.
    pub text_bytes: u64,
    /// Traces that have a row.
    pub traces: u64,
    /// Spans, also of traces that have no row yet.
    pub spans: u64,
    /// Projects.
    pub projects: u64,
    /// Changes that are not in the text index yet: groups of spans and traces.
    pub index_lag: u64,
    /// Version of the schema.
    pub schema_version: u32,
}

/// An embedded trace store: [`Exporter`](opik_core::Exporter) and [`TraceSource`] in one file.
///
/// Clones share the store. Its methods may be called from any thread and any async runtime; the
/// ones that are not `async` wait for the store's own threads and belong into a blocking context.
/// Dropping the last handle finishes what was handed over, for at most
/// [`StoreOptions::close_timeout`].
///
/// ```
/// use opik_core::{Batch, Exporter, Timestamp, Trace, TraceId, TraceSource};
/// use opik_store::Store;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::open_in_memory()?;
/// let id = TraceId::generate();
/// store.export(&Batch::new(vec![Trace::new(id, Timestamp::now())], Vec::new())).await?;
/// let trace = store.trace(id).await?.ok_or("it was just written")?;
/// assert_eq!(trace.span_count, Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    location: Location,
    options: StoreOptions,
    writer: Mutex<Option<Sender<WriteJob>>>,
    flusher: Mutex<Option<Flusher>>,
    readers: Readers<Reader>,
    waiting: Arc<Semaphore>,
    signals: Arc<Signals>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.0.location.path())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a file, which is created or brought to the newest schema if need be.
    /// The text index is kept beside it, in a file with `-text` at the end of its name.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be opened, holds something else, or was written by a
    /// newer version of this library.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, StoreError> {
        Self::start(Location::File(path.as_ref().to_owned()), options)
    }

    /// Opens an empty store that lives as long as its handles.
    ///
    /// # Errors
    /// [`StoreError`] when its threads cannot be started.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::start(
            Location::Memory(format!("opik-store-{number}")),
            StoreOptions::default(),
        )
    }

    fn start(location: Location, options: StoreOptions) -> Result<Self, StoreError> {
        let setup = Setup {
            durability: options.durability,
            busy_timeout: options.busy_timeout,
            create: options.create,
        };
        let mut conn = schema::connect(&location, setup)?;
        schema::prepare(&mut conn, location.path())?;
        // The log is copied by a thread of its own; this is for the case that it cannot.
        conn.pragma_update(None, "wal_autocheckpoint", 65_536)?;
        // 8 MiB: the ends of many postings and the trees of identifiers stay at hand. A commit looks
        // through all that is kept once a page was split (SQLite gives it the number of the lock page for
        // a moment, far beyond the end of the file), so more costs more.
        conn.pragma_update(None, "cache_size", -8_192)?;
        let text = text::open(&location.text(), setup)?;

        let signals = Arc::new(Signals::default());
        let (writer, jobs) = channel();
        let copying = schema::connect(&location, setup)?;
        // Some builds of SQLite (`ENABLE_MEMORY_MANAGEMENT`) have one limit for the pages of all
        // connections, the sum of theirs, and drop a reader's pages at once while a writer is over
        // its own. This connection reads none; what it may keep is room for the others.
        copying.pragma_update(None, "cache_size", -1_048_576)?;
        let (log, copier) = checkpoint::pair(copying, options.busy_timeout);
        threads::start_copier(copier, &signals)?;
        let flusher = log.flusher();
        let recent = options.index_text.then(Arc::<Recent>::default);
        let write = Writer::new(conn, log, recent.clone());
        threads::start_writer(write, jobs, &signals)?;
        let readers = Readers::new();
        let counted = Arc::<Counted>::default();
        for number in 0..options.readers.max(1) {
            let mut reader = reader(&location, setup, true)?;
            reader.share(Arc::clone(&counted), readers.asker());
            threads::start_reader(number, reader, &readers, &signals)?;
        }
        if let Some(recent) = recent {
            let index = TextIndex::new(reader(&location, setup, false)?, text, recent);
            threads::start_indexer(index, writer.clone(), &signals)?;
        }
        Ok(Self(Arc::new(Inner {
            location,
            options,
            writer: Mutex::new(Some(writer)),
            flusher: Mutex::new(Some(flusher)),
            readers,
            waiting: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            signals,
        })))
    }

    fn write_task<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (answer, wait) = oneshot::channel();
        let task: threads::WriteTask = Box::new(move |writer| drop(answer.send(act(writer))));
        self.0.submit(WriteJob::Task(task))?;
        Ok(wait)
    }

    pub(crate) fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, wait) = sync_channel(1);
        let task: threads::WriteTask = Box::new(move |writer| drop(answer.send(act(writer))));
        self.0.submit(WriteJob::Task(task))?;
        wait.recv().unwrap_or(Err(StoreError::Closed))
    }

    pub(crate) fn location(&self) -> &Location {
        &self.0.location
    }

    fn read_task(&self, task: Task<Reader>) -> Result<(), StoreError> {
        if self.0.readers.ask(task) {
            Ok(())
        } else {
            Err(StoreError::Closed)
        }
    }

    pub(crate) fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, wait) = sync_channel(1);
        self.read_task(Box::new(move |reader| {
            drop(answer.send(reader.snapshot(ask)));
        }))?;
        wait.recv().unwrap_or(Err(StoreError::Closed))
    }

    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let (answer, wait) = oneshot::channel();
        self.read_task(Box::new(move |reader| {
            drop(answer.send(reader.snapshot(ask)));
        }))
        .map_err(StoreError::into_source)?;
        wait.await
            .unwrap_or(Err(StoreError::Closed))
            .map_err(StoreError::into_source)
    }

    /// Asks the store's readers, from async code.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, wait) = oneshot::channel();
        self.read_task(Box::new(move |reader| {
            drop(answer.send(reader.snapshot(ask)));
        }))?;
        wait.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Hands something to the store's writer, from async code, and waits for it. What was handed
    /// over happens even if the caller goes away.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self
            .0
            .waiting
            .acquire_many(LEAST_WEIGHT)
            .await
            .map_err(|_| StoreError::Closed)?;
        let wait = self.write_task(act)?;
        wait.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Whether the store can be read.
    ///
    /// # Errors
    /// [`StoreError`] with the reason when it cannot.
    pub async fn is_readable(&self) -> Result<(), StoreError> {
        self.look(|reader| reader.last_change().map(drop)).await
    }

    /// Counts what is there. Looks at every trace, about a microsecond each.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let (counts, lag) = self.read(|reader| Ok((reader.counts()?, reader.index_lag()?)))?;
        let (path, file_bytes, text_bytes) = match (&self.0.location, self.0.location.text()) {
            (Location::File(path), Location::File(text)) => (
                Some(path.clone()),
                size_with_log(path),
                size_with_log(&text),
            ),
            _ => (None, self.write(|writer| writer.file_size())?, 0),
        };
        Ok(StoreStats {
            path,
            file_bytes,
            text_bytes,
            traces: counts.traces,
            spans: counts.spans,
            projects: counts.projects,
            index_lag: lag,
            schema_version: schema::newest(),
        })
    }

    /// The projects, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn projects(&self) -> Result<Vec<Project>, StoreError> {
        self.read(|reader| crate::records::projects::list(reader.conn()))
    }

    /// Deletes traces with their spans and scores, and overwrites their content. Unknown traces
    /// are passed over. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written. Part of the traces may be gone then.
    pub fn delete_traces(&self, ids: &[TraceId]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        self.write(move |writer| writer.delete(&ids).map(|deleted| deleted.traces))
    }

    /// Traces that changed after a number, with the number of their latest change, oldest change
    /// first, `limit` at most. A trace occurs once, however often it changed. Deleted traces do
    /// not occur. Ask again from the last number that came back.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn changed_since(&self, seq: u64, limit: usize) -> Result<Vec<(u64, TraceId)>, StoreError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let changes = self.read(move |reader| reader.changed_since(seq, limit))?;
        Ok(changes
            .into_iter()
            .map(|(seq, id)| (seq.max(0).cast_unsigned(), id))
            .collect())
    }

    /// The number of the latest change, to begin [`changed_since`](Self::changed_since) with.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn last_change(&self) -> Result<u64, StoreError> {
        Ok(self
            .read(|reader| reader.last_change())?
            .max(0)
            .cast_unsigned())
    }

    /// Looks for damage: SQLite's integrity check and the references between tables. An empty
    /// list means that all is well. Content is not read; see [`check_content`](Self::check_content).
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        self.read(|reader| reader.problems())
    }

    /// Looks for damage as [`check`](Self::check) does, and then reads every trace with its spans
    /// and their content, some 10 us a span, and adds its totals up. Lines about a trace begin with
    /// `trace` and its identifier. What is written meanwhile may or may not be looked at.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read at all.
    pub fn check_content(&self) -> Result<Vec<String>, StoreError> {
        let mut found = self.check()?;
        let mut after = 0;
        loop {
            let (some, last) = self.read(move |reader| reader.damaged_traces(after))?;
            found.extend(some);
            match last {
                Some(last) => after = last,
                None => return Ok(found),
            }
        }
    }

    /// Waits until the text index has everything that was acknowledged before. Tells whether it
    /// did within `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn wait_for_text_index(&self, limit: Duration) -> Result<bool, StoreError> {
        let goal = self.read(|reader| reader.text_goal())?;
        Ok(self.0.signals.wait_for_index(goal, limit))
    }

    /// Finishes what was handed over and closes the store, for every handle. Tells whether its
    /// threads ended within [`StoreOptions::close_timeout`]. Closing again does nothing.
    pub fn close(&self) -> bool {
        self.0.close()
    }
}

impl Inner {
    fn submit(&self, job: WriteJob) -> Result<(), StoreError> {
        let writer = lock(&self.writer);
        writer
            .as_ref()
            .and_then(|writer| writer.send(job).ok())
            .ok_or(StoreError::Closed)
    }

    fn close(&self) -> bool {
        let begin = Instant::now();
        // Without senders the threads finish their queues and end.
        drop(lock(&self.writer).take());
        drop(lock(&self.flusher).take());
        self.readers.close();
        self.waiting.close();
        self.signals.close();
        self.signals
            .wait_for_end(threads::left(begin, self.options.close_timeout))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.close() {
            tracing::warn!(target: "opik_store", "the store's threads did not end in time");
        }
    }
}

fn reader(location: &Location, setup: Setup, text: bool) -> Result<Reader, StoreError> {
    let conn = schema::connect(
        location,
        Setup {
            create: false,
            ..setup
        },
    )?;
    conn.pragma_update(None, "query_only", true)?;
    // What questions ask for again and again is in few pages; the rest is in the system's cache.
    conn.pragma_update(None, "cache_size", -READER_CACHE)?;
    let text = text
        .then(|| text::open_to_read(&location.text(), setup))
        .transpose()?;
    Ok(Reader::new(conn, text))
}

fn size_with_log(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    size(path) + size(Path::new(&log))
}

#[async_trait]
impl TraceSource for Store {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        self.ask(move |reader| reader.trace(id)).await
    }

    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        let page = page.clone();
        self.ask(move |reader| reader.spans(trace, &page)).await
    }

    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        let query = query.clone();
        self.ask(move |reader| reader.search_traces(&query)).await
    }

    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        let query = query.clone();
        self.ask(move |reader| reader.search_spans(&query)).await
    }
}
