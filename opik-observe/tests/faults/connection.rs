//! The server is there, and then it is not, or it does not answer.

use std::collections::BTreeSet;

use crate::server::{FaultyServer, LIMIT, Mode};
use crate::stack::Stack;

/// Records while the server fails, heals it, and finds everything there.
fn everything_arrives_after(fault: Mode) {
    let server = FaultyServer::start(fault);
    let mut stack = Stack::to(&server.url());
    let recorded = stack.record(20);
    stack.wait_for_spooled(20);
    assert!(stack.recorder.flush(LIMIT).complete, "on disk is safe");
    assert!(server.requests() > 0);
    assert!(server.ids().is_empty(), "nothing was taken yet");
    assert_eq!((stack.branch().exported, stack.branch().dropped()), (20, 0));

    server.become_(Mode::Healthy);
    server.wait_for_records(20);
    stack.wait_for_empty_spool();
    assert_eq!(server.ids(), recorded);
    let spool = stack.spool();
    assert_eq!(
        (spool.replayed, spool.lost(), spool.rejected),
        (20, 0, 0),
        "{spool:?}"
    );
    assert!(stack.shut_down().complete);
}

#[test]
fn a_server_that_resets_connections() {
    everything_arrives_after(Mode::Reset);
}

#[test]
fn a_server_that_hangs() {
    everything_arrives_after(Mode::Hang);
}

#[test]
fn a_server_that_drips() {
    everything_arrives_after(Mode::Drip);
}

#[test]
fn half_a_body() {
    everything_arrives_after(Mode::HalfBody);
}

#[test]
fn a_server_that_refuses_connections_and_comes_back() {
    let away = FaultyServer::start(Mode::Healthy).go_away();
    let mut stack = Stack::to(&away.url());
    let recorded = stack.record(20);
    stack.wait_for_spooled(20);
    let server = away.come_back();
    server.wait_for_records(20);
    stack.wait_for_empty_spool();
    assert_eq!(server.ids(), recorded);
    assert!(stack.shut_down().complete);
}

/// Where the address itself is wrong nothing can arrive; everything is kept.
fn everything_is_kept_for(url: &str) {
    let mut stack = Stack::to(url);
    stack.record(20);
    stack.wait_for_spooled(20);
    let report = stack.shut_down();
    assert!(report.complete, "what is on disk is safe: {report:?}");
    assert_eq!((stack.branch().exported, stack.branch().dropped()), (20, 0));
    let spool = stack.spool();
    assert_eq!((spool.pending_records, spool.lost()), (20, 0), "{spool:?}");
}

#[test]
fn a_name_that_nobody_knows() {
    everything_is_kept_for("http://no-such-host.invalid/api");
}

#[test]
fn a_port_without_tls() {
    let server = FaultyServer::start(Mode::Healthy);
    everything_is_kept_for(&format!("https://127.0.0.1:{}/api", server.port()));
}

#[test]
fn a_server_that_goes_away_in_the_middle() {
    let server = FaultyServer::start(Mode::Healthy);
    let mut stack = Stack::to(&server.url());
    let mut recorded = stack.record(20);
    // Also the answer has arrived then.
    assert!(stack.recorder.flush(LIMIT).complete);
    let first = server.ids();
    let away = server.go_away();
    recorded.extend(stack.record(30));
    stack.wait_for_spooled(30);
    let server = away.come_back();
    server.wait_for_records(30);
    stack.wait_for_empty_spool();
    let arrived: BTreeSet<_> = first.union(&server.ids()).cloned().collect();
    assert_eq!(arrived, recorded);
    assert!(stack.shut_down().complete);
    assert_eq!(stack.spool().direct, 20);
}

/// What the host feels: recording beside a server that hangs takes no longer than beside one that does
/// not, since neither is waited for. Told by what can be told without a clock: all calls are done
/// before the first answer.
#[test]
fn recording_never_waits_for_an_answer() {
    let server = FaultyServer::start(Mode::Hang);
    let stack = Stack::to(&server.url());
    stack.record(1);
    server.wait_for_requests(1);
    // The only request hangs until this thread says otherwise.
    stack.record(10_000);
    assert_eq!(stack.recorder.statistics().recorded, 10_001);
    server.become_(Mode::Healthy);
    server.wait_for_records(10_001);
    let branch = stack.branch();
    assert_eq!(branch.dropped(), 0, "{branch:?}");
    assert!(stack.recorder.flush(LIMIT).complete);
}
