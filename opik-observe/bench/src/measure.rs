//! The measurements.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::workload::{Around, SPANS, Tracer, Unhurried};

const TRACES: usize = 20;
const BURSTS: usize = 250;
const PAUSE: Duration = Duration::from_micros(200);
/// 50,000 spans a second.
const PACE: Duration = Duration::from_micros(20);
const PACED_TRACES: usize = 1_200;

/// What was seen of one competitor.
#[derive(Debug, Default)]
pub struct Figures {
    /// Nanoseconds per span of each trace.
    pub one: Vec<f64>,
    /// The same while two threads record.
    pub two: Vec<f64>,
    /// Nanoseconds of each child at 50,000 spans a second on each of two threads.
    pub paced: Vec<f64>,
    /// Nanoseconds of processor time per span of the whole process, one per round.
    pub process: Vec<f64>,
}

/// The value below which this share of the samples lies.
pub fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let at = (samples.len() as f64 * share) as usize;
    samples[at.min(samples.len() - 1)]
}

pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

fn bursts(tracer: &impl Tracer, text: &str) -> Vec<f64> {
    let mut samples = Vec::with_capacity(BURSTS * TRACES);
    for _ in 0..BURSTS {
        for _ in 0..TRACES {
            let began = fastant::Instant::now();
            tracer.trace(text, &mut Unhurried);
            samples.push(began.elapsed().as_nanos() as f64 / f64::from(SPANS));
        }
        std::thread::sleep(PAUSE);
    }
    samples
}

/// Starts each child at its time and measures it.
struct Paced {
    next: Instant,
    samples: Vec<f64>,
}

impl Around for Paced {
    #[inline(always)]
    fn child(&mut self, work: impl FnOnce()) {
        while Instant::now() < self.next {
            std::hint::spin_loop();
        }
        self.next += PACE;
        let began = fastant::Instant::now();
        work();
        self.samples.push(began.elapsed().as_nanos() as f64);
    }
}

fn paced(tracer: &impl Tracer, text: &str) -> Vec<f64> {
    let mut around = Paced {
        next: Instant::now(),
        samples: Vec::with_capacity(PACED_TRACES * SPANS as usize),
    };
    for _ in 0..PACED_TRACES {
        tracer.trace(text, &mut around);
    }
    around.samples
}

fn on_two_threads(work: impl Fn() -> Vec<f64> + Sync) -> Vec<f64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

/// One round of everything for one competitor.
pub fn round(tracer: &impl Tracer, text: &str, figures: &mut Figures) {
    tracer.settle();
    let before = ProcessTime::now();
    figures.one.extend(bursts(tracer, text));
    tracer.settle();
    let spans = (BURSTS * TRACES) as f64 * f64::from(SPANS);
    figures
        .process
        .push(before.elapsed().as_nanos() as f64 / spans);
    figures.two.extend(on_two_threads(|| bursts(tracer, text)));
    tracer.settle();
    figures.paced.extend(on_two_threads(|| paced(tracer, text)));
    tracer.settle();
}

/// A million spans a second for so long, in portions of a millisecond on two threads; returns how
/// many spans were made.
pub fn saturate(tracer: &impl Tracer, text: &str, length: Duration) -> u64 {
    let until = Instant::now() + length;
    let portion = || {
        let (mut next, mut made) = (Instant::now(), 0);
        while next < until {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            for _ in 0..50 {
                tracer.trace(text, &mut Unhurried);
            }
            made += 50 * u64::from(SPANS);
            next += Duration::from_millis(1);
        }
        made
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(portion)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    })
}

/// Memory of the process in bytes.
pub fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4_096
}
