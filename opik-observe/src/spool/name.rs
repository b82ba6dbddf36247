//! Names of the files in a spool's directory.

use std::fmt;

use opik_core::{SpanId, Timestamp};

/// One process with one open spool: what its files are called after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Run {
    process: u32,
    random: u64,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            process: std::process::id(),
            random: random(),
        }
    }

    /// Whether this is the process that began it, and no child that was forked off.
    pub(super) fn is_here(self) -> bool {
        self.process == std::process::id()
    }

    #[cfg(test)]
    pub(super) fn of_another_process(self) -> Self {
        Self {
            process: self.process.wrapping_add(1),
            ..self
        }
    }

    /// The file whose lock says that the run is alive.
    pub(super) fn lock_name(self) -> String {
        format!("{self}.lock")
    }

    /// The lock file before it is locked.
    pub(super) fn unlocked_name(self) -> String {
        format!("{self}.new")
    }

    /// The run whose lock file has this name.
    pub(super) fn of_lock(name: &str) -> Option<Self> {
        Self::parse(name.strip_suffix(".lock")?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (process, random) = text.split_once('-')?;
        let run = Self {
            process: process.parse().ok()?,
            random: u64::from_str_radix(random, 16).ok()?,
        };
        // Only the one spelling: another file is not ours.
        (run.to_string() == text).then_some(run)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.process, self.random)
    }
}

/// 62 random bits and two that are fixed.
pub(super) fn random() -> u64 {
    let id = SpanId::generate();
    let low = id.as_bytes().last_chunk::<8>();
    u64::from_be_bytes(low.copied().unwrap_or_default())
}

/// Name of a segment. Names sort as they are replayed: by moment, then run, then number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentName {
    /// Microseconds since 1970 of the moment at which it was begun.
    created: u64,
    pub(super) run: Run,
    number: u32,
}

const SUFFIX: &str = ".seg";

impl SegmentName {
    pub(super) fn new(created: Timestamp, run: Run, number: u32) -> Self {
        Self {
            created: created.as_micros().max(0).unsigned_abs(),
            run,
            number,
        }
    }

    pub(super) fn created(self) -> Timestamp {
        Timestamp::from_micros(i64::try_from(self.created).unwrap_or(i64::MAX))
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (created, rest) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let (run, number) = rest.rsplit_once('-')?;
        let parsed = Self {
            created: created.parse().ok()?,
            run: Run::parse(run)?,
            number: number.parse().ok()?,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            run,
            number,
        } = self;
        write!(f, "{created:020}-{run}-{number:06}{SUFFIX}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_sort_in_the_order_of_replay() {
        let (at, run) = (Timestamp::from_micros(1_795_170_315_351_281), Run::new());
        let mut names: Vec<SegmentName> = [(5, 2), (0, 7), (5, 1)]
            .map(|(later, number)| SegmentName::new(at.plus_micros(later), run, number))
            .into();
        names.sort();
        let numbers: Vec<u32> = names.iter().map(|name| name.number).collect();
        assert_eq!(numbers, [7, 1, 2]);
        for name in names {
            assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(Run::of_lock(&run.lock_name()), Some(run));
    }

    #[test]
    fn other_files_are_not_ours() {
        for name in [
            "",
            "a.seg",
            "1-2-3.seg",
            "+1-2-0000000000000003-000004.seg",
            ".lock",
        ] {
            assert_eq!(SegmentName::parse(name), None, "{name}");
            assert_eq!(Run::of_lock(name), None, "{name}");
        }
    }
}
