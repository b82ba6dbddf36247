//! The thread between the callers and the branches.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::Item;
use crate::clock::Calibration;
use crate::flush::Ticket;
use crate::intake::Outlet;
use crate::recorder::{Core, Request};
use crate::stats::DropReason;

/// How long it waits for more while records keep coming.
const TICK: Duration = Duration::from_millis(10);
/// The same in a rush, and when the first record ends its sleep: others may be right behind, and the
/// branches have nothing to do until they are told.
const RUSH_TICK: Duration = Duration::from_millis(1);
/// How many bytes at once are a rush.
const RUSH: usize = 256 << 10;
/// How long nothing is recorded before half of the memory that a rush needed is given back.
const COOLING: Duration = Duration::from_secs(10);
/// Longest sleep when there is nothing to do.
const SLEEP: Duration = Duration::from_secs(3_600);
/// How long records that were admitted just before closing may take to arrive.
const LAST_CALL: Duration = Duration::from_millis(100);

/// State of the collector's thread.
pub(crate) struct Collector {
    core: Arc<Core>,
    outlet: Outlet,
    waiting: Vec<Arc<Ticket>>,
    /// Of further calls that close.
    closing: Vec<Arc<Ticket>>,
    warned: BTreeSet<(usize, DropReason)>,
    calibration: Calibration,
    /// How long it rested last: [`SLEEP`] when that was until something came.
    rested: Duration,
}

impl Collector {
    pub(crate) fn new(core: Arc<Core>, outlet: Outlet) -> Self {
        Self {
            core,
            outlet,
            waiting: Vec::new(),
            closing: Vec::new(),
            warned: BTreeSet::new(),
            calibration: Calibration::default(),
            rested: SLEEP,
        }
    }

    /// Works until the recorder is shut down.
    pub(crate) fn run(mut self) {
        loop {
            // Requests first: what was recorded before one was made is in the intake by now.
            let requests = self.core.take_requests();
            let drained = self.drain();
            let mut active = drained > 0 || !requests.is_empty();
            let mut closing = None;
            for request in requests {
                match request {
                    Request::Flush(ticket) => self.pass_on(&ticket, Item::Flush),
                    Request::Close(ticket, at) if closing.is_none() => closing = Some((ticket, at)),
                    // Answered with the first one.
                    Request::Close(ticket, _) => self.closing.push(ticket),
                }
            }
            if let Some((ticket, abandon_at)) = closing {
                return self.finish(&ticket, abandon_at);
            }
            active |= self.expire();
            self.warn();
            self.calibration.observe(self.core.time());
            self.rest(active, drained);
        }
    }

    /// Hands what has arrived to every branch. Tells how many bytes that was.
    fn drain(&mut self) -> usize {
        let queues = self.core.queues();
        self.core.intake().drain(&self.outlet, |bytes, counted| {
            for queue in queues {
                queue.offer(bytes, counted);
            }
        })
    }

    fn pass_on(&mut self, ticket: &Arc<Ticket>, item: impl Fn(Arc<Ticket>) -> Item) {
        for (index, queue) in self.core.queues().iter().enumerate() {
            if queue.discards() {
                ticket.settle(index, true);
            } else if !queue.mark(item(Arc::clone(ticket))) {
                ticket.settle(index, false);
            }
        }
        self.waiting.push(Arc::clone(ticket));
    }

    /// Wakes whoever waited long enough.
    fn expire(&mut self) -> bool {
        let (now, before) = (Instant::now(), self.waiting.len());
        self.waiting.retain(|ticket| {
            let over = ticket.deadline <= now;
            if over {
                ticket.expire();
            }
            !over && !ticket.is_done()
        });
        self.waiting.len() < before
    }

    fn rest(&mut self, active: bool, drained: usize) {
        let next = self.waiting.iter().map(|ticket| ticket.deadline).min();
        let left = next.map_or(SLEEP, |at| at.saturating_duration_since(Instant::now()));
        let intake = self.core.intake();
        // Not right after a short rest: callers pay for ending its sleep.
        let settled = !active && !self.calibration.is_starting() && self.rested >= TICK;
        if settled && intake.may_sleep() && !self.core.has_requests() {
            let cooling = intake.is_warm().then(|| Instant::now() + COOLING);
            std::thread::park_timeout(cooling.map_or(left, |_| COOLING.min(left)));
            if cooling.is_some_and(|at| at <= Instant::now()) {
                intake.cool();
            }
            self.rested = SLEEP;
        } else {
            let first = active && self.rested == SLEEP;
            let tick = if first || drained >= RUSH {
                RUSH_TICK
            } else {
                TICK
            };
            std::thread::park_timeout(tick.min(left));
            self.rested = tick;
        }
        intake.woke();
    }

    /// Says once per branch and reason that records were lost.
    fn warn(&mut self) {
        for (index, branch) in self.core.statistics().branches.iter().enumerate() {
            for (reason, records) in branch.losses() {
                if reason == DropReason::Closed && self.core.intake().warn_closed() {
                    continue;
                }
                if self.warned.insert((index, reason)) {
                    tracing::warn!(
                        target: "opik_observe",
                        branch = %branch.name,
                        %reason,
                        records,
                        "records were lost; further losses of this kind are only counted"
                    );
                }
            }
        }
    }

    /// Closes the intake, lets the branches finish and abandons those that take too long.
    fn finish(mut self, ticket: &Arc<Ticket>, abandon_at: Instant) {
        // First of all: an exporter may have to end what it waits for.
        for queue in self.core.queues() {
            queue.announce_close(abandon_at);
        }
        // The last part of the time is for telling the caller.
        let left = ticket.deadline.saturating_duration_since(abandon_at);
        let give_up_at = ticket.deadline.checked_sub(left / 8).unwrap_or(abandon_at);
        self.core.intake().close();
        let last_call = Instant::now() + LAST_CALL;
        while self.drain() > 0
            || (self.core.intake().account().waiting() > 0 && Instant::now() < last_call)
        {
            std::thread::yield_now();
        }
        self.pass_on(ticket, Item::Close);
        let mut abandoned = false;
        while !ticket.is_settled() && Instant::now() < give_up_at {
            let next = if abandoned { give_up_at } else { abandon_at };
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() && !abandoned {
                abandoned = true;
                for queue in self.core.queues() {
                    queue.abandon();
                }
                continue;
            }
            std::thread::park_timeout(TICK.min(left));
            self.expire();
        }
        let settled = ticket.is_settled();
        if !settled {
            for queue in self.core.queues() {
                queue.abandon();
            }
        }
        // Before the caller goes on: a program may end with the call.
        self.warn();
        if !settled {
            self.core.warn_unsettled();
        }
        self.core.finished();
        for index in 0..self.core.queues().len() {
            ticket.settle(index, false);
        }
        ticket.release();
        for ticket in &self.closing {
            self.core.answer(ticket, true);
        }
        for ticket in &self.waiting {
            ticket.expire();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::intake::Intake;
    use crate::recorder::Recorder;
    use crate::worker::BranchQueue;

    #[test]
    fn what_arrives_right_before_closing_is_handed_over() {
        let (intake, outlet) = Intake::new(&Limits::default());
        let queues = vec![Arc::new(BranchQueue::discarding("b".to_owned()))];
        let core = Arc::new(Core::new(intake, queues, &Limits::default(), false));
        let recorder = Recorder::from_core(Arc::clone(&core));
        recorder.trace("t").end();
        let minute = Duration::from_mins(1);
        let ticket = Ticket::new(1, minute);
        Collector::new(core, outlet).finish(&ticket, Instant::now() + minute);
        recorder.trace("late").end();
        let statistics = recorder.statistics();
        let branch = statistics.branch("b").unwrap();
        assert_eq!((branch.recorded, branch.exported), (2, 1));
        assert_eq!(branch.dropped_for(DropReason::Closed), 1);
        assert!(ticket.unfinished().is_empty());
    }
}
