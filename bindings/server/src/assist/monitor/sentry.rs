//! Failures and turns for Sentry: no words of anybody, and no users unless that is asked for.

use std::time::{Duration, SystemTime};

use opik_assist::assistant::FailureKind;
use opik_core::{Span, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use sentry_types::Dsn;
use sentry_types::protocol::v7::{
    ClientSdkInfo, Context, Envelope, EnvelopeItem, Event, Level, Map, SpanId, SpanStatus,
    TraceContext, TraceId, Transaction, User,
};

use super::Asked;
use super::config::SentryConfig;
use super::courier::{Frame, Target};
use super::turn::TurnTrace;

const NAME: &str = "opik-rust";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The route of questions, which names their transactions.
const ROUTE: &str = "POST /trace-analyzer/session/{trace}";

/// `None` when the address or its key cannot be used.
pub(super) fn target(config: &SentryConfig) -> Option<Target> {
    let dsn: Dsn = config.dsn.expose().parse().ok()?;
    let auth = dsn.to_auth(Some(concat!("opik-rust/", env!("CARGO_PKG_VERSION"))));
    let mut auth = HeaderValue::from_str(&auth.to_string()).ok()?;
    auth.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-sentry-auth"), auth);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-sentry-envelope"),
    );
    Some(Target {
        name: "sentry",
        url: dsn.envelope_api_url(),
        headers,
        frame: Frame::Single,
    })
}

/// What Sentry is to be told about a turn.
pub(super) fn items(config: &SentryConfig, turn: &TurnTrace, asked: &Asked) -> Vec<String> {
    let mut items = Vec::new();
    let failure = turn.outcome.as_ref().and_then(|outcome| outcome.failure);
    if let Some(failure) = failure.filter(|failure| is_problem(*failure)) {
        let mut event = event(config, format!("a turn failed: {}", failure.code()));
        event.transaction = Some(ROUTE.to_owned());
        event.tags = tags(turn);
        event.user = user(config, asked);
        event.contexts.insert(
            "trace".to_owned(),
            Context::from(TraceContext {
                span_id: span_id(turn.spans.first()),
                trace_id: trace_id(turn),
                ..TraceContext::default()
            }),
        );
        items.extend(written(event));
    }
    if is_chosen(config.traces, turn) {
        items.extend(written(transaction(config, turn, asked)));
    }
    items
}

/// An answer with an error of ours.
pub(super) fn answered(
    config: &SentryConfig,
    method: &str,
    route: &str,
    status: u16,
) -> Option<String> {
    let mut event = event(config, format!("answered {status}"));
    event.transaction = Some(format!("{method} {route}"));
    event.tags = Map::from_iter([("status".to_owned(), status.to_string())]);
    written(event)
}

/// Whoever goes away is no problem.
fn is_problem(failure: FailureKind) -> bool {
    !matches!(
        failure,
        FailureKind::Abandoned
            | FailureKind::Cancelled
            | FailureKind::ShutDown
            | FailureKind::SessionDeleted
    )
}

fn event(config: &SentryConfig, message: String) -> Event<'static> {
    Event {
        level: Level::Error,
        message: Some(message),
        platform: "native".into(),
        environment: Some(config.environment.clone().into()),
        release: Some(concat!("opik-rust@", env!("CARGO_PKG_VERSION")).into()),
        sdk: Some(sdk()),
        ..Event::default()
    }
}

fn sdk() -> std::borrow::Cow<'static, ClientSdkInfo> {
    std::borrow::Cow::Owned(ClientSdkInfo {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        integrations: Vec::new(),
        packages: Vec::new(),
    })
}

fn tags(turn: &TurnTrace) -> Map<String, String> {
    let mut tags = Map::new();
    if let Some(model) = &turn.model {
        tags.insert("model".to_owned(), model.clone());
    }
    if let Some(outcome) = &turn.outcome {
        tags.insert("computed".to_owned(), outcome.computed.to_string());
        if let Some(failure) = outcome.failure {
            tags.insert("failure".to_owned(), failure.code().to_owned());
        }
    }
    tags
}

fn user(config: &SentryConfig, asked: &Asked) -> Option<User> {
    config.personal.then(|| User {
        id: Some(asked.session.user.clone()),
        ..User::default()
    })
}

fn transaction(config: &SentryConfig, turn: &TurnTrace, asked: &Asked) -> Transaction<'static> {
    let trace = trace_id(turn);
    let root = span_id(turn.spans.first());
    let outcome = turn.outcome.as_ref();
    let status = match outcome.and_then(|outcome| outcome.failure) {
        None => SpanStatus::Ok,
        Some(failure) if is_problem(failure) => SpanStatus::InternalError,
        Some(_) => SpanStatus::Cancelled,
    };
    let context = TraceContext {
        span_id: root,
        trace_id: trace,
        op: Some("http.server".to_owned()),
        status: Some(status),
        ..TraceContext::default()
    };
    Transaction {
        name: Some(ROUTE.to_owned()),
        release: Some(concat!("opik-rust@", env!("CARGO_PKG_VERSION")).into()),
        environment: Some(config.environment.clone().into()),
        user: user(config, asked),
        tags: tags(turn),
        sdk: Some(sdk()),
        platform: "native".into(),
        timestamp: turn.trace.end_time.map(time),
        start_timestamp: time(turn.trace.start_time),
        spans: turn
            .spans
            .iter()
            .skip(1)
            .map(|span| sentry_types::protocol::v7::Span {
                span_id: span_id(Some(span)),
                trace_id: trace,
                parent_span_id: Some(root),
                op: Some(span.kind().as_str().to_owned()),
                description: span.name.clone(),
                timestamp: span.end_time.map(time),
                start_timestamp: time(span.start_time),
                ..Default::default()
            })
            .collect(),
        contexts: Map::from_iter([("trace".to_owned(), Context::from(context))]),
        ..Transaction::default()
    }
}

fn written(item: impl Into<EnvelopeItem>) -> Option<String> {
    let mut envelope = Envelope::new();
    envelope.add_item(item);
    let mut bytes = Vec::new();
    envelope.to_writer(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

fn trace_id(turn: &TurnTrace) -> TraceId {
    TraceId::from(*turn.trace.id.as_bytes())
}

/// The random half, which is also what other receivers get.
fn span_id(span: Option<&Span>) -> SpanId {
    let bytes = span.map_or([0; 16], |span| *span.id.as_bytes());
    let [.., a, b, c, d, e, f, g, h] = bytes;
    SpanId::from([a, b, c, d, e, f, g, h])
}

fn time(at: Timestamp) -> SystemTime {
    let micros = u64::try_from(at.as_micros()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

/// Whether a turn is in the share that becomes transactions.
fn is_chosen(share: f64, turn: &TurnTrace) -> bool {
    let [.., a, b, c, d] = *turn.trace.id.as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) < share * 4_294_967_296.0
}
