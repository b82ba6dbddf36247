//! One turn from the question to its end: does what the step machine says.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use opik_core::{ChatModel, Event, Message, Part, Role, SessionError, Timestamp, TraceSource};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ask::{Ask, AskError, Choice};
use super::builder::Config;
use super::citation::Citer;
use super::converse::{Talk, tool_texts};
use super::event::{FailureKind, Outcome, Started, TurnEnd, TurnEventKind, millis};
use super::live::{Live, TurnHandle};
use super::load::{self, Loaded};
use super::log::SessionLog;
use super::registry::Place;
use super::{Assistant, answering, fresh_id, record, repair};
use crate::check::Known;
use crate::tools::{Scene, Toolbox};
use crate::turn::{Ended, Limit, Limits, Spent, Turn, TurnInput, conversation};

/// Events of the session that are looked at for the conversation so far.
const TAIL: u64 = 400;
/// The answer to whoever asks.
type Taken = oneshot::Sender<Result<TurnHandle, AskError>>;

/// Runs a turn to its end. It is never dropped in the middle by us; should the runtime do so, the
/// turn still ends for its listeners.
///
/// Its parts are large and stay where they are made: whoever moves this moves a pointer.
pub(super) fn run(
    assistant: Assistant,
    ask: Ask,
    live: Arc<Live>,
    place: Place,
    taken: Taken,
) -> BoxFuture<'static, ()> {
    Box::pin(whole(assistant, ask, live, place, taken))
}

async fn whole(assistant: Assistant, ask: Ask, live: Arc<Live>, place: Place, taken: Taken) {
    let config = &assistant.0.config;
    let mut ending = Ending::new(&live, config);
    let grace = ask.grace.unwrap_or(config.grace);
    let turn = Driver::new(config, &ask, &live);
    let started = turn.begun;
    let work = std::panic::AssertUnwindSafe(turn.running(place, taken)).catch_unwind();
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
                retry_after_millis: None,
            },
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut events = Vec::new();
        if self.outcome.end == TurnEnd::Failed {
            let kind = self.outcome.failure.unwrap_or(FailureKind::Internal);
            events.push(TurnEventKind::Failed(
                kind.failed(self.outcome.retry_after_millis),
            ));
        }
        events.push(TurnEventKind::Done(self.outcome.clone()));
        self.live.publish((self.config.clock)(), events);
    }
}

/// Why a wait ended before what was waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    Cancelled,
    OutOfTime,
}

impl Stop {
    pub(super) fn ended(self) -> Ended {
        match self {
            Self::Cancelled => Ended::Cancelled,
            Self::OutOfTime => Ended::Limited(Limit::Time),
        }
    }
}

/// What a turn works with.
pub(super) struct Driver<'a> {
    pub(super) config: &'a Config,
    pub(super) ask: &'a Ask,
    pub(super) live: &'a Arc<Live>,
    pub(super) limits: &'a Limits,
    pub(super) model: Option<Arc<dyn ChatModel>>,
    source: Option<Arc<dyn TraceSource>>,
    pub(super) begun: Instant,
    /// From the first question to the model to its first word.
    pub(super) first_token: Option<Duration>,
    /// How long the provider asked to wait.
    pub(super) retry_after: Option<Duration>,
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
            retry_after: None,
        }
    }

    /// Waits for something, but not beyond the limit of time or a cancellation. What is large is
    /// better given pinned, as this keeps it several times.
    pub(super) async fn unless_stopped<T>(&self, what: impl Future<Output = T>) -> Result<T, Stop> {
        self.unless(pin!(self.stopped()), pin!(what)).await
    }

    /// The same for one of many waits in a row, which share what is [stopped](Self::stopped) for.
    pub(super) async fn unless<T>(
        &self,
        mut stopped: Pin<&mut impl Future<Output = Stop>>,
        mut what: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Stop> {
        poll_fn(|context| {
            if let Some(stop) = self.has_to_stop() {
                return Poll::Ready(Err(stop));
            }
            // What need not be waited for needs no timer either.
            if let Poll::Ready(done) = what.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            stopped.as_mut().poll(context).map(Err)
        })
        .await
    }

    /// Waits until the turn has to stop.
    pub(super) async fn stopped(&self) -> Stop {
        tokio::select! {
            biased;
            () = self.live.cancel.cancelled() => Stop::Cancelled,
            () = tokio::time::sleep_until(self.end()) => Stop::OutOfTime,
        }
    }

    /// Why the turn has to stop now.
    pub(super) fn has_to_stop(&self) -> Option<Stop> {
        if self.live.cancel.is_cancelled() {
            return Some(Stop::Cancelled);
        }
        (Instant::now() >= self.end()).then_some(Stop::OutOfTime)
    }

    fn end(&self) -> Instant {
        self.begun + self.limits.time
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.config.clock)()
    }

    pub(super) fn publish(&self, events: Vec<TurnEventKind>) {
        if !events.is_empty() {
            self.live.publish(self.now(), events);
        }
    }

    fn running(self, place: Place, taken: Taken) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(self.run(place, taken))
    }

    /// Runs the turn; `None` when the question was not taken.
    async fn run(mut self, mut place: Place, taken: Taken) -> Option<Outcome> {
        let ready = match self.unless_stopped(place.wait()).await {
            Ok(()) => {
                // Waiting for other turns is not this turn's time.
                self.begun = Instant::now();
                self.unless_stopped(pin!(self.prepare())).await
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
            spans: main.len(),
            spans_left_out: main.left_out,
            model: self.model.as_ref().map(|model| model.name().to_owned()),
        };
        self.publish(vec![TurnEventKind::Started(started)]);
        let handle = TurnHandle::new(self.live);
        // Dropped at once when nobody waits for it: then the grace begins.
        drop(taken.send(Ok(handle)));
        let outcome = match self.talking(&mut log, main, other, source).await {
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
        let find = async {
            if self.ask.in_new_session {
                return Ok(None);
            }
            let store = Arc::clone(&config.sessions);
            let found = SessionLog::find(store, self.live.key.clone(), config.store_time).await;
            found.map_err(AskError::Sessions)
        };
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
        let (main, other, found) = tokio::try_join!(main, second, find)?;
        if let Some((first, second)) = self.ask.spans {
            let of_other = other.as_ref().is_some_and(|other| other.has(second));
            for (id, found) in [
                (first, main.has(first)),
                (second, of_other || main.has(second)),
            ] {
                if !found {
                    return Err(AskError::NoSuchSpan(id));
                }
            }
        }
        // It is made with the question, as the trace is known to exist now.
        let log = found.unwrap_or_else(|| {
            let (store, key) = (Arc::clone(&config.sessions), self.live.key.clone());
            SessionLog::new(store, key, self.ask.state.clone(), config.store_time)
        });
        Ok(Prepared {
            log,
            main,
            other,
            source,
        })
    }

    fn talking<'t>(
        &'t mut self,
        log: &'t mut SessionLog,
        main: Loaded,
        other: Option<Loaded>,
        source: Arc<dyn TraceSource>,
    ) -> BoxFuture<'t, Result<Outcome, SessionError>> {
        Box::pin(self.talk(log, main, other, source))
    }

    /// From the taken question to its answer.
    async fn talk(
        &mut self,
        log: &mut SessionLog,
        main: Loaded,
        other: Option<Loaded>,
        source: Arc<dyn TraceSource>,
    ) -> Result<Outcome, SessionError> {
        let computing = async {
            let other = async {
                match other {
                    Some(other) => other.computed().await.map(Some),
                    None => Some(None),
                }
            };
            let (main, other) = tokio::join!(main.computed(), other);
            Some((main?, other?))
        };
        let computed = self.unless_stopped(pin!(computing)).await;
        let Ok(Some(((tree, evidence), other))) = computed else {
            return self.give_up(log, None, None).await;
        };
        let mut scene = Scene::new(tree, evidence, source);
        if let Some((tree, evidence)) = other {
            scene = scene.compared_with(tree, evidence);
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
        let question = self.ask.question.clone();
        let (spans, budget) = (self.ask.spans, self.config.context_tokens);
        let shown = scene.clone();
        let packing = load::heavy(scene.tree.len(), move || {
            answering::evidence(&question, &shown, spans, budget)
        });
        let packed = self.unless_stopped(pin!(packing)).await;
        let Ok(Some((text, mut known))) = packed else {
            return self.give_up(log, None, None).await;
        };
        let history = conversation(&events, &self.live.id, self.limits.history);
        let toolbox = Toolbox::new(scene.clone(), self.limits.tool_result);
        let toolbox = toolbox.numbered_after(known.last_finding());
        for event in &others {
            recall(event, &mut known, &toolbox);
        }
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
        let mut talk = Talk {
            model: &*model,
            toolbox: &toolbox,
            known: &mut known,
            citer: Citer::new(self.config.spans, Arc::clone(&scene.tree)),
            log,
        };
        let reply = self.converse(&mut turn, &mut talk).await?;
        self.conclude(talk.log, &scene, reply, turn.spent().clone())
            .await
    }
}

/// Adds what an event of an earlier turn told the model. The model's own words tell it nothing: a
/// figure that it made up does not become true by being said again.
fn recall(event: &Event, known: &mut Known, toolbox: &Toolbox) {
    let Some(message) = &event.message else {
        return;
    };
    if message.role != Role::Assistant || record::is_computed(event) {
        known.text(&message.words());
    }
    tool_texts(message, known);
    for part in &message.parts {
        if let Part::ToolResult(result) = part {
            toolbox.recall(result);
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
