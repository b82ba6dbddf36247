//! Models against servers that behave, and servers that do not.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod cases;
mod fake;
mod fixture;
mod hostile;
mod limits;
mod proxy;
mod secrets;
mod suite;
mod wire;

use std::future::Future;
use std::time::Duration;

/// Nothing in here takes long; what hangs fails.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, what).await.expect("it hangs")
}
