//! Work on all cores whose results keep their order.
//!
//! The caller's thread reads pieces and writes what became of them; in between they are worked on by
//! the threads of [`rayon`]. So what is written, and the first error, are those of one thread, on any
//! number of cores.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Bytes of a piece: enough that handing it over is little beside the work.
pub(super) const PIECE: usize = 64 * 1024;
/// Bytes that are held at most, unless one piece has more: enough that no thread waits for another.
const HELD: usize = 32 * PIECE;

/// What is worked on at once: bytes of the input, and then what became of them.
pub(super) trait Piece: Default + Send {
    /// How many bytes were read into it; work does not change that.
    fn bytes(&self) -> usize;
}

/// Reads pieces until `read` gives `false` or fails, works on them, and writes them in their order.
/// A piece that `read` filled when it failed is still worked on and written.
///
/// # Errors
///
/// The first of `write`, else that of `read`.
pub(super) fn in_order<P: Piece, E>(
    mut read: impl FnMut(&mut P) -> Result<bool, E>,
    work: impl Fn(&mut P) + Sync,
    mut write: impl FnMut(&mut P) -> Result<(), E>,
) -> Result<(), E> {
    // How reading ended, once it has.
    let mut read = move |piece: &mut P| match read(piece) {
        Ok(true) => None,
        Ok(false) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    };
    let mut piece = P::default();
    let mut end = read(&mut piece);
    if let Some(end) = end {
        // One piece is not worth the way to another thread.
        work(&mut piece);
        return write(&mut piece).and(end);
    }
    let (send, done) = mpsc::channel();
    let pieces = Pieces {
        waiting: Mutex::new(VecDeque::new()),
        work,
        done: (send, Mutex::new(done)),
    };
    rayon::in_place_scope(|scope| {
        let begin = |number: usize, piece: P| {
            pieces.waiting().push_back((number, piece));
            scope.spawn(|_| {
                pieces.work_on_one();
            });
        };
        let mut bytes = piece.bytes();
        begin(0, piece);
        // The pieces that are not written, those that were worked on among them; and memory of others.
        let (mut line, mut written) = (VecDeque::from([None]), 0);
        let mut free: Vec<P> = Vec::new();
        loop {
            while end.is_none() && (line.is_empty() || bytes < HELD) {
                let mut piece = free.pop().unwrap_or_default();
                end = read(&mut piece);
                bytes += piece.bytes();
                begin(written + line.len(), piece);
                line.push_back(None);
            }
            // There is a next one as long as one is on its way.
            let Some((number, worked)) = line.front().and_then(|_| pieces.next()) else {
                return end.unwrap_or(Ok(()));
            };
            if let Some(place) = line.get_mut(number - written) {
                *place = Some(worked.unwrap_or_else(|panic| panic::resume_unwind(panic)));
            }
            while let Some(Some(piece)) = line.front_mut() {
                write(piece)?;
                bytes -= piece.bytes();
                written += 1;
                free.extend(line.pop_front().flatten());
            }
        }
    })
}

/// A piece by its number, or the panic of its work.
type Done<P> = (usize, thread::Result<P>);

/// Pieces that nobody has begun with, and those that were worked on.
struct Pieces<P, W> {
    waiting: Mutex<VecDeque<(usize, P)>>,
    work: W,
    done: (Sender<Done<P>>, Mutex<Receiver<Done<P>>>),
}

impl<P: Piece, W: Fn(&mut P) + Sync> Pieces<P, W> {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<(usize, P)>> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the first piece that waits; whether there was one.
    fn work_on_one(&self) -> bool {
        let first = self.waiting().pop_front();
        let Some((number, mut piece)) = first else {
            return false;
        };
        let worked = panic::catch_unwind(AssertUnwindSafe(|| (self.work)(&mut piece)));
        self.done.0.send((number, worked.map(|()| piece))).is_ok()
    }

    /// What was done next. Instead of waiting the caller works on a piece itself: its thread may be
    /// the only one. It takes none but these pieces, as it may hold what other work waits for.
    fn next(&self) -> Option<Done<P>> {
        let done = self.done.1.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match done.try_recv() {
                Ok(done) => return Some(done),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            if !self.work_on_one() {
                return done.recv().ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    #[derive(Default)]
    struct Numbers {
        given: Vec<u32>,
        made: Vec<u32>,
        bytes: usize,
    }

    impl Piece for Numbers {
        fn bytes(&self) -> usize {
            self.bytes
        }
    }

    /// What is written of `count` numbers in pieces of `per`, and the error; reading fails behind
    /// the numbers where it says so, and writing at a number.
    fn run(
        count: u32,
        per: usize,
        bytes: usize,
        read_fails: bool,
        write_fails: Option<u32>,
    ) -> (Vec<u32>, Result<(), &'static str>) {
        let mut numbers = 0..count;
        let written = RefCell::new(Vec::new());
        let result = in_order(
            |piece: &mut Numbers| {
                piece.given.clear();
                piece.bytes = bytes;
                piece.given.extend(numbers.by_ref().take(per));
                if !numbers.is_empty() {
                    return Ok(true);
                }
                if read_fails { Err("read") } else { Ok(false) }
            },
            |piece| {
                piece.made.clear();
                piece
                    .made
                    .extend(piece.given.iter().map(|number| number * 2));
            },
            |piece| {
                for number in &piece.made {
                    if Some(*number / 2) == write_fails {
                        return Err("write");
                    }
                    written.borrow_mut().push(*number);
                }
                Ok(())
            },
        );
        (written.into_inner(), result)
    }

    proptest! {
        #[test]
        fn what_is_written_and_the_first_error_are_those_of_one_thread(
            count in 0..2_000_u32,
            per in 1..80_usize,
            bytes in prop::sample::select(vec![1, PIECE, HELD / 3, 5 * HELD]),
            read_fails: bool,
            write_fails in prop::option::of(0..2_000_u32),
        ) {
            let (written, result) = run(count, per, bytes, read_fails, write_fails);
            let stops = write_fails.filter(|at| *at < count);
            let expected: Vec<_> = (0..stops.unwrap_or(count)).map(|number| number * 2).collect();
            prop_assert_eq!(written, expected);
            let error = if stops.is_some() { Err("write") } else if read_fails { Err("read") } else { Ok(()) };
            prop_assert_eq!(result, error);
        }
    }

    #[test]
    fn the_only_thread_of_a_pool_does_everything() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        let pool = pool.build().unwrap();
        let (written, result) = pool.install(|| run(1_000, 3, PIECE, false, None));
        assert_eq!((written.len(), result), (1_000, Ok(())));
    }

    #[test]
    fn callers_of_one_pool_may_share_what_they_write_to() {
        let shared = Mutex::new(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
        let pool = pool.build().unwrap();
        pool.scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|_| {
                    // No piece of another caller may be waited for while this is held.
                    let mut sum = shared.lock().unwrap();
                    let (written, result) = run(500, 3, PIECE, false, None);
                    assert_eq!(result, Ok(()));
                    *sum += written.len();
                });
            }
        });
        assert_eq!(shared.into_inner().unwrap(), 10_000);
    }

    #[test]
    fn a_panic_is_passed_on() {
        let mut left = 100;
        let caught = panic::catch_unwind(AssertUnwindSafe(|| {
            in_order(
                |piece: &mut Numbers| {
                    left -= 1;
                    piece.bytes = left;
                    Ok::<_, ()>(left > 0)
                },
                |piece| assert!(piece.bytes != 50, "the fiftieth"),
                |_| Ok(()),
            )
        }));
        let said = caught.unwrap_err();
        assert_eq!(said.downcast_ref::<&str>(), Some(&"the fiftieth"));
    }

    #[test]
    fn pieces_that_are_large_are_read_one_at_a_time() {
        let (mut given, mut open, most) = (0, 0_usize, RefCell::new(0));
        let open = RefCell::new(&mut open);
        in_order(
            |piece: &mut Numbers| {
                given += 1;
                piece.bytes = 10 * HELD;
                **open.borrow_mut() += 1;
                let now = **open.borrow();
                let mut most = most.borrow_mut();
                *most = now.max(*most);
                Ok::<_, ()>(given < 20)
            },
            |_| {},
            |_| {
                **open.borrow_mut() -= 1;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(*most.borrow(), 1);
    }
}
