//! The server takes some records and refuses others.

use crate::server::{FaultyServer, Mode};
use crate::stack::Stack;

/// One record is refused for good, and costs no other.
fn one_bad_record_is_counted(status: u16) {
    let server = FaultyServer::start(Mode::AnswerTo("number-7-", status));
    let mut stack = Stack::to(&server.url());
    let recorded = stack.record(20);
    server.wait_for_records(19);
    assert!(stack.shut_down().complete);
    let arrived = server.ids();
    assert_eq!(arrived.len(), 19, "{status}");
    assert!(arrived.is_subset(&recorded));
    let branch = stack.branch();
    let reason = opik_observe::DropReason::Rejected;
    assert_eq!(
        (branch.exported, branch.dropped_for(reason)),
        (19, 1),
        "{status}: {branch:?}"
    );
    assert_eq!(branch.dropped(), 1);
}

#[test]
fn one_bad_record_with_400() {
    one_bad_record_is_counted(400);
}

#[test]
fn one_bad_record_with_413() {
    one_bad_record_is_counted(413);
}

#[test]
fn one_bad_record_with_422() {
    one_bad_record_is_counted(422);
}

#[test]
fn everything_refused_ends_and_is_counted() {
    let server = FaultyServer::start(Mode::Answer(422, "", "{\"errors\":[\"no\"]}"));
    let mut stack = Stack::to(&server.url());
    stack.record(20);
    assert!(stack.shut_down().complete);
    let branch = stack.branch();
    let reason = opik_observe::DropReason::Rejected;
    assert_eq!(
        (branch.exported, branch.dropped_for(reason)),
        (0, 20),
        "{branch:?}"
    );
    assert!(server.rows().is_empty());
}
