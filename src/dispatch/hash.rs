//! A hash for numbers that we hand out ourselves.
//!
//! The keys here are counters of our own, never something a stranger chose, so the defence that the
//! standard library's hash pays for buys nothing; several of these look-ups are on the path of every
//! invocation.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map keyed by one of our counters.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// A set of our counters.
pub(crate) type IdSet<K> = HashSet<K, BuildHasherDefault<IdHasher>>;

/// Spreads a counter over all 64 bits.
#[derive(Debug, Default, Clone, Copy)]
pub struct IdHasher(u64);

/// 2^64 divided by the golden ratio, made odd: neighbouring counters land far apart (Knuth).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

// === impl IdHasher ===

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // The map takes its bucket from the low bits and its tag from the high ones; a product alone
        // has good high bits only.
        let product = (self.0 ^ value).wrapping_mul(SPREAD);
        self.0 = product ^ (product >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
