//! Comments on traces, spans and threads.

use opik_core::model::ScoreTarget;
use opik_core::{Comment, SpanId, Timestamp, TraceId};
use rusqlite::{Connection, Row, params};

use super::threads;
use crate::error::StoreError;
use crate::store::Store;

/// What a comment, a check or an attachment is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// A trace, which need not be there yet.
    Trace(TraceId),
    /// A span, which need not be there yet.
    Span(SpanId),
    /// A thread, by the identifier that the store gave it.
    Thread(TraceId),
}

impl Target {
    /// Kind and identifier, as in the tables.
    pub(crate) fn key(&self) -> (i64, &[u8; 16]) {
        match self {
            Self::Trace(id) => (0, id.as_bytes()),
            Self::Span(id) => (1, id.as_bytes()),
            Self::Thread(id) => (2, id.as_bytes()),
        }
    }

    /// As what scores are given to; threads have names there.
    #[must_use]
    pub fn as_score_target(&self) -> Option<ScoreTarget> {
        match self {
            Self::Trace(id) => Some(ScoreTarget::Trace(*id)),
            Self::Span(id) => Some(ScoreTarget::Span(*id)),
            Self::Thread(_) => None,
        }
    }
}

fn comment_of(row: &Row<'_>) -> rusqlite::Result<Comment> {
    let mut comment = Comment::default();
    comment.id = Some(TraceId::from_bytes(row.get(0)?).to_string());
    comment.text = row.get(1)?;
    let author: String = row.get(2)?;
    comment.created_by = Some(author.clone());
    comment.last_updated_by = Some(author);
    comment.created_at = Some(Timestamp::from_micros(row.get(3)?));
    comment.last_updated_at = Some(Timestamp::from_micros(row.get(4)?));
    Ok(comment)
}

/// The comments on something, oldest first.
pub(crate) fn of(conn: &Connection, kind: i64, target: &[u8]) -> Result<Vec<Comment>, StoreError> {
    let comments = conn
        .prepare_cached(
            "SELECT id, text, author, created, updated FROM comment
             WHERE kind = ?1 AND target = ?2 ORDER BY id",
        )?
        .query_map(params![kind, target], comment_of)?
        .collect::<Result<_, _>>()?;
    Ok(comments)
}

impl Store {
    /// Adds a comment and gives its identifier.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn add_comment(
        &self,
        target: Target,
        text: String,
        author: String,
    ) -> Result<TraceId, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let (kind, target) = target.key();
                let id = TraceId::generate();
                let now = Timestamp::now().as_micros();
                work.conn()
                    .prepare_cached(
                        "INSERT INTO comment(id, kind, target, text, author, created, updated)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                    )?
                    .execute(params![id.as_bytes(), kind, target, text, author, now])?;
                Ok(id)
            })
        })
        .await
    }

    /// A comment on a kind of target, by its identifier.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn comment(&self, on: Target, id: TraceId) -> Result<Option<Comment>, StoreError> {
        self.look(move |reader| {
            let (kind, target) = on.key();
            let id = id.to_string();
            let all = of(reader.conn(), kind, target)?;
            Ok(all
                .into_iter()
                .find(|comment| comment.id.as_deref() == Some(&id)))
        })
        .await
    }

    /// Changes the text of a comment. Tells whether there is one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn change_comment(&self, id: TraceId, text: String) -> Result<bool, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let changed = work
                    .conn()
                    .prepare_cached("UPDATE comment SET text = ?2, updated = ?3 WHERE id = ?1")?
                    .execute(params![id.as_bytes(), text, Timestamp::now().as_micros()])?;
                Ok(changed > 0)
            })
        })
        .await
    }

    /// Deletes comments; unknown ones are passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn delete_comments(&self, ids: Vec<TraceId>) -> Result<(), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                for id in &ids {
                    work.conn()
                        .prepare_cached("DELETE FROM comment WHERE id = ?1")?
                        .execute([id.as_bytes()])?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Whether there is a thread of this identifier.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn has_thread(&self, model: TraceId) -> Result<bool, StoreError> {
        self.look(move |reader| Ok(threads::by_model(reader.conn(), model)?.is_some()))
            .await
    }
}
