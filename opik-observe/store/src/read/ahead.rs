//! Totals that another reader counts while this one reads the content of a page.
//!
//! A page whose total nobody knows takes the time of both. So a reader that has found the records of
//! the page hands the total to the others, reads what the page needs, and then takes what was counted
//! from what they all remember. It does so only while a third reader stays free for the questions of
//! others. It never waits for a reader that has not begun: then it counts itself,
//! as it does when the store changed in between and the others see another state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use opik_core::query::{SpanQuery, TraceQuery};

use super::Reader;
use crate::error::StoreError;

/// A total that somebody counts, or did.
#[derive(Debug, Default)]
struct Job {
    taken: AtomicBool,
    over: OnceLock<()>,
}

impl Job {
    /// Takes the job. Tells whether nobody had.
    fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::AcqRel)
    }

    /// Does the job unless it was taken, and tells whoever waits, also when it panics.
    fn run(&self, act: impl FnOnce()) {
        struct Over<'j>(&'j Job);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.over.get_or_init(|| ());
            }
        }
        if self.take() {
            let _over = Over(self);
            act();
        }
    }

    /// Waits until it is over, unless nobody has taken it; nobody will then.
    fn wait(&self) {
        if !self.take() {
            self.over.wait();
        }
    }
}

/// A total that was handed to other readers.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Option<Arc<Job>>);

impl Ahead {
    /// Waits until what was handed over is counted, or takes it back.
    pub(crate) fn wait(mut self) {
        if let Some(job) = self.0.take() {
            job.wait();
        }
    }
}

impl Drop for Ahead {
    /// Nobody needs it any more: whoever has not begun need not.
    fn drop(&mut self) {
        if let Some(job) = &self.0 {
            job.take();
        }
    }
}

impl Reader {
    /// Has others count the spans of a query, unless their number is at hand.
    pub(crate) fn spans_ahead(&self, query: &SpanQuery) -> Result<Ahead, StoreError> {
        let words = query.text.as_deref();
        if self.tallied_spans(query).is_some() {
            return Ok(Ahead::default());
        }
        let query = super::totals::spans_question(query);
        self.ahead(&format!("{query:?}"), words, move |reader| {
            reader.total_of_spans(&query, None).map(drop)
        })
    }

    /// Has others count the traces of a query, unless their number is at hand.
    pub(crate) fn traces_ahead(&self, query: &TraceQuery) -> Result<Ahead, StoreError> {
        let words = query.text.as_deref();
        if self.tallied_traces(query).is_some() {
            return Ok(Ahead::default());
        }
        let query = super::totals::traces_question(query);
        self.ahead(&format!("{query:?}"), words, move |reader| {
            reader.total_of_traces(&query, None).map(drop)
        })
    }

    fn ahead(
        &self,
        question: &str,
        words: Option<&str>,
        count: impl FnOnce(&mut Self) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Ahead, StoreError> {
        let Some(others) = &self.others else {
            return Ok(Ahead::default());
        };
        let version = self.version(words.is_some())?;
        if !self.may_remember(question) || self.remembered(question, version).is_some() {
            return Ok(Ahead::default());
        }
        let words = words.map(str::to_owned);
        let job = Arc::<Job>::default();
        let theirs = Arc::clone(&job);
        let task = move |reader: &mut Self| {
            theirs.run(|| {
                let counted = reader.snapshot(|reader| {
                    reader.see_index_first(words.as_deref())?;
                    if reader.version(words.is_some())? == version {
                        count(reader)?;
                    }
                    Ok(())
                });
                if let Err(error) = counted {
                    // Whoever asked counts, and tells.
                    tracing::debug!(target: "opik_store", %error, "a total was not counted");
                }
            });
        };
        Ok(if others.ask_to_spare(Box::new(task)) {
            Ahead(Some(job))
        } else {
            Ahead::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use opik_core::{Batch, Exporter as _};
    use opik_testkit::records;

    use super::*;
    use crate::read::totals::spans_question;
    use crate::{Store, StoreOptions};

    const LIMIT: Duration = Duration::from_secs(60);

    /// A store with a span in each of so many traces, and a question for all that has no tally.
    fn store(traces: u32) -> (tempfile::TempDir, Store, SpanQuery) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("traces.db"), StoreOptions::default()).unwrap();
        add(&store, 0..traces);
        let mut query = SpanQuery::default();
        query.to = Some(opik_core::Timestamp::from_micros(i64::MAX));
        (dir, store, query)
    }

    fn add(store: &Store, traces: std::ops::Range<u32>) {
        for number in traces {
            let span = records::full_span(number, 0);
            let batch = Batch::new(vec![records::full_trace(number)], vec![span]);
            pollster::block_on(store.export(&batch)).unwrap();
        }
    }

    /// A count that was handed over, as soon as others have nothing else to do.
    fn handed_over(reader: &Reader, query: &SpanQuery) -> Ahead {
        let begin = Instant::now();
        loop {
            let ahead = reader.spans_ahead(query).unwrap();
            if ahead.0.is_some() {
                return ahead;
            }
            assert!(begin.elapsed() < LIMIT, "nobody is free");
            std::thread::yield_now();
        }
    }

    fn wait_for_another(ahead: &Ahead) {
        let begin = Instant::now();
        while ahead.0.as_ref().unwrap().over.get().is_none() {
            assert!(begin.elapsed() < LIMIT, "nobody has counted");
            std::thread::yield_now();
        }
    }

    #[test]
    fn another_reader_counts_and_what_it_counted_is_known_to_this_one() {
        let (_dir, store, query) = store(7);
        store
            .read(move |reader| {
                let ahead = handed_over(reader, &query);
                wait_for_another(&ahead);
                let question = format!("{:?}", spans_question(&query));
                let version = reader.version(false)?;
                assert_eq!(reader.remembered(&question, version), Some(7));
                // Nobody is asked again.
                assert!(reader.spans_ahead(&query)?.0.is_none());
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn what_changed_after_a_page_was_begun_does_not_count() {
        let (_dir, store, query) = store(7);
        let writer = store.clone();
        store
            .read(move |reader| {
                let version = reader.version(false)?;
                add(&writer, 7..9);
                let ahead = handed_over(reader, &query);
                wait_for_another(&ahead);
                let question = format!("{:?}", spans_question(&query));
                assert_eq!(reader.remembered(&question, version), None);
                ahead.wait();
                assert_eq!(reader.total_of_spans(&query, None)?, 7);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn the_last_free_reader_is_left_to_others() {
        let (dir, _, query) = store(7);
        let options = StoreOptions::default().readers(2);
        let store = Store::open(dir.path().join("traces.db"), options).unwrap();
        store
            .read(move |reader| {
                for _ in 0..1_000 {
                    assert!(reader.spans_ahead(&query)?.0.is_none());
                    std::thread::yield_now();
                }
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn what_nobody_needs_any_more_is_not_counted() {
        let job = Arc::<Job>::default();
        drop(Ahead(Some(Arc::clone(&job))));
        let mut done = false;
        job.run(|| done = true);
        assert!(!done);
    }

    #[test]
    fn whoever_waits_takes_back_what_nobody_has_begun() {
        let job = Job::default();
        job.wait();
        let mut done = false;
        job.run(|| done = true);
        assert!(!done);
    }

    #[test]
    fn whoever_waits_is_told_when_it_is_over_also_by_a_panic() {
        for panics in [false, true] {
            let job = Arc::<Job>::default();
            let theirs = Arc::clone(&job);
            let (began, begin) = std::sync::mpsc::channel();
            let thread = std::thread::Builder::new().spawn(move || {
                theirs.run(|| {
                    began.send(()).unwrap();
                    assert!(!panics, "as the test wants it");
                });
            });
            begin.recv().unwrap();
            job.wait();
            assert_eq!(thread.unwrap().join().is_err(), panics);
        }
    }
}
