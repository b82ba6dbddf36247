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

/// What was seen of one competitor, one entry per round. Nanoseconds.
#[derive(Debug, Default)]
pub struct Figures {
    /// Per span of a trace: half are below, and 99 of 100.
    pub one_p50: Vec<f64>,
    pub one_p99: Vec<f64>,
    /// The same while two threads record.
    pub two_p50: Vec<f64>,
    pub two_p99: Vec<f64>,
    /// A child at 50,000 spans a second on each of two threads.
    pub paced_p50: Vec<f64>,
    pub paced_p99: Vec<f64>,
    pub paced_p999: Vec<f64>,
    /// Processor time of the whole process per span.
    pub process: Vec<f64>,
}

/// The value below which this share of the samples lies.
fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    let at = (samples.len() as f64 * share) as usize;
    samples[at.min(samples.len() - 1)]
}

pub fn median(rounds: &[f64]) -> f64 {
    quantile(&mut rounds.to_vec(), 0.5)
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
    let mut one = bursts(tracer, text);
    tracer.settle();
    let spans = (BURSTS * TRACES) as f64 * f64::from(SPANS);
    let process = before.elapsed().as_nanos() as f64 / spans;
    let mut two = on_two_threads(|| bursts(tracer, text));
    tracer.settle();
    let mut paced = on_two_threads(|| paced(tracer, text));
    tracer.settle();
    figures.process.push(process);
    figures.one_p50.push(quantile(&mut one, 0.5));
    figures.one_p99.push(quantile(&mut one, 0.99));
    figures.two_p50.push(quantile(&mut two, 0.5));
    figures.two_p99.push(quantile(&mut two, 0.99));
    figures.paced_p50.push(quantile(&mut paced, 0.5));
    figures.paced_p99.push(quantile(&mut paced, 0.99));
    figures.paced_p999.push(quantile(&mut paced, 0.999));
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
