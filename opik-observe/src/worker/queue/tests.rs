use super::*;
use crate::config::Limits;
use crate::intake::Intake;

/// Ten records of ten bytes in one chunk; every other one is still open where asked for.
fn chunk(some_open: bool) -> Arc<SharedBytes> {
    let (intake, outlet) = Intake::new(&Limits::default());
    for number in 0_u8..10 {
        let is_open = u8::from(some_open) & number;
        intake.record(&[2, is_open, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let mut shared = None;
    intake.drain(&outlet, |bytes, _| shared = Some(Arc::clone(bytes)));
    shared.unwrap()
}

fn queued(queue: &BranchQueue) -> (usize, usize, u64) {
    let inner = queue.lock();
    let lost = queue.lost.of(DropReason::QueueFull);
    (inner.records, inner.bytes, lost)
}

#[test]
fn as_much_of_a_chunk_is_taken_as_there_is_room_for() {
    for (records, bytes, first, second) in [
        (100, 1_000, (10, 140, 0), (20, 280, 0)),
        (100, 150, (10, 140, 0), (10, 140, 10)),
        (100, 100, (7, 98, 3), (7, 98, 13)),
        (14, 1_000, (10, 140, 0), (14, 196, 6)),
        (4, 1_000, (4, 56, 6), (4, 56, 16)),
    ] {
        let queue = BranchQueue::new("b".to_owned(), records, bytes);
        queue.offer(&chunk(false), 10);
        assert_eq!(queued(&queue), first);
        queue.offer(&chunk(false), 10);
        assert_eq!(queued(&queue), second);
    }
}

#[test]
fn rows_of_what_is_open_take_bytes_and_are_no_records() {
    let queue = BranchQueue::new("b".to_owned(), 4, 1_000);
    queue.offer(&chunk(true), 5);
    // The fourth complete one is the seventh, and an open one follows.
    assert_eq!(queued(&queue), (4, 8 * 14, 1));
}

#[test]
fn what_is_worked_off_makes_room_and_what_waits_at_the_end_is_lost() {
    let queue = BranchQueue::new("b".to_owned(), 10, 1_000);
    let next = || futures_util::FutureExt::now_or_never(queue.next(None));
    queue.offer(&chunk(false), 10);
    queue.offer(&chunk(false), 10);
    let Some(Some(Item::Records(parcel))) = next() else {
        panic!("there is a parcel");
    };
    assert_eq!(queued(&queue), (10, 140, 10));
    queue.worked_off(&parcel);
    assert_eq!(queued(&queue), (0, 0, 10));
    queue.offer(&chunk(false), 10);
    assert_eq!(queued(&queue), (10, 140, 10));
    let ticket = Ticket::new(1, std::time::Duration::from_secs(60));
    assert!(queue.mark(Item::Flush(Arc::clone(&ticket))));
    queue.settle_exported(1);
    queue.close(0, DropReason::Closed);
    assert!(ticket.is_done() && ticket.unfinished() == [0]);
    assert_eq!(queue.lost.of(DropReason::Closed), 19);
    queue.offer(&chunk(false), 10);
    assert_eq!(queue.lost.of(DropReason::Closed), 29);
    assert!(!queue.mark(Item::Flush(ticket)));
}
