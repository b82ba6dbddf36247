//! Time, processor time and bytes of a way to send spans.

use std::time::Instant;

use cpu_time::ProcessTime;

/// A way to get spans from their creation to the server.
pub trait Way {
    /// Makes spans and returns when all were received.
    fn send_all(&mut self, prompts: &[String], spans: usize);
}

/// One round of a way.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub spans_per_second: f64,
    /// Microseconds of processor time of this process per span.
    pub cpu: f64,
    /// Bytes of bodies per span.
    pub bytes: f64,
    pub requests: u64,
}

/// `count` says how many requests and bytes the server has received.
pub fn round(
    way: &mut dyn Way,
    prompts: &[String],
    spans: usize,
    count: impl Fn() -> (u64, u64),
) -> Figures {
    let (requests, bytes) = count();
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    way.send_all(prompts, spans);
    let (wall, cpu) = (wall.elapsed(), cpu.elapsed());
    let (requests_after, bytes_after) = count();
    let count = spans as f64;
    Figures {
        spans_per_second: count / wall.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1e6 / count,
        bytes: (bytes_after - bytes) as f64 / count,
        requests: requests_after - requests,
    }
}

/// The middle of the rounds, by each measure.
pub fn median(rounds: &[Figures]) -> Figures {
    let middle = |of: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures {
        spans_per_second: middle(|round| round.spans_per_second),
        cpu: middle(|round| round.cpu),
        bytes: middle(|round| round.bytes),
        requests: rounds[0].requests,
    }
}

/// Kilobytes of memory that this process has in use; 0 where there is no `/proc`.
pub fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
