//! Who is told about the assistant's own work: Sentry, Segment, receivers of OTLP, and an Opik server.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | their variables |
//! | [`turn`] | a turn as a trace of its own |
//! | [`sentry`], [`segment`], [`otlp`] | what each of them is sent |
//! | [`recording`] | the recorder to `OPIK_INTERNAL_URL` |
//! | [`courier`] | queues that never make anybody wait |
//!
//! All of it is off unless it is configured. A turn is watched by a task of its own that does not count
//! as a listener; nothing here is on the way of a question or an answer.

mod config;
mod courier;
mod otlp;
mod recording;
mod segment;
mod sentry;
mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use opik_assist::Assistant;
use opik_assist::assistant::{TurnEventKind, TurnEvents, TurnHandle};
use opik_core::session::Part;
use opik_core::{Role, SessionKey};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use config::MonitorConfig;

use config::{SegmentConfig, SentryConfig};
use courier::Courier;
use recording::{RecordedTurn, Recording};
use segment::Happened;
use turn::TurnTrace;

/// Turns that are watched at once; beyond, they are not.
const WATCHED: usize = 4_096;

/// What is known of a question besides its words.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) session: SessionKey,
    pub(crate) workspace: String,
    /// As the path names it.
    pub(crate) trace: String,
    pub(crate) project: Option<String>,
    pub(crate) streaming: bool,
}

/// Tells others about the assistant's work.
#[derive(Debug)]
pub(crate) struct Monitor {
    sentry: Option<(SentryConfig, Courier)>,
    segment: Option<(SegmentConfig, Courier)>,
    otlp: Vec<Courier>,
    recording: Option<Arc<Recording>>,
    service: String,
    watchers: TaskTracker,
    couriers: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Monitor {
    /// Starts what is configured, on tasks of the current tokio runtime.
    pub(crate) fn start(
        config: &MonitorConfig,
        internal: &super::config::Internal,
        http: &reqwest::Client,
    ) -> Self {
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let couriers = TaskTracker::new();
        let courier = |target| {
            let (stop, kill) = (stop.clone(), kill.clone());
            Courier::start(target, http.clone(), &couriers, stop, kill)
        };
        let sentry = config.sentry.clone().and_then(|config| {
            let target = sentry::target(&config)?;
            Some((config, courier(target)))
        });
        let segment = config.segment.clone().and_then(|config| {
            let target = segment::target(&config)?;
            Some((config, courier(target)))
        });
        let otlp = config
            .otlp
            .iter()
            .map(|config| courier(otlp::target(config)))
            .collect();
        Self {
            sentry,
            segment,
            otlp,
            recording: Recording::start(internal, config.records_content).map(Arc::new),
            service: config.service.clone(),
            watchers: TaskTracker::new(),
            couriers,
            stop,
            kill,
        }
    }

    /// Tells nobody.
    pub(crate) fn off() -> Self {
        Self {
            sentry: None,
            segment: None,
            otlp: Vec::new(),
            recording: None,
            service: String::new(),
            watchers: TaskTracker::new(),
            couriers: TaskTracker::new(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
        }
    }

    fn is_on(&self) -> bool {
        self.sentry.is_some()
            || self.segment.is_some()
            || !self.otlp.is_empty()
            || self.recording.is_some()
    }

    /// Whether somebody is told who talks about what in which project.
    pub(crate) fn tells_conversations(&self) -> bool {
        self.segment.is_some()
    }

    /// A question arrived. `None` when nobody is to be told.
    pub(crate) fn begin(&self, asked: impl FnOnce() -> Asked, question: &str) -> Option<Watch> {
        if !self.is_on() || self.watchers.len() >= WATCHED {
            return None;
        }
        let asked = asked();
        let recorded = self
            .recording
            .as_ref()
            .map(|recording| recording.begin(&asked, question));
        Some(Watch {
            turn: TurnTrace::new(&self.service),
            asked,
            recorded,
        })
    }

    /// Watches the turn of a question to its end.
    pub(crate) fn follow(&self, watch: Watch, turn: &TurnHandle, assistant: &Assistant) {
        let events = turn.watch(0);
        let name = turn.id().to_owned();
        let receivers = Receivers {
            sentry: self.sentry.clone(),
            segment: self.segment.clone(),
            otlp: self.otlp.clone(),
        };
        let assistant = self.segment.is_some().then(|| assistant.clone());
        let watching = async move {
            if let Some(assistant) = assistant {
                receivers
                    .conversation(&watch.asked, &assistant, &name)
                    .await;
            }
            receivers.turn(watch, events).await;
        };
        self.watchers
            .spawn(self.kill.clone().run_until_cancelled_owned(watching));
    }

    /// A thumb was given, or taken back where there is no value; `again` tells whether there was one.
    pub(crate) fn feedback(&self, asked: impl FnOnce() -> Asked, value: Option<f64>, again: bool) {
        if let Some((config, courier)) = &self.segment {
            let value = match value {
                None => -1,
                Some(value) => i8::from(value > 0.5),
            };
            let happened = Happened::Feedback(value, again);
            courier.send(segment::item(&asked(), &config.environment, happened));
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, method: &str, path: &str, status: u16) {
        if status >= 500
            && let Some((config, courier)) = &self.sentry
            && let Some(item) = sentry::answered(config, method, &route(path), status)
        {
            courier.send(item);
        }
    }

    /// What became of what was to be told, in the form of `/metrics`.
    pub(crate) fn write_counts(&self, out: &mut String) {
        if !self.is_on() {
            return;
        }
        out.push_str(
            "# HELP opik_assist_monitoring What became of what receivers of monitoring were to be told.\n\
             # TYPE opik_assist_monitoring counter\n",
        );
        let mut line = |receiver: &str, result: &str, count: u64| {
            out.push_str(&format!(
                "opik_assist_monitoring_total{{receiver=\"{receiver}\",result=\"{result}\"}} {count}\n"
            ));
        };
        let sentry = self.sentry.iter().map(|(_, courier)| courier);
        let segment = self.segment.iter().map(|(_, courier)| courier);
        for courier in sentry.chain(segment).chain(&self.otlp) {
            for (result, count) in courier.counts().all() {
                line(courier.name(), result, count);
            }
        }
        if let Some(recording) = &self.recording {
            for (result, count) in recording.counts() {
                line("opik", result, count);
            }
        }
    }

    /// Ends the watching of turns that are over, and sends what waits; both within `limit` altogether.
    pub(crate) async fn close(&self, limit: Duration) {
        let begin = Instant::now();
        self.watchers.close();
        drop(tokio::time::timeout(limit / 2, self.watchers.wait()).await);
        self.stop.cancel();
        self.couriers.close();
        let left = limit.saturating_sub(begin.elapsed());
        let couriers = tokio::time::timeout(left, self.couriers.wait());
        match &self.recording {
            Some(recording) => drop(tokio::join!(couriers, recording.close(left))),
            None => drop(couriers.await),
        }
        self.kill.cancel();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

/// A question whose turn is to be watched.
#[derive(Debug)]
pub(crate) struct Watch {
    asked: Asked,
    turn: TurnTrace,
    recorded: Option<RecordedTurn>,
}

impl Watch {
    /// The question was refused.
    pub(crate) fn not_taken(self) {
        if let Some(recorded) = self.recorded {
            recorded.not_taken();
        }
    }
}

struct Receivers {
    sentry: Option<(SentryConfig, Courier)>,
    segment: Option<(SegmentConfig, Courier)>,
    otlp: Vec<Courier>,
}

impl Receivers {
    /// Tells whether a conversation begins or goes on.
    async fn conversation(&self, asked: &Asked, assistant: &Assistant, turn: &str) {
        let Some((config, courier)) = &self.segment else {
            return;
        };
        let Ok(history) = assistant.history(&asked.session).await else {
            return;
        };
        let history = history.unwrap_or_default();
        let mut before = history
            .iter()
            .filter(|event| event.invocation_id != turn)
            .filter_map(|event| event.message.as_ref())
            .peekable();
        let happened = if before.peek().is_none() {
            Happened::Started
        } else {
            let said = before.filter(|message| {
                matches!(message.role, Role::User | Role::Assistant)
                    && matches!(message.parts.first(), Some(Part::Text(text)) if !text.is_empty())
            });
            Happened::Resumed(said.count())
        };
        courier.send(segment::item(asked, &config.environment, happened));
    }

    async fn turn(&self, watch: Watch, mut events: TurnEvents) {
        let Watch {
            asked,
            mut turn,
            mut recorded,
        } = watch;
        while let Some(event) = events.next().await {
            if let Some(recorded) = &mut recorded {
                recorded.on(&event);
            }
            turn.on(&event);
            if matches!(event.kind, TurnEventKind::Done(_)) {
                break;
            }
        }
        drop(recorded);
        if let Some((config, courier)) = &self.sentry {
            for item in sentry::items(config, &turn, &asked) {
                courier.send(item);
            }
        }
        if !self.otlp.is_empty()
            && let Some(item) = otlp::item(&turn)
        {
            for courier in &self.otlp {
                courier.send(item.clone());
            }
        }
    }
}

/// A path without the trace that it names.
fn route(path: &str) -> String {
    const SESSION: &str = "/trace-analyzer/session/";
    let Some((_, after)) = path.split_once(SESSION) else {
        return path
            .rsplit_once('/')
            .map_or("", |(_, last)| last)
            .to_owned();
    };
    let rest = after.split_once('/').map_or("", |(_, rest)| rest);
    let slash = if rest.is_empty() { "" } else { "/" };
    format!("{SESSION}{{trace}}{slash}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_no_trace() {
        assert_eq!(
            route("/opik-ai/trace-analyzer/session/t-1/events"),
            "/trace-analyzer/session/{trace}/events"
        );
        assert_eq!(
            route("/trace-analyzer/session/t-1"),
            "/trace-analyzer/session/{trace}"
        );
        assert_eq!(route("/opik-ai/ready"), "ready");
    }
}
