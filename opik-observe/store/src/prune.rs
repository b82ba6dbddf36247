//! Retention: forgetting traces by age and size, a little at a time.
//!
//! Every step is a job of its own for the writer, so that batches of this process and of others
//! are written in between.

use crate::error::StoreError;
use crate::options::{PruneReport, Retention, VacuumReport};
use crate::store::Store;
use crate::write::{CHUNK, Deleted};

/// Pages that are given back in one step: 16 MiB.
const PAGES: u64 = 4_096;

impl Store {
    /// Deletes what a retention does not keep, oldest first, and gives the space back to the file
    /// system. Other writers get their turn in between, those of this process too.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written. Part of the traces may be gone then.
    pub fn prune(&self, keep: Retention) -> Result<PruneReport, StoreError> {
        let Retention {
            started_after,
            max_bytes,
        } = keep;
        let bytes_before = self.write(|writer| writer.file_size())?;
        let mut deleted = Deleted::default();
        if let Some(moment) = started_after {
            loop {
                let before = moment.as_micros();
                let ids = self.write(move |writer| writer.oldest(before))?;
                if ids.is_empty() {
                    break;
                }
                for some in ids.chunks(CHUNK) {
                    let some = some.to_vec();
                    deleted.add(self.write(move |writer| writer.delete(&some))?);
                }
            }
        }
        if let Some(most) = max_bytes {
            while self.write(|writer| writer.used_bytes())? > most {
                let ids = self.write(|writer| writer.oldest(i64::MAX))?;
                if ids.is_empty() {
                    break;
                }
                // Small steps, so that not much more goes than must.
                for few in ids.chunks(CHUNK / 10) {
                    let few = few.to_vec();
                    let (some, used) =
                        self.write(move |writer| Ok((writer.delete(&few)?, writer.used_bytes()?)))?;
                    deleted.add(some);
                    if used <= most {
                        break;
                    }
                }
            }
        }
        self.give_back()?;
        self.note_upkeep("prune", "")?;
        Ok(PruneReport {
            traces: deleted.traces,
            spans: deleted.spans,
            bytes_before,
            bytes_after: self.write(|writer| writer.file_size())?,
        })
    }

    /// Gives the space of what was deleted back to the file system, a little at a time, and
    /// empties the log. With `whole` the file is written anew, in order and without gaps: writers
    /// wait for that, and it needs as much space again for a while.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written, or others hold it for too long.
    pub fn vacuum(&self, whole: bool) -> Result<VacuumReport, StoreError> {
        let bytes_before = self.write(|writer| writer.file_size())?;
        if whole {
            self.write(|writer| writer.rewrite())?;
        }
        self.give_back()?;
        Ok(VacuumReport {
            bytes_before,
            bytes_after: self.write(|writer| writer.file_size())?,
        })
    }

    fn give_back(&self) -> Result<(), StoreError> {
        while self.write(|writer| writer.shrink(PAGES))? {}
        self.write(|writer| writer.empty_log())
    }
}
