//! Feedback scores on what is read.

use std::collections::BTreeMap;

use opik_core::model::{ScoreTarget, ValueEntry};
use opik_core::{FeedbackScore, SpanId, Trace};
use rusqlite::params;

use super::Reader;
use super::records::Part;
use crate::error::StoreError;
use crate::score_key::ScoreKey;

impl Reader {
    /// Whether there are scores of a kind (0 traces, 1 spans); mostly there are none.
    fn any_scores(&mut self, kind: usize) -> Result<bool, StoreError> {
        if let Some(known) = self.has_scores.get(kind).copied().flatten() {
            return Ok(known);
        }
        let any = self
            .conn
            .prepare_cached("SELECT 1 FROM score WHERE kind = ?1 LIMIT 1")?
            .exists([i64::try_from(kind).unwrap_or(0)])?;
        if let Some(slot) = self.has_scores.get_mut(kind) {
            *slot = Some(any);
        }
        Ok(any)
    }

    /// Puts the scores that were given to a record over those that its row came with.
    pub(super) fn join_scores(
        &mut self,
        target: &ScoreTarget,
        known: &mut Vec<FeedbackScore>,
    ) -> Result<(), StoreError> {
        let kind = usize::from(matches!(target, ScoreTarget::Span(_)));
        if self.any_scores(kind)? {
            for score in self.scores_of(&ScoreKey::of(target, 0))? {
                known.retain(|other| other.name != score.name);
                known.push(score);
            }
        }
        Ok(())
    }

    /// The scores of a target by name; of several authors the mean.
    pub(crate) fn scores_of(&self, key: &ScoreKey) -> Result<Vec<FeedbackScore>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT author, body FROM score WHERE kind = ?1 AND target = ?2 ORDER BY name, author",
        )?;
        let mut rows = statement.query(params![key.kind, key.target])?;
        let mut by_name: BTreeMap<String, Vec<(String, FeedbackScore)>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let score: FeedbackScore = serde_json::from_str(body)
                .map_err(|_| StoreError::Damaged("a score is not JSON"))?;
            by_name
                .entry(score.name.clone())
                .or_default()
                .push((row.get(0)?, score));
        }
        Ok(by_name.into_values().filter_map(joined).collect())
    }

    /// Puts the scores of its spans on a trace, averaged by name.
    pub(super) fn join_span_scores(
        &mut self,
        key: i64,
        trace: &mut Trace,
    ) -> Result<(), StoreError> {
        if !self.any_scores(1)? {
            return Ok(());
        }
        let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for id in self.span_ids(key)? {
            let target = ScoreKey::of(&ScoreTarget::Span(id), 0);
            for score in self.scores_of(&target)? {
                by_name.entry(score.name).or_default().push(score.value);
            }
        }
        trace.span_feedback_scores = by_name
            .into_iter()
            .map(|(name, values)| FeedbackScore::new(name, mean(values.into_iter())))
            .collect();
        Ok(())
    }

    fn span_ids(&self, trace: i64) -> Result<Vec<SpanId>, StoreError> {
        let mut ids = Vec::new();
        let mut statement = self.conn.prepare_cached(
            "SELECT key, zeroblob(16), project, arrived, block, at, dead, head
             FROM part WHERE trace = ?1",
        )?;
        let mut rows = statement.query([trace])?;
        while let Some(row) = rows.next()? {
            ids.extend(Part::of(row)?.ids()?);
        }
        Ok(ids)
    }
}

/// One score out of those of several authors: the latest, with the mean value.
fn joined(of_authors: Vec<(String, FeedbackScore)>) -> Option<FeedbackScore> {
    let latest = of_authors
        .iter()
        .max_by_key(|(_, score)| score.last_updated_at)?;
    let mut all = latest.1.clone();
    if of_authors.len() > 1 {
        all.value = mean(of_authors.iter().map(|(_, score)| score.value));
        for (author, score) in of_authors {
            let mut entry = ValueEntry::default();
            entry.value = Some(score.value);
            entry.reason = score.reason;
            entry.category_name = score.category_name;
            entry.source = Some(score.source);
            entry.last_updated_at = score.last_updated_at;
            all.value_by_author.insert(author, entry);
        }
    }
    Some(all)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}
