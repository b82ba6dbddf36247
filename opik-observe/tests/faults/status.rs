//! The server answers, and says no.

use crate::server::{FaultyServer, Mode};
use crate::stack::Stack;

/// Statuses that pass: what is recorded meanwhile arrives afterwards.
fn everything_arrives_after(status: u16, head: &'static str, body: &'static str) {
    let server = FaultyServer::start(Mode::Answer(status, head, body));
    let mut stack = Stack::to(&server.url());
    let recorded = stack.record(20);
    stack.wait_for_spooled(20);
    server.become_(Mode::Healthy);
    server.wait_for_records(20);
    stack.wait_for_empty_spool();
    assert_eq!(server.ids(), recorded, "{status}");
    let spool = stack.spool();
    assert_eq!(
        (spool.replayed, spool.lost(), spool.rejected),
        (20, 0, 0),
        "{status}"
    );
    assert!(stack.shut_down().complete);
}

#[test]
fn a_server_that_fails_with_5xx() {
    for status in [500, 501, 502, 503, 504] {
        everything_arrives_after(status, "", "{\"code\":500,\"message\":\"no\"}");
    }
}

#[test]
fn too_many_requests_with_a_reset() {
    everything_arrives_after(429, "RateLimit-Reset: 1\r\n", "");
}

#[test]
fn too_many_requests_without_a_reset() {
    everything_arrives_after(429, "", "");
}

#[test]
fn a_key_that_is_not_accepted_yet() {
    everything_arrives_after(401, "", "{\"code\":401,\"message\":\"no key\"}");
    everything_arrives_after(403, "", "{\"code\":403,\"message\":\"no\"}");
}

#[test]
fn a_workspace_or_path_that_is_not_found_yet() {
    everything_arrives_after(
        404,
        "",
        "{\"code\":404,\"message\":\"Workspace not found\"}",
    );
}

#[test]
fn a_redirect_is_not_followed() {
    // One that would take everything.
    let elsewhere = FaultyServer::start(Mode::Healthy);
    let location = format!("Location: {}\r\n", elsewhere.url()).leak();
    for status in [301, 302, 307, 308] {
        everything_arrives_after(status, location, "");
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn a_page_where_an_answer_should_be() {
    everything_arrives_after(200, "Content-Type: text/html\r\n", "<html>welcome</html>");
}
