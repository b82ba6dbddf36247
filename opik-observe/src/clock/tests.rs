use std::sync::atomic::AtomicI64;
use std::sync::mpsc::channel;

use super::*;

const GIGAHERTZ: u64 = 1_000_000_000;

/// The speed of a counter with this frequency.
fn scale(hertz: u64) -> u64 {
    scale_of(hertz, Duration::from_secs(1))
}

/// What a counter with this frequency shows at a moment.
fn pair(origin: Instant, millis: u64, hertz: u64) -> Option<Pair> {
    Some(Pair {
        ticks: 7 + hertz / 1_000 * millis,
        at: origin + Duration::from_millis(millis),
        gap: Duration::from_nanos(100),
    })
}

/// A source that uses the real counter, where there is one.
fn calibrated() -> TimeSource {
    let (source, mut calibration) = (TimeSource::default(), Calibration::default());
    calibration.observe(&source);
    while calibration.is_starting() {
        std::thread::yield_now();
        calibration.observe(&source);
    }
    source
}

#[test]
fn ticks_become_microseconds() {
    for hertz in [25_000_000, GIGAHERTZ, 2_596_000_000, 6_000_000_000] {
        for seconds in [1, 3_600, 86_400 * 365] {
            let micros = micros_of(hertz * seconds, scale(hertz));
            let expected = seconds * 1_000_000;
            assert!(micros.abs_diff(expected) <= 1 + expected / 1_000_000_000);
        }
    }
    assert_eq!(micros_of(u64::MAX, u64::MAX), u64::MAX - 1);
    assert_eq!(scale_of(0, Duration::from_secs(1)), 0);
}

#[test]
fn a_speed_is_known_after_two_pairs_and_kept_while_it_is_steady() {
    let (origin, mut calibration) = (Instant::now(), Calibration::default());
    assert!(!calibration.is_starting());
    assert_eq!(calibration.measure(pair(origin, 0, GIGAHERTZ)), 0);
    assert!(calibration.is_starting());
    let first = calibration.measure(pair(origin, 10, GIGAHERTZ));
    assert_eq!(first, scale(GIGAHERTZ));
    assert!(!calibration.is_starting());
    assert_eq!(calibration.span, 2 * FIRST_SPAN);
    assert_eq!(calibration.measure(pair(origin, 30, GIGAHERTZ)), first);
    // The system's clock is slewed a little.
    let slewed = GIGAHERTZ / 2_000 * 2_001;
    let later = calibration.measure(pair(origin, 1_030, slewed));
    assert!(later != first && later.abs_diff(first) < first / 1_000);
    for round in 0..20 {
        calibration.measure(pair(origin, 2_000 << round, slewed));
    }
    assert_eq!(calibration.span, LAST_SPAN);
}

#[test]
fn a_counter_that_changes_its_speed_or_goes_back_is_given_up_until_it_is_steady() {
    let (origin, mut calibration) = (Instant::now(), Calibration::default());
    calibration.measure(pair(origin, 0, GIGAHERTZ));
    assert_ne!(calibration.measure(pair(origin, 10, GIGAHERTZ)), 0);
    // A hundredth faster, as after a move to another machine.
    let faster = GIGAHERTZ / 100 * 101;
    assert_eq!(calibration.measure(pair(origin, 1_000, faster)), 0);
    assert!(!calibration.is_starting(), "an idle collector may sleep");
    assert_eq!(
        calibration.measure(pair(origin, 2_000, faster)),
        scale(faster)
    );
    // As after a reset.
    assert_eq!(calibration.measure(pair(origin, 3_000, 0)), 0);
    assert_eq!(calibration.measure(None), 0);
    assert_eq!(calibration.span, LAST_SPAN, "not asked again at once");
}

#[test]
fn a_counter_that_the_kernel_gives_up_is_given_up_with_it() {
    let (origin, mut calibration) = (Instant::now(), Calibration::default());
    calibration.measure(pair(origin, 0, GIGAHERTZ));
    assert_ne!(calibration.measure(pair(origin, 10, GIGAHERTZ)), 0);
    assert_eq!(calibration.measure(None), 0);
    // Should the kernel trust it again, it is measured anew.
    assert_eq!(calibration.measure(pair(origin, 1_000, GIGAHERTZ)), 0);
    let speed = calibration.measure(pair(origin, 2_000, GIGAHERTZ));
    assert_eq!(speed, scale(GIGAHERTZ));
}

#[test]
fn nothing_is_measured_before_it_is_time_to() {
    let (source, mut calibration) = (TimeSource::default(), Calibration::default());
    calibration.due = Instant::now().checked_add(LAST_SPAN);
    source.set_scale(7);
    calibration.observe(&source);
    assert!(calibration.previous.is_none());
    assert_eq!(source.scale.into_inner(), 7);
}

#[test]
fn a_pair_that_was_interrupted_says_nothing() {
    let (origin, mut calibration) = (Instant::now(), Calibration::default());
    let interrupted = |millis| {
        let gap = Duration::from_millis(3);
        pair(origin, millis, 2 * GIGAHERTZ).map(|pair| Pair { gap, ..pair })
    };
    calibration.measure(interrupted(0));
    assert_eq!(calibration.measure(pair(origin, 10, GIGAHERTZ)), 0);
    assert_eq!(calibration.measure(interrupted(20)), 0);
    let speed = calibration.measure(pair(origin, 30, GIGAHERTZ));
    assert_eq!(speed, scale(GIGAHERTZ));
    assert_eq!(calibration.measure(interrupted(40)), speed);
}

#[test]
fn without_a_known_speed_the_systems_clock_is_read() {
    let source = TimeSource::default();
    let clock = source.start();
    assert!(matches!(clock.since, Since::System(_)));
    source.set_scale(scale(GIGAHERTZ));
    assert!(matches!(source.start().since, Since::Counter { .. }));
    source.set_scale(0);
    assert!(matches!(source.start().since, Since::System(_)));
    // A trace keeps the clock that it began with.
    assert!(clock.now() >= clock.origin());
}

#[test]
fn both_clocks_tell_the_same_time() {
    for source in [TimeSource::default(), calibrated()] {
        let (ours, reference) = (source.start(), Instant::now());
        while reference.elapsed() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        // Interrupted between the reads, they differ: the closest of many is taken.
        let apart = (0..1_000)
            .map(|_| {
                let shown = ours.now().micros_since(ours.origin());
                let passed = i64::try_from(reference.elapsed().as_micros()).unwrap();
                shown.abs_diff(passed)
            })
            .min();
        assert!(apart.unwrap() < 1_000, "{apart:?}");
    }
}

#[test]
fn a_counter_that_was_reset_stops_the_time_and_turns_nothing_back() {
    let clock = Clock {
        wall: Timestamp::from_micros(5),
        since: Since::Counter {
            at: u64::MAX,
            scale: scale(GIGAHERTZ),
        },
    };
    assert_eq!(clock.now(), clock.origin());
    assert_eq!(Clock::STOPPED.now(), Timestamp::EPOCH);
}

#[test]
fn time_within_a_trace_follows_the_order_of_events_on_any_thread() {
    for source in [TimeSource::default(), calibrated()] {
        let clock = source.start();
        let ((to_there, there), (to_here, here)) = (channel(), channel());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for at in there {
                    let now = clock.now();
                    to_here.send((at, now)).unwrap();
                }
            });
            let mut last = clock.origin();
            for _ in 0..2_000 {
                let before = clock.now();
                to_there.send(before).unwrap();
                let (at, theirs): (Timestamp, Timestamp) = here.recv().unwrap();
                let after = clock.now();
                // A read may be early by less than a microsecond, which may change the last digit.
                assert!(theirs.micros_since(at) >= -1 && after.micros_since(theirs) >= -1);
                assert!(after >= before && before >= last, "on one thread");
                last = after;
            }
            drop(to_there);
        });
    }
}

#[test]
fn a_step_of_the_wall_clock_moves_later_traces_only() {
    static WALL: AtomicI64 = AtomicI64::new(1_000_000_000);
    let wall = || Timestamp::from_micros(WALL.load(Ordering::SeqCst));
    let (fallback, counter) = (TimeSource::new(wall), TimeSource::new(wall));
    counter.set_scale(calibrated().scale.into_inner());
    for source in [fallback, counter] {
        for step in [-500_000_000, 900_000_000] {
            let clock = source.start();
            let before = clock.now();
            let wall = WALL.fetch_add(step, Ordering::SeqCst) + step;
            let after = clock.now();
            assert!(before >= clock.origin() && after >= before);
            assert!(after.micros_since(before) < 100_000_000);
            // Soon, and from then on, traces begin at the new time.
            let near = |at: Timestamp| at.as_micros().abs_diff(wall) < 100_000_000;
            let deadline = Instant::now() + Duration::from_mins(1);
            while !near(source.start().origin()) {
                assert!(Instant::now() < deadline);
            }
            assert!(near(source.start().origin()));
        }
    }
}

#[test]
fn traces_share_a_reading_for_a_moment_and_still_begin_one_after_the_other() {
    static READ: AtomicI64 = AtomicI64::new(0);
    let source = TimeSource::new(|| {
        READ.fetch_add(1, Ordering::SeqCst);
        Timestamp::now()
    });
    source.set_scale(calibrated().scale.into_inner());
    if source.scale.load(Ordering::Relaxed) == 0 {
        return; // No counter here.
    }
    let (began, mut last, mut traces) = (Instant::now(), source.start().origin(), 1);
    while began.elapsed() < Duration::from_millis(20) {
        let origin = source.start().origin();
        // The counter and the system's clock need not agree to the microsecond.
        assert!(origin.micros_since(last) >= -1_000);
        (last, traces) = (origin, traces + 1);
    }
    let read = READ.load(Ordering::SeqCst);
    assert!(read < traces, "{read} readings for {traces} traces");
    let off = Timestamp::now().micros_since(source.start().origin());
    assert!(off.abs() < 1_000_000, "{off}");
    // Another recorder has readings of its own.
    let other = TimeSource::new(|| Timestamp::EPOCH);
    other.set_scale(source.scale.into_inner());
    assert_eq!(other.start().origin(), Timestamp::EPOCH);
}

#[test]
fn a_shared_reading_advances_with_the_counter() {
    const AT: i64 = 1_000_000_000;
    let source = TimeSource::new(|| Timestamp::from_micros(AT));
    source.set_scale(calibrated().scale.into_inner());
    if source.scale.load(Ordering::Relaxed) == 0 {
        return; // No counter here.
    }
    // The wall clock stands still, so whatever passes is the counter's, for a millisecond at most.
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut farthest = 0;
    while farthest < 500 {
        assert!(Instant::now() < deadline, "{farthest}");
        let passed = source.start().origin().as_micros() - AT;
        assert!((0..1_000).contains(&passed), "{passed}");
        farthest = farthest.max(passed);
    }
}

#[test]
fn a_reading_from_before_the_counter_was_reset_is_not_used() {
    let source = TimeSource::new(|| Timestamp::from_micros(5));
    source.set_scale(scale(GIGAHERTZ));
    READING.set((source.number, u64::MAX, Timestamp::EPOCH));
    assert_eq!(source.start().origin(), Timestamp::from_micros(5));
}
