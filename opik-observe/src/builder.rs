//! Configuring and starting a recorder.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use opik_core::Exporter;

use crate::config::{Chosen, Limits, StartRows};
use crate::context;
use crate::flush::Ticket;
use crate::intake::Intake;
use crate::policy::Policy;
use crate::recorder::{Core, Recorder, RecorderGuard};
use crate::redact::Common;
use crate::worker::{BranchQueue, Collector, Delivery, Retry, Worker, takes_rows};

/// A record has an input, an output and metadata.
const FIELDS: usize = 3;

/// A branch of a recorder: an exporter and what it may see.
#[derive(Debug, Clone)]
#[must_use = "a branch does nothing until it is added to a recorder"]
pub struct Branch {
    name: String,
    /// Absent where records are discarded.
    exporter: Option<Arc<dyn Exporter>>,
    policy: Policy,
    /// As the exporter needs it where absent.
    start_rows: Option<StartRows>,
}

impl Branch {
    /// A branch with a name for statistics and logs.
    pub fn new(name: impl Into<String>, exporter: Arc<dyn Exporter>, policy: Policy) -> Self {
        Self {
            name: name.into(),
            exporter: Some(exporter),
            policy,
            start_rows: None,
        }
    }

    /// A branch that counts what it gets as exported and forgets it, without having decoded it.
    ///
    /// It has no thread and no policy. It shows what recording alone costs a program, and gives its
    /// statistics where nobody wants the records.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use opik_observe::{Branch, Recorder};
    ///
    /// let (recorder, guard) = Recorder::builder()
    ///     .add_branch(Branch::discard("nowhere"))
    ///     .start()?;
    /// recorder.trace("answer").end();
    /// let report = guard.shutdown(Duration::from_secs(3));
    /// assert_eq!(report.statistics.branches[0].exported, 1);
    /// # Ok::<(), opik_observe::StartError>(())
    /// ```
    pub fn discard(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            exporter: None,
            policy: Policy::default(),
            start_rows: None,
        }
    }

    /// When the exporter gets rows of spans that are still open.
    ///
    /// Default: after a second for an exporter that takes encoded rows, such as an Opik server, so that
    /// what a program was doing when it crashed can be seen there; never for any other.
    pub fn start_rows(mut self, when: StartRows) -> Self {
        self.start_rows = Some(when);
        self
    }

    fn start_rows_in_effect(&self) -> StartRows {
        let Some(exporter) = &self.exporter else {
            return StartRows::Off;
        };
        match self.start_rows {
            Some(when) => when,
            None if takes_rows(&**exporter) => StartRows::After(Duration::from_secs(1)),
            None => StartRows::Off,
        }
    }
}

/// Why a recorder could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system gave no thread.
    #[error("cannot start the recorder's thread `{thread}`")]
    Thread {
        /// Name of the thread.
        thread: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Two branches have the same name.
    #[error("two branches are called `{name}`: give each its own name")]
    DuplicateBranch {
        /// The name.
        name: String,
    },
}

/// Configures a [`Recorder`]; made by [`Recorder::builder`].
#[derive(Debug)]
#[must_use = "a recorder begins with `start`"]
pub struct RecorderBuilder {
    pub(crate) common: Common,
    pub(crate) branches: Vec<Branch>,
    limits: Limits,
    /// What the program said here; it wins over settings, in any order of calls.
    stated: Chosen,
    /// What settings say.
    pub(crate) settings: Chosen,
    first_wait: Duration,
}

impl RecorderBuilder {
    pub(crate) fn new() -> Self {
        Self {
            common: Common::default(),
            branches: Vec::new(),
            limits: Limits::default(),
            stated: Chosen::default(),
            settings: Chosen::default(),
            first_wait: Duration::from_millis(100),
        }
    }

    /// The project that all records belong to. Default: that of the settings, where there are any,
    /// else that of the exporter.
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.stated.project = Some(name.into());
        self
    }

    /// Where the program runs, for example `production`. Default: not stated.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.stated.environment = Some(name.into());
        self
    }

    /// Adds a branch: what the policy lets through goes to the exporter.
    pub fn branch(
        self,
        name: impl Into<String>,
        exporter: Arc<dyn Exporter>,
        policy: Policy,
    ) -> Self {
        self.add_branch(Branch::new(name, exporter, policy))
    }

    /// Adds a branch with settings of its own.
    pub fn add_branch(mut self, branch: Branch) -> Self {
        self.branches.push(branch);
        self
    }

    /// Most records that wait for the worker, and again for each branch, which has up to two batches
    /// besides: one that is exported and one that is made meanwhile. Default: 65,536.
    pub fn max_pending_records(mut self, records: usize) -> Self {
        self.limits.pending_records = records.max(1);
        self
    }

    /// Most bytes that wait for the worker, and again for each branch, besides its two batches. Default:
    /// 64 MiB.
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.limits.pending_bytes = bytes;
        self
    }

    /// Largest record in bytes; a larger one is lost as `TooLarge`. Default: 16 MiB.
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.stated.record_bytes = Some(bytes);
        self
    }

    /// Largest input or output in bytes; a larger one is cut and marked. Default: 4 MiB.
    pub fn max_field_bytes(mut self, bytes: usize) -> Self {
        self.stated.field_bytes = Some(bytes);
        self
    }

    /// Most records in one call of an exporter. Default: 1,000.
    pub fn batch_records(mut self, records: usize) -> Self {
        self.limits.batch_records = records.max(1);
        self
    }

    /// A batch is exported when it has about this many bytes. Default: 4 MiB.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.limits.batch_bytes = bytes.max(1);
        self
    }

    /// A batch is exported this long after its first record. Default: 200 ms.
    pub fn batch_delay(mut self, delay: Duration) -> Self {
        self.limits.batch_delay = delay;
        self
    }

    /// Longest call of an exporter. Default: 10 s.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.stated.export_timeout = Some(timeout);
        self
    }

    /// How often a batch is tried, and how long to wait after the first failure; waits double, up
    /// to 30 s. Default: 5 times and 100 ms.
    pub fn export_attempts(mut self, attempts: u32, first_wait: Duration) -> Self {
        self.limits.export_attempts = attempts.max(1);
        self.first_wait = first_wait;
        self
    }

    /// How long dropping the guard may wait for the exporters. Default: 3 s.
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.stated.drop_timeout = Some(timeout);
        self
    }

    /// Starts the threads: one, and one per branch. Without any branch the recorder is a
    /// [disabled](Recorder::disabled) one.
    ///
    /// # Errors
    /// [`StartError`] when the system gives no threads or two branches share a name.
    pub fn start(mut self) -> Result<(Recorder, RecorderGuard), StartError> {
        self.decide();
        let timeout = self.limits.drop_timeout;
        let recorder = if self.branches.is_empty() {
            Recorder::disabled()
        } else {
            Recorder::from_core(self.start_threads()?)
        };
        let guard = RecorderGuard {
            recorder: recorder.clone(),
            timeout,
        };
        Ok((recorder, guard))
    }

    /// The limits that it would start with.
    #[cfg(all(test, feature = "rest"))]
    pub(crate) fn decided(mut self) -> Limits {
        self.decide();
        self.limits
    }

    /// What the program said, else what settings say, else the default.
    fn decide(&mut self) {
        let stated_field = self.stated.field_bytes.is_some();
        let chosen = std::mem::take(&mut self.stated).or(std::mem::take(&mut self.settings));
        self.common.project = chosen.project;
        self.common.environment = chosen.environment;
        let limits = &mut self.limits;
        if let Some(bytes) = chosen.field_bytes {
            // What settings ask for must fit into what may wait, or it would be lost, not cut.
            let most = limits.pending_bytes / FIELDS;
            limits.field_bytes = if stated_field { bytes } else { bytes.min(most) };
            if !stated_field {
                let record = limits.field_bytes.saturating_mul(FIELDS);
                limits.record_bytes = limits.record_bytes.max(record);
            }
        }
        if let Some(bytes) = chosen.record_bytes {
            limits.record_bytes = bytes;
        }
        if let Some(timeout) = chosen.export_timeout {
            limits.export_timeout = timeout;
        }
        if let Some(timeout) = chosen.drop_timeout {
            limits.drop_timeout = timeout;
        }
    }

    fn start_threads(self) -> Result<Arc<Core>, StartError> {
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = self
            .branches
            .iter()
            .find(|b| !names.insert(b.name.as_str()))
        {
            return Err(StartError::DuplicateBranch {
                name: twice.name.clone(),
            });
        }
        let (intake, outlet) = Intake::new(&self.limits);
        let queues: Vec<_> = self
            .branches
            .iter()
            .map(|branch| {
                let name = branch.name.clone();
                Arc::new(match branch.exporter {
                    Some(_) => BranchQueue::new(
                        name,
                        self.limits.pending_records,
                        self.limits.pending_bytes,
                    ),
                    None => BranchQueue::discarding(name),
                })
            })
            .collect();
        let start_rows = self
            .branches
            .iter()
            .any(|branch| branch.start_rows_in_effect() != StartRows::Off);
        let core = Arc::new(Core::new(intake, queues, &self.limits, start_rows));
        let collector = Collector::new(Arc::clone(&core), outlet);
        self.start_branches(&core)
            .and_then(|()| {
                let name = "opik-recorder".to_owned();
                let thread = spawn(&name, move || collector.run())?;
                core.intake().served_by(thread);
                Ok(Arc::clone(&core))
            })
            .inspect_err(|_| stop(&core))
    }

    fn start_branches(self, core: &Arc<Core>) -> Result<(), StartError> {
        let retry = Retry {
            attempts: self.limits.export_attempts,
            first_wait: self.first_wait,
        };
        for ((index, branch), queue) in self.branches.into_iter().enumerate().zip(core.queues()) {
            let start_rows = branch.start_rows_in_effect();
            let Some(exporter) = branch.exporter else {
                continue;
            };
            let name = format!("opik-{}", branch.name);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .thread_name(format!("{name}-pool"))
                .on_thread_start(context::suppress_thread)
                .build()
                .map_err(|source| StartError::Thread {
                    thread: name.clone(),
                    source,
                })?;
            let delivery = Delivery {
                exporter,
                queue: Arc::clone(queue),
                timeout: self.limits.export_timeout,
                retry,
            };
            let worker = Worker::new(
                index,
                delivery,
                branch.policy,
                self.common.clone(),
                start_rows,
                self.limits.clone(),
            );
            spawn(&name, move || {
                runtime.block_on(worker.run());
                // Whatever an exporter left running must not keep the thread.
                runtime.shutdown_background();
            })?;
        }
        Ok(())
    }
}

/// Starts a thread of the recorder, on which nothing is recorded.
fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::Thread, StartError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            context::suppress_thread();
            work();
        })
        .map(|handle| handle.thread().clone())
        .map_err(|source| StartError::Thread {
            thread: name.to_owned(),
            source,
        })
}

/// Ends the branches that were started before something failed.
fn stop(core: &Core) {
    let ticket = Ticket::new(core.queues().len(), Duration::ZERO);

    for queue in core.queues() {
        queue.mark(crate::worker::close_marker(Arc::clone(&ticket)));
    }
}
