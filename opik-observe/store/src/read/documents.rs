//! What the text index has to know.

use rusqlite::Row;

use super::Reader;
use super::records::Part;
use crate::codec::body::Body;
use crate::codec::prefix;
use crate::codec::trace::TraceRow;
use crate::error::StoreError;
use crate::facet::Entity;
use crate::text::{self, Builder, Progress};

/// How many parts and traces are taken at a time.
const PARTS: usize = 4_000;
const TRACES: usize = 4_000;
const GONE: usize = 5_000;

/// What is new since some point.
#[derive(Debug)]
pub(crate) struct News {
    /// The words of parts.
    pub(crate) parts: Builder,
    /// The words of traces.
    pub(crate) traces: Builder,
    pub(crate) gone: Vec<(Entity, i64)>,
    /// The point that this leads to.
    pub(crate) reached: Progress,
}

impl Reader {
    /// How far the text index should be.
    pub(crate) fn text_goal(&self) -> Result<Progress, StoreError> {
        let gone = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'gone'), 0)";
        let gone = self
            .conn
            .prepare_cached(gone)?
            .query_row([], |row| row.get(0))?;
        Ok(self
            .conn
            .prepare_cached("SELECT part, seq FROM counter")?
            .query_row([], |row| {
                Ok(Progress {
                    part: row.get(0)?,
                    seq: row.get(1)?,
                    gone,
                })
            })?)
    }

    /// Some of what is new after a point.
    pub(crate) fn text_news(&mut self, after: Progress) -> Result<News, StoreError> {
        let goal = self.text_goal()?;
        let mut reached = goal;
        let parts = self.collect(
            "SELECT part.key, trace.id, part.project, part.arrived, part.block, part.at, part.dead,
                    part.head, part.hi
             FROM part JOIN trace ON trace.key = part.trace
             WHERE part.key > ?1 ORDER BY part.key LIMIT ?2",
            after.part,
            PARTS,
            |row| Ok((Part::of(row)?, row.get::<_, i64>(8)?)),
        )?;
        if parts.len() == PARTS {
            reached.part = parts.last().map_or(goal.part, |(part, _)| part.key);
        }
        let mut words = Builder::default();
        for (part, hi) in &parts {
            words.begin(*hi, part.key);
            self.part_words(part, &mut words)?;
        }
        drop(parts);

        type Changed = (i64, i64, Option<(i64, [u8; 16], i64, i64, i64, Vec<u8>)>);
        let changed: Vec<Changed> = self.collect(
            "SELECT key, seq, row_seq, id, block, at, len, head FROM trace
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            after.seq,
            TRACES,
            |row| {
                let row_seq: i64 = row.get(2)?;
                let content = if row_seq > after.seq {
                    let head = row.get(7)?;
                    Some((
                        row_seq,
                        row.get(3)?,
                        row.get(4)?,
                        row.get(5)?,
                        row.get(6)?,
                        head,
                    ))
                } else {
                    None
                };
                Ok((row.get(0)?, row.get(1)?, content))
            },
        )?;
        if changed.len() == TRACES {
            reached.seq = changed.last().map_or(goal.seq, |change| change.1);
        }
        let mut traces = Builder::default();
        for (key, _, content) in changed {
            let Some((_, id, block, at, len, head)) = content else {
                continue;
            };
            traces.begin(prefix(&id), key);
            let name = TraceRow::decode(&head)?.name.unwrap_or_default();
            add(&mut traces, name, false);
            let range = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
            let content = self.block(block)?;
            let end = range(at).saturating_add(range(len));
            add_body(&mut traces, content.get(range(at)..end))?;
        }

        let removed: Vec<(i64, i64, i64)> = self.collect(
            "SELECT seq, entity, key FROM gone WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            after.gone,
            GONE,
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        if removed.len() == GONE {
            reached.gone = removed.last().map_or(goal.gone, |row| row.0);
        }
        let entity = |code| {
            if code == 0 {
                Entity::Part
            } else {
                Entity::Trace
            }
        };
        let gone = removed
            .into_iter()
            .map(|(_, code, key)| (entity(code), key))
            .collect();
        Ok(News {
            parts: words,
            traces,
            gone,
            reached,
        })
    }

    fn collect<T>(
        &self,
        sql: &'static str,
        after: i64,
        limit: usize,
        make: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(make(row)?);
        }
        Ok(all)
    }

    fn part_words(&mut self, part: &Part, words: &mut Builder) -> Result<(), StoreError> {
        let block = self.block(part.block)?;
        for (_, row) in part.rows()? {
            add(words, row.name.unwrap_or_default(), false);
            add_body(words, block.get(part.body(&row)))?;
        }
        Ok(())
    }
}

fn add(words: &mut Builder, text: &str, json: bool) {
    text::words(text, json, &mut |word| words.add(word));
}

fn add_body(words: &mut Builder, body: Option<&[u8]>) -> Result<(), StoreError> {
    let body = Body::parse(body.ok_or(StoreError::Damaged("a body lies outside its block"))?)?;
    for json in [body.input, body.output, body.metadata]
        .into_iter()
        .flatten()
    {
        add(words, json, true);
    }
    Ok(())
}
