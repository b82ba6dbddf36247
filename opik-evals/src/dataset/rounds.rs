//! Work on all cores whose results keep their order.
//!
//! The caller's thread reads pieces and writes what became of them; in between they are worked on by
//! the threads of [`rayon`], a round of pieces at a time: while one is worked on, the one before is
//! written and the next one read. So what is written, and the first error, are those of one thread, on
//! any number of cores.

/// Bytes of a piece: enough that handing it over is little beside the work.
pub(super) const PIECE: usize = 64 * 1024;
/// Bytes of a round. Three of them are held, with what became of two.
const ROUND: usize = 16 * PIECE;

/// What is worked on at once: bytes of the input, and then what became of them.
pub(super) trait Piece: Default + Send {
    /// How many bytes were read into it.
    fn bytes(&self) -> usize;
}

/// Neighbouring pieces; their memory is used again.
struct Round<P> {
    pieces: Vec<P>,
    used: usize,
}

impl<P: Piece> Round<P> {
    fn new() -> Self {
        Self {
            pieces: Vec::new(),
            used: 0,
        }
    }

    fn used(&mut self) -> impl Iterator<Item = &mut P> {
        self.pieces.iter_mut().take(self.used)
    }

    /// Reads pieces up to the size of a round; `end` says how reading ended, once it has.
    fn read<E>(
        &mut self,
        read: &mut impl FnMut(&mut P) -> Result<bool, E>,
        end: &mut Option<Result<(), E>>,
    ) {
        self.used = 0;
        let mut bytes = 0;
        while end.is_none() && bytes < ROUND {
            if self.used == self.pieces.len() {
                self.pieces.push(P::default());
            }
            let Some(piece) = self.pieces.get_mut(self.used) else {
                return;
            };
            match read(piece) {
                Ok(true) => {}
                Ok(false) => *end = Some(Ok(())),
                Err(error) => *end = Some(Err(error)),
            }
            // What was read before the end or an error counts.
            self.used += 1;
            bytes += piece.bytes();
        }
    }

    fn write<E>(&mut self, write: &mut impl FnMut(&mut P) -> Result<(), E>) -> Result<(), E> {
        let written = self.used().try_for_each(write);
        self.used = 0;
        written
    }
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
    let mut end = None;
    let (mut done, mut current, mut next) = (Round::new(), Round::new(), Round::new());
    current.read(&mut read, &mut end);
    if end.is_some() && current.used == 1 {
        // One piece is not worth the way to another thread.
        current.used().for_each(&work);
    } else {
        while current.used > 0 {
            rayon::in_place_scope(|scope| {
                for piece in current.used() {
                    scope.spawn(|_| work(piece));
                }
                done.write(&mut write)?;
                next.read(&mut read, &mut end);
                Ok(())
            })?;
            std::mem::swap(&mut done, &mut current);
            std::mem::swap(&mut current, &mut next);
        }
        std::mem::swap(&mut done, &mut current);
    }
    current.write(&mut write)?;
    end.unwrap_or(Ok(()))
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
            bytes in prop::sample::select(vec![1, PIECE, ROUND / 3, 5 * ROUND]),
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
    fn pieces_that_are_large_are_read_one_at_a_time() {
        let (mut given, mut open, most) = (0, 0_usize, RefCell::new(0));
        let open = RefCell::new(&mut open);
        in_order(
            |piece: &mut Numbers| {
                given += 1;
                piece.bytes = 10 * ROUND;
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
        assert_eq!(*most.borrow(), 2, "one that is worked on, one that is read");
    }
}
