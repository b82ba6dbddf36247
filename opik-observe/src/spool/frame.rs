//! Frames: what a segment is made of.

use crc32fast::Hasher;

/// Begins every frame, and is what a reader looks for behind a damaged one.
pub(super) const MAGIC: [u8; 4] = [0xF1, b'O', b'P', b'K'];

/// Bytes before the payload.
pub(super) const HEADER: usize = 32;

/// Largest payload: a length beyond it is damage, not a frame.
pub(super) const MAX_PAYLOAD: usize = 256 << 20;

/// A batch as rows.
const KIND_ROWS: u8 = 1;

/// What the header of a frame says, its checksum verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload: usize,
    pub(super) records: u32,
    /// Microseconds since 1970, when it was written.
    pub(super) written: i64,
    checksum: u32,
}

impl Header {
    /// The header of a payload in pieces.
    pub(super) fn of(parts: &[&[u8]], records: u32, written: i64) -> Self {
        let mut hasher = Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        Self {
            payload: parts.iter().map(|part| part.len()).sum(),
            records,
            written,
            checksum: hasher.finalize(),
        }
    }

    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let length = u32::try_from(self.payload).unwrap_or(u32::MAX);
        let fields = [
            MAGIC,
            [KIND_ROWS, 0, 0, 0],
            length.to_le_bytes(),
            self.records.to_le_bytes(),
        ];
        let (front, back) = bytes.split_at_mut(16);
        front.copy_from_slice(fields.as_flattened());
        let (written, sums) = back.split_at_mut(8);
        written.copy_from_slice(&self.written.to_le_bytes());
        let (payload, _) = sums.split_at_mut(4);
        payload.copy_from_slice(&self.checksum.to_le_bytes());
        let own = bytes
            .split_last_chunk::<4>()
            .map_or(0, |(front, _)| crc32fast::hash(front));
        if let Some(place) = bytes.last_chunk_mut::<4>() {
            *place = own.to_le_bytes();
        }
        bytes
    }

    /// The header at the start of `bytes`; `None` where there is none that is whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER>()?;
        let (front, own) = bytes.split_last_chunk::<4>()?;
        let rest = front
            .strip_prefix(&MAGIC)?
            .strip_prefix(&[KIND_ROWS, 0, 0, 0])?;
        if u32::from_le_bytes(*own) != crc32fast::hash(front) {
            return None;
        }
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (records, rest) = rest.split_first_chunk::<4>()?;
        let (written, rest) = rest.split_first_chunk::<8>()?;
        let (checksum, _) = rest.split_first_chunk::<4>()?;
        let payload = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        (payload <= MAX_PAYLOAD).then_some(Self {
            payload,
            records: u32::from_le_bytes(*records),
            written: i64::from_le_bytes(*written),
            checksum: u32::from_le_bytes(*checksum),
        })
    }

    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload && crc32fast::hash(payload) == self.checksum
    }

    /// Bytes of the whole frame.
    pub(super) fn frame(&self) -> u64 {
        (HEADER as u64).saturating_add(self.payload as u64)
    }
}

/// How many bytes lie before the next header that is whole, looking behind the first byte.
pub(super) fn next_header(bytes: &[u8]) -> Option<usize> {
    let mut from = 1;
    loop {
        let rest = bytes.get(from..)?;
        let place = rest
            .windows(MAGIC.len())
            .position(|window| window == MAGIC)?;
        if Header::parse(rest.get(place..)?).is_some() {
            return Some(from + place);
        }
        from += place + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: &[u8], records: u32) -> Vec<u8> {
        let header = Header::of(&[payload], records, 1_795_170_315_351_281);
        [&header.encode(), payload].concat()
    }

    fn is_whole(bytes: &[u8]) -> bool {
        let payload = bytes.get(HEADER..).unwrap_or_default();
        Header::parse(bytes).is_some_and(|header| header.matches(payload))
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = frame(b"abc", 2);
        assert_eq!(bytes.get(..4), Some(&[0xF1, b'O', b'P', b'K'][..]));
        assert_eq!(
            bytes.get(4..16),
            Some(&[1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0][..])
        );
        assert_eq!(
            bytes.get(16..24),
            Some(&1_795_170_315_351_281_i64.to_le_bytes()[..])
        );
        assert_eq!(bytes.get(24..28), Some(&0x3524_41c2_u32.to_le_bytes()[..]));
        assert_eq!(bytes.len(), HEADER + 3);
    }

    proptest! {
        #[test]
        fn a_frame_is_found_behind_any_noise(
            noise in proptest::collection::vec(any::<u8>(), 1..200),
            payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let whole = frame(&payload, 7);
            let bytes = [noise.as_slice(), &whole].concat();
            prop_assert_eq!(next_header(&bytes), Some(noise.len()));
            let header = Header::parse(&whole).unwrap();
            prop_assert_eq!(header.records, 7);
            prop_assert!(header.matches(&whole[HEADER..]));
            prop_assert_eq!(header.frame(), whole.len() as u64);
        }

        #[test]
        fn no_changed_or_cut_byte_goes_unnoticed(
            payload in proptest::collection::vec(any::<u8>(), 1..100),
            place: prop::sample::Index,
            flip in 1_u8..=255,
        ) {
            let whole = frame(&payload, 1);
            let place = place.index(whole.len());
            let mut changed = whole.clone();
            changed[place] ^= flip;
            prop_assert!(!is_whole(&changed) && !is_whole(&whole[..place]));
        }
    }
}
