//! The threads of a store: one writes, some read, one fills the text index.
//!
//! Whoever asks hands a job over and waits for its answer, in any runtime or none. The writer
//! takes what is waiting, up to [`MOST_AT_ONCE`] batches, into one transaction and acknowledges
//! after the commit; when the transaction fails it tries the batches one by one, so that each
//! gets its own answer. While nothing waits it compresses blocks of a batch that its caller still
//! packs, a few at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::block::Early;
use crate::checkpoint::Copier;
use crate::error::StoreError;
use crate::pack::Packed;
use crate::read::Reader;
use crate::readers::Readers;
use crate::text::{Progress, TextIndex};
use crate::write::Writer;

/// Batches in one transaction at most.
const MOST_AT_ONCE: usize = 16;
/// Blocks of batches that are being packed that wait for the writer at most.
const MOST_EARLY: usize = 2;
/// How long the indexer waits for more to come before it starts: a word costs less the more
/// often it occurs in a step.
const GATHER: Duration = Duration::from_millis(400);
/// How often it looks for what other processes wrote.
const LOOK: Duration = Duration::from_millis(1_000);

/// Long work that lets other threads go first now and then.
///
/// A thread that computes for long keeps its core until its turn is over, which takes milliseconds,
/// also from one that was just woken to answer a short question. So such work says after each small
/// piece that others may go first.
#[derive(Debug)]
pub(crate) struct Turns {
    every: u32,
    left: u32,
}

impl Turns {
    /// Others may go after so many pieces.
    pub(crate) fn of(every: u32) -> Self {
        Self { every, left: every }
    }

    /// Says that a piece is done.
    pub(crate) fn done(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.left = self.every;
            std::thread::yield_now();
        }
    }
}

/// Something to do with the writing connection.
pub(crate) type WriteTask = Box<dyn FnOnce(&mut Writer) + Send>;

/// What becomes of a batch; it comes back for its report.
type Outcome = Result<Box<Packed>, StoreError>;

/// A batch that waits for its commit.
pub(crate) struct WaitingBatch {
    pub(crate) packed: Box<Packed>,
    pub(crate) answer: oneshot::Sender<Outcome>,
    /// Held until the answer is given.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What the writer is asked to do.
pub(crate) enum WriteJob {
    /// Write a batch.
    Batch(WaitingBatch),
    /// Compress a block of a batch that is still being packed.
    Early(Early),
    /// Anything else.
    Task(WriteTask),
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the threads tell each other.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    state: Mutex<SignalState>,
    changed: Condvar,
    closing: AtomicBool,
    /// The writer has something to write.
    writing: AtomicBool,
    /// How many early blocks wait for it.
    early: AtomicUsize,
}

#[derive(Debug, Default)]
struct SignalState {
    /// Something was committed that the index does not have.
    dirty: bool,
    indexed: Progress,
    failure: bool,
    running: usize,
}

impl Signals {
    /// Whether one more block of a batch that is being packed may be handed to the writer: only while
    /// it writes nothing, so that few wait and nothing that is to be written waits for them.
    pub(crate) fn may_hand_early(&self) -> bool {
        let one_more = |waiting: usize| (waiting < MOST_EARLY).then_some(waiting + 1);
        !self.writing.load(Ordering::Relaxed)
            && self
                .early
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
                .is_ok()
    }

    /// Says that the writer has taken an early block.
    fn early_taken(&self) {
        self.early.fetch_sub(1, Ordering::Relaxed);
    }

    fn committed(&self) {
        lock(&self.state).dirty = true;
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        // Taken so that nobody is between looking at the flag and waiting.
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn started(self: &Arc<Self>) -> Running {
        lock(&self.state).running += 1;
        Running(Arc::clone(self))
    }

    /// Waits until the threads have ended. Tells whether they did in time.
    pub(crate) fn wait_for_end(&self, limit: Duration) -> bool {
        let state = lock(&self.state);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, limit, |state| state.running > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.running == 0
    }

    fn indexed(&self, progress: Progress) {
        lock(&self.state).indexed = progress;
        self.changed.notify_all();
    }

    /// Waits until the index has a point. Tells whether it got there in time.
    pub(crate) fn wait_for_index(&self, goal: Progress, limit: Duration) -> bool {
        let state = lock(&self.state);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, limit, |state| {
                !state.indexed.has_reached(goal) && !self.is_closing()
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.indexed.has_reached(goal)
    }

    /// Whether something was committed that the index does not have.
    fn is_dirty(&self) -> bool {
        lock(&self.state).dirty
    }

    /// Waits for a commit, or for the time to look for those of others.
    fn wait_for_commit(&self) {
        let state = lock(&self.state);
        let idle = |state: &mut SignalState| !state.dirty && !self.is_closing();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, LOOK, idle)
            .unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.dirty) {
            // More usually follows at once, and one transaction for all of it is cheaper.
            drop(
                self.changed
                    .wait_timeout_while(state, GATHER, |_| !self.is_closing())
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    /// Says once that the index cannot follow; searches then see less.
    fn index_failed(&self, error: &StoreError) {
        if !std::mem::replace(&mut lock(&self.state).failure, true) {
            tracing::warn!(target: "opik_store", %error, "the text index cannot be updated");
        }
    }
}

/// Counts a thread as running until it ends, also by a panic.
struct Running(Arc<Signals>);

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.0.state).running -= 1;
        self.0.changed.notify_all();
    }
}

fn spawn(
    name: String,
    signals: &Arc<Signals>,
    run: impl FnOnce() + Send + 'static,
) -> Result<(), StoreError> {
    let running = signals.started();
    std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            let _running = running;
            run();
        })
        .map(drop)
        .map_err(|error| StoreError::Internal(error.into()))
}

/// Starts the thread that writes.
pub(crate) fn start_writer(
    mut writer: Writer,
    jobs: Receiver<WriteJob>,
    signals: &Arc<Signals>,
) -> Result<(), StoreError> {
    let own = Arc::clone(signals);
    spawn("opik-store-write".to_owned(), signals, move || {
        let mut next = jobs.recv().ok();
        let mut turns = Turns::of(4);
        while let Some(job) = next.take() {
            match job {
                WriteJob::Early(block) => {
                    own.early_taken();
                    // An error is the batch's, and it will be told.
                    drop(block.run());
                    turns.done();
                    next = jobs.recv().ok();
                    continue;
                }
                WriteJob::Task(task) => {
                    own.writing.store(true, Ordering::Relaxed);
                    task(&mut writer);
                }
                WriteJob::Batch(batch) => {
                    own.writing.store(true, Ordering::Relaxed);
                    let mut group = vec![batch];
                    while group.len() < MOST_AT_ONCE {
                        match jobs.try_recv() {
                            Ok(WriteJob::Batch(batch)) => group.push(batch),
                            // There is something to write.
                            Ok(WriteJob::Early(_)) => own.early_taken(),
                            Ok(task) => {
                                next = Some(task);
                                break;
                            }
                            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                        }
                    }
                    write_group(&mut writer, group);
                }
            }
            own.committed();
            writer.tend_log();
            if next.is_none() {
                own.writing.store(false, Ordering::Relaxed);
                next = jobs.recv().ok();
            }
        }
    })
}

fn write_group(writer: &mut Writer, group: Vec<WaitingBatch>) {
    let batches: Vec<&Packed> = group.iter().map(|batch| &*batch.packed).collect();
    let mut together = Some(writer.write(&batches));
    let alone = group.len() == 1;
    for WaitingBatch {
        packed,
        answer,
        permit,
    } in group
    {
        let result = match &together {
            Some(Ok(())) => Ok(()),
            _ if alone => together.take().unwrap_or(Err(StoreError::Closed)),
            _ => writer.write(&[&packed]),
        };
        // Whoever asked may have gone; the batch is committed all the same.
        drop(answer.send(result.map(|()| packed)));
        drop(permit);
    }
}

/// Starts the thread that copies the log into the file. It ends with the writer.
pub(crate) fn start_copier(copier: Copier, signals: &Arc<Signals>) -> Result<(), StoreError> {
    spawn("opik-store-copy".to_owned(), signals, move || copier.run())
}

/// Starts a thread that reads.
pub(crate) fn start_reader(
    number: usize,
    mut reader: Reader,
    readers: &Readers<Reader>,
    signals: &Arc<Signals>,
) -> Result<(), StoreError> {
    let member = readers.join();
    spawn(format!("opik-store-read-{number}"), signals, move || {
        member.run(&mut reader);
    })
}

/// Starts the thread that fills the text index.
pub(crate) fn start_indexer(
    mut index: TextIndex,
    writer: Sender<WriteJob>,
    signals: &Arc<Signals>,
) -> Result<(), StoreError> {
    let own = Arc::clone(signals);
    spawn("opik-store-index".to_owned(), signals, move || {
        let mut trimmed = 0;
        while !own.is_closing() {
            match index.advance() {
                Ok((progress, more)) => {
                    own.indexed(progress);
                    if !more {
                        if progress.gone > trimmed {
                            trimmed = progress.gone;
                            trim(&writer, trimmed);
                        }
                        // The index answers already; this makes it answer faster.
                        while !own.is_closing() && !own.is_dirty() && index.tidy().unwrap_or(false)
                        {
                        }
                        own.wait_for_commit();
                    }
                }
                Err(error) => {
                    own.index_failed(&error);
                    own.wait_for_commit();
                }
            }
        }
    })
}

/// Lets the writer forget removals that the index has taken in.
fn trim(writer: &Sender<WriteJob>, upto: i64) {
    let task: WriteTask = Box::new(move |writer| {
        if let Err(error) = writer.trim_gone(upto) {
            tracing::debug!(target: "opik_store", %error, "old removals stay for now");
        }
    });
    // A writer that is gone has been closed, and the next one will do it.
    drop(writer.send(WriteJob::Task(task)));
}

/// How much of a time limit is left.
pub(crate) fn left(begin: Instant, limit: Duration) -> Duration {
    limit.saturating_sub(begin.elapsed())
}
