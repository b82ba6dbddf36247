//! Feedback scores: one row per target, name and author, the latest version.

use opik_core::model::ScoreTarget;
use opik_core::{ScoreRecord, Timestamp};
use rusqlite::params;

use super::Work;
use crate::error::StoreError;
use crate::pack::ProjectRef;
use crate::score_key::ScoreKey;

impl Work<'_> {
    pub(super) fn scores(
        &mut self,
        scores: &[ScoreRecord],
        arrived: i64,
    ) -> Result<(), StoreError> {
        for record in scores {
            self.score(record, arrived)?;
        }
        Ok(())
    }

    fn score(&mut self, record: &ScoreRecord, arrived: i64) -> Result<(), StoreError> {
        let project = ProjectRef {
            name: record.project_name.clone(),
            id: record.project_id,
        };
        let key = match &record.target {
            ScoreTarget::Thread(_) => {
                let project = self.project(&project, arrived)?;
                ScoreKey::of(&record.target, project)
            }
            _ => ScoreKey::of(&record.target, 0),
        };
        let mut score = record.score.clone();
        let now = Timestamp::from_micros(arrived);
        let updated = score.last_updated_at.get_or_insert(now).as_micros();
        score.created_at.get_or_insert(now);
        let body =
            serde_json::to_string(&score).map_err(|error| StoreError::Internal(error.into()))?;
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO score(kind, target, name, author, updated, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET updated = excluded.updated, body = excluded.body
                 WHERE excluded.updated >= score.updated AND excluded.body <> score.body",
            )?
            .execute(params![
                key.kind,
                key.target,
                score.name,
                record.author.as_deref().unwrap_or_default(),
                updated,
                body,
            ])?;
        if let (ScoreTarget::Trace(id), true) = (&record.target, changed > 0) {
            self.trace_changed(*id)?;
        }
        Ok(())
    }
}
