//! What every competitor does: a trace is a root and nine children, each with six attributes: two
//! fixed texts, two whole numbers, one other number and a text of 200 bytes that is copied.

/// Spans of a trace, the root included.
pub const SPANS: u32 = 10;

/// What a competitor's children run in: nothing, or a stopwatch and a metronome.
pub trait Around {
    fn child(&mut self, work: impl FnOnce());
}

/// Children as fast as they can.
#[derive(Debug)]
pub struct Unhurried;

impl Around for Unhurried {
    #[inline(always)]
    fn child(&mut self, work: impl FnOnce()) {
        work();
    }
}

/// One way of recording traces.
pub trait Tracer: Sync {
    fn trace(&self, text: &str, around: &mut impl Around);

    /// Waits until the background is done with what was recorded.
    fn settle(&self) {}
}

/// The cost of the measurement itself.
#[derive(Debug)]
pub struct Empty;

impl Tracer for Empty {
    fn trace(&self, text: &str, around: &mut impl Around) {
        for _ in 1..SPANS {
            around.child(|| {
                std::hint::black_box(text);
            });
        }
    }
}
