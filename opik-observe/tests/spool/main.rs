//! The spool on a real directory: conformance, processes that are killed, disks that refuse.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod closing;
mod conformance;
#[cfg(unix)]
mod disk;
mod drain;
mod processes;
mod server;
#[cfg(feature = "rest")]
mod stub;
mod threads;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_observe::spool::{Durability, Spool, SpoolOptions, inspect};
use server::{Mood, Server};

const LONG: Duration = Duration::from_secs(60);

/// Runs a future on a runtime without timers: the spool brings its own.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

/// Options that do not make tests wait.
fn quick(durability: Durability) -> SpoolOptions {
    SpoolOptions::new()
        .durability(durability)
        .waits(Duration::from_millis(1), Duration::from_millis(5))
        .records_per_second(1_000_000)
}

/// What a later process sends from a directory, in order.
fn replay(directory: &Path) -> Vec<u64> {
    replay_with(directory, 1)
}

/// What so many processes at once send from a directory.
fn replay_with(directory: &Path, processes: usize) -> Vec<u64> {
    let server = Server::new(Mood::Up);
    let open = || {
        let options = quick(Durability::SpoolOnFailure);
        Spool::open(directory, Arc::new(server.clone()), options).unwrap()
    };
    let spools: Vec<Spool> = (0..processes).map(|_| open()).collect();
    let deadline = Instant::now() + LONG;
    while inspect(directory).unwrap().segments > 0 {
        assert!(Instant::now() < deadline, "{spools:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    for spool in &spools {
        let s = spool.statistics();
        assert_eq!(s.recovered, s.replayed + s.lost());
        assert_eq!(s.pending_records, 0);
    }
    server.rows()
}
