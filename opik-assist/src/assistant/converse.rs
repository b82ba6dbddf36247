//! The model's part of a turn: asking it, running its tools, storing and telling what it says.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use opik_core::chat::ChatRequest;
use opik_core::session::{ToolCall, ToolResult};
use opik_core::{ChatEvent, ChatModel, ChatStream, Event, Message, ModelError, Part, SessionError};
use tokio::time::Instant;

use super::citation::Citer;
use super::driver::{Driver, Stop};
use super::event::{FailureKind, Outcome, TurnEventKind, WholeMessage, millis};
use super::fresh_id;
use super::log::SessionLog;
use crate::check::{Check, Known};
use crate::tools::{Toolbox, told};
use crate::turn::{Delta, Ended, Spent, Step, Turn, unanswered};

/// Wait before a question to the model is repeated; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest wait that a provider may ask for before the turn fails instead.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of pieces that are told at once when a model sends many at once, as they are [`written`]. They
/// fit a packet: the page's reader loses a piece that two reads of the network share.
const TOLD: usize = 1_410;
/// What is written around the words of an event, with the head of its HTTP chunk.
const AROUND: usize = 200;
/// Words of one event; longer pieces become several.
const EVENT: usize = 600;

/// Whom the turn talks with, and what it keeps.
pub(super) struct Talk<'t> {
    pub(super) model: &'t dyn ChatModel,
    pub(super) toolbox: &'t Toolbox,
    pub(super) known: &'t mut Known,
    pub(super) citer: Citer,
    pub(super) log: &'t mut SessionLog,
}

/// How the model's part went.
pub(super) struct Reply {
    pub(super) ended: Ended,
    /// How the turn went, where it has a last word that is stored: text with no tool after it.
    pub(super) said: Option<Outcome>,
}

impl Driver<'_> {
    /// Asks the model and runs its tools until the turn is over.
    pub(super) async fn converse(
        &mut self,
        turn: &mut Turn,
        talk: &mut Talk<'_>,
    ) -> Result<Reply, SessionError> {
        let mut said = None;
        let mut retries = 0;
        loop {
            match turn.step() {
                Step::AskModel(request) => {
                    let mut citer = talk.citer.fresh();
                    let read = self
                        .read_reply(turn, talk.model, &request, &mut citer)
                        .await;
                    let result = match read {
                        Ok(result) => result,
                        Err(stop) => {
                            let rest = turn.stop(stop.ended());
                            let ended = Some(stop.ended());
                            let spent = turn.spent();
                            said = self
                                .store_reply(talk, &mut citer, rest, ended, spent)
                                .await?;
                            continue;
                        }
                    };
                    let error = result.err();
                    let kind = error.as_ref().map(ModelError::kind);
                    let whole = turn.end_reply(kind.map_or(Ok(()), Err));
                    if let Some(error) = &error {
                        tracing::debug!(target: "opik_assist", kind = ?error.kind(), "the model failed");
                        self.retry_after = error.retry_after();
                        if self.may_retry(error, retries, turn).await {
                            retries += 1;
                            continue;
                        }
                    }
                    retries = 0;
                    if error.is_none() {
                        self.retry_after = None;
                    }
                    said = self
                        .store_reply(talk, &mut citer, whole.message, whole.ended, turn.spent())
                        .await?;
                }
                Step::RunTools(calls) => {
                    let (results, times) = self.run_tools(talk.toolbox, &calls).await;
                    let message = match results {
                        Ok(results) => turn.answer_tools(results),
                        Err(stop) => match turn.stop(stop.ended()) {
                            Some(message) => message,
                            None => continue,
                        },
                    };
                    tool_texts(&message, talk.known);
                    talk.known.findings(&talk.toolbox.findings());
                    self.store_results(talk.log, message, &times).await?;
                }
                Step::Done(ended) => return Ok(Reply { ended, said }),
            }
        }
    }

    /// Reads one reply to its end.
    async fn read_reply(
        &mut self,
        turn: &mut Turn,
        model: &dyn ChatModel,
        request: &ChatRequest,
        citer: &mut Citer,
    ) -> Result<Result<(), ModelError>, Stop> {
        let asked = Instant::now();
        let round = turn.spent().rounds + 1;
        let mut stream = match self.unless_stopped(model.stream(request)).await? {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let mut first_token = None;
        let mut usage = None;
        let mut pieces = Pieces::default();
        let mut stopped = Box::pin(self.stopped());
        let ended = loop {
            let next = self.next_event(&mut stream, stopped.as_mut(), &mut pieces);
            let event = match next.await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => break Ok(Err(error)),
                // The machine knows whether that was the end.
                Ok(None) => break Ok(Ok(())),
                Err(stop) => break Err(stop),
            };
            let is_word = !matches!(event, ChatEvent::Usage(_) | ChatEvent::Finish(_));
            if is_word && first_token.is_none() {
                let took = asked.elapsed();
                first_token = Some(took);
            }
            match turn.event(event) {
                Some(Delta::Text(text)) if self.ask.streaming => {
                    let text = citer.push(&text);
                    if !text.is_empty() {
                        let bytes = written(&text);
                        self.make_room(&mut pieces, bytes).await;
                        pieces.add(bytes, TurnEventKind::Text { text });
                    }
                }
                Some(Delta::Reasoning(text)) if self.ask.streaming => {
                    let bytes = written(&text);
                    self.make_room(&mut pieces, bytes).await;
                    pieces.add(bytes, TurnEventKind::Reasoning { text });
                }
                Some(Delta::Usage(counts)) => usage = Some(counts),
                Some(_) | None => {}
            }
            if turn.is_full() {
                break Ok(Ok(()));
            }
        };
        self.tell(&mut pieces);
        drop((stream, stopped));
        self.first_token = self.first_token.or(first_token);
        let result = ended?;
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

    /// The next event of a reply. Before it waits for one, it tells the pieces that are left.
    async fn next_event(
        &self,
        stream: &mut ChatStream,
        stopped: Pin<&mut impl Future<Output = Stop>>,
        pieces: &mut Pieces,
    ) -> Result<Next, Stop> {
        if pieces.may_wait()
            && let Some(next) = self.at_once(stream).await?
        {
            return Ok(next);
        }
        self.tell(pieces);
        self.unless(stopped, pin!(stream.next())).await
    }

    /// Tells pieces, each by itself. A listener is woken by the first of them and finds all.
    fn tell(&self, pieces: &mut Pieces) {
        for piece in pieces.take() {
            self.publish(vec![piece]);
        }
    }

    /// The next event if it has arrived: all tasks that are ready have their turn, among them the one
    /// that reads the connection, and the network is not waited for.
    async fn at_once(&self, stream: &mut ChatStream) -> Result<Option<Next>, Stop> {
        let mut others = pin!(tokio::task::yield_now());
        poll_fn(|context| {
            if let Some(stop) = self.has_to_stop() {
                return Poll::Ready(Err(stop));
            }
            if let Poll::Ready(next) = stream.poll_next_unpin(context) {
                return Poll::Ready(Ok(Some(next)));
            }
            others.as_mut().poll(context).map(|()| Ok(None))
        })
        .await
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
        match self.unless_stopped(pin!(running)).await {
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

    /// Stores a reply and tells it, with the tools that it asks for. The last one is stored with how
    /// the turn went, which is returned.
    async fn store_reply(
        &self,
        talk: &mut Talk<'_>,
        citer: &mut Citer,
        message: Option<Message>,
        ended: Option<Ended>,
        spent: &Spent,
    ) -> Result<Option<Outcome>, SessionError> {
        let Some(mut message) = message else {
            return Ok(None);
        };
        let words = citer.whole(&message.words());
        let calls: Vec<ToolCall> = message
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolCall(call) => Some(call.clone()),
                _ => None,
            })
            .collect();
        let check = talk.known.check(&words);
        let addition = self.addition(ended, &check);
        if let Some(Part::Text(text)) = message.parts.first_mut() {
            *text = words + &addition;
        }
        let is_cut = ended.is_some_and(|ended| ended != Ended::Answered);
        let text = message.words();
        let mut event = Event::new(fresh_id(), &*self.live.id, &*self.config.agent, self.now())
            .with_message(message);
        event.error_code = ended.and_then(|ended| self.code(ended));
        let id = event.id.clone();
        let outcome = ended.filter(|_| !text.is_empty()).map(|ended| {
            let mut outcome = self.said_outcome(ended, spent.clone());
            outcome.message_id = Some(id.clone());
            outcome.unverified = check.unverified.len();
            outcome
        });
        if let Some(outcome) = &outcome {
            event.state_delta = self.kept(outcome);
        }
        talk.log.append(&[event]).await?;
        let rest = citer.finish() + &addition;
        if !rest.is_empty() && self.ask.streaming {
            self.publish(vec![TurnEventKind::Text { text: rest }]);
        }
        let mut events = Vec::with_capacity(1 + calls.len());
        if !text.is_empty() {
            events.push(TurnEventKind::Message(WholeMessage {
                event_id: id,
                author: self.config.agent.clone(),
                text,
                computed: false,
                is_final: ended.is_some(),
                is_cut,
                spans: check.spans.clone(),
                findings: check.findings.clone(),
                check: Some(check),
            }));
        }
        events.extend(calls.into_iter().map(|call| TurnEventKind::ToolStarted {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }));
        self.publish(events);
        Ok(outcome)
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
    pub(super) fn code(&self, ended: Ended) -> Option<String> {
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

    /// Tells the pieces that one more of so many bytes would not fit with, and lets the listener write
    /// them before it comes.
    async fn make_room(&self, pieces: &mut Pieces, bytes: usize) {
        if !pieces.has_room(bytes) {
            self.tell(pieces);
            tokio::task::yield_now().await;
        }
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
}

/// What a stream of a model gives.
type Next = Option<Result<ChatEvent, ModelError>>;

/// Words of a model that are not told yet. What a model sends at once is told at once, but for the first
/// piece, which is told as soon as it is there.
#[derive(Default)]
struct Pieces {
    events: Vec<TurnEventKind>,
    bytes: usize,
    has_told: bool,
}

/// Bytes that a piece takes at most in the stream of events, which is ASCII.
fn written(text: &str) -> usize {
    let (mut bytes, mut characters) = (0, 0_usize);
    for character in text.chars() {
        characters += 1;
        bytes += match character {
            '"' | '\\' => 2,
            ' '..='~' => 1,
            other => other.len_utf16() * "\\u0000".len(),
        };
    }
    bytes + characters.div_ceil(EVENT) * AROUND
}

impl Pieces {
    fn add(&mut self, bytes: usize, event: TurnEventKind) {
        self.events.push(event);
        self.bytes += bytes;
    }

    /// Whether one more of so many bytes fits.
    fn has_room(&self, bytes: usize) -> bool {
        self.events.is_empty() || self.bytes + bytes <= TOLD
    }

    /// Whether there are some that may wait for another one, for which there is room.
    fn may_wait(&self) -> bool {
        self.has_told && !self.events.is_empty() && self.bytes + AROUND < TOLD
    }

    fn take(&mut self) -> Vec<TurnEventKind> {
        self.has_told |= !self.events.is_empty();
        self.bytes = 0;
        std::mem::take(&mut self.events)
    }
}

/// Adds what tools answered to what the model knows.
pub(super) fn tool_texts(message: &Message, known: &mut Known) {
    for part in &message.parts {
        if let Part::ToolResult(result) = part {
            known.text(result.content.as_str());
            for (id, _) in told(result) {
                known.finding(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(pieces: &mut Pieces, text: &str) {
        let text = text.to_owned();
        pieces.add(written(&text), TurnEventKind::Text { text });
    }

    #[test]
    fn pieces_wait_for_each_other_as_long_as_they_fit_a_packet_and_the_first_one_does_not() {
        let mut pieces = Pieces::default();
        let mut told = Vec::new();
        for _ in 0..15 {
            piece(&mut pieces, "word ");
            if !pieces.may_wait() {
                assert!(pieces.bytes <= 1_448);
                told.push(pieces.take().len());
            }
        }
        assert_eq!(told, [1, 6, 6]);
        assert!(pieces.may_wait());
        assert_eq!(pieces.take().len(), 2);
        assert!(!pieces.may_wait());
    }

    #[test]
    fn a_piece_that_does_not_fit_is_not_added() {
        let mut pieces = Pieces::default();
        let long = "x".repeat(600);
        assert!(pieces.has_room(written(&long)), "the first one always");
        piece(&mut pieces, &long);
        assert!(pieces.has_room(written("word ")));
        assert!(!pieces.has_room(written(&long)));
        // Eighty letters are eighty bytes, or as many escapes.
        assert!(pieces.has_room(written(&"x".repeat(80))));
        assert!(!pieces.has_room(written(&"я".repeat(80))));
    }

    #[test]
    fn what_is_written_is_counted_as_the_stream_escapes_it() {
        for (text, bytes) in [
            ("word ", 5),
            ("\"\\", 4),
            ("\n", 6),
            ("я世", 12),
            ("🦀", 12),
        ] {
            assert_eq!(written(text), bytes + AROUND, "{text:?}");
        }
        assert_eq!(written(&"x".repeat(601)), 601 + 2 * AROUND);
    }
}
