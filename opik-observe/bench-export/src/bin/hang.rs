//! How much memory a server costs that takes requests and never answers.

use std::sync::Arc;
use std::time::Duration;

use opik_observe::{Policy, Recorder};
use opik_observe_bench_export::measure::resident_kilobytes;
use opik_observe_bench_export::opik::{client, record};
use opik_observe_bench_export::server::Server;
use opik_observe_bench_export::workload::prompts;

/// Bytes that may wait for the recorder's thread, and again for the branch.
const BUDGET: usize = 16 << 20;

fn main() {
    let prompts = prompts();
    let server = Server::start(true);
    let before = resident_kilobytes();
    let (recorder, guard) = Recorder::builder()
        .project("bench")
        .max_pending_bytes(BUDGET)
        .drop_timeout(Duration::from_millis(100))
        .branch(
            "opik",
            Arc::new(client(&server.address, true)),
            Policy::full_content(),
        )
        .start()
        .unwrap();
    println!(
        "two budgets of {} MiB; more memory than before the recorder:",
        BUDGET >> 20
    );
    for spans in [10_000, 90_000, 400_000, 500_000] {
        for _ in 0..spans / 10_000 {
            record(&recorder, &prompts, 10_000);
            std::thread::sleep(Duration::from_millis(5));
        }
        let more = resident_kilobytes().saturating_sub(before) >> 10;
        let branch = &recorder.statistics().branches[0];
        println!("{:9} records: {more:4} MiB, {branch:?}", branch.recorded);
    }
    drop(guard);
}
