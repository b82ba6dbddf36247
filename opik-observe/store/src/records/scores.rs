//! Feedback scores beside their targets: taking them away, and their names.

use opik_core::ProjectId;
use opik_core::model::ScoreTarget;
use opik_core::query::ProjectSelector;
use rusqlite::params;

use super::projects;
use crate::error::StoreError;
use crate::score_key::ScoreKey;
use crate::store::Store;

impl Store {
    /// Takes scores with these names from a target, of one author or of all. Targets that are
    /// threads are looked for in the project. Tells how many scores there were.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn delete_scores(
        &self,
        target: ScoreTarget,
        project: ProjectSelector,
        names: Vec<String>,
        author: Option<String>,
    ) -> Result<usize, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let project = projects::find(work.conn(), &project)?;
                let key = ScoreKey::of(&target, project.map_or(0, |(key, _)| key));
                let mut deleted = 0;
                for name in &names {
                    deleted += work
                        .conn()
                        .prepare_cached(
                            "DELETE FROM score WHERE kind = ?1 AND target = ?2 AND name = ?3
                             AND (?4 IS NULL OR author = ?4 OR author = '')",
                        )?
                        .execute(params![key.kind, key.target, name, author])?;
                }
                if let (ScoreTarget::Trace(id), true) = (&target, deleted > 0) {
                    work.trace_changed(*id)?;
                }
                Ok(deleted)
            })
        })
        .await
    }

    /// The names of all scores of traces (0), spans (1) or threads (2), in a project where one is
    /// named.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn score_names(
        &self,
        kind: ScoredKind,
        project: Option<ProjectId>,
    ) -> Result<Vec<String>, StoreError> {
        self.look(move |reader| {
            let project = match project {
                None => None,
                Some(id) => match projects::find(reader.conn(), &ProjectSelector::Id(id))? {
                    Some((key, _)) => Some(key),
                    None => return Ok(Vec::new()),
                },
            };
            // A thread's key begins with its project; whose project a span is in is not asked.
            let names = reader
                .conn()
                .prepare_cached(
                    "SELECT DISTINCT name FROM score
                     WHERE kind = ?1 AND (?2 IS NULL OR CASE kind
                        WHEN 0 THEN EXISTS (SELECT 1 FROM trace WHERE trace.id = score.target
                                            AND trace.project = ?2)
                        WHEN 2 THEN substr(target, 1, 8) = ?3
                        ELSE 1 END)
                     ORDER BY name",
                )?
                .query_map(
                    params![
                        kind as i64,
                        project,
                        project.map(|key| key.to_be_bytes().to_vec())
                    ],
                    |row| row.get(0),
                )?
                .collect::<Result<_, _>>()?;
            Ok(names)
        })
        .await
    }
}

/// What scores are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoredKind {
    /// Traces.
    Traces = 0,
    /// Spans.
    Spans = 1,
    /// Threads.
    Threads = 2,
}
