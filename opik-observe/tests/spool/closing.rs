//! The end of a program whose server hangs: what is under way and what waits goes to disk in time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_observe::spool::{Durability, Spool, SpoolStatistics};
use opik_observe::{Policy, Recorder, RecorderGuard, Statistics};

use super::server::{Mood, Server};
use super::{LONG, quick, replay};

const RECORDS: u64 = 50;

/// Records in five batches before a server, and closes while the first one is under way. No attempt
/// ends by itself.
fn record(
    directory: &Path,
    server: &Server,
    close: impl FnOnce(RecorderGuard),
) -> (SpoolStatistics, Statistics) {
    let options = quick(Durability::SpoolOnFailure).attempt_timeout(LONG);
    let spool = Spool::open(directory, Arc::new(server.clone()), options).unwrap();
    let spool = Arc::new(spool);
    let (recorder, guard) = Recorder::builder()
        .branch("opik", spool.clone(), Policy::full_content())
        .batch_records(10)
        .export_timeout(2 * LONG)
        .drop_timeout(Duration::from_secs(2))
        .start()
        .unwrap();
    for number in 0..RECORDS {
        recorder.trace(format!("{number}")).end();
    }
    let deadline = Instant::now() + LONG;
    while server.calls() == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    close(guard);
    (spool.statistics(), recorder.statistics())
}

fn assert_all_on_disk(close: impl FnOnce(RecorderGuard)) {
    let directory = tempfile::tempdir().unwrap();
    let (s, statistics) = record(directory.path(), &Server::new(Mood::Hangs), close);
    let branch = &statistics.branches[0];
    assert_eq!((s.appended, s.direct), (RECORDS, 0), "{statistics:?}");
    assert_eq!(
        (branch.exported, branch.dropped(), branch.pending()),
        (RECORDS, 0, 0),
        "{statistics:?}"
    );
    let expected: Vec<u64> = (0..RECORDS).collect();
    assert_eq!(replay(directory.path()), expected);
}

#[test]
fn shutdown_while_the_server_hangs_leaves_everything_on_disk() {
    for millis in [1_000, 300] {
        assert_all_on_disk(|guard| {
            let report = guard.shutdown(Duration::from_millis(millis));
            assert!(report.complete, "{millis} ms: {report:?}");
        });
    }
}

#[test]
fn dropping_the_guard_while_the_server_hangs_leaves_everything_on_disk() {
    assert_all_on_disk(drop);
}

#[test]
fn a_server_that_answers_gets_everything_directly_at_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::new(Mood::Up);
    let (s, _) = record(directory.path(), &server, |guard| {
        assert!(guard.shutdown(Duration::from_secs(2)).complete);
    });
    assert_eq!((s.direct, s.appended), (RECORDS, 0));
    assert_eq!(server.rows(), (0..RECORDS).collect::<Vec<u64>>());
}

#[test]
fn what_waits_behind_an_attempt_that_hangs_finds_its_way_too_however_much_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::new(Mood::Hangs);
    let options = quick(Durability::SpoolOnFailure).attempt_timeout(LONG);
    let spool = Spool::open(directory.path(), Arc::new(server), options).unwrap();
    let spool = Arc::new(spool);
    let (recorder, guard) = Recorder::builder()
        .branch("opik", spool.clone(), Policy::full_content())
        .export_timeout(2 * LONG)
        .start()
        .unwrap();
    for number in 0..20_000 {
        recorder.trace(format!("{number}")).end();
    }
    let report = guard.shutdown(Duration::from_secs(3));
    let branch = &report.statistics.branches[0];
    assert!(report.complete, "{report:?}");
    assert_eq!(
        branch.recorded,
        branch.exported + branch.dropped(),
        "{report:?}"
    );
    assert_eq!(
        branch.dropped_for(opik_observe::DropReason::ShutdownTimeout),
        0
    );
    assert_eq!(spool.statistics().appended, branch.exported);
}

/// A real client before a port that takes connections and says nothing, with a timeout that is longer
/// than shutdown may take.
#[cfg(feature = "rest")]
#[test]
fn settings_with_a_long_timeout_lose_nothing_when_the_server_hangs() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let settings = opik_core::settings::OpikSettings::builder().load_from(&|name: &str| {
        let value = match name {
            "OPIK_ENABLED" => "yes",
            "OPIK_BASE_URL" => &base,
            "OPIK_TIMEOUT_SECONDS" => "10",
            "OPIK_SPOOL_DIR" => &path,
            _ => return None,
        };
        Some(std::ffi::OsString::from(value))
    });
    let opik = opik_observe::from_settings(settings);
    assert_eq!(opik.problems, []);
    for number in 0..RECORDS {
        opik.recorder.trace(format!("{number}")).end();
    }
    let report = opik.guard.shutdown(Duration::from_secs(1));
    let branch = &report.statistics.branches[0];
    assert!(report.complete, "{report:?}");
    assert_eq!((branch.exported, branch.dropped()), (branch.recorded, 0));
    let spool = opik.spool.unwrap().statistics();
    assert_eq!(spool.appended, branch.recorded, "{spool:?}");
}
