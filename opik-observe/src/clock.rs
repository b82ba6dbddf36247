//! One clock per trace.
//!
//! The wall clock is read when a trace begins; every other moment of the trace is that plus what a
//! monotonic clock says has passed. A step of the wall clock therefore moves later traces and never
//! bends one. Traces that a thread begins within a millisecond share one reading.
//!
//! Which monotonic clock is fixed for a trace when it begins:
//!
//! - the processor's time-stamp counter, which is read in less than half the time of the system's
//!   clock. Only on Linux on x86-64, only while the kernel itself keeps time with it (the kernel has
//!   checked then that it runs at one speed, never stops and agrees between cores), and only once
//!   the collector has [measured](Calibration) its speed;
//! - the system's monotonic clock otherwise.
//!
//! Counter reads of two threads may differ by less than a microsecond from the order in which the
//! threads took turns, since the processor may read it a few instructions early.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opik_core::Timestamp;

use counter::ticks;

/// How many microseconds a thread's reading of the wall clock is good for.
const FRESH: u64 = 1_000;

thread_local! {
    /// The thread's last reading: of which source, when by the counter, and what it was.
    static READING: Cell<(u64, u64, Timestamp)> = const { Cell::new((0, 0, Timestamp::EPOCH)) };
}

static NEXT_SOURCE: AtomicU64 = AtomicU64::new(1);

/// What a recorder reads time from.
#[derive(Debug)]
pub(crate) struct TimeSource {
    number: u64,
    wall: fn() -> Timestamp,
    /// Microseconds per tick of the counter times 2^64; 0 while the counter is not used.
    scale: AtomicU64,
}

impl Default for TimeSource {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl TimeSource {
    /// With another wall clock than the system's.
    pub(crate) fn new(wall: fn() -> Timestamp) -> Self {
        Self {
            number: NEXT_SOURCE.fetch_add(1, Ordering::Relaxed),
            wall,
            scale: AtomicU64::new(0),
        }
    }

    /// A clock for a trace that begins now.
    pub(crate) fn start(&self) -> Clock {
        let scale = self.scale.load(Ordering::Relaxed);
        if scale == 0 {
            let since = Since::System(Instant::now());
            let wall = (self.wall)();
            return Clock { wall, since };
        }
        let at = ticks();
        let (number, read_at, wall) = READING.get();
        let passed = micros_of(at.saturating_sub(read_at), scale);
        let wall = if number == self.number && at >= read_at && passed < FRESH {
            wall.plus_micros(i64::try_from(passed).unwrap_or(0))
        } else {
            let wall = (self.wall)();
            READING.set((self.number, at, wall));
            wall
        };
        let since = Since::Counter { at, scale };
        Clock { wall, since }
    }

    /// Uses the counter with this speed from now on, or does without it when that is 0.
    fn set_scale(&self, scale: u64) {
        self.scale.store(scale, Ordering::Relaxed);
    }
}

/// The time of one trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Timestamp,
    since: Since,
}

#[derive(Debug, Clone, Copy)]
enum Since {
    Counter { at: u64, scale: u64 },
    System(Instant),
}

impl Clock {
    /// The clock of a trace that nobody records.
    pub(crate) const STOPPED: Self = Self {
        wall: Timestamp::EPOCH,
        since: Since::Counter { at: 0, scale: 0 },
    };

    /// The moment at which it was started.
    pub(crate) fn origin(self) -> Timestamp {
        self.wall
    }

    pub(crate) fn now(self) -> Timestamp {
        let micros = match self.since {
            // A counter that was reset, as by a suspended machine, stops the trace's time.
            Since::Counter { at, scale } => micros_of(ticks().saturating_sub(at), scale),
            Since::System(at) => {
                // `as_micros` would calculate in 128 bits.
                let elapsed = at.elapsed();
                let seconds = elapsed.as_secs().saturating_mul(1_000_000);
                seconds.saturating_add(elapsed.subsec_micros().into())
            }
        };
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        self.wall.plus_micros(micros)
    }
}

/// Microseconds that so many ticks take.
fn micros_of(ticks: u64, scale: u64) -> u64 {
    let product = u128::from(ticks) * u128::from(scale);
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

/// Shortest time over which the counter's speed is measured, and the longest until it is again.
const FIRST_SPAN: Duration = Duration::from_millis(10);
const LAST_SPAN: Duration = Duration::from_mins(1);
/// A measurement counts when both its ends are known to this share of its length.
const PRECISION: u32 = 10_000;
/// How far two measurements in a row may differ, as a share: the system's clock is allowed to be
/// slewed by a two-thousandth.
const TOLERANCE: u64 = 500;

/// The counter and the system's monotonic clock at the same moment.
#[derive(Debug, Clone, Copy)]
struct Pair {
    ticks: u64,
    at: Instant,
    /// How long reading both took at most.
    gap: Duration,
}

/// Measures the speed of the counter, again and again over ever longer times, and takes it out of
/// use when it does not run evenly.
///
/// The collector calls [`observe`](Self::observe) whenever it is awake; nobody waits for it. The
/// first speed is known about 10 ms after the start, to a ten-thousandth or better.
#[derive(Debug, Default)]
pub(crate) struct Calibration {
    previous: Option<Pair>,
    /// When to look again.
    due: Option<Instant>,
    span: Duration,
    scale: u64,
    /// Times that it did not run evenly.
    failures: u32,
}

impl Calibration {
    /// Whether the first measurement is under way, which wants the collector awake.
    pub(crate) fn is_starting(&self) -> bool {
        self.previous.is_some() && self.scale == 0 && self.failures == 0
    }

    /// Measures if it is time to.
    pub(crate) fn observe(&mut self, source: &TimeSource) {
        if self.due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        let now = counter::is_trusted().then(counter::pair);
        source.set_scale(self.measure(now));
        self.due = Instant::now().checked_add(self.span);
    }

    /// Takes a new pair, or none where the counter is not to be used, and returns the speed.
    fn measure(&mut self, now: Option<Pair>) -> u64 {
        let Some(now) = now else {
            self.previous = None;
            self.span = LAST_SPAN;
            self.scale = 0;
            return 0;
        };
        let Some(previous) = self.previous else {
            self.begin(now);
            return 0;
        };
        let length = now.at.saturating_duration_since(previous.at);
        let doubt = previous.gap.saturating_add(now.gap);
        if doubt.saturating_mul(PRECISION) > length {
            // Interrupted while it read: the next pair may do better.
            if now.gap <= previous.gap {
                self.previous = Some(now);
            }
            return self.scale;
        }
        let scale = scale_of(now.ticks.saturating_sub(previous.ticks), length);
        if self.scale != 0 && scale.abs_diff(self.scale) > self.scale / TOLERANCE {
            self.failures = self.failures.saturating_add(1);
            self.begin(now);
            return 0;
        }
        self.previous = Some(now);
        self.span = (self.span * 2).min(LAST_SPAN);
        self.scale = scale;
        scale
    }

    fn begin(&mut self, now: Pair) {
        self.previous = Some(now);
        self.span = FIRST_SPAN
            .saturating_mul(1 << self.failures.min(16))
            .min(LAST_SPAN);
        self.scale = 0;
    }
}

/// The scale of a counter that made so many ticks in this time; 0 when that is no speed.
fn scale_of(ticks: u64, length: Duration) -> u64 {
    let product = length.as_nanos() << 64;
    let per_tick = product.checked_div(u128::from(ticks) * 1_000);
    per_tick
        .and_then(|scale| u64::try_from(scale).ok())
        .unwrap_or(0)
}

/// Reading the time-stamp counter.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod counter {
    use std::time::{Duration, Instant};

    use super::Pair;

    #[inline]
    pub(super) fn ticks() -> u64 {
        safe_arch::read_timestamp_counter()
    }

    /// Whether the kernel keeps time with it.
    pub(super) fn is_trusted() -> bool {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "tsc")
    }

    /// Reads both clocks; the closest pair of a few, since a thread may be interrupted in between.
    pub(super) fn pair() -> Pair {
        let read = || {
            let (before, ticks, after) = (Instant::now(), ticks(), Instant::now());
            let gap = after.saturating_duration_since(before);
            let at = before + gap / 2;
            Pair { ticks, at, gap }
        };
        (0..8)
            .map(|_| read())
            .min_by_key(|pair| pair.gap)
            .unwrap_or_else(|| Pair {
                ticks: ticks(),
                at: Instant::now(),
                gap: Duration::MAX,
            })
    }
}

/// Where there is no such counter, or nobody who vouches for it.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod counter {
    use std::time::{Duration, Instant};

    use super::Pair;

    pub(super) fn ticks() -> u64 {
        0
    }

    pub(super) fn is_trusted() -> bool {
        false
    }

    pub(super) fn pair() -> Pair {
        Pair {
            ticks: 0,
            at: Instant::now(),
            gap: Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests;
