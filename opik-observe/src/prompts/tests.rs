//! Prompts come at once, whatever their source does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_testkit::Gate;
use proptest::prelude::*;

use super::cache::{Answer, Cache, Key, Outcome, Terms};
use super::{FetchedPrompt, Origin, PromptRegistry, PromptSource, PromptSourceError, PromptText};
use crate::{Policy, Recorder};

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);
const ONE: [(&str, &str); 1] = [("critic", "production")];

/// What a source does when it is asked.
#[derive(Debug, Clone)]
enum Act {
    Give(&'static str),
    Nothing,
    Fail,
    Panic,
    /// Waits, as a task.
    Hang(Gate),
    /// Holds up the thread.
    Block(Gate),
    TooLong,
}

/// Does one act after the other, the last one again and again.
#[derive(Debug, Default)]
struct Source {
    acts: Mutex<VecDeque<Act>>,
    calls: AtomicUsize,
}

impl Source {
    fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.into_iter().collect()),
            calls: AtomicUsize::new(0),
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PromptSource for Source {
    async fn fetch(
        &self,
        name: &str,
        tag: &str,
    ) -> Result<Option<FetchedPrompt>, PromptSourceError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let act = {
            let mut acts = self.acts.lock().unwrap();
            match acts.len() {
                1 => acts.front().cloned(),
                _ => acts.pop_front(),
            }
        };
        let text = match act.unwrap() {
            Act::Give(text) => text.to_owned(),
            Act::Nothing => return Ok(None),
            Act::Fail => return Err(PromptSourceError::new()),
            Act::Panic => panic!("a source that panics"),
            Act::Hang(gate) => {
                gate.wait().await;
                "late".to_owned()
            }
            Act::Block(gate) => {
                assert!(gate.wait_blocking(LONG));
                "late".to_owned()
            }
            Act::TooLong => "x".repeat((1 << 20) + 1),
        };
        let prompt = FetchedPrompt::new(text);
        Ok(Some(prompt.version("v3").commit(format!("{name}@{tag}"))))
    }
}

/// A clock that tests set.
#[derive(Clone)]
struct Time {
    start: Instant,
    passed: Arc<Mutex<Duration>>,
}

impl Time {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            passed: Arc::default(),
        }
    }

    fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap() += time;
    }

    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap()
    }
}

struct Setup {
    registry: PromptRegistry,
    source: Arc<Source>,
    time: Time,
}

fn setup(acts: impl IntoIterator<Item = Act>) -> Setup {
    setup_with(LONG, acts)
}

fn setup_with(fetch_timeout: Duration, acts: impl IntoIterator<Item = Act>) -> Setup {
    let (source, time) = (Source::new(acts), Time::new());
    let clock = time.clone();
    let registry = PromptRegistry::builder(Arc::clone(&source) as Arc<dyn PromptSource>)
        .fetch_timeout(fetch_timeout)
        .clock(move || clock.now())
        .start()
        .unwrap();
    Setup {
        registry,
        source,
        time,
    }
}

impl Setup {
    fn get(&self) -> PromptText {
        self.registry.get("critic", "production", "default")
    }

    /// Asks, waits for the fetch that this began, if it did, and gives the first answer.
    fn settle(&self) -> Origin {
        let origin = self.get().origin();
        assert_eq!(self.registry.warm_up(&ONE, LONG).unfinished, 0);
        origin
    }
}

#[test]
fn the_first_answer_is_the_default_and_the_next_the_prompt() {
    let setup = setup([Act::Give("be strict")]);
    assert_eq!(setup.settle(), Origin::Default);
    let prompt = setup.get();
    assert_eq!(
        (prompt.text(), prompt.origin()),
        ("be strict", Origin::Cached)
    );
    assert_eq!((prompt.name(), prompt.tag()), ("critic", "production"));
    assert_eq!(prompt.version(), Some("v3"));
    assert_eq!(prompt.commit(), Some("critic@production"));
    let debug = format!(
        "{prompt:?} {:?} {:?}",
        setup.registry,
        FetchedPrompt::new("be strict")
    );
    assert!(!debug.contains("strict"), "{debug}");
    assert_eq!(setup.source.calls(), 1);
}

#[test]
fn nobody_waits_for_a_source_that_hangs_or_blocks_and_it_is_asked_once() {
    for act in [Act::Hang as fn(Gate) -> Act, Act::Block] {
        let gate = Gate::new();
        let setup = setup([act(gate.clone())]);
        for _ in 0..1_000 {
            let prompt = setup.get();
            assert_eq!((prompt.text(), prompt.version()), ("default", None));
        }
        let warm = setup.registry.warm_up(&ONE, Duration::from_millis(20));
        assert_eq!((warm.ready, warm.missing, warm.unfinished), (0, 1, 1));
        assert_eq!(setup.registry.statistics().defaults, 1_000);
        assert!(setup.source.calls() <= 1);
        gate.open();
        assert_eq!(setup.registry.warm_up(&ONE, LONG).ready, 1);
        assert_eq!(setup.get().text(), "late");
        assert_eq!(setup.source.calls(), 1);
    }
}

#[test]
fn a_fetch_that_takes_too_long_has_failed() {
    let hangs = Act::Hang(Gate::new());
    let setup = setup_with(Duration::from_millis(5), [hangs, Act::Give("there")]);
    assert_eq!(setup.settle(), Origin::Default);
    assert_eq!(setup.registry.statistics().failed, 1);
    setup.time.pass(Duration::from_secs(31));
    setup.settle();
    assert_eq!(setup.get().text(), "there");
}

#[test]
fn a_dead_source_is_asked_less_and_less_often() {
    let setup = setup([Act::Fail]);
    let mut asked_at = Vec::new();
    for second in 0..1_300_u32 {
        let before = setup.source.calls();
        setup.settle();
        if setup.source.calls() > before {
            asked_at.push(second);
        }
        setup.time.pass(Duration::from_secs(1));
    }
    // 30, 60, 120, 240 and then 300 seconds apart.
    assert_eq!(asked_at, [0, 30, 90, 210, 450, 750, 1_050]);
    assert_eq!(setup.registry.statistics().failed, 7);
}

#[test]
fn an_old_prompt_is_used_until_a_newer_one_comes() {
    let setup = setup([Act::Give("old"), Act::Fail, Act::Give("new")]);
    setup.settle();
    setup.time.pass(Duration::from_secs(299));
    assert_eq!(setup.settle(), Origin::Cached);
    setup.time.pass(Duration::from_secs(1));
    // The refresh fails.
    assert_eq!(setup.settle(), Origin::Stale);
    let prompt = setup.get();
    assert_eq!((prompt.text(), prompt.origin()), ("old", Origin::Stale));
    setup.time.pass(Duration::from_secs(30));
    assert_eq!(setup.settle(), Origin::Stale);
    let prompt = setup.get();
    assert_eq!((prompt.text(), prompt.origin()), ("new", Origin::Cached));
    let statistics = setup.registry.statistics();
    assert_eq!((statistics.cached, statistics.stale), (2, 3));
    assert_eq!((statistics.fetched, statistics.failed), (2, 1));
}

#[test]
fn a_prompt_that_does_not_exist_is_believed_and_one_that_was_taken_away_is_not_used() {
    let setup = setup([Act::Nothing, Act::Give("there"), Act::Nothing]);
    setup.settle();
    setup.time.pass(Duration::from_secs(299));
    assert_eq!(setup.settle(), Origin::Default);
    assert_eq!(setup.source.calls(), 1);
    for (origin, text) in [(Origin::Default, "there"), (Origin::Stale, "default")] {
        setup.time.pass(Duration::from_secs(300));
        assert_eq!(setup.settle(), origin);
        assert_eq!(setup.get().text(), text);
    }
    assert_eq!(setup.registry.statistics().missing, 2);
}

#[test]
fn a_source_that_panics_or_sends_too_much_has_failed_and_the_others_go_on() {
    for act in [Act::Panic, Act::TooLong] {
        let setup = setup([act, Act::Give("another")]);
        setup.settle();
        assert_eq!(setup.get().text(), "default");
        assert_eq!(setup.registry.statistics().failed, 1);
        let other = [("other", "")];
        assert_eq!(setup.registry.warm_up(&other, LONG).ready, 1);
        let prompt = setup.registry.get("other", "", "default");
        assert_eq!((prompt.text(), prompt.tag()), ("another", ""));
    }
}

#[test]
fn many_callers_make_one_fetch() {
    let gate = Gate::new();
    let setup = setup([Act::Hang(gate.clone())]);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                assert_eq!(setup.get().origin(), Origin::Default);
            });
        }
    });
    gate.open();
    assert_eq!(setup.registry.warm_up(&ONE, LONG).ready, 1);
    assert_eq!(setup.source.calls(), 1);
}

#[test]
fn more_prompts_than_there_is_room_for_get_their_default_and_are_counted() {
    let source = Source::new([Act::Give("text")]);
    let registry = PromptRegistry::builder(Arc::clone(&source) as Arc<dyn PromptSource>)
        .max_prompts(2)
        .start()
        .unwrap();
    let warm = registry.warm_up(&[("a", ""), ("b", ""), ("c", "")], LONG);
    assert_eq!((warm.ready, warm.missing, warm.unfinished), (2, 1, 0));
    assert_eq!(registry.get("c", "", "default").text(), "default");
    assert_eq!(registry.get("a", "", "default").text(), "text");
    assert_eq!((registry.statistics().full, source.calls()), (1, 2));
}

/// Says when it is dropped, hangs for ever, and records.
#[derive(Debug)]
struct Watched {
    recorder: Recorder,
    asked: Mutex<mpsc::Sender<()>>,
    _dropped: mpsc::Sender<()>,
}

#[async_trait]
impl PromptSource for Watched {
    async fn fetch(&self, _: &str, _: &str) -> Result<Option<FetchedPrompt>, PromptSourceError> {
        self.recorder.trace("of the source").end();
        self.asked.lock().unwrap().send(()).unwrap();
        std::future::pending().await
    }
}

#[test]
fn the_thread_ends_with_the_last_handle_and_records_nothing() {
    let (recorder, guard) = Recorder::builder()
        .branch(
            "b",
            Arc::new(opik_testkit::RecordingExporter::new()),
            Policy::default(),
        )
        .start()
        .unwrap();
    let (asked, was_asked) = mpsc::channel();
    let (dropped, was_dropped) = mpsc::channel::<()>();
    let source = Watched {
        recorder,
        asked: Mutex::new(asked),
        _dropped: dropped,
    };
    let registry = PromptRegistry::builder(Arc::new(source))
        .fetch_timeout(LONG * 60)
        .start()
        .unwrap();
    let second = registry.clone();
    registry.get("p", "", "");
    was_asked.recv_timeout(LONG).unwrap();
    drop(registry);
    assert_eq!(was_dropped.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(second);
    let ended = was_dropped.recv_timeout(LONG);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!((statistics.recorded, statistics.suppressed), (0, 1));
}

#[test]
fn a_disabled_registry_has_the_default() {
    let registry = PromptRegistry::disabled();
    let prompt = registry.get("critic", "production", "default");
    assert_eq!(
        (prompt.text(), prompt.origin()),
        ("default", Origin::Default)
    );
    assert_eq!(registry.warm_up(&ONE, LONG).missing, 1);
}

proptest! {
    /// Whatever happens when: a fetch is asked for once, never before the wait of the last one
    /// is over, and an answer is never older than what came last.
    #[test]
    fn the_cache_asks_once_and_not_too_soon(
        steps in prop::collection::vec((0_u8..5, 0_u64..400), 1..80),
    ) {
        let terms = Terms {
            ttl: Duration::from_secs(300),
            retry_after: Duration::from_secs(30),
            max_prompts: 10,
        };
        let mut cache = Cache::new(terms);
        let key = Arc::new(Key { name: "p".to_owned(), tag: String::new() });
        let mut now = Instant::now();
        let (mut pending, mut last, mut current) = (false, None, None);
        for (number, (act, seconds)) in steps.into_iter().enumerate() {
            now += Duration::from_secs(seconds);
            match act {
                2 if pending => {
                    let text = number.to_string();
                    cache.settle(&key, Outcome::Found(FetchedPrompt::new(&*text)), now);
                    (pending, last, current) = (false, Some((now, 300)), Some(text));
                }
                3 if pending => {
                    cache.settle(&key, Outcome::Failed, now);
                    (pending, last) = (false, Some((now, 30)));
                }
                4 if pending => {
                    cache.settle(&key, Outcome::Missing, now);
                    (pending, last, current) = (false, Some((now, 300)), None);
                }
                _ => {
                    let (answer, fetch) = cache.look(&key, now);
                    let waited = last.is_none_or(|(at, wait)| now - at >= Duration::from_secs(wait));
                    prop_assert!(!fetch || (waited && !pending));
                    let long_ago = last.is_none_or(|(at, _)| now - at >= terms.ttl);
                    prop_assert!(fetch || pending || !long_ago, "the longest wait is the ttl");
                    pending |= fetch;
                    let text = match answer {
                        Answer::Known(prompt, _) => Some(prompt.text.clone()),
                        Answer::Unknown | Answer::Full => None,
                    };
                    prop_assert_eq!(text, current.clone());
                }
            }
        }
    }
}
