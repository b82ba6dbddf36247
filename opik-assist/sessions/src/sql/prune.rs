//! Deleting what is old, too much or nobody's.

use opik_core::{SessionError, SessionKey, Timestamp};
use tokio::time::Instant;

use super::connect::{Ready, SqlStore};
use super::dialect::time_text;
use super::failure::Failure;
use super::link::{Bind, Kind};
use super::store::{delete_in, hold, read_list};
use crate::{Pruned, Retention};

/// How many old sessions are looked at in one query.
const PAGE: i64 = 500;

impl SqlStore {
    /// Deletes session by session, so that nobody waits for long and an interrupted run has lost
    /// nothing. Each is looked at again under its lock: one that was used meanwhile stays.
    pub(crate) async fn prune(&self, retention: &Retention) -> Result<Pruned, SessionError> {
        let ready = self.ready().await?;
        let mut pruned = Pruned::default();
        if let Some(age) = retention.older_than {
            let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
            let oldest = Timestamp::now().plus_micros(-age);
            pruned.sessions += self.prune_old(ready, oldest, retention).await?;
        }
        if let Some(most) = retention.at_most_per_user {
            pruned.sessions += self.prune_users(ready, most, retention).await?;
        }
        for (number, orphans) in ready.statements.delete_orphans.iter().enumerate() {
            let deleted = self
                .persist(|deadline| async move {
                    let mut turn = self.turn("delete orphans", deadline).await?;
                    turn.begin(self.dialect).await?;
                    let done = turn.run(orphans, &[]).await;
                    turn.end(done).await
                })
                .await?;
            // The others are rows beside events.
            if number == 0 {
                pruned.orphans = deleted;
            }
        }
        Ok(pruned)
    }

    async fn prune_old(
        &self,
        ready: &Ready,
        oldest: Timestamp,
        retention: &Retention,
    ) -> Result<u64, SessionError> {
        let limit = time_text(oldest.max(Timestamp::EPOCH));
        let mut deleted = 0;
        let mut stayed = 0;
        loop {
            let mut turn = self.turn("find old sessions", self.deadline()).await?;
            let binds = [Bind::Text(&limit), Bind::Int(PAGE), Bind::Int(stayed)];
            let found = turn
                .rows(&ready.statements.older, &binds, &[Kind::Text; 3])
                .await;
            let found = turn.end(found).await?;
            if found.is_empty() {
                return Ok(deleted);
            }
            for mut row in found {
                let key = SessionKey::new(row.text(), row.text(), row.text());
                let is_other = retention.app.as_ref().is_some_and(|app| *app != key.app);
                if !is_other && self.delete_if_older(ready, &key, oldest).await? {
                    deleted += 1;
                } else {
                    stayed += 1;
                }
            }
        }
    }

    async fn prune_users(
        &self,
        ready: &Ready,
        most: usize,
        retention: &Retention,
    ) -> Result<u64, SessionError> {
        let mut turn = self.turn("find users", self.deadline()).await?;
        let limit = Bind::Int(i64::try_from(most).unwrap_or(i64::MAX));
        let users = turn
            .rows(&ready.statements.users, &[limit], &[Kind::Text; 2])
            .await;
        let mut deleted = 0;
        for mut row in turn.end(users).await? {
            let (app, user) = (row.text(), row.text());
            if retention.app.as_ref().is_some_and(|only| *only != app) {
                continue;
            }
            let mut turn = self.turn("list sessions", self.deadline()).await?;
            let sessions = read_list(&mut turn, ready, &app, &user).await;
            for session in turn.end(sessions).await?.into_iter().skip(most) {
                let limit = session.updated_at.plus_micros(1);
                deleted += u64::from(self.delete_if_older(ready, &session.key, limit).await?);
            }
        }
        Ok(deleted)
    }

    async fn delete_if_older(
        &self,
        ready: &Ready,
        key: &SessionKey,
        oldest: Timestamp,
    ) -> Result<bool, SessionError> {
        self.persist(|deadline| self.try_delete(ready, key, oldest, deadline))
            .await
    }

    async fn try_delete(
        &self,
        ready: &Ready,
        key: &SessionKey,
        oldest: Timestamp,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let mut turn = self.turn("delete a session", deadline).await?;
        turn.begin(self.dialect).await?;
        let done = match hold(&mut turn, ready, key).await {
            Ok(Some(session)) if session.updated_at < oldest => {
                delete_in(&mut turn, ready, key).await
            }
            Ok(_) => Ok(false),
            Err(failure) => Err(failure),
        };
        turn.end(done).await
    }
}
