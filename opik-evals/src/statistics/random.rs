//! Random numbers that are the same everywhere.

/// SplitMix64 (Steele, Lea and Flood 2014): a small generator whose numbers never change with a
/// dependency, so that published intervals stay reproducible.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of the values; `None` when there is none.
    pub(crate) fn pick<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        let count = u128::try_from(values.len()).ok()?;
        // The high half of the product is uniform below `count` (Lemire 2019).
        let index = usize::try_from((u128::from(self.next()) * count) >> 64).ok()?;
        values.get(index)
    }
}
