//! Which parts are of a project.
//!
//! Words are looked up in an index of all projects. Asking each part that it proposes for its project
//! is a statement each; of many, it is cheaper to list the parts of the project first.

use super::Reader;
use super::spans::Search;
use crate::error::StoreError;
use crate::facet::{Entity, Kind};

/// How many parts are asked for their project before all parts of the project are listed.
const ASKED: usize = 500;

/// Keys of parts that fit into the bits.
const MOST_PARTS: usize = u32::MAX as usize;

/// Which parts are of the project that is asked for, where candidates come from everywhere.
pub(super) struct Members {
    project: Option<i64>,
    asked: usize,
    /// A bit for each key, once it is cheaper than asking.
    bits: Option<Vec<u64>>,
}

impl Members {
    pub(super) fn of(search: &Search<'_>) -> Self {
        let is_needed = search.conditions.content.words.is_some();
        Self {
            project: search.project.filter(|_| is_needed),
            asked: 0,
            bits: None,
        }
    }

    /// Whether a part is of the project.
    pub(super) fn has(&mut self, reader: &Reader, key: i64) -> Result<bool, StoreError> {
        let Some(project) = self.project else {
            return Ok(true);
        };
        if let Some(bits) = &self.bits {
            let at = usize::try_from(key).unwrap_or(usize::MAX);
            return Ok(bits
                .get(at / 64)
                .is_some_and(|bits| bits >> (at % 64) & 1 == 1));
        }
        self.asked += 1;
        if self.asked > ASKED {
            self.bits = Some(reader.parts_of_project(project)?);
            return self.has(reader, key);
        }
        Ok(reader.project_of_part(key)? == Some(project))
    }
}

impl Reader {
    /// A bit for each part that is of a project.
    fn parts_of_project(&self, project: i64) -> Result<Vec<u64>, StoreError> {
        let mut bits = Vec::new();
        let mut statement = self.conn.prepare_cached(
            "SELECT f.ref FROM facet_name n JOIN facet f ON f.fid = n.fid
             WHERE n.entity = ?1 AND n.kind = ?2 AND n.value = '' AND n.project = ?3",
        )?;
        let mut parts = statement.query([Entity::Part.code(), Kind::All.code(), project])?;
        while let Some(part) = parts.next()? {
            let key: i64 = part.get(0)?;
            let at = usize::try_from(key).unwrap_or(usize::MAX);
            if at > MOST_PARTS {
                return Err(StoreError::Damaged("a part has no sensible key"));
            }
            if bits.len() <= at / 64 {
                bits.resize(at / 64 + 1, 0_u64);
            }
            if let Some(bits) = bits.get_mut(at / 64) {
                *bits |= 1 << (at % 64);
            }
        }
        Ok(bits)
    }
}
