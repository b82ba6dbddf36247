//! The end of a turn: with an answer of the model, a computed one, or none.

use opik_core::session::State;
use opik_core::{Event, Message, Role, SessionError};

use super::ask::WhenModelFails;
use super::converse::Reply;
use super::driver::Driver;
use super::event::{FailureKind, Outcome, TurnEnd, TurnEventKind, WholeMessage, millis};
use super::log::SessionLog;
use super::{answering, fresh_id, record};
use crate::answer::Answer;
use crate::tools::Scene;
use crate::turn::{Ended, Limit, Spent};

impl Driver<'_> {
    /// Ends the turn after the model's part.
    pub(super) async fn conclude(
        &self,
        log: &mut SessionLog,
        scene: &Scene,
        reply: Reply,
        spent: Spent,
    ) -> Result<Outcome, SessionError> {
        if let Some(outcome) = reply.said {
            return Ok(outcome);
        }
        if self.live.cancel.is_cancelled() {
            return self.give_up(log, Some(Ended::Cancelled), Some(spent)).await;
        }
        let may_compute = !matches!(reply.ended, Ended::Cancelled)
            && (FailureKind::of_end(reply.ended).is_none()
                || self.ask.fails.unwrap_or(self.config.fails) == WhenModelFails::ComputeAnswer);
        if may_compute {
            self.answer_computed(log, scene, Some(reply.ended), spent)
                .await
        } else {
            self.give_up(log, Some(reply.ended), Some(spent)).await
        }
    }

    /// How a turn went whose last word came from the model.
    pub(super) fn said_outcome(&self, ended: Ended, spent: Spent) -> Outcome {
        let end = match ended {
            Ended::Answered => TurnEnd::Answered,
            Ended::CutOff | Ended::Withheld => TurnEnd::CutOff,
            Ended::Limited(_) => TurnEnd::Limited,
            Ended::Cancelled => TurnEnd::Cancelled,
            Ended::Silent | Ended::ModelFailed(_) => TurnEnd::Failed,
        };
        let mut outcome = self.outcome(end, spent);
        outcome.failure = match end {
            TurnEnd::Cancelled => Some(self.live.reason()),
            _ => FailureKind::of_end(ended),
        };
        outcome.limit = limit(ended);
        outcome
    }

    /// The change of state by which the last event of a turn keeps how it went.
    pub(super) fn kept(&self, outcome: &Outcome) -> State {
        record::state(self.model.as_ref().map(|model| model.name()), outcome)
    }

    /// Answers from the evidence.
    pub(super) async fn answer_computed(
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
        let end = match ended {
            Some(Ended::Limited(_)) => TurnEnd::Limited,
            _ => TurnEnd::Answered,
        };
        let mut outcome = self.outcome(end, spent);
        outcome.computed = true;
        outcome.failure = ended.and_then(FailureKind::of_end);
        outcome.limit = ended.and_then(limit);
        outcome.message_id = Some(id.clone());
        event.state_delta = self.kept(&outcome);
        log.append(&[event]).await?;
        let mut events = Vec::new();
        if self.ask.streaming {
            events.push(TurnEventKind::Text { text: text.clone() });
        }
        events.push(TurnEventKind::Message(WholeMessage {
            event_id: id,
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
        Ok(outcome)
    }

    /// Ends the turn without an answer, and stores why.
    pub(super) async fn give_up(
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
        let mut outcome = self.outcome(end, spent.unwrap_or_default());
        outcome.failure = (end != TurnEnd::Limited).then_some(kind);
        outcome.limit = (end == TurnEnd::Limited).then_some(Limit::Time);
        event.state_delta = self.kept(&outcome);
        log.append(&[event]).await?;
        Ok(outcome)
    }

    pub(super) fn not_stored(&self, error: &SessionError) -> Outcome {
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
            millis: millis(self.begun.elapsed()),
            first_token_millis: self.first_token.map(millis),
            retry_after_millis: self.retry_after.map(millis),
        }
    }
}

fn limit(ended: Ended) -> Option<Limit> {
    match ended {
        Ended::Limited(limit) => Some(limit),
        _ => None,
    }
}
