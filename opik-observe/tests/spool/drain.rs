//! Waiting for a spool to be empty.

use std::sync::Arc;
use std::time::Duration;

use opik_core::exporter::ExportErrorKind;
use opik_core::wire::WireExporter;
use opik_observe::spool::{Durability, Spool};

use super::server::{Mood, Server, rows};
use super::{LONG, block_on, quick};

#[test]
fn draining_waits_for_what_earlier_runs_left() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let open = |server: &Server| {
            let options = quick(Durability::SpoolOnFailure);
            Spool::open(directory.path(), Arc::new(server.clone()), options).unwrap()
        };
        let down = Server::new(Mood::Fails(ExportErrorKind::Unavailable));
        let first = open(&down);
        block_on(first.export_rows(&rows(0..3))).unwrap();
        assert!(!first.drain(Duration::from_millis(1)), "the server is down");
        drop(first);

        // At once: the thread may not even have begun to look for what is there.
        let up = Server::new(Mood::Up);
        assert!(open(&up).drain(LONG));
        assert_eq!(up.rows(), [0, 1, 2]);
    }
}
