//! `GET /metrics`: what the assistant does, in Prometheus' text form. No user, trace or workspace is
//! named.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use opik_assist::assistant::{Outcome, TurnEnd};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::state::Assist;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    end: &'static str,
    computed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    status: u16,
}

/// The counts of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    turns: Family<Ended, Counter>,
    seconds: Histogram,
    streams: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("opik_assist");
        let requests = Family::default();
        let turns = Family::default();
        let seconds =
            Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0]);
        let streams = Gauge::default();
        registry.register(
            "http_requests",
            "Requests that were answered",
            requests.clone(),
        );
        registry.register("turns", "Ends of turns that a client saw", turns.clone());
        registry.register(
            "turn_seconds",
            "Time from a question to the end of its turn",
            seconds.clone(),
        );
        registry.register(
            "open_streams",
            "Clients that listen to a turn",
            streams.clone(),
        );
        Self {
            registry,
            requests,
            turns,
            seconds,
            streams,
        }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, method: &str, status: u16) {
        let answered = Answered {
            method: method.to_owned(),
            status,
        };
        self.requests.get_or_create(&answered).inc();
    }

    /// Counts a turn whose end a listener saw.
    pub(crate) fn seen(&self, outcome: &Outcome) {
        let end = match outcome.end {
            TurnEnd::Answered => "answered",
            TurnEnd::CutOff => "cut_off",
            TurnEnd::Limited => "limited",
            TurnEnd::Cancelled => "cancelled",
            _ => "failed",
        };
        let computed = if outcome.computed { "true" } else { "false" };
        self.turns.get_or_create(&Ended { end, computed }).inc();
        self.seconds
            .observe(Duration::from_millis(outcome.millis).as_secs_f64());
    }

    /// Counts a client as listening until the value is dropped.
    pub(crate) fn listening(self: &Arc<Self>) -> Listening {
        self.streams.inc();
        Listening(Arc::clone(self))
    }
}

/// A client that listens.
#[derive(Debug)]
pub(crate) struct Listening(Arc<Metrics>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.streams.dec();
    }
}

pub(super) async fn metrics(State(assist): State<Assist>) -> Response {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &assist.metrics().registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    // Before the line that ends the text.
    if let Some(end) = text.rfind("# EOF") {
        text.truncate(end);
    }
    assist.monitor().write_counts(&mut text);
    text.push_str("# EOF\n");
    let mut response = text.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    response
}
