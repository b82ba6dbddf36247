//! What became of every record: lock-free counters and their snapshot.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a record was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// More records or bytes waited to be taken over than the recorder may hold.
    BudgetExceeded,
    /// The branch had no room: its exporter is slower than the program records.
    QueueFull,
    /// One record was larger than a record may be.
    TooLarge,
    /// The record could not be turned into what the policy lets through.
    Redaction,
    /// The exporter refused the record for good.
    Rejected,
    /// The exporter failed, and repeating did not help or was no use.
    ExportFailed,
    /// The exporter panicked.
    ExporterPanicked,
    /// The recorder was closed before.
    Closed,
    /// Shutdown ran out of time before the record was exported.
    ShutdownTimeout,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::BudgetExceeded,
        Self::QueueFull,
        Self::TooLarge,
        Self::Redaction,
        Self::Rejected,
        Self::ExportFailed,
        Self::ExporterPanicked,
        Self::Closed,
        Self::ShutdownTimeout,
    ];

    /// The reason as one word, for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BudgetExceeded => "budget_exceeded",
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::Redaction => "redaction",
            Self::Rejected => "rejected",
            Self::ExportFailed => "export_failed",
            Self::ExporterPanicked => "exporter_panicked",
            Self::Closed => "closed",
            Self::ShutdownTimeout => "shutdown_timeout",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One counter per reason.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; DropReason::ALL.len()]);

impl Tally {
    pub(crate) fn add(&self, reason: DropReason, records: usize) {
        if let Some(counter) = self.0.get(reason as usize) {
            // Release: who sees this sees that they were recorded.
            counter.fetch_add(records as u64, Ordering::Release);
        }
    }

    pub(crate) fn of(&self, reason: DropReason) -> u64 {
        self.0
            .get(reason as usize)
            .map_or(0, |counter| counter.load(Ordering::Acquire))
    }

    /// By reason, in the order of [`DropReason::ALL`].
    pub(crate) fn sums(tallies: [&Self; 2]) -> [u64; DropReason::ALL.len()] {
        DropReason::ALL.map(|reason| tallies.iter().map(|tally| tally.of(reason)).sum())
    }
}

/// What became of the records of one branch.
///
/// `recorded == exported + dropped() + pending()`, and once a flush or shutdown is complete nothing
/// is pending.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchStatistics {
    /// Name of the branch.
    pub name: String,
    /// Records offered: traces, spans and scores that ended, plus `start_rows` and `attachments`.
    pub recorded: u64,
    /// Rows of spans and traces that were still open, made for live views.
    pub start_rows: u64,
    /// Files that were taken out of content, for an exporter that takes files.
    pub attachments: u64,
    /// Records that the exporter accepted.
    pub exported: u64,
    /// Single values held back because the policy's scrubber panicked; their records go on.
    pub fields_lost: u64,
    lost: [u64; DropReason::ALL.len()],
}

impl BranchStatistics {
    pub(crate) fn new(
        name: &str,
        recorded: u64,
        start_rows: u64,
        exported: u64,
        lost: [u64; DropReason::ALL.len()],
    ) -> Self {
        Self {
            name: name.to_owned(),
            recorded: recorded + start_rows,
            start_rows,
            attachments: 0,
            exported,
            fields_lost: 0,
            lost,
        }
    }

    pub(crate) fn with_attachments(mut self, files: u64) -> Self {
        self.attachments = files;
        self.recorded += files;
        self
    }

    pub(crate) fn with_fields_lost(mut self, fields: u64) -> Self {
        self.fields_lost = fields;
        self
    }

    /// Records lost, for any reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Records lost for this reason.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.lost.get(reason as usize).copied().unwrap_or(0)
    }

    /// Records lost by reason, without the reasons that did not occur.
    pub fn losses(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .zip(self.lost.iter().copied())
            .filter(|(_, records)| *records > 0)
    }

    /// Records that are on their way.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.recorded
            .saturating_sub(self.exported)
            .saturating_sub(self.dropped())
    }
}

impl fmt::Debug for BranchStatistics {
    /// With the losses by the names of their reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Losses<'a>(&'a BranchStatistics);
        impl fmt::Debug for Losses<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let named = self.0.losses().map(|(reason, n)| (reason.as_str(), n));
                f.debug_map().entries(named).finish()
            }
        }
        f.debug_struct("BranchStatistics")
            .field("name", &self.name)
            .field("recorded", &self.recorded)
            .field("start_rows", &self.start_rows)
            .field("attachments", &self.attachments)
            .field("exported", &self.exported)
            .field("pending", &self.pending())
            .field("fields_lost", &self.fields_lost)
            .field("losses", &Losses(self))
            .finish()
    }
}

/// What the recorder did since it started; see [`Recorder::statistics`](crate::Recorder::statistics).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Traces, spans and scores that ended, whatever became of them.
    pub recorded: u64,
    /// Calls on the recorder's own threads, which record nothing.
    pub suppressed: u64,
    /// Single values left out because they could not be written as JSON; their records go on.
    pub fields_lost: u64,
    /// What became of the records, branch by branch.
    pub branches: Vec<BranchStatistics>,
}

impl Statistics {
    /// The branch with this name.
    #[must_use]
    pub fn branch(&self, name: &str) -> Option<&BranchStatistics> {
        self.branches.iter().find(|branch| branch.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_the_order_of_their_counters() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
        }
    }

    #[test]
    fn losses_add_up_over_both_tallies() {
        let (shared, own) = (Tally::default(), Tally::default());
        shared.add(DropReason::Closed, 2);
        own.add(DropReason::Closed, 1);
        own.add(DropReason::Rejected, 4);
        let branch = BranchStatistics::new("b", 12, 1, 5, Tally::sums([&shared, &own]));
        assert_eq!(
            branch.losses().collect::<Vec<_>>(),
            [(DropReason::Rejected, 4), (DropReason::Closed, 3)]
        );
        assert_eq!((branch.dropped(), branch.pending()), (7, 1));
        let text = format!("{branch:?}");
        assert!(
            text.contains(r#"losses: {"rejected": 4, "closed": 3}"#),
            "{text}"
        );
    }
}
