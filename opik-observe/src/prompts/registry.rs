//! The registry as a program sees it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::cache::{Answer, Cache, Key, Outcome, Terms};
use super::refresh::Refresh;
use super::source::PromptSource;
use super::text::{Origin, PromptText, Text};

/// Prompts by name and tag, answered at once; see the [module](super).
///
/// A clone is a second handle on the same registry.
#[derive(Clone, Default)]
pub struct PromptRegistry {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Arc<Key>>,
}

/// What handles and the thread share.
pub(super) struct Shared {
    cache: Mutex<Cache>,
    settled: Condvar,
    clock: Clock,
    counters: Counters,
    warned: AtomicBool,
}

type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

#[derive(Default)]
struct Counters {
    cached: AtomicU64,
    stale: AtomicU64,
    defaults: AtomicU64,
    full: AtomicU64,
    fetched: AtomicU64,
    missing: AtomicU64,
    failed: AtomicU64,
}

/// Settings of a [`PromptRegistry`].
#[must_use = "a registry is made by `start`"]
pub struct PromptRegistryBuilder {
    source: Arc<dyn PromptSource>,
    terms: Terms,
    fetch_timeout: Duration,
    clock: Clock,
}

/// What a registry has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PromptStatistics {
    /// Calls answered with a fresh prompt.
    pub cached: u64,
    /// Calls answered with an old one.
    pub stale: u64,
    /// Calls answered with the program's default.
    pub defaults: u64,
    /// Of these, calls for a prompt that there was no room for.
    pub full: u64,
    /// Fetches that brought a prompt.
    pub fetched: u64,
    /// Fetches that were told that there is none.
    pub missing: u64,
    /// Fetches that failed.
    pub failed: u64,
}

/// What a warm-up came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUp {
    /// Prompts that are there now.
    pub ready: usize,
    /// Prompts that are not, for whatever reason.
    pub missing: usize,
    /// Of these, prompts that were still being fetched when the time was over.
    pub unfinished: usize,
}

impl PromptRegistry {
    /// A registry that knows no prompt, starts no thread and always answers with the default.
    #[must_use]
    pub const fn disabled() -> Self {
        Self { inner: None }
    }

    /// A registry that asks this source.
    pub fn builder(source: Arc<dyn PromptSource>) -> PromptRegistryBuilder {
        PromptRegistryBuilder {
            source,
            terms: Terms {
                ttl: Duration::from_secs(300),
                retry_after: Duration::from_secs(30),
                max_prompts: 1_000,
            },
            fetch_timeout: Duration::from_secs(2),
            clock: Arc::new(Instant::now),
        }
    }

    /// The version of a prompt that a tag points to (the newest when the tag is empty), or the
    /// default. It never waits.
    pub fn get(&self, name: &str, tag: &str, default: impl Into<Cow<'static, str>>) -> PromptText {
        let key = Key::new(name, tag);
        let answer = match &self.inner {
            Some(inner) => inner.look(&key),
            None => Answer::Unknown,
        };
        let (text, origin) = match answer {
            Answer::Known(prompt, origin) => (Text::Fetched(prompt), origin),
            Answer::Unknown | Answer::Full => (Text::Default(default.into()), Origin::Default),
        };
        PromptText { key, text, origin }
    }

    /// Fetches these prompts (name and tag) and waits until that is done, at most `timeout`.
    ///
    /// Blocks the thread; for the beginning of a program. Those that were fetched lately are not
    /// fetched again.
    pub fn warm_up(&self, prompts: &[(&str, &str)], timeout: Duration) -> WarmUp {
        let keys: Vec<_> = prompts
            .iter()
            .map(|(name, tag)| Key::new(name, tag))
            .collect();
        let (ready, unfinished) = match &self.inner {
            Some(inner) => inner.wait_for(&keys, timeout),
            None => (0, 0),
        };
        WarmUp {
            ready,
            missing: keys.len().saturating_sub(ready),
            unfinished,
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn statistics(&self) -> PromptStatistics {
        let Some(inner) = &self.inner else {
            return PromptStatistics::default();
        };
        let counters = &inner.shared.counters;
        PromptStatistics {
            cached: counters.cached.load(Ordering::Relaxed),
            stale: counters.stale.load(Ordering::Relaxed),
            defaults: counters.defaults.load(Ordering::Relaxed),
            full: counters.full.load(Ordering::Relaxed),
            fetched: counters.fetched.load(Ordering::Relaxed),
            missing: counters.missing.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for PromptRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptRegistry")
            .field("enabled", &self.inner.is_some())
            .field("statistics", &self.statistics())
            .finish()
    }
}

impl Key {
    fn new(name: &str, tag: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

impl Inner {
    fn look(&self, key: &Arc<Key>) -> Answer {
        let answer = self.ask(key);
        let counters = &self.shared.counters;
        let counter = match &answer {
            Answer::Known(_, Origin::Cached) => &counters.cached,
            Answer::Known(..) => &counters.stale,
            Answer::Unknown | Answer::Full => &counters.defaults,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if matches!(answer, Answer::Full) {
            counters.full.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// What is known; asks the thread for the prompt when it is due.
    fn ask(&self, key: &Arc<Key>) -> Answer {
        let now = (self.shared.clock)();
        let (answer, fetch) = self.shared.cache().look(key, now);
        // There is a place for every prompt that the cache can hold, so only a thread that is gone
        // refuses.
        if fetch && self.requests.try_send(Arc::clone(key)).is_err() {
            self.shared.settle(key, Outcome::Failed);
        }
        answer
    }

    fn wait_for(&self, keys: &[Arc<Key>], timeout: Duration) -> (usize, usize) {
        let deadline = Instant::now().checked_add(timeout);
        for key in keys {
            self.ask(key);
        }
        let mut cache = self.shared.cache();
        loop {
            let (ready, pending) = cache.count(keys);
            let left = deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if pending == 0 || left.is_zero() {
                return (ready, pending);
            }
            let waited = self.shared.settled.wait_timeout(cache, left);
            cache = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a fetch came to.
    pub(super) fn settle(&self, key: &Key, outcome: Outcome) {
        let failed = matches!(outcome, Outcome::Failed);
        let counter = match &outcome {
            Outcome::Found(_) => &self.counters.fetched,
            Outcome::Missing => &self.counters.missing,
            Outcome::Failed => &self.counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let now = (self.clock)();
        self.cache().settle(key, outcome, now);
        self.settled.notify_all();
        if failed && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "opik_observe",
                "a prompt could not be fetched; defaults and old prompts are used, \
                 and further failures are only counted"
            );
        }
    }
}

impl PromptRegistryBuilder {
    /// How long a prompt is fresh, and how long it is believed that there is none: 300 seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.terms.ttl = ttl;
        self
    }

    /// How long nothing is fetched after a failure: 30 seconds, doubled by each further one, at
    /// most the time to live.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.terms.retry_after = wait;
        self
    }

    /// How long one fetch may take: 2 seconds.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// Most prompts (each with a tag) that are known: 1,000.
    pub fn max_prompts(mut self, prompts: usize) -> Self {
        self.terms.max_prompts = prompts.max(1);
        self
    }

    #[cfg(test)]
    pub(super) fn clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts the thread that fetches.
    ///
    /// # Errors
    /// When the system gives no thread. A program that goes on without one takes
    /// [`PromptRegistry::disabled`].
    pub fn start(self) -> io::Result<PromptRegistry> {
        let shared = Arc::new(Shared {
            cache: Mutex::new(Cache::new(self.terms)),
            settled: Condvar::new(),
            clock: self.clock,
            counters: Counters::default(),
            warned: AtomicBool::new(false),
        });
        let places = self
            .terms
            .max_prompts
            .min(tokio::sync::Semaphore::MAX_PERMITS);
        let (requests, receiver) = mpsc::channel(places);
        let refresh = Refresh {
            source: self.source,
            shared: Arc::clone(&shared),
            requests: receiver,
            timeout: self.fetch_timeout,
        };
        std::thread::Builder::new()
            .name("opik-prompts".to_owned())
            .spawn(move || refresh.run())?;
        let inner = Inner { shared, requests };
        Ok(PromptRegistry {
            inner: Some(Arc::new(inner)),
        })
    }
}

impl fmt::Debug for PromptRegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptRegistryBuilder")
            .field("source", &self.source)
            .field("terms", &self.terms)
            .field("fetch_timeout", &self.fetch_timeout)
            .finish_non_exhaustive()
    }
}
