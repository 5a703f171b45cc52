//! Randomness that a seed repeats.

use std::cell::Cell;

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() as u64 - 1) as usize]
    }

    /// Another generator, for a part that draws at its own pace.
    pub(super) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}

thread_local! {
    static IDS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on ids and keys made on this thread follow from the seed: sessions stagger their
/// heartbeats by them. `None`: they are random again.
pub(super) fn seed_ids(seed: Option<u64>) {
    IDS.set(seed);
}

/// The next id or key, while they follow from a seed.
pub(crate) fn next_id() -> Option<[u8; 16]> {
    let mut rng = Rng::new(IDS.get()?);
    let (high, low) = (rng.next(), rng.next());
    IDS.set(Some(high ^ 1));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    Some(bytes)
}
