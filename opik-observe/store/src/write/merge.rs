//! Merging small parts, so that a trace that was written span by span reads like one that was
//! written at once.
//!
//! When eight parts of a trace are small, they become one. Parts of half the full size and more
//! are left alone, so a span is rewritten a few times at most, however long the trace gets.

use std::collections::BTreeMap;

use super::Work;
use super::blocks::Blocks;
use super::spans::{SMALL, Seat, StoredPart, TraceSpans, dead_count, is_dead};
use super::traces::Known;
use crate::block::Packer;
use crate::codec::span::{self, SpanRow};
use crate::error::StoreError;
use crate::pack::{self, PART_BYTES, PackedPart};

/// How many small parts are merged at a time.
const FAN_IN: usize = 8;

impl Work<'_> {
    pub(super) fn merge_small(
        &mut self,
        known: &mut Known,
        spans: &mut TraceSpans,
    ) -> Result<(), StoreError> {
        if spans.small.len() < FAN_IN {
            return Ok(());
        }
        let mut by_project: BTreeMap<i64, Vec<StoredPart>> = BTreeMap::new();
        for key in std::mem::take(&mut spans.small) {
            let part = self.stored_part(key)?;
            by_project.entry(part.project).or_default().push(part);
        }
        for (project, parts) in by_project {
            // Parts with large content are as good as full.
            let (few, large): (Vec<_>, Vec<_>) = parts
                .into_iter()
                .partition(|part| part.bodies.len < PART_BYTES / 2);
            drop(large);
            if few.len() < 2 {
                spans.small.extend(few.iter().map(|part| part.key));
                continue;
            }
            self.merge(project, &few, known, spans)?;
        }
        Ok(())
    }

    fn merge(
        &mut self,
        project: i64,
        parts: &[StoredPart],
        known: &mut Known,
        spans: &mut TraceSpans,
    ) -> Result<(), StoreError> {
        let mut rows: Vec<(SpanRow<'_>, &StoredPart)> = Vec::new();
        for part in parts {
            let decoded = span::decode(&part.head)?;
            for (number, row) in decoded.into_iter().enumerate() {
                if !is_dead(&part.dead, number) {
                    rows.push((row, part));
                }
            }
        }
        rows.sort_by_key(|(row, _)| row.id);
        let mut contents: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        for part in parts {
            if let std::collections::btree_map::Entry::Vacant(place) =
                contents.entry(part.bodies.block)
            {
                place.insert(self.block_content(part.bodies.block)?);
            }
        }

        let mut packer = Packer::default();
        let mut packed: Vec<PackedPart> = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let (out, begin) = packer.begin();
            let mut moved = Vec::new();
            while let Some((mut row, part)) =
                rows.next_if(|_| moved.len() < pack::PART_ROWS && out.len() - begin < PART_BYTES)
            {
                let from = super::spans::body_of(part.bodies, &row);
                let body = contents
                    .get(&from.block)
                    .and_then(|content| content.get(from.at..from.at + from.len))
                    .ok_or(StoreError::Damaged("a body lies outside its block"))?;
                row.body_at = out.len() - begin;
                // A part has one moment of arrival; what came from several keeps its own.
                row.created = row.created.or(Some(part.arrived));
                out.extend_from_slice(body);
                moved.push(row);
            }
            let bodies = packer.end(begin);
            packed.push(pack::part(0, &moved, bodies));
        }
        let (stored, compression) = packer.finish();
        compression.run()?;
        let mut blocks = Blocks::new(&stored);
        for part in parts {
            let decoded = span::decode(&part.head)?;
            known.parts -= 1;
            known.dead -= dead_count(&part.dead);
            self.remove_part(part, &decoded)?;
        }
        for part in &packed {
            let key = self.add_part(0, &[project], &mut blocks, part, known, None)?;
            for (row, (id, updated)) in part.ids.iter().enumerate() {
                spans.seats.insert(
                    *id,
                    Seat {
                        updated: *updated,
                        part: key,
                        row,
                    },
                );
            }
            if part.ids.len() < SMALL {
                spans.small.push(key);
            }
        }
        blocks.flush(self)
    }
}
