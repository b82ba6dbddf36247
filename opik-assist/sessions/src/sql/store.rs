//! What [`SessionStore`](opik_core::SessionStore) promises, in SQL.

use std::collections::HashSet;

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Session, SessionError, SessionKey, Timestamp};
use tokio::time::Instant;

use super::connect::{Ready, SqlStore};
use super::dialect::{time_text, whole_seconds};
use super::failure::Failure;
use super::link::{Bind, Kind};
use super::rows::{self, Stored};
use super::statements::SESSION;
use super::turn::Turn;
use crate::adk::{NO_ACTIONS, Written, write};
use crate::memory::{apply, elsewhere, twice};

/// Longest key, in characters: what ADK's columns hold.
const LONGEST: usize = 128;

fn no_session() -> Failure {
    Failure::new(SessionErrorKind::NotFound, "no such session")
}

fn bind(key: &SessionKey) -> [Bind<'_>; 3] {
    [
        Bind::Text(&key.app),
        Bind::Text(&key.user),
        Bind::Text(&key.id),
    ]
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Ready {
    /// Refuses what the columns for keys cannot hold or tell apart.
    fn check(&self, name: &str, text: &str) -> Result<(), Failure> {
        let refuse = |why: String| Err(Failure::new(SessionErrorKind::Invalid, why));
        let characters = text.chars().count();
        if characters > LONGEST {
            return refuse(format!(
                "{name} has {characters} characters, more than {LONGEST}"
            ));
        }
        if !self.limits.keeps_nul && text.contains('\0') {
            return refuse(format!(
                "{name} has a NUL character, which PostgreSQL cannot hold"
            ));
        }
        if self.pads && text.ends_with(' ') {
            return refuse(format!(
                "{name} ends with a space, which this MySQL cannot tell apart"
            ));
        }
        Ok(())
    }

    /// Refuses a statement with texts that the server would not take.
    fn check_size<'a>(
        &self,
        what: &str,
        texts: impl IntoIterator<Item = Option<&'a String>>,
    ) -> Result<(), Failure> {
        // Keys and names are short beside what matters here.
        const REST: usize = 16 * 1_024;
        let texts = texts.into_iter().flatten();
        let bytes = texts.fold(REST, |sum, text| sum.saturating_add(text.len()));
        if bytes <= self.largest {
            return Ok(());
        }
        let largest = self.largest;
        let text = format!(
            "{what} takes {bytes} bytes, more than the {largest} of this server's max_allowed_packet"
        );
        Err(Failure::new(SessionErrorKind::Invalid, text))
    }

    fn check_key(&self, key: &SessionKey) -> Result<(), Failure> {
        self.check("the application", &key.app)?;
        self.check("the user", &key.user)?;
        self.check("the session id", &key.id)
    }

    /// Refuses identifiers that the columns cannot hold, and one that two events have.
    fn check_events(&self, events: &[Event]) -> Result<(), SessionError> {
        let mut ids = HashSet::new();
        for event in events {
            self.check("the event id", &event.id)?;
            if !ids.insert(event.id.as_str()) {
                return Err(twice());
            }
        }
        Ok(())
    }

    /// A time for a column of `sessions`.
    fn time(&self, at: Timestamp) -> String {
        time_text(if self.precise { at } else { whole_seconds(at) })
    }
}

impl SqlStore {
    pub(crate) async fn create(
        &self,
        key: &SessionKey,
        state: &State,
    ) -> Result<Session, SessionError> {
        self.make(key, state, &[]).await
    }

    /// Makes a session with its first events, or nothing.
    pub(crate) async fn create_with(
        &self,
        key: &SessionKey,
        state: &State,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        Ok(self.make(key, state, events).await?.position)
    }

    async fn make(
        &self,
        key: &SessionKey,
        state: &State,
        events: &[Event],
    ) -> Result<Session, SessionError> {
        let ready = self.ready().await?;
        ready.check_key(key)?;
        ready.check_events(events)?;
        self.persist(|deadline| self.try_make(ready, key, state, events, deadline))
            .await
    }

    async fn try_make(
        &self,
        ready: &Ready,
        key: &SessionKey,
        state: &State,
        events: &[Event],
        deadline: Instant,
    ) -> Result<Session, Failure> {
        let mut turn = self.turn("create a session", deadline).await?;
        let shared = self.share_rows(&mut turn, ready, key).await;
        if let Err(failure) = shared {
            return turn.end(Err(failure)).await;
        }
        turn.begin(self.dialect).await?;
        let is_sqlite = self.dialect.is_sqlite();
        let done = insert(&mut turn, ready, key, state, events, is_sqlite).await;
        turn.end(done).await
    }

    /// Makes the rows that the Python program expects for every application and user. Apart from the
    /// transaction, since every session of an application would wait for the same row.
    async fn share_rows(
        &self,
        turn: &mut Turn,
        ready: &Ready,
        key: &SessionKey,
    ) -> Result<(), Failure> {
        let [app, user, _] = bind(key);
        let sql = &ready.statements;
        let row = turn
            .row(&sql.shared, &[app, app, user], &[Kind::Text; 2])
            .await?;
        let Some(mut row) = row else { return Ok(()) };
        let now = ready.time(Timestamp::now());
        let (empty, now) = (Bind::Text("{}"), Bind::Text(&now));
        let (has_app, has_user) = (row.maybe().is_some(), row.maybe().is_some());
        if !has_app {
            turn.run(&sql.insert_app, &[app, empty, now]).await?;
        }
        if !has_user {
            turn.run(&sql.insert_user, &[app, user, empty, now]).await?;
        }
        Ok(())
    }

    pub(crate) async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError> {
        let ready = self.ready().await?;
        ready.check_key(key)?;
        let mut turn = self.turn("read a session", self.deadline()).await?;
        let found = self.read_session(&mut turn, ready, key).await;
        Ok(turn.end(found).await?)
    }

    async fn read_session(
        &self,
        turn: &mut Turn,
        ready: &Ready,
        key: &SessionKey,
    ) -> Result<Option<Session>, Failure> {
        let Some(mut stored) = find(turn, ready, key).await? else {
            return Ok(None);
        };
        let sessions = std::slice::from_mut(&mut stored.session);
        share(turn, ready, &key.app, &key.user, sessions).await?;
        Ok(Some(stored.session))
    }

    pub(crate) async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError> {
        let ready = self.ready().await?;
        ready.check("the application", app)?;
        ready.check("the user", user)?;
        let mut turn = self.turn("list sessions", self.deadline()).await?;
        let found = read_list(&mut turn, ready, app, user).await;
        Ok(turn.end(found).await?)
    }

    pub(crate) async fn events(
        &self,
        key: &SessionKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Event>, SessionError> {
        let ready = self.ready().await?;
        ready.check_key(key)?;
        let mut turn = self.turn("read events", self.deadline()).await?;
        let found = read_events(&mut turn, ready, key, from, limit).await;
        Ok(turn.end(found).await?)
    }

    pub(crate) async fn append(
        &self,
        key: &SessionKey,
        expected: Position,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        let ready = self.ready().await?;
        ready.check_key(key)?;
        ready.check_events(events)?;
        self.persist(|deadline| self.try_append(ready, key, expected, events, deadline))
            .await
    }

    async fn try_append(
        &self,
        ready: &Ready,
        key: &SessionKey,
        expected: Position,
        events: &[Event],
        deadline: Instant,
    ) -> Result<Position, Failure> {
        let mut turn = self.turn("append events", deadline).await?;
        turn.begin(self.dialect).await?;
        let done = append_in(&mut turn, ready, key, expected, events).await;
        turn.end(done).await
    }

    pub(crate) async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError> {
        let ready = self.ready().await?;
        ready.check_key(key)?;
        self.persist(|deadline| async move {
            let mut turn = self.turn("delete a session", deadline).await?;
            turn.begin(self.dialect).await?;
            let done = delete_in(&mut turn, ready, key).await;
            turn.end(done).await
        })
        .await
    }
}

async fn insert(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
    state: &State,
    events: &[Event],
    may_have_orphans: bool,
) -> Result<Session, Failure> {
    let sql = &ready.statements;
    let [app, user, id] = bind(key);
    let now = Timestamp::now();
    let time = ready.time(now);
    let mut session = Session::new(key.clone(), state.clone(), now);
    for event in events {
        apply(&mut session.state, &event.state_delta);
    }
    session.position = Position(events.len() as u64);
    let (text, exact) = rows::written_state(ready, &session.state);
    ready.check_size("the state", [Some(&text)])?;
    let time = Bind::Text(&time);
    let inserted = turn
        .run(
            &sql.insert_session,
            &[app, user, id, Bind::Text(&text), time, time],
        )
        .await;
    if let Err(failure) = inserted {
        return Err(match failure.error.kind() {
            SessionErrorKind::Conflict => {
                Failure::new(SessionErrorKind::Conflict, "the session exists already")
            }
            _ => failure,
        });
    }
    if may_have_orphans {
        // The Python program deletes sessions of SQLite without their events, which must not come
        // back with a new session of the same name.
        for part in &sql.delete_parts {
            turn.run(part, &[app, user, id]).await?;
        }
    }
    let micros = Bind::Int(now.as_micros());
    let exact = Bind::Maybe(exact.as_deref());
    let count = Bind::Int(number(events.len()));
    turn.run(
        &sql.insert_beside,
        &[app, user, id, micros, micros, count, exact],
    )
    .await?;
    insert_events(turn, ready, key, events, 0, None).await?;
    Ok(session)
}

/// Inserts events behind the last one; `seq` is the place of the first in the order.
async fn insert_events(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
    events: &[Event],
    mut seq: i64,
    mut last: Option<Timestamp>,
) -> Result<(), Failure> {
    for event in events {
        let not_before = last.map_or(Timestamp::EPOCH, |last| last.plus_micros(1));
        let written = write(event, not_before, ready.limits)?;
        let texts = [&written.content, &written.document, &written.exact];
        ready.check_size("an event", texts.map(Option::as_ref))?;
        last = Some(written.timestamp);
        insert_event(turn, ready, key, seq, &written).await?;
        seq += 1;
    }
    Ok(())
}

async fn find(turn: &mut Turn, ready: &Ready, key: &SessionKey) -> Result<Option<Stored>, Failure> {
    let row = turn
        .row(&ready.statements.session, &bind(key), &SESSION)
        .await?;
    row.map(|row| rows::stored(row, &key.app, &key.user))
        .transpose()
}

/// Adds to sessions of one user what is shared among them.
async fn share(
    turn: &mut Turn,
    ready: &Ready,
    app: &str,
    user: &str,
    sessions: &mut [Session],
) -> Result<(), Failure> {
    if sessions.is_empty() {
        return Ok(());
    }
    let (app, user) = (Bind::Text(app), Bind::Text(user));
    let row = turn
        .row(
            &ready.statements.shared,
            &[app, app, user],
            &[Kind::Text; 2],
        )
        .await?;
    let Some(mut row) = row else { return Ok(()) };
    let (app, user) = (row.maybe(), row.maybe());
    for session in sessions {
        rows::share(session, app.as_deref(), user.as_deref())?;
    }
    Ok(())
}

pub(super) async fn read_list(
    turn: &mut Turn,
    ready: &Ready,
    app: &str,
    user: &str,
) -> Result<Vec<Session>, Failure> {
    let binds = [Bind::Text(app), Bind::Text(user)];
    let mut sessions = Vec::new();
    for row in turn.rows(&ready.statements.list, &binds, &SESSION).await? {
        sessions.push(rows::stored(row, app, user)?.session);
    }
    share(turn, ready, app, user, &mut sessions).await?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
    Ok(sessions)
}

async fn read_events(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
    from: Position,
    limit: usize,
) -> Result<Vec<Event>, Failure> {
    let [app, user, id] = bind(key);
    // Asked first: events whose session is gone are nobody's.
    let exists = turn
        .row(&ready.statements.exists, &[app, user, id], &[Kind::Text])
        .await?;
    if exists.is_none() {
        return Err(no_session());
    }
    let limit = Bind::Int(number(limit));
    let from = Bind::Int(i64::try_from(from.0).unwrap_or(i64::MAX));
    let documents = ready.limits.documents;
    let kinds = rows::event_kinds(documents);
    let found = turn
        .rows(
            &ready.statements.events,
            &[app, user, id, limit, from, app, user, id],
            kinds,
        )
        .await?;
    found
        .into_iter()
        .map(|row| rows::event(row, documents))
        .collect()
}

async fn append_in(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
    expected: Position,
    events: &[Event],
) -> Result<Position, Failure> {
    let sql = &ready.statements;
    // Whoever appends waits here, the Python program too: its events refer to this row.
    if turn
        .row(&sql.lock, &bind(key), &[Kind::Text])
        .await?
        .is_none()
    {
        return Err(no_session());
    }
    // Read in a statement of its own: what the one above sees may be older than the lock.
    let stored = find(turn, ready, key).await?.ok_or_else(no_session)?;
    let at = stored.session.position;
    if at != expected {
        return Err(Failure::of(elsewhere(at, expected)));
    }
    if events.is_empty() {
        return Ok(at);
    }
    let seq = order_the_rest(turn, ready, key, &stored).await?;
    insert_events(turn, ready, key, events, seq, stored.last_event).await?;
    let mut state = stored.state;
    for event in events {
        apply(&mut state, &event.state_delta);
    }
    let now = Timestamp::now().max(stored.session.updated_at);
    let reached = Position(at.0 + events.len() as u64);
    let (text, exact) = rows::written_state(ready, &state);
    ready.check_size("the state", [Some(&text)])?;
    let [app, user, id] = bind(key);
    let time = ready.time(now);
    let (text, time) = (Bind::Text(&text), Bind::Text(&time));
    let created = Bind::Int(stored.session.created_at.as_micros());
    let updated = Bind::Int(now.as_micros());
    let count = Bind::Int(i64::try_from(reached.0).unwrap_or(i64::MAX));
    let exact = Bind::Maybe(exact.as_deref());
    if let Some(both) = sql.update_both.as_ref().filter(|_| stored.is_ours) {
        let binds = [text, time, created, updated, count, exact, app, user, id];
        turn.run(both, &binds).await?;
        return Ok(reached);
    }
    turn.run(&sql.update_session, &[text, time, app, user, id])
        .await?;
    let binds = [created, updated, count, exact, app, user, id];
    if turn.run(&sql.update_beside, &binds).await? == 0 {
        let binds = [app, user, id, created, updated, count, exact];
        turn.run(&sql.insert_beside, &binds).await?;
    }
    Ok(reached)
}

/// Gives events that somebody else appended their place, by time; says the next free one.
async fn order_the_rest(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
    stored: &Stored,
) -> Result<i64, Failure> {
    let sql = &ready.statements;
    let [app, user, id] = bind(key);
    let mut seq = stored.next_seq;
    if !stored.is_ours {
        // What may be left of an earlier session of this name.
        let [_, order, beside] = &sql.delete_parts;
        turn.run(order, &[app, user, id]).await?;
        turn.run(beside, &[app, user, id]).await?;
        seq = 0;
    }
    if stored.is_ordered {
        return Ok(seq);
    }
    for mut row in turn
        .rows(&sql.unordered, &[app, user, id], &[Kind::Text])
        .await?
    {
        let event = row.text();
        let binds = [
            app,
            user,
            id,
            Bind::Text(&event),
            Bind::Int(seq),
            Bind::Maybe(None),
        ];
        turn.run(&sql.insert_order, &binds).await?;
        seq += 1;
    }
    Ok(seq)
}

async fn insert_event(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
    seq: i64,
    written: &Written,
) -> Result<(), Failure> {
    let sql = &ready.statements;
    let [app, user, id] = bind(key);
    let event = Bind::Text(&written.id);
    let invocation = Bind::Text(&written.invocation_id);
    let time = time_text(written.timestamp);
    let mut binds = vec![app, user, id, event, invocation, Bind::Text(&time)];
    if ready.limits.documents {
        binds.push(Bind::Maybe(written.document.as_deref()));
    } else {
        binds.extend([
            Bind::Maybe(written.content.as_deref()),
            Bind::Text(&written.author),
            Bind::Bytes(NO_ACTIONS),
            Bind::Maybe(written.error_code.as_deref()),
            Bind::Maybe(written.error_message.as_deref()),
        ]);
    }
    match turn.run(&sql.insert_event, &binds).await {
        Err(failure) if failure.error.kind() == SessionErrorKind::Conflict => {
            return Err(Failure::of(twice()));
        }
        done => done?,
    };
    let exact = Bind::Maybe(written.exact.as_deref());
    let binds = [app, user, id, event, Bind::Int(seq), exact];
    turn.run(&sql.insert_order, &binds).await.map(drop)
}

/// Deletes a session and what belongs to it; also what belongs to one that is gone already.
pub(super) async fn delete_in(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
) -> Result<bool, Failure> {
    let sql = &ready.statements;
    let is_there = turn
        .row(&sql.lock, &bind(key), &[Kind::Text])
        .await?
        .is_some();
    for part in &sql.delete_parts {
        turn.run(part, &bind(key)).await?;
    }
    if is_there {
        turn.run(&sql.delete_session, &bind(key)).await?;
    }
    Ok(is_there)
}

/// The session, held until the end of the transaction.
pub(super) async fn hold(
    turn: &mut Turn,
    ready: &Ready,
    key: &SessionKey,
) -> Result<Option<Session>, Failure> {
    if turn
        .row(&ready.statements.lock, &bind(key), &[Kind::Text])
        .await?
        .is_none()
    {
        return Ok(None);
    }
    Ok(find(turn, ready, key).await?.map(|stored| stored.session))
}
