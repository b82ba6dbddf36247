//! Tallies: how many live spans, or traces, have a facet.
//!
//! A page of a list tells how many records there are. Where a list is about one facet, that number
//! is kept beside the facet, and changes in the transaction that changes the records. Postings
//! cannot tell it: one of them stands for a part with several spans, and stays when the span that
//! had the facet was replaced.
//!
//! Threads have no tally: there are many of them with few traces each, whose postings are counted.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::codec::span;
use crate::error::StoreError;
use crate::facet::{self, Entity, Kind};
use crate::write::is_dead;

/// Whether a kind of facet has tallies.
pub(crate) fn is_kept(kind: Kind) -> bool {
    kind != Kind::Thread
}

/// Tallies as the records themselves have them, by facet. A part that cannot be read counts as
/// nothing; other checks tell about it.
fn recount(conn: &Connection) -> Result<HashMap<i64, i64>, StoreError> {
    let mut spans: HashMap<(i64, i64, String), i64> = HashMap::new();
    let mut statement = conn.prepare("SELECT project, dead, head FROM part")?;
    let mut parts = statement.query([])?;
    while let Some(part) = parts.next()? {
        let project: i64 = part.get(0)?;
        let dead: Option<Vec<u8>> = part.get(1)?;
        let dead = dead.unwrap_or_default();
        let head = part.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let Ok(rows) = span::decode(head) else {
            continue;
        };
        let live = rows.iter().enumerate();
        let live = live.map(|(number, row)| (row, !is_dead(&dead, number)));
        for ((kind, value), count) in facet::of_spans(live) {
            *spans.entry((project, kind.code(), value)).or_default() += count;
        }
    }
    let mut tallies = HashMap::new();
    let mut statement =
        conn.prepare("SELECT fid, project, kind, value FROM facet_name WHERE entity = ?1")?;
    let mut names = statement.query([Entity::Part.code()])?;
    while let Some(name) = names.next()? {
        let place = (name.get(1)?, name.get(2)?, name.get(3)?);
        tallies.insert(name.get(0)?, spans.get(&place).copied().unwrap_or(0));
    }
    let mut statement = conn.prepare(
        "SELECT n.fid, (SELECT count(*) FROM facet f WHERE f.fid = n.fid)
         FROM facet_name n WHERE n.entity = ?1 AND n.kind <> ?2",
    )?;
    let mut names = statement.query([Entity::Trace.code(), Kind::Thread.code()])?;
    while let Some(name) = names.next()? {
        tallies.insert(name.get(0)?, name.get(1)?);
    }
    Ok(tallies)
}

/// Makes the tallies of a store that has none.
pub(crate) fn fill(conn: &Connection) -> Result<(), StoreError> {
    let mut insert = conn.prepare("INSERT INTO tally(fid, rows) VALUES (?1, ?2)")?;
    for (fid, count) in recount(conn)? {
        insert.execute(params![fid, count])?;
    }
    Ok(())
}

/// How many tallies are not what the records have.
pub(crate) fn mistakes(conn: &Connection) -> Result<usize, StoreError> {
    let mut recounted = recount(conn)?;
    let mut wrong = 0;
    let mut statement = conn.prepare("SELECT fid, rows FROM tally")?;
    let mut tallies = statement.query([])?;
    while let Some(tally) = tallies.next()? {
        let count: i64 = tally.get(1)?;
        wrong += usize::from(recounted.remove(&tally.get(0)?).unwrap_or(0) != count);
    }
    Ok(wrong + recounted.values().filter(|&&count| count != 0).count())
}
