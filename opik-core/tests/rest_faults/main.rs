//! The REST client against servers that misbehave.
//!
//! | the server | the client |
//! |---|---|
//! | refuses, resets, answers half, hangs, drips, has no name, speaks no TLS | tries again within its bounds, then a retryable error |
//! | 500, 502, 503, 504, an error line inside a stream | the same |
//! | 429 with a wait | waits that long; when that is longer than its bounds, says so at once |
//! | 429 without a wait | tries again like after a 500 |
//! | 401, 403, 404 for the workspace | an error at once, for good |
//! | 404 for the address | an error at once that may be retried later: Opik may come back there |
//! | 400, 413, 422 | halves the request until the bad record is alone |
//! | refuses a file for good | the file is rejected and its row stays |
//! | 409 | success when it is about what was just sent, else like 400 |
//! | redirects, answers HTML, JSON of another shape, too much | an error at once that repeats nothing of it |
#![cfg(feature = "rest")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod attachments;
mod captures;
mod discretion;
mod fake;
mod refusals;
mod row_files;
mod rows;
mod searches;
mod sending;
mod statuses;

use std::time::Duration;

use opik_core::rest::{OpikClient, OpikClientBuilder, RetryPolicy};
use opik_core::{Batch, Timestamp, Trace, TraceId};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const BATCH: &str = "/api/v1/private/traces/batch";

/// Settings that repeat quickly: three attempts, 5 ms apart.
fn builder(server: &str) -> OpikClientBuilder {
    let waits = Duration::from_millis(5);
    OpikClient::builder(format!("{server}/api"))
        .retry(RetryPolicy::default().waits(waits, waits))
        .proxies(false)
}

fn client(server: &MockServer) -> OpikClient {
    builder(&server.uri()).build().unwrap()
}

fn trace() -> Trace {
    let now = Timestamp::now();
    Trace::new(TraceId::generate_at(now), now)
}

fn traces(count: usize) -> Batch {
    Batch::new((0..count).map(|_| trace()).collect(), vec![])
}

/// Answers in turn; the last one stays.
struct InTurn(Vec<ResponseTemplate>, std::sync::atomic::AtomicUsize);

impl Respond for InTurn {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let turn = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0[turn.min(self.0.len() - 1)].clone()
    }
}

/// A server that answers batches of traces in turn.
async fn server_of(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(BATCH))
        .respond_with(InTurn(answers, 0.into()))
        .mount(&server)
        .await;
    server
}

fn status(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status)
}

/// The JSON that a request carries.
fn body(request: &Request) -> serde_json::Value {
    let packed = request.headers.get("content-encoding");
    if packed.is_some_and(|encoding| encoding == "gzip") {
        let unpacked = flate2::read::GzDecoder::new(request.body.as_slice());
        return serde_json::from_reader(unpacked).unwrap();
    }
    serde_json::from_slice(&request.body).unwrap()
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}
