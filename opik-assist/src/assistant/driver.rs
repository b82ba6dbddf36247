//! One turn from the question to its end: does what the step machine says.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use opik_core::chat::ChatRequest;
use opik_core::session::{ToolCall, ToolResult};
use opik_core::{
    ChatModel, Event, Message, ModelError, Part, Role, SessionError, Timestamp, TraceSource,
};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ask::{Ask, AskError, Choice, WhenModelFails};
use super::builder::Config;
use super::event::{FailureKind, Outcome, Started, TurnEnd, TurnEventKind, WholeMessage, millis};
use super::live::{Live, TurnHandle};
use super::load::{self, Loaded};
use super::log::SessionLog;
use super::registry::Place;
use super::{Assistant, answering, fresh_id, repair};
use crate::answer::Answer;
use crate::check::{Check, Known};
use crate::tools::{Scene, Toolbox};
use crate::turn::{
    Delta, Ended, Limit, Limits, Spent, Step, Turn, TurnInput, conversation, unanswered,
};

/// Events of the session that are looked at for the conversation so far.
const TAIL: u64 = 400;
/// Wait before a question to the model is repeated; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest wait that a provider may ask for before the turn fails instead.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer to whoever asks.
type Taken = oneshot::Sender<Result<TurnHandle, AskError>>;

/// Runs a turn to its end. It is never dropped in the middle by us; should the runtime do so, the
/// turn still ends for its listeners.
pub(super) async fn run(
    assistant: Assistant,
    ask: Ask,
    live: Arc<Live>,
    place: Place,
    taken: Taken,
) {
    let config = &assistant.0.config;
    let mut ending = Ending::new(&live, config);
    let grace = ask.grace.unwrap_or(config.grace);
    let turn = Driver::new(config, &ask, &live);
    let started = turn.begun;
    let work = std::panic::AssertUnwindSafe(turn.run(place, taken)).catch_unwind();
    let mut work = pin!(work);
    let mut watch = pin!(async {
        match grace {
            Some(grace) => live.abandoned(grace).await,
            None => std::future::pending().await,
        }
        live.cancel(FailureKind::Abandoned);
        std::future::pending::<()>().await;
    });
    let result = tokio::select! {
        result = &mut work => result,
        () = &mut watch => return,
    };
    if let Ok(Some(outcome)) = result {
        ending.outcome = outcome;
    }
    ending.outcome.millis = millis(started.elapsed());
}

/// Says that the turn is over, whatever happens to its task.
struct Ending<'a> {
    live: Arc<Live>,
    config: &'a Config,
    outcome: Outcome,
}

impl<'a> Ending<'a> {
    fn new(live: &Arc<Live>, config: &'a Config) -> Self {
        Self {
            live: Arc::clone(live),
            config,
            outcome: Outcome {
                end: TurnEnd::Failed,
                failure: Some(FailureKind::Internal),
                limit: None,
                computed: false,
                message_id: None,
                unverified: 0,
                spent: Spent::default(),
                millis: 0,
                first_token_millis: None,
            },
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut events = Vec::new();
        if self.outcome.end == TurnEnd::Failed {
            let kind = self.outcome.failure.unwrap_or(FailureKind::Internal);
            events.push(TurnEventKind::Failed(kind.failed(None)));
        }
        events.push(TurnEventKind::Done(self.outcome.clone()));
        self.live.publish((self.config.clock)(), events);
    }
}

/// Why a wait ended before what was waited for.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Cancelled,
    OutOfTime,
}

impl Stop {
    fn ended(self) -> Ended {
        match self {
            Self::Cancelled => Ended::Cancelled,
            Self::OutOfTime => Ended::Limited(Limit::Time),
        }
    }
}

/// How the model's part went.
struct Reply {
    ended: Ended,
    retry_after: Option<Duration>,
    /// Whether anything that it said is the last word: text after the last tool.
    said: Option<Said>,
}

/// The last whole message.
struct Said {
    id: String,
    check: Check,
}

struct Driver<'a> {
    config: &'a Config,
    ask: &'a Ask,
    live: &'a Arc<Live>,
    limits: &'a Limits,
    model: Option<Arc<dyn ChatModel>>,
    source: Option<Arc<dyn TraceSource>>,
    begun: Instant,
    first_token: Option<Duration>,
}

impl<'a> Driver<'a> {
    fn new(config: &'a Config, ask: &'a Ask, live: &'a Arc<Live>) -> Self {
        Self {
            config,
            ask,
            live,
            limits: ask.limits.as_ref().unwrap_or(&config.limits),
            model: match &ask.model {
                Choice::Default => config.model.clone(),
                Choice::Model(model) => Some(Arc::clone(model)),
                Choice::None => None,
            },
            source: ask.source.clone().or_else(|| config.source.clone()),
            begun: Instant::now(),
            first_token: None,
        }
    }

    /// Waits for something, but not beyond the limit of time or a cancellation.
    async fn unless_stopped<T>(&self, what: impl Future<Output = T>) -> Result<T, Stop> {
        let end = self.begun + self.limits.time;
        tokio::select! {
            biased;
            () = self.live.cancel.cancelled() => Err(Stop::Cancelled),
            () = tokio::time::sleep_until(end) => Err(Stop::OutOfTime),
            done = what => Ok(done),
        }
    }

    fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    fn publish(&self, events: Vec<TurnEventKind>) {
        if !events.is_empty() {
            self.live.publish(self.now(), events);
        }
    }

    /// Runs the turn; `None` when the question was not taken.
    async fn run(mut self, mut place: Place, taken: Taken) -> Option<Outcome> {
        let ready = match self.unless_stopped(place.wait()).await {
            Ok(()) => {
                // Waiting for other turns is not this turn's time.
                self.begun = Instant::now();
                self.unless_stopped(self.prepare()).await
            }
            Err(stop) => Err(stop),
        };
        let ready = match ready {
            Ok(Ok(mut prepared)) => match self.take(&mut prepared.log).await {
                Ok(question_id) => Ok((prepared, question_id)),
                Err(error) => Err(AskError::Sessions(error)),
            },
            Ok(Err(error)) => Err(error),
            Err(_) => Err(AskError::Cancelled),
        };
        let (prepared, question_id) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                // Whoever asked may have gone.
                drop(taken.send(Err(error)));
                return None;
            }
        };
        let Prepared {
            mut log,
            main,
            other,
            source,
        } = prepared;
        let started = Started {
            turn: self.live.id.clone(),
            session: self.live.key.clone(),
            question_id,
            trace: self.ask.trace,
            spans: main.tree.len(),
            spans_left_out: main.left_out,
            model: self.model.as_ref().map(|model| model.name().to_owned()),
        };
        self.publish(vec![TurnEventKind::Started(started)]);
        let handle = TurnHandle::new(self.live);
        // Dropped at once when nobody waits for it: then the grace begins.
        drop(taken.send(Ok(handle)));
        let outcome = match self.talk(&mut log, main, other, source).await {
            Ok(outcome) => outcome,
            Err(error) => self.not_stored(&error),
        };
        drop(place);
        Some(outcome)
    }

    /// Stores the question, and returns its event. It is not cancelled half-way, so that it is known
    /// whether the question is there.
    async fn take(&self, log: &mut SessionLog) -> Result<String, SessionError> {
        let question = Message::text(Role::User, self.ask.question.as_str());
        let event =
            Event::new(fresh_id(), &*self.live.id, "user", self.now()).with_message(question);
        log.append(std::slice::from_ref(&event)).await?;
        Ok(event.id)
    }

    /// Everything before the question is taken.
    async fn prepare(&self) -> Result<Prepared, AskError> {
        let config = self.config;
        let source = self.source.clone().ok_or(AskError::NoSource)?;
        let load = |id| load::load(&*source, id, config.max_spans, config.source_time);
        let open = SessionLog::open(
            Arc::clone(&config.sessions),
            self.live.key.clone(),
            &self.ask.state,
            config.store_time,
        );
        let main = async {
            let found = load(self.ask.trace).await.map_err(AskError::Source)?;
            found.ok_or(AskError::NoSuchTrace(self.ask.trace))
        };
        let second = async {
            let Some(id) = self.ask.other else {
                return Ok(None);
            };
            let found = load(id).await.map_err(AskError::Source)?;
            found.ok_or(AskError::NoSuchTrace(id)).map(Some)
        };
        let (main, other) = tokio::try_join!(main, second)?;
        if let Some((first, second)) = self.ask.spans {
            let second_tree = other.as_ref().map_or(&main.tree, |other| &other.tree);
            let is_there = second_tree.find(second).or_else(|| main.tree.find(second));
            for (id, found) in [(first, main.tree.find(first)), (second, is_there)] {
                found.ok_or(AskError::NoSuchSpan(id))?;
            }
        }
        // Only after the trace is known to exist is a session made for it.
        let log = open.await.map_err(AskError::Sessions)?;
        Ok(Prepared {
            log,
            main,
            other,
            source,
        })
    }

    /// From the taken question to its answer.
    async fn talk(
        &mut self,
        log: &mut SessionLog,
        main: Loaded,
        other: Option<Loaded>,
        source: Arc<dyn TraceSource>,
    ) -> Result<Outcome, SessionError> {
        let evidence = async {
            let other = async {
                match &other {
                    Some(other) => Some(load::evidence(&other.tree).await),
                    None => None,
                }
            };
            tokio::join!(load::evidence(&main.tree), other)
        };
        let Ok((Some(evidence), second)) = self.unless_stopped(evidence).await else {
            return self.give_up(log, None, None).await;
        };
        let mut scene = Scene::new(Arc::clone(&main.tree), evidence, source);
        if let (Some(other), Some(Some(evidence))) = (&other, second) {
            scene = scene.compared_with(Arc::clone(&other.tree), evidence);
        }
        let Some(model) = self.model.clone() else {
            return self
                .answer_computed(log, &scene, None, Spent::default())
                .await;
        };
        let events = match self.unless_stopped(log.tail(TAIL)).await {
            Ok(events) => events?,
            Err(_) => return self.give_up(log, None, None).await,
        };
        let others: Vec<Event> = events
            .iter()
            .filter(|event| event.invocation_id != self.live.id)
            .cloned()
            .collect();
        let repairs = repair::repairs(&others, &self.config.agent, self.now(), self.limits.time);
        log.append(&repairs).await?;
        let (text, mut known) = answering::evidence(
            &self.ask.question,
            &scene,
            self.ask.spans,
            self.config.context_tokens,
        );
        let history = conversation(&events, &self.live.id, self.limits.history);
        for message in &history {
            known.text(&message.words());
            tool_texts(message, &mut known);
        }
        let toolbox = Toolbox::new(scene.clone(), self.limits.tool_result);
        let mut turn = Turn::new(TurnInput {
            instructions: self
                .config
                .prompter
                .instructions(&self.config.instructions, &text),
            history,
            question: self.ask.question.clone(),
            tools: toolbox.specs(),
            limits: self.limits.clone(),
            max_tokens: self.config.max_tokens,
            temperature: self.config.temperature,
            reasoning_effort: self.ask.effort.or(self.config.effort),
        });
        let reply = self
            .converse(&mut turn, &*model, &toolbox, &mut known, log)
            .await?;
        self.conclude(log, &scene, reply, turn.spent().clone())
            .await
    }

    /// Asks the model and runs its tools until the turn is over.
    async fn converse(
        &mut self,
        turn: &mut Turn,
        model: &dyn ChatModel,
        toolbox: &Toolbox,
        known: &mut Known,
        log: &mut SessionLog,
    ) -> Result<Reply, SessionError> {
        let mut reply = Reply {
            ended: Ended::Silent,
            retry_after: None,
            said: None,
        };
        let mut retries = 0;
        loop {
            match turn.step() {
                Step::AskModel(request) => {
                    let read = self.read_reply(turn, model, &request).await;
                    let result = match read {
                        Ok(result) => result,
                        Err(stop) => {
                            let rest = turn.stop(stop.ended());
                            reply.said = self
                                .store_reply(log, rest, Some(stop.ended()), known)
                                .await?;
                            continue;
                        }
                    };
                    let error = result.err();
                    let kind = error.as_ref().map(ModelError::kind);
                    let said = turn.end_reply(kind.map_or(Ok(()), Err));
                    if let Some(error) = &error {
                        tracing::debug!(target: "opik_assist", kind = ?error.kind(), "the model failed");
                        reply.retry_after = error.retry_after();
                        if self.may_retry(error, retries, turn).await {
                            retries += 1;
                            continue;
                        }
                    }
                    retries = 0;
                    reply.said = self
                        .store_reply(log, said.message, said.ended, known)
                        .await?;
                }
                Step::RunTools(calls) => {
                    let (results, times) = self.run_tools(toolbox, &calls).await;
                    let message = match results {
                        Ok(results) => turn.answer_tools(results),
                        Err(stop) => match turn.stop(stop.ended()) {
                            Some(message) => message,
                            None => continue,
                        },
                    };
                    tool_texts(&message, known);
                    self.store_results(log, message, &times).await?;
                }
                Step::Done(ended) => {
                    reply.ended = ended;
                    return Ok(reply);
                }
            }
        }
    }

    /// Reads one reply to its end.
    async fn read_reply(
        &mut self,
        turn: &mut Turn,
        model: &dyn ChatModel,
        request: &ChatRequest,
    ) -> Result<Result<(), ModelError>, Stop> {
        let asked = Instant::now();
        let round = turn.spent().rounds + 1;
        let mut stream = match self.unless_stopped(model.stream(request)).await? {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let mut first_token = None;
        let mut usage = None;
        let result = loop {
            let next = self.unless_stopped(stream.next()).await?;
            let event = match next {
                Some(Ok(event)) => event,
                Some(Err(error)) => break Err(error),
                // The machine knows whether that was the end.
                None => break Ok(()),
            };
            let is_word = !matches!(
                event,
                opik_core::ChatEvent::Usage(_) | opik_core::ChatEvent::Finish(_)
            );
            if is_word && first_token.is_none() {
                let took = asked.elapsed();
                first_token = Some(took);
                self.first_token.get_or_insert(took);
            }
            match turn.event(event) {
                Some(Delta::Text(text)) if self.ask.streaming => {
                    self.publish(vec![TurnEventKind::Text { text }]);
                }
                Some(Delta::Reasoning(text)) if self.ask.streaming => {
                    self.publish(vec![TurnEventKind::Reasoning { text }]);
                }
                Some(Delta::Usage(counts)) => usage = Some(counts),
                Some(_) | None => {}
            }
            if turn.is_full() {
                break Ok(());
            }
        };
        drop(stream);
        if let Some(usage) = usage {
            let first_token_millis = first_token.map(millis);
            self.publish(vec![TurnEventKind::Usage {
                round,
                usage,
                first_token_millis,
            }]);
        }
        Ok(result)
    }

    /// Whether a failed question is to be repeated; waits before it says so.
    async fn may_retry(&self, error: &ModelError, retries: u32, turn: &mut Turn) -> bool {
        if !error.is_retryable() || retries >= self.config.retries {
            return false;
        }
        let pause = error
            .retry_after()
            .unwrap_or(PAUSE * 2_u32.saturating_pow(retries));
        if pause > PATIENCE {
            return false;
        }
        self.unless_stopped(tokio::time::sleep(pause)).await.is_ok() && turn.retry()
    }

    /// Runs tools at the same time, each within its own.
    async fn run_tools(
        &self,
        toolbox: &Toolbox,
        calls: &[ToolCall],
    ) -> (Result<Vec<ToolResult>, Stop>, Vec<(String, Duration)>) {
        let limit = self.limits.tool_time;
        let each = |call: ToolCall| async move {
            let begun = Instant::now();
            let result = match tokio::time::timeout(limit, toolbox.run(&call)).await {
                Ok(result) => result,
                Err(_) => unanswered(&call, "no answer in time; try another tool"),
            };
            (result, begun.elapsed())
        };
        let running = stream::iter(calls.to_vec())
            .map(each)
            .buffered(self.limits.parallel_tools)
            .collect::<Vec<_>>();
        match self.unless_stopped(running).await {
            Ok(done) => {
                let times = done
                    .iter()
                    .map(|(result, took)| (result.id.clone(), *took))
                    .collect();
                (
                    Ok(done.into_iter().map(|(result, _)| result).collect()),
                    times,
                )
            }
            Err(stop) => (Err(stop), Vec::new()),
        }
    }

    /// Stores a reply and tells it, with the tools that it asks for.
    async fn store_reply(
        &self,
        log: &mut SessionLog,
        message: Option<Message>,
        ended: Option<Ended>,
        known: &Known,
    ) -> Result<Option<Said>, SessionError> {
        let Some(mut message) = message else {
            return Ok(None);
        };
        let words = message.words();
        let calls: Vec<ToolCall> = message
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolCall(call) => Some(call.clone()),
                _ => None,
            })
            .collect();
        let check = known.check(&words);
        let addition = self.addition(ended, &check);
        if !addition.is_empty()
            && let Some(Part::Text(text)) = message.parts.first_mut()
        {
            text.push_str(&addition);
        }
        let is_cut = ended.is_some_and(|ended| ended != Ended::Answered);
        let text = message.words();
        let mut event = Event::new(fresh_id(), &*self.live.id, &*self.config.agent, self.now())
            .with_message(message);
        event.error_code = ended.and_then(|ended| self.code(ended));
        let id = event.id.clone();
        log.append(&[event]).await?;
        if !addition.is_empty() && self.ask.streaming {
            self.publish(vec![TurnEventKind::Text { text: addition }]);
        }
        let mut events = Vec::with_capacity(1 + calls.len());
        if !text.is_empty() {
            events.push(TurnEventKind::Message(WholeMessage {
                event_id: id.clone(),
                author: self.config.agent.clone(),
                text,
                computed: false,
                is_final: ended.is_some(),
                is_cut,
                spans: check.spans.clone(),
                findings: check.findings.clone(),
                check: Some(check.clone()),
            }));
        }
        let has_text = !events.is_empty();
        events.extend(calls.into_iter().map(|call| TurnEventKind::ToolStarted {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }));
        self.publish(events);
        Ok(has_text.then_some(Said { id, check }))
    }

    /// What is said at the end of a reply that breaks off, or that says what cannot be found.
    fn addition(&self, ended: Option<Ended>, check: &Check) -> String {
        let mut addition = String::new();
        let stopped = match ended {
            Some(Ended::CutOff) => {
                "(The reply breaks off here: the model reached its limit of length.)".to_owned()
            }
            Some(Ended::Withheld) => {
                "(The reply breaks off here: the provider withheld the rest.)".to_owned()
            }
            Some(Ended::Limited(limit)) => {
                format!("(The turn ended here: {} was reached.)", limit.as_words())
            }
            Some(Ended::Cancelled) => "(The turn was cancelled here.)".to_owned(),
            Some(Ended::ModelFailed(_)) => "(The reply broke off here.)".to_owned(),
            Some(Ended::Answered | Ended::Silent) | None => String::new(),
        };
        let note = check
            .note()
            .filter(|_| self.config.marks && ended.is_some());
        for text in [Some(stopped), note]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
        {
            addition.push_str("\n\n");
            addition.push_str(&text);
        }
        addition
    }

    /// The code under which the end of a reply is stored.
    fn code(&self, ended: Ended) -> Option<String> {
        let code = match ended {
            Ended::Answered => return None,
            Ended::CutOff => "MAX_TOKENS",
            Ended::Limited(_) => "LIMIT",
            Ended::Cancelled => self.live.reason().code(),
            Ended::Withheld | Ended::Silent | Ended::ModelFailed(_) => FailureKind::of_end(ended)
                .unwrap_or(FailureKind::Internal)
                .code(),
        };
        Some(code.to_owned())
    }

    /// Stores what tools answered and tells that they have ended.
    async fn store_results(
        &self,
        log: &mut SessionLog,
        message: Message,
        times: &[(String, Duration)],
    ) -> Result<(), SessionError> {
        let ends: Vec<TurnEventKind> = message
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolResult(result) => Some(TurnEventKind::ToolFinished {
                    id: result.id.clone(),
                    name: result.name.clone(),
                    is_error: result.is_error,
                    millis: times
                        .iter()
                        .find(|(id, _)| *id == result.id)
                        .map_or(0, |(_, took)| millis(*took)),
                }),
                _ => None,
            })
            .collect();
        let event = Event::new(fresh_id(), &*self.live.id, &*self.config.agent, self.now());
        log.append(&[event.with_message(message)]).await?;
        self.publish(ends);
        Ok(())
    }

    /// Ends the turn after the model's part.
    async fn conclude(
        &self,
        log: &mut SessionLog,
        scene: &Scene,
        reply: Reply,
        spent: Spent,
    ) -> Result<Outcome, SessionError> {
        let failure = FailureKind::of_end(reply.ended);
        let Some(said) = reply.said else {
            let may_compute = !matches!(reply.ended, Ended::Cancelled)
                && (failure.is_none()
                    || self.ask.fails.unwrap_or(self.config.fails)
                        == WhenModelFails::ComputeAnswer);
            return if may_compute {
                self.answer_computed(log, scene, Some(reply.ended), spent)
                    .await
            } else {
                self.give_up(log, Some(reply.ended), Some(spent)).await
            };
        };
        let end = match reply.ended {
            Ended::Answered => TurnEnd::Answered,
            Ended::CutOff | Ended::Withheld => TurnEnd::CutOff,
            Ended::Limited(_) => TurnEnd::Limited,
            Ended::Cancelled => TurnEnd::Cancelled,
            Ended::Silent | Ended::ModelFailed(_) => TurnEnd::Failed,
        };
        let mut outcome = self.outcome(end, spent);
        outcome.failure = match end {
            TurnEnd::Cancelled => Some(self.live.reason()),
            _ => failure,
        };
        outcome.limit = limit(reply.ended);
        outcome.message_id = Some(said.id);
        outcome.unverified = said.check.unverified.len();
        Ok(outcome)
    }

    /// Answers from the evidence.
    async fn answer_computed(
        &self,
        log: &mut SessionLog,
        scene: &Scene,
        ended: Option<Ended>,
        spent: Spent,
    ) -> Result<Outcome, SessionError> {
        let answer: Answer = answering::computed(&self.ask.question, scene, self.ask.spans);
        let text = match ended {
            None => answer.text.clone(),
            Some(ended) => {
                let why = match (FailureKind::of_end(ended), ended) {
                    (Some(kind), _) => kind.message().to_owned(),
                    (None, Ended::Limited(limit)) => {
                        format!(
                            "The language model gave no answer before {} was reached.",
                            limit.as_words()
                        )
                    }
                    (None, _) => "The language model gave no answer.".to_owned(),
                };
                format!(
                    "{why} This answer was computed from the recorded spans instead.\n\n{}",
                    answer.text
                )
            }
        };
        let event = Event::new(fresh_id(), &*self.live.id, &*self.config.agent, self.now());
        let mut event = event.with_message(Message::text(Role::Assistant, &*text));
        event.error_code = ended.and_then(|ended| self.code(ended));
        let id = event.id.clone();
        log.append(&[event]).await?;
        let mut events = Vec::new();
        if self.ask.streaming {
            events.push(TurnEventKind::Text { text: text.clone() });
        }
        events.push(TurnEventKind::Message(WholeMessage {
            event_id: id.clone(),
            author: self.config.agent.clone(),
            text,
            computed: true,
            is_final: true,
            is_cut: false,
            spans: answer.citations,
            findings: answer.findings,
            check: None,
        }));
        self.publish(events);
        let end = match ended {
            Some(Ended::Limited(_)) => TurnEnd::Limited,
            _ => TurnEnd::Answered,
        };
        let mut outcome = self.outcome(end, spent);
        outcome.computed = true;
        outcome.failure = ended.and_then(FailureKind::of_end);
        outcome.limit = ended.and_then(limit);
        outcome.message_id = Some(id);
        Ok(outcome)
    }

    /// Ends the turn without an answer, and stores why.
    async fn give_up(
        &self,
        log: &mut SessionLog,
        ended: Option<Ended>,
        spent: Option<Spent>,
    ) -> Result<Outcome, SessionError> {
        let is_cancelled = self.live.cancel.is_cancelled();
        let out_of_time = self.begun.elapsed() >= self.limits.time;
        let kind = match ended.and_then(FailureKind::of_end) {
            Some(kind) => kind,
            None if is_cancelled => self.live.reason(),
            None => FailureKind::Internal,
        };
        let end = match (ended, is_cancelled) {
            (Some(Ended::Cancelled) | None, true) => TurnEnd::Cancelled,
            (None, false) if out_of_time => TurnEnd::Limited,
            _ => TurnEnd::Failed,
        };
        let mut event = Event::new(fresh_id(), &*self.live.id, &*self.config.agent, self.now());
        event.error_code = Some(
            if end == TurnEnd::Limited {
                "LIMIT"
            } else {
                kind.code()
            }
            .to_owned(),
        );
        event.error_message = Some(kind.message().to_owned());
        log.append(&[event]).await?;
        let mut outcome = self.outcome(end, spent.unwrap_or_default());
        outcome.failure = (end != TurnEnd::Limited).then_some(kind);
        outcome.limit = (end == TurnEnd::Limited).then_some(Limit::Time);
        Ok(outcome)
    }

    fn not_stored(&self, error: &SessionError) -> Outcome {
        tracing::warn!(target: "opik_assist", kind = ?error.kind(), "a turn cannot be stored");
        let mut outcome = self.outcome(TurnEnd::Failed, Spent::default());
        outcome.failure = Some(FailureKind::of_sessions(error.kind()));
        outcome
    }

    fn outcome(&self, end: TurnEnd, spent: Spent) -> Outcome {
        Outcome {
            end,
            failure: None,
            limit: None,
            computed: false,
            message_id: None,
            unverified: 0,
            spent,
            millis: 0,
            first_token_millis: self.first_token.map(millis),
        }
    }
}

/// What is known when a question is taken.
struct Prepared {
    log: SessionLog,
    main: Loaded,
    other: Option<Loaded>,
    source: Arc<dyn TraceSource>,
}

fn limit(ended: Ended) -> Option<Limit> {
    match ended {
        Ended::Limited(limit) => Some(limit),
        _ => None,
    }
}

/// Adds what tools answered to what the model knows.
fn tool_texts(message: &Message, known: &mut Known) {
    for part in &message.parts {
        if let Part::ToolResult(result) = part {
            known.text(result.content.as_str());
        }
    }
}
