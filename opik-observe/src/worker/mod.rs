//! The recorder's own threads.
//!
//! One *collector* empties the intake, hands every chunk to all branches and keeps time for whoever
//! waits; it never runs foreign code. Each *branch* has a thread with a runtime of its own, on which it
//! redacts, batches and exports: a branch whose exporter hangs, or blocks its thread, holds up no
//! other. Nothing that runs on these threads, or on the blocking pools of their runtimes, is
//! recorded.

mod attempt;
mod branch;
mod collector;
mod delivery;
mod open_rows;
mod queue;
mod shipment;
mod under_way;

pub(crate) use branch::Worker;
pub(crate) use collector::Collector;
pub(crate) use delivery::{Delivery, Retry};
pub(crate) use queue::BranchQueue;
pub(crate) use shipment::takes_rows;

/// The marker after which a branch ends.
pub(crate) fn close_marker(ticket: std::sync::Arc<crate::flush::Ticket>) -> queue::Item {
    queue::Item::Close(ticket)
}
