use std::time::Duration;

use opik_core::SpanType;

use super::*;
use crate::config::Limits;
use crate::recorder::Recorder;

#[test]
fn a_step_of_the_wall_clock_bends_no_open_span_and_loses_none() {
    use std::sync::atomic::AtomicI64;

    use opik_core::SpanId;

    use crate::intake::records;
    use crate::raw::RawView;

    static WALL: AtomicI64 = AtomicI64::new(0);
    const HOUR: i64 = 3_600_000_000;
    for step in [-24 * HOUR, 24 * HOUR] {
        WALL.store(1_000 * HOUR, Ordering::SeqCst);
        let (intake, outlet) = Intake::new(&Limits::default());
        let mut core = Core::new(intake, Vec::new(), &Limits::default(), false);
        core.time = TimeSource::new(|| Timestamp::from_micros(WALL.load(Ordering::SeqCst)));
        let core = Arc::new(core);
        let recorder = Recorder::from_core(Arc::clone(&core));

        let trace = recorder.trace("t");
        let outer = trace.span("outer", SpanType::General);
        let before = outer.child("before the step", SpanType::Tool);
        WALL.fetch_add(step, Ordering::SeqCst);
        before.end();
        let after = outer.child("after the step", SpanType::Tool);
        let (outer_id, handle) = (outer.id(), after.handle());
        std::thread::scope(|scope| {
            scope.spawn(move || handle.span("on another thread", SpanType::Llm).end());
        });
        drop((after, outer, trace));
        recorder.trace("of the new time").end();

        let (mut ends, mut of_outer) = (Vec::new(), 0);
        core.intake().drain(&outlet, |chunk, _| {
            for record in records(chunk.as_slice()) {
                let view = RawView::parse(record).unwrap();
                let (start, end) = (view.start(), view.end().unwrap());
                assert!(start <= end && end.micros_since(start) < HOUR);
                let is_new = view.name().0 == "of the new time";
                let began = 1_000 * HOUR + if is_new { step } else { 0 };
                assert!(start.as_micros().abs_diff(began) < HOUR.unsigned_abs());
                of_outer += usize::from(view.parent() == outer_id);
                ends.push(SpanId::from_bytes(view.key()));
            }
        });
        assert_eq!((ends.len(), of_outer), (6, 2));
        assert_eq!(core.statistics().recorded, 6);
    }
}

#[test]
fn in_a_forked_child_nobody_is_waited_for() {
    let (intake, _outlet) = Intake::new(&Limits::default());
    let queue = Arc::new(BranchQueue::new("b".to_owned(), 10, 10_000));
    let mut core = Core::new(intake, vec![queue], &Limits::default(), false);
    // As if the process that started the threads had been another one.
    core.process = core.process.wrapping_add(1);
    let recorder = Recorder::from_core(Arc::new(core));
    for _ in 0..100_000 {
        recorder.trace("t").end();
    }
    // Neither ends before its hour is over if it waits for the threads that are not there.
    let hour = Duration::from_secs(3_600);
    let report = recorder.flush(hour);
    assert_eq!(
        (report.complete, &*report.unfinished),
        (false, &["b".to_owned()][..])
    );
    assert!(!recorder.shutdown(hour).complete);
}
