//! What the attribute must leave as it is.
#![expect(
    clippy::needless_pass_by_value,
    reason = "when values are dropped is what is tested"
)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use opik_observe::observe;

use super::{Place, run};

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Tells when it is dropped.
struct Loud(&'static str, Log);

impl Drop for Loud {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

/// Defines the same functions bare and observed.
macro_rules! twice {
    ($($item:item)*) => {
        mod bare {
            use super::{Loud, Pair};
            $($item)*
        }
        mod observed {
            use super::{Loud, Pair, observe};
            $(#[observe] $item)*
        }
    };
}

struct Pair {
    one: Loud,
    _two: Loud,
}

twice! {
    pub(super) fn plain(a: Loud, _: Loud, Pair { one, .. }: Pair, _d: Loud) {
        let _local = Loud("local", a.1.clone());
        drop(one);
    }

    pub(super) fn fallible(a: Loud, _: Loud, Pair { one, .. }: Pair, d: Loud) -> Result<(), ()> {
        let _local = Loud("local", a.1.clone());
        drop(one);
        if d.0.is_empty() {
            return Ok(());
        }
        Err(())
    }

    pub(super) async fn asynchronous(a: Loud, _: Loud, Pair { one, .. }: Pair, _d: Loud) {
        let _local = Loud("local", a.1.clone());
        std::future::ready(()).await;
        drop(one);
    }

    pub(super) async fn waits(a: Loud, _: Loud, pair: Pair, d: Loud) {
        let _moved = pair;
        let _local = Loud("local", a.1.clone());
        std::future::pending::<()>().await;
        drop(d);
    }
}

struct Whole {
    _unused: Loud,
    used: Loud,
}

mod methods {
    use super::{Loud, Whole, observe};

    fn name(loud: &Loud) -> &'static str {
        loud.0
    }

    impl Whole {
        pub(super) fn bare(self, other: Loud) -> Result<&'static str, ()> {
            let _kept = other;
            Ok(name(&self.used))
        }

        #[observe]
        pub(super) fn observed(self, other: Loud) -> Result<&'static str, ()> {
            let _kept = other;
            Ok(name(&self.used))
        }
    }
}

/// In which order the arguments and locals of a function are dropped.
fn order<R>(call: impl FnOnce(Loud, Loud, Pair, Loud) -> R) -> Vec<&'static str> {
    let log = Log::default();
    let loud = |name| Loud(name, Rc::clone(&log));
    let pair = Pair {
        one: loud("one"),
        _two: loud("two"),
    };
    drop(call(loud("a"), loud("b"), pair, loud("d")));
    log.take()
}

#[test]
fn arguments_and_locals_are_dropped_in_the_same_order() {
    let place = Place::new();
    let expected = order(bare::plain);
    assert_eq!(expected.len(), 6);
    assert_eq!(order(observed::plain), expected);
    assert_eq!(
        order(|a, b, c, d| bare::fallible(a, b, c, d).is_ok()),
        expected
    );
    assert_eq!(
        order(|a, b, c, d| observed::fallible(a, b, c, d).is_ok()),
        expected
    );
    assert_eq!(
        order(|a, b, c, d| run(bare::asynchronous(a, b, c, d))),
        expected
    );
    assert_eq!(
        order(|a, b, c, d| run(observed::asynchronous(a, b, c, d))),
        expected
    );
    assert_eq!(place.spans().len(), 3);
}

#[test]
fn a_cancelled_future_drops_in_the_same_order_whether_it_began_or_not() {
    fn poll_once(future: impl Future<Output = ()>) {
        assert!(futures_util::FutureExt::now_or_never(future).is_none());
    }
    let place = Place::new();
    let bare = order(|a, b, c, d| poll_once(bare::waits(a, b, c, d)));
    assert_eq!(bare.len(), 6);
    assert_eq!(
        order(|a, b, c, d| poll_once(observed::waits(a, b, c, d))),
        bare
    );
    let unpolled = order(|a, b, c, d| drop(bare::waits(a, b, c, d)));
    assert_eq!(
        order(|a, b, c, d| drop(observed::waits(a, b, c, d))),
        unpolled
    );
    assert_eq!(place.spans().len(), 1);
}

#[test]
fn a_receiver_by_value_is_taken_along_whole() {
    let whole = |log: &Log| Whole {
        _unused: Loud("unused", Rc::clone(log)),
        used: Loud("used", Rc::clone(log)),
    };
    let (bare, observed) = (Log::default(), Log::default());
    let other = |log: &Log| Loud("other", Rc::clone(log));
    assert_eq!(whole(&bare).bare(other(&bare)), Ok("used"));
    assert_eq!(whole(&observed).observed(other(&observed)), Ok("used"));
    assert_eq!(bare, observed);
}

#[observe]
async fn borrows_cell(cell: Cell<u32>, text: &str) -> Result<u32, std::fmt::Error> {
    cell.set(cell.get() + 1);
    std::future::ready(()).await;
    // By reference here, and yet not held by reference across the wait.
    Ok(cell.get() + u32::try_from(text.len()).unwrap_or(0))
}

struct Counter(Cell<u32>);

impl Counter {
    #[observe]
    async fn counted(self) -> u32 {
        std::future::ready(()).await;
        self.0.get()
    }
}

#[observe]
async fn not_send(number: Rc<u32>) -> u32 {
    std::future::ready(()).await;
    *number
}

#[test]
fn a_future_may_be_sent_when_the_body_s_may_and_only_then() {
    fn sends<T: Send>(value: T) -> T {
        value
    }
    // `Cell` is `Send` and not `Sync`.
    assert_eq!(run(sends(borrows_cell(Cell::new(1), "ab"))), Ok(4));

    assert_eq!(run(sends(Counter(Cell::new(1)).counted())), 1);

    trait Stays<A> {
        fn stays(&self) -> bool {
            true
        }
    }
    impl<T: ?Sized> Stays<()> for T {}
    struct Crosses;
    impl<T: ?Sized + Send> Stays<Crosses> for T {}
    // Ambiguous, and so not compiled, if it were `Send`.
    assert!(not_send(Rc::new(1)).stays());
    assert_eq!(run(not_send(Rc::new(1))), 1);
}

#[test]
fn a_function_remains_a_function_with_its_type() {
    mod api {
        #[opik_observe::observe]
        #[must_use]
        #[inline]
        pub(in super::super) extern "C" fn exported(number: u32) -> u32 {
            number
        }
    }
    let exported: extern "C" fn(u32) -> u32 = api::exported;
    assert_eq!(exported(3), 3);
}

#[observe]
fn recurses(depth: u32) -> Result<u32, ()> {
    if depth == 0 {
        Ok(0)
    } else {
        Ok(recurses(depth - 1)? + 1)
    }
}

#[observe]
fn never_returns() -> ! {
    std::panic::resume_unwind(Box::new(()))
}

#[test]
fn functions_that_call_themselves_or_never_return() {
    let place = Place::new();
    assert_eq!(recurses(5), Ok(5));
    assert!(std::panic::catch_unwind(|| never_returns()).is_err());
    let spans = place.spans();
    assert_eq!(spans.len(), 7);
    assert_eq!(super::error(&spans[6]).unwrap().0, "panic");
}
