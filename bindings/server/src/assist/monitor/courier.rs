//! The way to a receiver elsewhere: a bounded queue, and one task that empties it.
//!
//! Whoever sends never waits. What does not fit is dropped and counted, and so is what the receiver does
//! not take: a request has a deadline and is repeated once at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Items that wait; beyond, they are dropped.
const WAITING: usize = 256;
/// Longest item in bytes; a longer one is dropped.
const LARGEST: usize = 256 << 10;
/// Items of one request, where a request takes several.
const BATCH: usize = 64;
/// How long a first item waits for others.
const LINGER: Duration = Duration::from_millis(500);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause that a receiver may ask for.
const LONGEST: Duration = Duration::from_secs(60);

/// How items become a body.
#[derive(Debug)]
pub(super) enum Frame {
    /// Each is a body.
    Single,
    /// Several, with commas between them.
    List { before: String, after: &'static str },
}

/// A receiver.
#[derive(Debug)]
pub(super) struct Target {
    /// For counts and logs.
    pub(super) name: &'static str,
    pub(super) url: Url,
    /// What every request has.
    pub(super) headers: HeaderMap,
    pub(super) frame: Frame,
}

/// What became of items.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Each result by name.
    pub(super) fn all(&self) -> [(&'static str, u64); 3] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("sent", of(&self.sent)),
            ("refused", of(&self.refused)),
            ("dropped", of(&self.dropped)),
        ]
    }

    fn add(&self, delivered: bool, items: usize) {
        let count = if delivered { &self.sent } else { &self.refused };
        count.fetch_add(u64::try_from(items).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Takes items to a receiver.
#[derive(Debug, Clone)]
pub(super) struct Courier {
    name: &'static str,
    queue: mpsc::Sender<String>,
    counts: Arc<Counts>,
}

impl Courier {
    /// Starts the task that empties the queue; after `stop` it delivers what waits and ends, and it is
    /// dropped at `kill`.
    pub(super) fn start(
        target: Target,
        http: reqwest::Client,
        tasks: &TaskTracker,
        stop: CancellationToken,
        kill: CancellationToken,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let courier = Self {
            name: target.name,
            queue,
            counts: Arc::default(),
        };
        let counts = Arc::clone(&courier.counts);
        let route = Route {
            target,
            http,
            counts,
            stop,
        };
        tasks.spawn(kill.run_until_cancelled_owned(route.run(waiting)));
        courier
    }

    /// Sends an item, unless there is no room for it.
    pub(super) fn send(&self, item: String) {
        if item.len() > LARGEST || self.queue.try_send(item).is_err() {
            let before = self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            if before == 0 {
                tracing::warn!(target: "opik_server", receiver = self.name, "monitoring cannot keep up; what does not fit is dropped and counted");
            }
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }
}

struct Route {
    target: Target,
    http: reqwest::Client,
    counts: Arc<Counts>,
    stop: CancellationToken,
}

impl Route {
    async fn run(self, mut waiting: mpsc::Receiver<String>) {
        loop {
            let first = tokio::select! {
                biased;
                first = waiting.recv() => first,
                () = self.stop.cancelled() => {
                    waiting.close();
                    waiting.recv().await
                }
            };
            let Some(first) = first else { return };
            let mut items = vec![first];
            if matches!(self.target.frame, Frame::List { .. }) {
                self.gather(&mut items, &mut waiting).await;
            }
            let delivered = self.deliver(&items).await;
            self.counts.add(delivered, items.len());
        }
    }

    async fn gather(&self, items: &mut Vec<String>, waiting: &mut mpsc::Receiver<String>) {
        let until = Instant::now() + LINGER;
        while items.len() < BATCH {
            let next = tokio::select! {
                biased;
                next = timeout_at(until, waiting.recv()) => next.ok().flatten(),
                () = self.stop.cancelled() => waiting.try_recv().ok(),
            };
            match next {
                Some(next) => items.push(next),
                None => return,
            }
        }
    }

    async fn deliver(&self, items: &[String]) -> bool {
        let body = match &self.target.frame {
            Frame::Single => items.concat(),
            Frame::List { before, after } => format!("{before}{}{after}", items.join(",")),
        };
        match self.post(body.clone()).await {
            Answer::Taken => true,
            Answer::Refused => false,
            Answer::Later(pause) => {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.stop.cancelled() => {}
                }
                matches!(self.post(body).await, Answer::Taken)
            }
        }
    }

    async fn post(&self, body: String) -> Answer {
        let sent = self
            .http
            .post(self.target.url.clone())
            .headers(self.target.headers.clone())
            .timeout(PATIENCE)
            .body(body)
            .send()
            .await;
        let receiver = self.target.name;
        match sent {
            Ok(response) if response.status().is_success() => Answer::Taken,
            Ok(response) => {
                let status = response.status();
                tracing::debug!(target: "opik_server", receiver, %status, "a receiver of monitoring refuses");
                if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
                    Answer::Later(pause(response.headers()))
                } else {
                    Answer::Refused
                }
            }
            Err(error) if error.is_timeout() => {
                tracing::debug!(target: "opik_server", receiver, "a receiver of monitoring does not answer in time");
                Answer::Refused
            }
            Err(_) => {
                tracing::debug!(target: "opik_server", receiver, "a receiver of monitoring cannot be reached");
                Answer::Later(PAUSE)
            }
        }
    }
}

enum Answer {
    Taken,
    Refused,
    Later(Duration),
}

/// How long the receiver asks to wait.
fn pause(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs).min(LONGEST)
}
