//! What the text index has to read.

use std::sync::Arc;

use rusqlite::Row;

use super::Reader;
use super::records::Part;
use crate::codec::body::Body;
use crate::codec::prefix;
use crate::codec::trace::TraceRow;
use crate::error::StoreError;
use crate::facet::Entity;
use crate::text::{self, Builder, Doc, Progress};

/// Bytes of content after which no more is read at once: so many are held, and the last block.
const CONTENT: usize = 8 * 1024 * 1024;

/// A part or the row of a trace, with its content. It is read when the snapshot has ended, so that
/// the log can be copied meanwhile.
#[derive(Debug)]
pub(crate) struct Document {
    /// The block that holds its content.
    pub(crate) block: i64,
    content: Arc<Vec<u8>>,
    of: Of,
}

#[derive(Debug)]
enum Of {
    Part(Part, i64),
    Trace(TraceText),
}

/// What is read of a trace.
#[derive(Debug)]
struct TraceText {
    key: i64,
    id: [u8; 16],
    /// The number of the change that made it what it is.
    version: i64,
    project: i64,
    at: usize,
    len: usize,
    head: Vec<u8>,
}

/// Some of what is new, and the point that it leads to.
#[derive(Debug)]
pub(crate) struct News<T> {
    pub(crate) items: Vec<T>,
    pub(crate) reached: i64,
    /// Whether there was more.
    pub(crate) more: bool,
}

impl Document {
    /// Gives its words to a builder.
    pub(crate) fn read(&self, words: &mut Builder) -> Result<(), StoreError> {
        match &self.of {
            Of::Part(part, hi) => {
                let rows = part.rows()?;
                // Rows that were replaced keep their numbers, and have no words.
                words.begin(Doc {
                    bound: *hi,
                    key: part.key,
                    version: 0,
                    project: part.project,
                    rows: rows.last().map_or(0, |(last, _)| text::number(last + 1)),
                });
                for (number, row) in rows {
                    words.row(number);
                    add(words, row.name.unwrap_or_default(), false);
                    add_body(words, self.content.get(part.body(&row)))?;
                }
            }
            Of::Trace(trace) => {
                words.begin(Doc {
                    bound: prefix(&trace.id),
                    key: trace.key,
                    version: trace.version,
                    project: trace.project,
                    rows: 1,
                });
                words.row(0);
                let name = TraceRow::decode(&trace.head)?.name;
                add(words, name.unwrap_or_default(), false);
                let end = trace.at.saturating_add(trace.len);
                add_body(words, self.content.get(trace.at..end))?;
            }
        }
        Ok(())
    }
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

    /// Parts after a key, `limit` at most, and fewer where they are large.
    pub(crate) fn new_parts(
        &mut self,
        after: i64,
        limit: usize,
    ) -> Result<News<Document>, StoreError> {
        let goal = self.text_goal()?.part;
        let parts = self.collect(
            "SELECT part.key, trace.id, part.project, part.arrived, part.block, part.at, part.dead,
                    part.head, part.hi
             FROM part JOIN trace ON trace.key = part.trace
             WHERE part.key > ?1 ORDER BY part.key LIMIT ?2",
            after,
            limit,
            |row| Ok((Part::of(row)?, row.get(8)?)),
        )?;
        let more = parts.len() >= limit;
        let parts = parts
            .into_iter()
            .map(|(part, hi)| (part.key, Some((part.block, Of::Part(part, hi)))));
        self.with_content(parts, more, goal)
    }

    /// Traces whose row changed after a number; of `limit` changed traces at most, and of fewer where
    /// they are large.
    pub(crate) fn new_rows(
        &mut self,
        after: i64,
        limit: usize,
    ) -> Result<News<Document>, StoreError> {
        let goal = self.text_goal()?.seq;
        let changed = self.collect(
            "SELECT seq, row_seq, block, key, id, at, len, head, project FROM trace
             WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            after,
            limit,
            |row| {
                let size = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
                let is_news = row.get::<_, i64>(1)? > after;
                let text = || -> Result<(i64, TraceText), StoreError> {
                    let text = TraceText {
                        key: row.get(3)?,
                        id: row.get(4)?,
                        version: row.get(1)?,
                        project: row.get(8)?,
                        at: size(row.get(5)?),
                        len: size(row.get(6)?),
                        head: row.get(7)?,
                    };
                    Ok((row.get(2)?, text))
                };
                Ok((row.get(0)?, is_news.then(text).transpose()?))
            },
        )?;
        let more = changed.len() >= limit;
        let changed = changed.into_iter().map(|(seq, text)| {
            let text = text.map(|(block, text): (i64, TraceText)| (block, Of::Trace(text)));
            (seq, text)
        });
        self.with_content(changed, more, goal)
    }

    /// Reads the content of what is new, each with the point that it leads to, until there is enough
    /// of it.
    fn with_content(
        &mut self,
        news: impl Iterator<Item = (i64, Option<(i64, Of)>)>,
        more: bool,
        goal: i64,
    ) -> Result<News<Document>, StoreError> {
        let mut news = news.peekable();
        let mut found = News {
            items: Vec::new(),
            reached: goal,
            more,
        };
        let mut bytes = 0;
        while let Some((point, document)) = news.next() {
            if more {
                found.reached = point;
            }
            let Some((block, of)) = document else {
                continue;
            };
            let content = self.block(block)?;
            // Neighbours mostly share a block.
            let last = found.items.last();
            if last.is_none_or(|last: &Document| last.block != block) {
                bytes += content.len();
            }
            found.items.push(Document { block, content, of });
            if bytes >= CONTENT && news.peek().is_some() {
                found.reached = point;
                found.more = true;
                break;
            }
        }
        Ok(found)
    }

    /// Rows that were removed, `limit` at most.
    pub(crate) fn removed(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<News<(Entity, i64)>, StoreError> {
        let goal = self.text_goal()?.gone;
        let rows = self.collect(
            "SELECT seq, entity, key FROM gone WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            after,
            limit,
            |row| {
                let entity = match row.get(1)? {
                    0 => Entity::Part,
                    _ => Entity::Trace,
                };
                Ok((row.get(0)?, (entity, row.get(2)?)))
            },
        )?;
        let more = rows.len() >= limit;
        let last = rows.last().filter(|_| more);
        let reached = last.map_or(goal, |row: &(i64, _)| row.0);
        Ok(News {
            items: rows.into_iter().map(|(_, row)| row).collect(),
            reached,
            more,
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
}

fn add(words: &mut Builder, text: &str, json: bool) {
    text::words(text, json, |word| words.add(word));
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

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Batch, Exporter as _, Json};
    use opik_testkit::records;

    use crate::Store;

    /// The largest content that may come after the limit: one trace with its spans.
    const LARGEST: usize = 3 * 1024 * 1024;

    fn content(found: &News<Document>) -> usize {
        let mut blocks: Vec<_> = found
            .items
            .iter()
            .map(|it| (it.block, it.content.len()))
            .collect();
        blocks.dedup();
        blocks.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Reads to the end; the points that were reached and how many documents there were.
    fn read(
        store: &Store,
        limit: usize,
        next: fn(&mut Reader, i64, usize) -> Result<News<Document>, StoreError>,
    ) -> (usize, usize) {
        let (mut after, mut steps, mut documents) = (0, 0, 0);
        loop {
            let found = store
                .read(move |reader| next(reader, after, limit))
                .unwrap();
            assert!(content(&found) < CONTENT + LARGEST, "{}", content(&found));
            assert!(found.reached > after || found.items.is_empty());
            (after, steps) = (found.reached, steps + 1);
            documents += found.items.len();
            if !found.more {
                return (steps, documents);
            }
        }
    }

    #[test]
    fn large_content_is_read_a_few_documents_at_a_time_and_all_of_it() {
        let store = Store::open_in_memory().unwrap();
        for number in 0..40 {
            let large = Json::string(&"many words ".repeat(100_000));
            let mut trace = records::full_trace(number);
            trace.input = Some(large.clone());
            let mut span = records::full_span(number, 0);
            span.input = Some(large);
            let batch = Batch::new(vec![trace], vec![span]);
            pollster::block_on(store.export(&batch)).unwrap();
        }
        // Fewer than that fit, or more do.
        for (limit, least, most) in [(500, 4, 20), (3, 13, 21), (1, 40, 41)] {
            let (steps, parts) = read(&store, limit, Reader::new_parts);
            assert!((least..=most).contains(&steps), "{limit}: {steps}");
            assert_eq!(parts, 40);
            let (steps, rows) = read(&store, limit, Reader::new_rows);
            assert!((least..=most).contains(&steps), "{limit}: {steps}");
            assert_eq!(rows, 40);
        }
    }
}
