//! Projects and facets: names that become numbers once and for ever.

use std::collections::HashMap;

use opik_core::{Project, ProjectId, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::Work;
use crate::codec::span::SpanRow;
use crate::error::StoreError;
use crate::facet::{self, Entity, Facet, Kind};
use crate::pack::ProjectRef;
use crate::tally;

/// Facets that are remembered at most; beyond, the memory starts anew.
const MOST_FACETS: usize = 100_000;

/// A posting to be written.
#[derive(Debug)]
pub(super) struct Posting {
    /// Facet, first half of an identifier, and row.
    place: [i64; 3],
    kind: Kind,
    count: i64,
}

impl Work<'_> {
    /// The key of a project, which is made when it is new. A name that is blank or absent is the
    /// default project, unless the identifier says otherwise.
    pub(crate) fn project(&mut self, project: &ProjectRef, now: i64) -> Result<i64, StoreError> {
        let name = project
            .name
            .as_deref()
            .map(str::trim)
            .filter(|name| !name.is_empty());
        if let (None, Some(id)) = (name, project.id) {
            let known = self
                .conn
                .prepare_cached("SELECT key FROM project WHERE id = ?1")?
                .query_row([id.as_bytes()], |row| row.get(0))
                .optional()?;
            if let Some(key) = known {
                return Ok(key);
            }
        }
        let text;
        let name = match (name, project.id) {
            (Some(name), _) => name,
            (None, Some(id)) => {
                text = id.to_string();
                &text
            }
            (None, None) => Project::DEFAULT_NAME,
        };
        let fold = name.to_lowercase();
        if let Some(&key) = self.state.projects.get(&fold) {
            return Ok(key);
        }
        let known: Option<i64> = self
            .conn
            .prepare_cached("SELECT key FROM project WHERE fold = ?1")?
            .query_row([&fold], |row| row.get(0))
            .optional()?;
        let key = match known {
            Some(key) => key,
            None => {
                let at = Timestamp::from_micros(now);
                let taken = |id: &ProjectId| -> rusqlite::Result<bool> {
                    self.conn
                        .prepare_cached("SELECT 1 FROM project WHERE id = ?1")?
                        .exists([id.as_bytes()])
                };
                let id = match project.id {
                    Some(id) if !taken(&id)? => id,
                    _ => ProjectId::generate_at(at),
                };
                self.conn
                    .prepare_cached(
                        "INSERT INTO project(id, fold, name, created) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![id.as_bytes(), fold, name, now])?;
                self.conn.last_insert_rowid()
            }
        };
        self.state.projects.insert(fold, key);
        Ok(key)
    }

    fn facet(&mut self, entity: Entity, project: i64, facet: &Facet) -> Result<i64, StoreError> {
        let known = self.state.facets.get(&(entity, project));
        if let Some(&fid) = known.and_then(|facets| facets.get(facet)) {
            return Ok(fid);
        }
        let key = params![entity.code(), facet.0.code(), facet.1, project];
        let known: Option<i64> = self
            .conn
            .prepare_cached(
                "SELECT fid FROM facet_name
                 WHERE entity = ?1 AND kind = ?2 AND value = ?3 AND project = ?4",
            )?
            .query_row(key, |row| row.get(0))
            .optional()?;
        let fid = match known {
            Some(fid) => fid,
            None => {
                self.conn
                    .prepare_cached(
                        "INSERT INTO facet_name(entity, kind, value, project)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(key)?;
                self.conn.last_insert_rowid()
            }
        };
        if self.state.facets.values().map(HashMap::len).sum::<usize>() >= MOST_FACETS {
            self.state.facets.clear();
        }
        let facets = self.state.facets.entry((entity, project)).or_default();
        facets.insert(facet.clone(), fid);
        Ok(fid)
    }

    /// Makes a row findable by its facets, each of which it has so many times. Its postings are written
    /// at the end of the transaction.
    pub(super) fn post<'f>(
        &mut self,
        entity: Entity,
        project: i64,
        (hi, key): (i64, i64),
        facets: impl IntoIterator<Item = (&'f Facet, i64)>,
    ) -> Result<(), StoreError> {
        for (facet, count) in facets {
            let fid = self.facet(entity, project, facet)?;
            self.postings.push(Posting {
                place: [fid, hi, key],
                kind: facet.0,
                count,
            });
        }
        Ok(())
    }

    /// Writes the postings that wait, list by list: each page of a list is then looked for once.
    pub(super) fn flush_postings(&mut self) -> Result<(), StoreError> {
        if self.postings.is_empty() {
            return Ok(());
        }
        let mut postings = std::mem::take(&mut self.postings);
        postings.sort_unstable_by_key(|posting| posting.place);
        let conn = self.conn;
        let mut insert =
            conn.prepare_cached("INSERT OR IGNORE INTO facet(fid, hi, ref) VALUES (?1, ?2, ?3)")?;
        for Posting { place, kind, count } in postings {
            if insert.execute(place)? > 0 {
                self.tally(place[0], kind, count);
            }
        }
        Ok(())
    }

    /// Takes a row out of the index, that has each of its facets so many times.
    pub(super) fn unpost<'f>(
        &mut self,
        entity: Entity,
        project: i64,
        (hi, key): (i64, i64),
        facets: impl IntoIterator<Item = (&'f Facet, i64)>,
    ) -> Result<(), StoreError> {
        // What is removed may be among those that wait.
        self.flush_postings()?;
        for (facet, count) in facets {
            let fid = self.facet(entity, project, facet)?;
            let removed = self
                .conn
                .prepare_cached("DELETE FROM facet WHERE fid = ?1 AND hi = ?2 AND ref = ?3")?
                .execute([fid, hi, key])?;
            if removed > 0 {
                self.tally(fid, facet.0, -count);
            }
        }
        Ok(())
    }

    /// Spans of a part that is posted are no longer live.
    pub(super) fn uncount<'r, 'a: 'r>(
        &mut self,
        project: i64,
        rows: impl IntoIterator<Item = &'r SpanRow<'a>>,
    ) -> Result<(), StoreError> {
        for (facet, count) in facet::of_spans(rows.into_iter().map(|row| (row, true))) {
            let fid = self.facet(Entity::Part, project, &facet)?;
            self.tally(fid, facet.0, -count);
        }
        Ok(())
    }

    fn tally(&mut self, fid: i64, kind: Kind, count: i64) {
        if count != 0 && tally::is_kept(kind) {
            *self.tallies.entry(fid).or_default() += count;
        }
    }

    /// Writes what the transaction added to tallies and took from them.
    pub(super) fn flush_tallies(&mut self) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached(
            "INSERT INTO tally(fid, rows) VALUES (?1, ?2)
             ON CONFLICT (fid) DO UPDATE SET rows = rows + excluded.rows",
        )?;
        for (fid, count) in std::mem::take(&mut self.tallies) {
            if count != 0 {
                statement.execute([fid, count])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opik_core::Batch;
    use opik_testkit::records;

    use super::*;
    use crate::{Store, pack};

    #[test]
    fn a_row_replaced_in_the_transaction_that_brought_it_is_found_by_its_new_facets_only() {
        let store = Store::open_in_memory().unwrap();
        let row = |name: &str, version| {
            let mut trace = records::full_trace(1);
            trace.name = Some(name.to_owned());
            trace.last_updated_at = Some(Timestamp::from_micros(version));
            let batch = Batch::new(vec![trace], Vec::new());
            pack::pack(&batch, Timestamp::from_micros(0), &drop)
                .unwrap()
                .0
        };
        let batches = [row("old", 1), row("new", 2)];
        let found = store.write(move |writer| {
            writer.write(&batches.each_ref())?;
            let mut names = writer
                .conn
                .prepare("SELECT value FROM facet_name JOIN facet USING (fid) WHERE kind = ?1")?;
            let names = names.query_map([Kind::Name.code()], |row| row.get(0))?;
            let names = names.collect::<Result<Vec<String>, _>>()?;
            Ok((names, tally::mistakes(&writer.conn)?))
        });
        assert_eq!(found.unwrap(), (vec!["new".to_owned()], 0));
    }
}
