//! The stub of Opik's server with a client of it.

use std::ops::Deref;
use std::time::Duration;

use opik_core::rest::{OpikClient, RetryPolicy};
use opik_testkit::StubServer;
use serde_json::Value;

/// A running stub; it ends with this value.
#[derive(Debug)]
pub(crate) struct Stub(StubServer);

impl Stub {
    /// Starts a stub; `None`, with a word about the test that is skipped, without Python.
    pub(crate) fn start(test: &str) -> Option<Self> {
        StubServer::start(test).unwrap().map(Self)
    }

    /// A client that repeats quickly.
    pub(crate) fn client(&self) -> OpikClient {
        let waits = Duration::from_millis(5);
        OpikClient::builder(self.base_url())
            .retry(RetryPolicy::default().waits(waits, waits))
            .proxies(false)
            .build()
            .unwrap()
    }

    pub(crate) fn reset(&self) {
        self.0.reset().unwrap();
    }

    pub(crate) fn fault(&self, fault: &Value) {
        self.0.fault(fault).unwrap();
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.0.requests().unwrap()
    }
}

impl Deref for Stub {
    type Target = StubServer;

    fn deref(&self) -> &StubServer {
        &self.0
    }
}
