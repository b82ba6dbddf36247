//! What handles, guards and the worker share: the intake, the branches' queues, and what the collector is asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use opik_core::model::ScoreTarget;
use opik_core::{ScoreRecord, Timestamp, TraceId};

use crate::clock::TimeSource;
use crate::context;
use crate::flush::Ticket;
use crate::intake::Intake;
use crate::name::Name;
use crate::raw::{Head, Kind, Raw, Tag};
use crate::stats::{BranchStatistics, Statistics, Tally};
use crate::worker::BranchQueue;

/// Most calls of `flush` that may wait for the collector at the same moment.
const MAX_REQUESTS: usize = 4_096;

/// Something the collector is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Flush(Arc<Ticket>),
    /// Finish, and give exporters up at that moment.
    Close(Arc<Ticket>, Instant),
}

#[derive(Debug, Default)]
struct Control {
    requests: Vec<Request>,
    finished: bool,
}

/// What handles, guards and the worker share.
#[derive(Debug)]
pub(crate) struct Core {
    intake: Intake,
    queues: Vec<Arc<BranchQueue>>,
    control: Mutex<Control>,
    time: TimeSource,
    field_bytes: usize,
    wants_start_rows: bool,
    process: u32,
}

impl Core {
    pub(crate) fn new(
        intake: Intake,
        queues: Vec<Arc<BranchQueue>>,
        limits: &crate::config::Limits,
        wants_start_rows: bool,
    ) -> Self {
        Self {
            intake,
            queues,
            control: Mutex::default(),
            time: TimeSource::default(),
            field_bytes: limits.field_bytes,
            wants_start_rows,
            process: std::process::id(),
        }
    }

    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }

    pub(crate) fn queues(&self) -> &[Arc<BranchQueue>] {
        &self.queues
    }

    pub(crate) fn time(&self) -> &TimeSource {
        &self.time
    }

    pub(crate) fn field_bytes(&self) -> usize {
        self.field_bytes
    }

    pub(crate) fn wants_start_rows(&self) -> bool {
        self.wants_start_rows
    }

    /// Whether this thread may record; the recorder's own threads may not.
    pub(crate) fn admits_this_thread(&self) -> bool {
        let suppressed = context::is_suppressed();
        if suppressed {
            let account = self.intake.account();
            account.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        !suppressed
    }

    pub(crate) fn field_lost(&self) {
        let account = self.intake.account();
        account.fields_lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn branch_names(&self, indexes: &[usize]) -> Vec<String> {
        indexes
            .iter()
            .filter_map(|index| self.queues.get(*index))
            .map(|queue| queue.name.clone())
            .collect()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let account = self.intake.account();
        // Fates before births: a record that is counted meanwhile is pending, never missing.
        let fates: Vec<_> = self
            .queues
            .iter()
            .map(|queue| {
                let exported = queue.exported.load(Ordering::Acquire);
                let lost = Tally::sums([&account.lost, &queue.lost]);
                let start_rows = queue.start_rows.load(Ordering::Relaxed);
                let attachments = queue.attachments.load(Ordering::Relaxed);
                (queue, exported, lost, start_rows, attachments)
            })
            .collect();
        let ended = fates.iter().map(|(_, exported, lost, rows, files)| {
            let known = exported + lost.iter().sum::<u64>();
            known.saturating_sub(rows + files)
        });
        let recorded = self.intake.recorded(ended.max().unwrap_or(0));
        Statistics {
            recorded,
            suppressed: account.suppressed.load(Ordering::Relaxed),
            fields_lost: account.fields_lost.load(Ordering::Relaxed),
            branches: fates
                .into_iter()
                .map(|(queue, exported, lost, start_rows, attachments)| {
                    BranchStatistics::new(&queue.name, recorded, start_rows, exported, lost)
                        .with_attachments(attachments)
                        .with_fields_lost(queue.fields_lost.load(Ordering::Relaxed))
                })
                .collect(),
        }
    }

    pub(crate) fn record_score(&self, record: &ScoreRecord) {
        let score = &record.score;
        let name = Name::dynamic(&score.name);
        let (trace, parent) = match &record.target {
            ScoreTarget::Trace(id) => (*id.as_bytes(), None),
            ScoreTarget::Span(id) => ([0; 16], Some(*id.as_bytes())),
            _ => ([0; 16], None),
        };
        let now = Timestamp::now();
        let head = Head {
            kind: Kind::Score,
            span_type: None,
            id: *TraceId::generate_at(now).as_bytes(),
            trace,
            parent,
            start: now,
            name: &name,
        };
        let mut raw = Raw::default();
        raw.begin(&head);
        raw.float(Tag::ScoreValue, score.value);
        if let ScoreTarget::Thread(thread) = &record.target {
            raw.text(Tag::ThreadId, thread);
        }
        if let Some(reason) = &score.reason {
            raw.text(Tag::ScoreReason, reason);
        }
        if let Some(category) = &score.category_name {
            raw.text(Tag::ScoreCategory, category);
        }
        raw.end(now);
        self.intake.record(raw.as_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn request(&self, request: Request, ticket: &Ticket) {
        // A forked child has none of the threads, and the worker cannot wait for itself.
        if self.process != std::process::id() || context::is_suppressed() {
            return self.answer(ticket, false);
        }
        let mut control = self.lock();
        if control.finished {
            drop(control);
            return self.answer(ticket, true);
        }
        let room = control.requests.len() < MAX_REQUESTS;
        if room {
            control.requests.push(request);
        }
        drop(control);
        if room {
            self.intake.wake();
        } else {
            self.answer(ticket, false);
        }
    }

    /// Settles a call that no thread works on: a branch succeeded when nothing of it is pending.
    pub(crate) fn answer(&self, ticket: &Ticket, finished: bool) {
        for (index, branch) in self.statistics().branches.iter().enumerate() {
            ticket.settle(index, finished && branch.pending() == 0);
        }
        ticket.release();
    }

    /// Says which records were not settled when shutdown ended: a program may end with it.
    pub(crate) fn warn_unsettled(&self) {
        let warn = || {
            for branch in &self.statistics().branches {
                if branch.pending() > 0 {
                    tracing::warn!(
                        target: "opik_observe",
                        branch = %branch.name,
                        records = branch.pending(),
                        "shutdown ran out of time before these records were settled: they may be lost"
                    );
                }
            }
        };
        // The subscriber is the host's, and this may be its thread.
        catch_unwind(AssertUnwindSafe(warn)).ok();
    }

    pub(crate) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.lock().requests)
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.lock().requests.is_empty()
    }

    /// The collector is done; whoever still asks is answered here.
    pub(crate) fn finished(&self) {
        let mut control = self.lock();
        control.finished = true;
        let requests = std::mem::take(&mut control.requests);
        drop(control);
        for request in requests {
            let (Request::Flush(ticket) | Request::Close(ticket, _)) = request;
            self.answer(&ticket, true);
        }
    }
}

#[cfg(test)]
mod tests;
