//! Rate limits, as Opik's cloud has them: off unless the configuration says otherwise.
//!
//! A limit is so many events in a window of time. Batches count one event per item, everything
//! else that is limited counts one. A request beyond it is refused with 429 and `RateLimit-Reset`;
//! answers of limited endpoints say what is left, in `Opik-<Name>-Limit`,
//! `Opik-<Name>-Remaining-Limit` and `Opik-<Name>-Remaining-Limit-TTL-Millis`.
//!
//! How many items a body has is known to its handler alone, which says so with [`charge`] before
//! it writes anything; the request's own meter is found through the task that it runs on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;

use super::{ApiError, Caller, refuse};
use crate::app::App;

/// Windows that are remembered at once; workspaces beyond share one.
const MOST_WINDOWS: usize = 4_096;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bucket {
    User,
    Workspace,
    SingleTracingOps,
    GetSpanId,
    GetSpans,
    SearchSpans,
    GetSpansStats,
    GetTraces,
    SearchTraces,
    GetTracesStats,
}

impl Bucket {
    fn known(self) -> Option<&'static (Self, &'static str, &'static str, u64)> {
        BUCKETS.iter().find(|known| known.0 == self)
    }

    fn header(self) -> &'static str {
        self.known().map_or("opik", |known| known.2)
    }
}

/// Name in the configuration, name in headers, events a minute.
const BUCKETS: [(Bucket, &str, &str, u64); 10] = [
    (Bucket::User, "user", "opik-user", 10_000),
    (Bucket::Workspace, "workspace", "opik-workspace", 5_000),
    (
        Bucket::SingleTracingOps,
        "single-tracing-ops",
        "opik-single-tracing-ops",
        800,
    ),
    (Bucket::GetSpanId, "get-span-id", "opik-get-span-id", 250),
    (Bucket::GetSpans, "get-spans", "opik-get-spans", 30),
    (Bucket::SearchSpans, "search-spans", "opik-search-spans", 30),
    (
        Bucket::GetSpansStats,
        "get-spans-stats",
        "opik-get-spans-stats",
        30,
    ),
    (Bucket::GetTraces, "get-traces", "opik-get-traces", 30),
    (
        Bucket::SearchTraces,
        "search-traces",
        "opik-search-traces",
        30,
    ),
    (
        Bucket::GetTracesStats,
        "get-traces-stats",
        "opik-get-traces-stats",
        30,
    ),
];

/// Limits on how much clients may ask for in a window of time.
///
/// The names are `user`, `workspace` (events: one per item of a batch), `single-tracing-ops`,
/// `get-span-id`, `get-spans`, `search-spans`, `get-spans-stats`, `get-traces`, `search-traces` and
/// `get-traces-stats` (requests).
///
/// ```
/// use opik_server::RateLimits;
///
/// let limits = RateLimits::default().limit("user", 100_000)?.limit("get-spans", 300)?;
/// # let _ = limits;
/// # Ok::<(), opik_server::UnknownLimit>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    most: HashMap<&'static str, u64>,
    window: Duration,
}

/// There is no limit of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no rate limit of that name")]
#[non_exhaustive]
pub struct UnknownLimit;

impl Default for RateLimits {
    /// Those of Opik's cloud: a minute for 10,000 events of a user, 5,000 of a workspace, 800
    /// single writes, 250 spans by identifier and 30 of each list, search and statistics.
    fn default() -> Self {
        Self {
            most: BUCKETS.iter().map(|known| (known.1, known.3)).collect(),
            window: Duration::from_secs(60),
        }
    }
}

impl RateLimits {
    /// Allows so many in a window.
    ///
    /// # Errors
    /// [`UnknownLimit`] when there is no limit of that name.
    pub fn limit(mut self, name: &str, most: u64) -> Result<Self, UnknownLimit> {
        let known = BUCKETS.iter().find(|known| known.1 == name);
        self.most.insert(known.ok_or(UnknownLimit)?.1, most);
        Ok(self)
    }

    /// How long a window is; a minute by default.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window.max(Duration::from_millis(1));
        self
    }

    fn most(&self, bucket: Bucket) -> u64 {
        let name = bucket.known().map_or("", |known| known.1);
        self.most.get(name).copied().unwrap_or(u64::MAX)
    }

    /// Changes some limits: `user=100,get-spans=5`.
    pub(crate) fn read(mut self, text: &str) -> Option<Self> {
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, most) = part.split_once('=')?;
            self = self.limit(name.trim(), most.trim().parse().ok()?).ok()?;
        }
        Some(self)
    }
}

/// What was used of a window.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    used: u64,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy)]
struct Left {
    bucket: Bucket,
    most: u64,
    left: u64,
    ends_in: Duration,
}

/// Counts what every workspace used.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: RateLimits,
    windows: Mutex<HashMap<(Bucket, String), Window>>,
}

impl Limiter {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            windows: Mutex::default(),
        }
    }

    /// Takes so many events from all buckets, or from none, and tells what is left. `Err` is of the
    /// bucket that does not have as many.
    fn take(
        &self,
        buckets: &[Bucket],
        workspace: &str,
        events: u64,
        now: Instant,
    ) -> Result<Vec<Left>, Left> {
        self.count(buckets, workspace, (events, events), now)
    }

    /// Whether all buckets have an event left.
    fn look(&self, buckets: &[Bucket], workspace: &str, now: Instant) -> Result<(), Left> {
        self.count(buckets, workspace, (1, 0), now).map(drop)
    }

    fn count(
        &self,
        buckets: &[Bucket],
        workspace: &str,
        (least, events): (u64, u64),
        now: Instant,
    ) -> Result<Vec<Left>, Left> {
        let length = self.limits.window;
        let over = |window: &Window| now.duration_since(window.since) >= length;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MOST_WINDOWS {
            windows.retain(|_, window| !over(window));
        }
        let is_full = windows.len() >= MOST_WINDOWS;
        let mut keys = Vec::with_capacity(buckets.len());
        let mut all = Vec::with_capacity(buckets.len());
        for &bucket in buckets {
            // There is one user.
            let of = if bucket == Bucket::User {
                ""
            } else {
                workspace
            };
            let mut key = (bucket, of.to_owned());
            if is_full && !windows.contains_key(&key) {
                "other workspaces".clone_into(&mut key.1);
            }
            let fresh = Window {
                since: now,
                used: 0,
            };
            let window = windows.entry(key.clone()).or_insert(fresh);
            if over(window) {
                *window = fresh;
            }
            let most = self.limits.most(bucket);
            let left = Left {
                bucket,
                most,
                left: most.saturating_sub(window.used),
                ends_in: length.saturating_sub(now.duration_since(window.since)),
            };
            if left.left < least {
                return Err(left);
            }
            all.push(Left {
                left: left.left.saturating_sub(events),
                ..left
            });
            keys.push(key);
        }
        for key in keys {
            if let Some(window) = windows.get_mut(&key) {
                window.used += events;
            }
        }
        Ok(all)
    }
}

/// What one request may take, and what it took.
#[derive(Debug)]
struct Meter {
    app: App,
    buckets: &'static [Bucket],
    workspace: String,
    left: Mutex<Vec<Left>>,
}

tokio::task_local! {
    static METER: Arc<Meter>;
}

impl Meter {
    fn take(&self, events: u64) -> Result<(), ApiError> {
        let Some(limiter) = self.app.limiter() else {
            return Ok(());
        };
        match limiter.take(self.buckets, &self.workspace, events, Instant::now()) {
            Ok(left) => {
                *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
                Ok(())
            }
            Err(left) => self.exhausted(left),
        }
    }

    /// 429 when not even one event is left.
    fn is_used_up(&self) -> Result<(), ApiError> {
        let limiter = self.app.limiter();
        let taken = limiter.map(|it| it.look(self.buckets, &self.workspace, Instant::now()));
        match taken {
            Some(Err(left)) => self.exhausted(left),
            _ => Ok(()),
        }
    }

    fn exhausted(&self, left: Left) -> Result<(), ApiError> {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = vec![left];
        let seconds = left.ends_in.as_millis().div_ceil(1_000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        Err(ApiError::too_many("Too Many Requests", seconds))
    }

    fn was_charged(&self) -> bool {
        let said = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        !said.is_empty()
    }

    fn write(&self, headers: &mut HeaderMap) {
        let said = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for left in said.iter() {
            let name = left.bucket.header();
            let ends_in = u64::try_from(left.ends_in.as_millis()).unwrap_or(u64::MAX);
            for (suffix, value) in [
                ("limit", left.most),
                ("remaining-limit", left.left),
                ("remaining-limit-ttl-millis", ends_in),
            ] {
                if let Ok(name) = HeaderName::try_from(format!("{name}-{suffix}")) {
                    headers.insert(name, HeaderValue::from(value));
                }
            }
        }
    }
}

/// Takes events for the items of a body that is being handled. Does nothing where the endpoint is
/// not limited by events.
///
/// # Errors
/// 429 when there are not as many left.
pub(crate) fn charge(events: usize) -> Result<(), ApiError> {
    let meter = METER.try_with(|meter| (meter.buckets == EVENTS).then(|| Arc::clone(meter)));
    match meter {
        Ok(Some(meter)) => meter.take(u64::try_from(events).unwrap_or(u64::MAX)),
        _ => Ok(()),
    }
}

const EVENTS: &[Bucket] = &[Bucket::User, Bucket::Workspace];

/// What limits a request, by its method and its path after `/v1/private`.
fn buckets_of(method: &Method, path: &str) -> Option<&'static [Bucket]> {
    let writes = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    Some(match (method.as_str(), path) {
        ("POST", "/traces" | "/spans") | ("PATCH", "/traces/{id}" | "/spans/{id}") => {
            &[Bucket::SingleTracingOps]
        }
        ("GET", "/spans/{id}") => &[Bucket::GetSpanId],
        ("GET", "/spans") => &[Bucket::GetSpans],
        ("GET", "/spans/stats") => &[Bucket::GetSpansStats],
        ("POST", "/spans/search") => &[Bucket::SearchSpans],
        ("GET", "/traces") => &[Bucket::GetTraces],
        ("GET", "/traces/stats") => &[Bucket::GetTracesStats],
        ("POST", "/traces/search") => &[Bucket::SearchTraces],
        (
            _,
            "/traces/batch"
            | "/spans/batch"
            | "/traces/feedback-scores"
            | "/spans/feedback-scores"
            | "/traces/threads/feedback-scores"
            | "/datasets/items"
            | "/experiments/items"
            | "/experiments/items/bulk"
            | "/guardrails"
            | "/assertion-results"
            | "/otel/v1/traces",
        ) if writes => EVENTS,
        _ => return None,
    })
}

/// Meters a request, where there are limits.
pub(super) async fn meter(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("", |path| {
        let path = path.as_str();
        path.split_once("/v1/private")
            .map_or(path, |(_, rest)| rest)
    });
    let buckets = match buckets_of(request.method(), path) {
        Some(buckets) => buckets,
        // Vyasa's own, which are few.
        None if path.ends_with("/api/traces") || path.ends_with("/api/evals") => EVENTS,
        None => return next.run(request).await,
    };
    if app.limiter().is_none() {
        return next.run(request).await;
    }
    let workspace = request.extensions().get::<Caller>();
    let meter = Arc::new(Meter {
        workspace: workspace.map_or_else(String::new, |caller| caller.workspace.to_lowercase()),
        app,
        buckets,
        left: Mutex::default(),
    });
    let by_events = buckets == EVENTS;
    // A request whose items are counted later is refused here already when nothing is left at all.
    let first = if by_events {
        meter.is_used_up().err()
    } else {
        meter.take(1).err()
    };
    let mut response = match first {
        Some(refused) => refuse(request, refused).await,
        None => METER.scope(Arc::clone(&meter), next.run(request)).await,
    };
    if by_events && response.status().is_success() && !meter.was_charged() {
        // Nothing to refuse any more: it is done.
        drop(meter.take(1));
    }
    meter.write(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_all_it_needs_or_nothing() {
        let limits = RateLimits::default()
            .limit("user", 10)
            .unwrap()
            .limit("workspace", 7)
            .unwrap();
        let limiter = Limiter::new(limits);
        let now = Instant::now();
        let left = limiter.take(EVENTS, "a", 5, now).unwrap();
        assert_eq!(left.iter().map(|it| it.left).collect::<Vec<_>>(), [5, 2]);
        // The workspace has two left, and nothing is taken from the user.
        assert_eq!(
            limiter.take(EVENTS, "a", 3, now).unwrap_err().bucket,
            Bucket::Workspace
        );
        assert_eq!(
            limiter
                .take(EVENTS, "b", 5, now)
                .unwrap()
                .first()
                .map(|it| it.left),
            Some(0)
        );
        assert_eq!(
            limiter.take(EVENTS, "c", 1, now).unwrap_err().bucket,
            Bucket::User
        );
        let later = now + Duration::from_secs(61);
        assert!(limiter.take(EVENTS, "a", 7, later).is_ok());
    }

    #[test]
    fn limits_are_read_by_name_and_nothing_else() {
        let limits = RateLimits::default().read(" user=5, get-spans=1 ").unwrap();
        assert_eq!(
            (limits.most(Bucket::User), limits.most(Bucket::GetSpans)),
            (5, 1)
        );
        for wrong in ["user", "user=x", "nobody=1"] {
            assert!(RateLimits::default().read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn many_workspaces_share_what_is_remembered() {
        let limiter = Limiter::new(RateLimits::default());
        let now = Instant::now();
        for number in 0..2 * MOST_WINDOWS {
            drop(limiter.take(&[Bucket::GetSpans], &number.to_string(), 1, now));
        }
        assert!(limiter.windows.lock().unwrap().len() <= MOST_WINDOWS + 1);
    }
}
