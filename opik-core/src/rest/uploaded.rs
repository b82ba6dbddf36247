//! Files of a batch that arrived although the batch as a whole did not.
//!
//! Rows go again in a moment, files may be large: a batch whose second file fails, or whose sender runs
//! out of time, is repeated by its caller, and then goes on with the second file. Once the batch is
//! through, its files are forgotten, so that whoever sends one again means it.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::deliver::owner;
use crate::wire::{RowId, WireAttachment};

/// Most files that are remembered; beyond that the oldest is sent again.
const REMEMBERED: usize = 1_024;

/// Which file it is, down to its bytes.
#[derive(Debug, PartialEq)]
struct Known {
    owner: RowId,
    name: String,
    digest: u64,
}

impl Known {
    fn of(file: &WireAttachment) -> Self {
        let mut digest = DefaultHasher::new();
        for part in [
            file.project_name.as_deref().unwrap_or_default(),
            &file.mime_type,
        ] {
            digest.write(part.as_bytes());
            digest.write_u8(0xff);
        }
        digest.write(&file.bytes);
        Self {
            owner: owner(file),
            name: file.file_name.clone(),
            digest: digest.finish(),
        }
    }
}

/// What was uploaded for batches that are not through.
#[derive(Debug, Default)]
pub(super) struct Uploaded(Mutex<VecDeque<Known>>);

impl Uploaded {
    pub(super) fn has(&self, file: &WireAttachment) -> bool {
        let known = self.known();
        // The bytes are looked at only when there is something to compare them with.
        !known.is_empty() && known.contains(&Known::of(file))
    }

    pub(super) fn add(&self, file: &WireAttachment) {
        let file = Known::of(file);
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.pop_front();
        }
        known.push_back(file);
    }

    /// Forgets the files of a batch that is through.
    pub(super) fn forget(&self, files: &[WireAttachment]) {
        if files.is_empty() {
            return;
        }
        self.known().retain(|known| {
            let same =
                |file: &WireAttachment| owner(file) == known.owner && file.file_name == known.name;
            !files.iter().any(same)
        });
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TraceId;

    #[test]
    fn only_the_very_same_file_is_known_and_memory_is_bounded() {
        let trace = TraceId::generate();
        let file = |name: &str, bytes: &[u8]| {
            WireAttachment::new(trace, name, "image/png", bytes.to_vec())
        };
        let uploaded = Uploaded::default();
        let sent = file("a.png", b"x");
        assert!(!uploaded.has(&sent));
        uploaded.add(&sent);
        assert!(uploaded.has(&sent));
        let mut of_span = sent.clone();
        of_span.span = Some(crate::SpanId::generate());
        let mut elsewhere = sent.clone();
        elsewhere.project_name = Some("other".to_owned());
        for other in [file("a.png", b"y"), file("b.png", b"x"), of_span, elsewhere] {
            assert!(!uploaded.has(&other), "{other:?}");
        }
        for number in 0..REMEMBERED {
            uploaded.add(&file(&number.to_string(), b""));
        }
        assert!(!uploaded.has(&sent), "the oldest is forgotten");
        assert_eq!(uploaded.known().len(), REMEMBERED);
        uploaded.forget(&[file("7", b"")]);
        assert!(!uploaded.has(&file("7", b"")) && uploaded.has(&file("8", b"")));
    }
}
