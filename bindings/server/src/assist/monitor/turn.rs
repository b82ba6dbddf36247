//! A turn as a trace of its own: what its events say about time, tools and tokens, and nothing that was
//! said.

use std::collections::HashMap;

use opik_assist::assistant::{Outcome, TurnEvent, TurnEventKind};
use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId};

/// Spans that are kept of a turn; the limits of turns are far below.
const MOST: usize = 500;

/// A turn that is over, or on its way there.
#[derive(Debug)]
pub(super) struct TurnTrace {
    pub(super) trace: Trace,
    /// The first one is the turn itself.
    pub(super) spans: Vec<Span>,
    pub(super) outcome: Option<Outcome>,
    pub(super) model: Option<String>,
    root: SpanId,
    round: Option<usize>,
    tools: HashMap<String, usize>,
}

impl TurnTrace {
    /// A turn that begins now.
    pub(super) fn new(service: &str) -> Self {
        let now = Timestamp::now();
        let mut trace = Trace::new(TraceId::generate(), now);
        trace.metadata = Json::from_serialize(&serde_json::json!({"service.name": service})).ok();
        let root = SpanId::generate();
        let mut span = Span::new(root, trace.id, now);
        span.name = Some("answer a question".to_owned());
        Self {
            trace,
            spans: vec![span],
            outcome: None,
            model: None,
            root,
            round: None,
            tools: HashMap::new(),
        }
    }

    /// Takes in what happened.
    pub(super) fn on(&mut self, event: &TurnEvent) {
        let at = event.at;
        match &event.kind {
            TurnEventKind::Started(started) => {
                let begun = self.trace.start_time;
                let load = self.begin("load the trace", SpanType::General, begun);
                self.end(load, at);
                self.model.clone_from(&started.model);
                if started.model.is_some() {
                    self.ask(at);
                }
            }
            TurnEventKind::Message(_) => {
                let round = self.round.take();
                self.end(round, at);
            }
            TurnEventKind::Usage { usage, .. } => {
                if let Some(span) = self.round.and_then(|place| self.spans.get_mut(place)) {
                    span.usage = usage.clone();
                }
            }
            TurnEventKind::ToolStarted { id, name, .. } => {
                let round = self.round.take();
                self.end(round, at);
                if let Some(place) = self.begin(name, SpanType::Tool, at) {
                    self.tools.insert(id.clone(), place);
                }
            }
            TurnEventKind::ToolFinished { id, is_error, .. } => {
                let place = self.tools.remove(id);
                self.end(place, at);
                if let (true, Some(span)) =
                    (*is_error, place.and_then(|place| self.spans.get_mut(place)))
                {
                    span.error_info = Some(ErrorInfo::new("ToolError", ""));
                }
                if self.tools.is_empty() {
                    self.ask(at);
                }
            }
            TurnEventKind::Done(outcome) => self.close(at, outcome),
            _ => {}
        }
    }

    fn ask(&mut self, at: Timestamp) {
        let Some(model) = self.model.clone() else {
            return;
        };
        self.round = self.begin("ask the model", SpanType::Llm, at);
        if let Some(span) = self.round.and_then(|place| self.spans.get_mut(place)) {
            span.provider = model.split_once('/').map(|(before, _)| before.to_owned());
            span.model = Some(model);
        }
    }

    fn close(&mut self, at: Timestamp, outcome: &Outcome) {
        for span in &mut self.spans {
            span.end_time.get_or_insert(at);
        }
        self.trace.end_time = Some(at);
        if let (Some(failure), Some(root)) = (outcome.failure, self.spans.first_mut()) {
            root.error_info = Some(ErrorInfo::new(failure.code(), failure.message()));
        }
        self.outcome = Some(outcome.clone());
    }

    fn begin(&mut self, name: &str, kind: SpanType, at: Timestamp) -> Option<usize> {
        if self.spans.len() >= MOST {
            return None;
        }
        let mut span = Span::new(SpanId::generate(), self.trace.id, at);
        span.name = Some(name.to_owned());
        span.r#type = Some(kind);
        span.parent_span_id = Some(self.root);
        self.spans.push(span);
        Some(self.spans.len() - 1)
    }

    fn end(&mut self, place: Option<usize>, at: Timestamp) {
        if let Some(span) = place.and_then(|place| self.spans.get_mut(place)) {
            span.end_time = Some(at);
        }
    }
}
