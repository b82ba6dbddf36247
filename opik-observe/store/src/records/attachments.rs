//! Files that belong to traces and spans, kept in pieces of a mebibyte.

use opik_core::query::ProjectSelector;
use opik_core::{ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Target, projects};
use crate::error::StoreError;
use crate::pack::ProjectRef;
use crate::store::Store;

/// Size of a piece.
const PIECE: usize = 1 << 20;

/// Names an attachment. A file of the same name on the same record replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttachmentKey {
    /// The trace or span, which need not be there yet.
    pub target: Target,
    /// Name of the file.
    pub file_name: String,
}

/// What is known about an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// Name of the file.
    pub file_name: String,
    /// Its size in bytes.
    pub file_size: u64,
    /// What it is, for example `image/png`.
    pub mime_type: String,
    /// The project that it was filed under.
    pub project_id: ProjectId,
}

fn find(conn: &Connection, key: &AttachmentKey) -> Result<Option<(i64, Attachment)>, StoreError> {
    let (kind, target) = key.target.key();
    let found = conn
        .prepare_cached(
            "SELECT a.key, a.name, a.size, a.mime, p.id
             FROM attachment a JOIN project p ON p.key = a.project
             WHERE a.kind = ?1 AND a.target = ?2 AND a.name = ?3",
        )?
        .query_row(params![kind, target, key.file_name], attachment_of)
        .optional()?;
    Ok(found)
}

fn attachment_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Attachment)> {
    let size: i64 = row.get(2)?;
    Ok((
        row.get(0)?,
        Attachment {
            file_name: row.get(1)?,
            file_size: size.max(0).cast_unsigned(),
            mime_type: row.get(3)?,
            project_id: ProjectId::from_bytes(row.get(4)?),
        },
    ))
}

fn delete(conn: &Connection, key: i64) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM attachment_piece WHERE attachment = ?1")?
        .execute([key])?;
    conn.prepare_cached("DELETE FROM attachment WHERE key = ?1")?
        .execute([key])?;
    Ok(())
}

impl Store {
    /// Stores a file.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn put_attachment(
        &self,
        key: AttachmentKey,
        project_name: Option<String>,
        mime_type: String,
        content: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let now = Timestamp::now().as_micros();
                let named = ProjectRef {
                    name: project_name,
                    id: None,
                };
                let project = work.project(&named, now)?;
                let conn = work.conn();
                if let Some((old, _)) = find(conn, &key)? {
                    delete(conn, old)?;
                }
                let (kind, target) = key.target.key();
                let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
                conn.prepare_cached(
                    "INSERT INTO attachment(kind, target, name, project, mime, size, created)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    kind,
                    target,
                    key.file_name,
                    project,
                    mime_type,
                    size,
                    now
                ])?;
                let attachment = conn.last_insert_rowid();
                let mut insert = conn.prepare_cached(
                    "INSERT INTO attachment_piece(attachment, number, data) VALUES (?1, ?2, ?3)",
                )?;
                for (number, piece) in (0_i64..).zip(content.chunks(PIECE)) {
                    insert.execute(params![attachment, number, piece])?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The files of a record in a project, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn attachments(
        &self,
        target: Target,
        project: ProjectId,
    ) -> Result<Vec<Attachment>, StoreError> {
        self.look(move |reader| {
            let Some((project, _)) = projects::find(reader.conn(), &ProjectSelector::Id(project))?
            else {
                return Ok(Vec::new());
            };
            let (kind, target) = target.key();
            let found = reader
                .conn()
                .prepare_cached(
                    "SELECT a.key, a.name, a.size, a.mime, p.id
                     FROM attachment a JOIN project p ON p.key = a.project
                     WHERE a.kind = ?1 AND a.target = ?2 AND a.project = ?3 ORDER BY a.key",
                )?
                .query_map(params![kind, target, project], |row| {
                    attachment_of(row).map(|(_, attachment)| attachment)
                })?
                .collect::<Result<_, _>>()?;
            Ok(found)
        })
        .await
    }

    /// A file and what is known about it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn attachment(
        &self,
        key: AttachmentKey,
    ) -> Result<Option<(Attachment, Vec<u8>)>, StoreError> {
        self.look(move |reader| {
            let Some((number, attachment)) = find(reader.conn(), &key)? else {
                return Ok(None);
            };
            let mut content = Vec::new();
            let mut statement = reader.conn().prepare_cached(
                "SELECT data FROM attachment_piece WHERE attachment = ?1 ORDER BY number",
            )?;
            let mut rows = statement.query([number])?;
            while let Some(row) = rows.next()? {
                let piece = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
                content.extend_from_slice(piece);
            }
            Ok(Some((attachment, content)))
        })
        .await
    }

    /// Deletes files; unknown ones are passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn delete_attachments(&self, keys: Vec<AttachmentKey>) -> Result<(), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                for key in &keys {
                    if let Some((number, _)) = find(work.conn(), key)? {
                        delete(work.conn(), number)?;
                    }
                }
                Ok(())
            })
        })
        .await
    }
}
