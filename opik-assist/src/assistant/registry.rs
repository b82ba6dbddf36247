//! Which turns run, which wait for their session, and which are over and can still be joined.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opik_core::SessionKey;
use tokio::time::Instant;

use super::ask::{AskError, WhenBusy};
use super::builder::Config;
use super::event::FailureKind;
use super::live::Live;

/// Turns that are over and kept, at most.
const KEPT: usize = 256;
/// What the events of those take, at most, in bytes by their [estimate](Live::bytes).
const KEPT_BYTES: usize = 64 << 20;

/// All turns of an assistant.
#[derive(Debug, Default)]
pub(super) struct Registry(Arc<Mutex<Turns>>);

#[derive(Debug, Default)]
struct Turns {
    sessions: HashMap<SessionKey, Slot>,
    by_id: HashMap<String, Arc<Live>>,
    /// Those that are over, by the time of their end.
    over: VecDeque<Over>,
    /// What the events of those take.
    over_bytes: usize,
    running: usize,
    closed: bool,
}

/// A turn that is over and can be joined.
#[derive(Debug)]
struct Over {
    at: Instant,
    id: String,
    bytes: usize,
}

/// A session with a turn.
#[derive(Debug, Default)]
struct Slot {
    gate: Arc<tokio::sync::Mutex<()>>,
    /// The turn that runs, or is about to.
    current: Option<Arc<Live>>,
    /// Turns that run or wait.
    users: usize,
}

/// A turn's place among those of its session. Dropping it gives it to the next.
#[derive(Debug)]
pub(super) struct Place {
    turns: Arc<Mutex<Turns>>,
    live: Arc<Live>,
    gate: Arc<tokio::sync::Mutex<()>>,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
    keep: Duration,
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Takes a place for a turn.
    pub(super) fn enter(
        &self,
        live: &Arc<Live>,
        busy: WhenBusy,
        config: &Config,
    ) -> Result<Place, AskError> {
        let mut turns = lock(&self.0);
        turns.forget(config.keep);
        if turns.closed {
            return Err(AskError::ShutDown);
        }
        if turns.running >= config.max_turns {
            let limit = config.max_turns;
            return Err(AskError::TooMany { limit });
        }
        let slot = turns.sessions.entry(live.key.clone()).or_default();
        if slot.users > 0 && busy == WhenBusy::Refuse {
            let turn = slot
                .current
                .as_ref()
                .map_or_else(String::new, |live| live.id.clone());
            return Err(AskError::Busy { turn });
        }
        slot.users += 1;
        if slot.current.is_none() {
            slot.current = Some(Arc::clone(live));
        }
        let gate = Arc::clone(&slot.gate);
        turns.running += 1;
        turns.by_id.insert(live.id.clone(), Arc::clone(live));
        Ok(Place {
            turns: Arc::clone(&self.0),
            live: Arc::clone(live),
            gate,
            held: None,
            keep: config.keep,
        })
    }

    pub(super) fn find(&self, turn: &str) -> Option<Arc<Live>> {
        lock(&self.0).by_id.get(turn).cloned()
    }

    pub(super) fn running(&self, session: &SessionKey) -> Option<Arc<Live>> {
        lock(&self.0).sessions.get(session)?.current.clone()
    }

    /// Every turn of a session that runs or waits.
    pub(super) fn all_of(&self, session: &SessionKey) -> Vec<Arc<Live>> {
        let turns = lock(&self.0);
        let all = turns.by_id.values();
        all.filter(|live| live.key == *session && live.outcome().is_none())
            .cloned()
            .collect()
    }

    /// Forgets the turns of a session that are over.
    pub(super) fn forget_session(&self, session: &SessionKey) {
        let mut turns = lock(&self.0);
        let Turns {
            by_id,
            over,
            over_bytes,
            ..
        } = &mut *turns;
        over.retain(|over| {
            let of_session = by_id.get(&over.id).is_some_and(|live| live.key == *session);
            if of_session {
                *over_bytes -= over.bytes;
                by_id.remove(&over.id);
            }
            !of_session
        });
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.0).running
    }

    /// Takes no more turns, and returns those that are not over.
    pub(super) fn close(&self) -> Vec<Arc<Live>> {
        let mut turns = lock(&self.0);
        turns.closed = true;
        let all = turns.by_id.values();
        all.filter(|live| live.outcome().is_none())
            .cloned()
            .collect()
    }
}

impl Turns {
    /// Forgets turns that have been over for longer than `keep`, and the oldest of too many or too
    /// large ones.
    fn forget(&mut self, keep: Duration) {
        while let Some(oldest) = self.over.front() {
            let fits = self.over.len() <= KEPT && self.over_bytes <= KEPT_BYTES;
            if fits && oldest.at.elapsed() < keep {
                break;
            }
            if let Some(oldest) = self.over.pop_front() {
                self.over_bytes -= oldest.bytes;
                self.by_id.remove(&oldest.id);
            }
        }
    }
}

impl Place {
    /// Waits until the turns before are over.
    pub(super) async fn wait(&mut self) {
        if self.held.is_none() {
            self.held = Some(Arc::clone(&self.gate).lock_owned().await);
            let mut turns = lock(&self.turns);
            if let Some(slot) = turns.sessions.get_mut(&self.live.key) {
                slot.current = Some(Arc::clone(&self.live));
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns);
        turns.running = turns.running.saturating_sub(1);
        let key = &self.live.key;
        if let Some(slot) = turns.sessions.get_mut(key) {
            slot.users = slot.users.saturating_sub(1);
            if slot
                .current
                .as_ref()
                .is_some_and(|current| current.id == self.live.id)
            {
                slot.current = None;
            }
            if slot.users == 0 {
                turns.sessions.remove(key);
            }
        }
        if self.live.reason() == FailureKind::SessionDeleted {
            // It may have gone on for longer than the deletion waited, so nothing else forgets it.
            turns.by_id.remove(&self.live.id);
        } else {
            let over = Over {
                at: Instant::now(),
                id: self.live.id.clone(),
                bytes: self.live.bytes(),
            };
            turns.over_bytes += over.bytes;
            turns.over.push_back(over);
        }
        turns.forget(self.keep);
        drop(turns);
        // Only now may the next turn begin.
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn over(turns: &mut Turns, number: usize, bytes: usize) {
        turns.over_bytes += bytes;
        turns.over.push_back(Over {
            at: Instant::now(),
            id: number.to_string(),
            bytes,
        });
        turns.forget(HOUR);
    }

    fn kept(turns: &Turns) -> Vec<&str> {
        turns.over.iter().map(|over| over.id.as_str()).collect()
    }

    #[test]
    fn of_turns_with_large_events_the_oldest_are_forgotten() {
        let mut turns = Turns::default();
        for number in 0..4 {
            over(&mut turns, number, 30 << 20);
        }
        assert_eq!(kept(&turns), ["2", "3"]);
        assert_eq!(turns.over_bytes, 60 << 20);
        over(&mut turns, 4, KEPT_BYTES + 1);
        assert!(turns.over.is_empty());
        assert_eq!(turns.over_bytes, 0);
    }

    #[test]
    fn of_many_turns_the_oldest_are_forgotten_and_all_after_their_time() {
        let mut turns = Turns::default();
        for number in 0..=KEPT {
            over(&mut turns, number, 1);
        }
        assert_eq!((kept(&turns).len(), turns.over_bytes), (KEPT, KEPT));
        assert_eq!(kept(&turns).first(), Some(&"1"));
        turns.forget(Duration::ZERO);
        assert!(turns.over.is_empty());
    }
}
