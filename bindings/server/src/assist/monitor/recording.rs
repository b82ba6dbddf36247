//! The assistant's own turns as traces of an Opik server, through the recorder that every program can
//! use.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opik_assist::assistant::{TurnEvent, TurnEventKind};
use opik_core::rest::OpikClient;
use opik_core::{Exporter, SpanType};
use opik_observe::{
    Field, Kinds, Name, Names, Policy, PromptHash, Recorder, RecorderGuard, SpanGuard, TraceGuard,
};

use super::super::config;
use super::Asked;

/// The branch, in statistics and logs.
const BRANCH: &str = "opik";
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is recorded about a turn besides its times.
const METADATA: [&str; 7] = [
    "turn",
    "trace_id",
    "spans",
    "streaming",
    "end",
    "computed",
    "round",
];

/// The recorder of the assistant's own turns.
pub(super) struct Recording {
    recorder: Recorder,
    guard: Mutex<Option<RecorderGuard>>,
    with_content: bool,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("recorder", &self.recorder)
            .field("with_content", &self.with_content)
            .finish_non_exhaustive()
    }
}

impl Recording {
    /// `None` when no server is configured, or what is configured cannot be used, which is a warning.
    pub(super) fn start(config: &config::Internal, with_content: bool) -> Option<Self> {
        let url = config.url.as_deref()?;
        let mut client = OpikClient::builder(url)
            .workspace(&config.workspace)
            .project_name(&config.project)
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE);
        if let Some(key) = config.api_key.as_ref().filter(|key| !key.is_empty()) {
            client = client.api_key(key.clone());
        }
        let started = client.build().ok().and_then(|client| {
            let exporter: Arc<dyn Exporter> = Arc::new(client);
            Recorder::builder()
                .project(&config.project)
                .branch(BRANCH, exporter, policy(with_content))
                .export_timeout(PATIENCE)
                .drop_timeout(Duration::from_millis(100))
                .start()
                .ok()
        });
        if started.is_none() {
            tracing::warn!(target: "opik_server", "OPIK_INTERNAL_URL cannot be recorded to; the assistant's own turns are not recorded");
        }
        let (recorder, guard) = started?;
        Some(Self {
            recorder,
            guard: Mutex::new(Some(guard)),
            with_content,
        })
    }

    /// Begins the trace of a turn.
    pub(super) fn begin(&self, asked: &Asked, question: &str) -> RecordedTurn {
        let mut trace = self.recorder.trace("answer a question");
        trace
            .thread_id(&asked.session.id)
            .metadata("trace_id", asked.trace.as_str())
            .metadata("streaming", asked.streaming);
        if self.with_content {
            trace.input(question);
        }
        RecordedTurn {
            trace,
            with_content: self.with_content,
            model: None,
            round: None,
            rounds: 0,
            tools: HashMap::new(),
        }
    }

    /// Records that were exported, and those that were lost.
    pub(super) fn counts(&self) -> [(&'static str, u64); 2] {
        let statistics = self.recorder.statistics();
        let branch = statistics.branch(BRANCH);
        [
            ("sent", branch.map_or(0, |branch| branch.exported)),
            ("dropped", branch.map_or(0, |branch| branch.dropped())),
        ]
    }

    /// Ends the recorder, and waits for what is under way.
    pub(super) async fn close(&self, limit: Duration) {
        drop(self.recorder.shutdown_async(limit).await);
        let guard = self
            .guard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(guard);
    }
}

/// Times, names, models and token counts; what was said only where that is asked for.
fn policy(with_content: bool) -> Policy {
    if with_content {
        return Policy::full_content();
    }
    Policy::metadata_only()
        // Thumbs are scores of the thread, which they find by its name.
        .allow(Field::ThreadId, Kinds::ALL)
        .allow_metadata(METADATA)
        .names(Names::Identifiers)
        .prompt_hash(PromptHash::Off)
}

/// The trace of a turn under way.
pub(super) struct RecordedTurn {
    trace: TraceGuard,
    with_content: bool,
    model: Option<String>,
    round: Option<SpanGuard>,
    rounds: i64,
    tools: HashMap<String, SpanGuard>,
}

impl fmt::Debug for RecordedTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedTurn")
            .field("trace", &self.trace.trace_id())
            .finish_non_exhaustive()
    }
}

impl RecordedTurn {
    /// The question was refused.
    pub(super) fn not_taken(mut self) {
        self.trace.fail("NotTaken", "");
    }

    /// Takes in what happened.
    pub(super) fn on(&mut self, event: &TurnEvent) {
        match &event.kind {
            TurnEventKind::Started(started) => {
                self.trace
                    .metadata("turn", started.turn.as_str())
                    .metadata("spans", i64::try_from(started.spans).unwrap_or(i64::MAX));
                self.model.clone_from(&started.model);
                self.ask();
            }
            TurnEventKind::Text { .. } | TurnEventKind::Reasoning { .. } => {
                if let Some(round) = &mut self.round {
                    round.first_token();
                }
            }
            TurnEventKind::Usage { usage, .. } => {
                if let Some(round) = &mut self.round {
                    round.usage(usage);
                }
            }
            TurnEventKind::Message(message) => {
                if self.with_content {
                    if let Some(round) = &mut self.round {
                        round.output(&message.text);
                    }
                    self.trace.output(&message.text);
                }
                self.round = None;
            }
            TurnEventKind::ToolStarted {
                id,
                name,
                arguments,
            } => {
                self.round = None;
                let mut tool = self.trace.span(Name::dynamic(name), SpanType::Tool);
                if self.with_content {
                    tool.input(arguments);
                }
                self.tools.insert(id.clone(), tool);
            }
            TurnEventKind::ToolFinished { id, is_error, .. } => {
                let tool = self.tools.remove(id);
                if let (true, Some(mut tool)) = (*is_error, tool) {
                    tool.fail("ToolError", "");
                }
                if self.tools.is_empty() {
                    self.ask();
                }
            }
            TurnEventKind::Done(outcome) => {
                self.round = None;
                self.tools.clear();
                let end = format!("{:?}", outcome.end);
                self.trace
                    .metadata("end", end.as_str())
                    .metadata("computed", outcome.computed);
                if let Some(failure) = outcome.failure {
                    self.trace.fail(failure.code(), failure.message());
                }
            }
            _ => {}
        }
    }

    fn ask(&mut self) {
        let Some(model) = self.model.as_deref() else {
            return;
        };
        self.rounds += 1;
        let mut round = self.trace.span("ask the model", SpanType::Llm);
        let (provider, name) = model.split_once('/').unwrap_or(("", model));
        round.model(name, provider).metadata("round", self.rounds);
        self.round = Some(round);
    }
}
