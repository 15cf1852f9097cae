//! Which ids of the nursery are free.
//!
//! The next free one is looked for behind the last one taken, so that an id rests as long as possible
//! before it is somebody else's. Where a user has but one id, all cells share it.

use std::collections::HashSet;
use std::ops::Range;

use sandbox::plan::OWNER_ID;

/// Ids of living cells.
#[derive(Debug)]
pub(super) struct Ids {
    /// Those there are to give; `None` for the one that everybody shares.
    all: Option<Range<u32>>,
    taken: HashSet<u32>,
    /// Offset, from the first id a cell may have, of where the search begins.
    next: u32,
}

// === impl Ids ===

impl Ids {
    pub(super) fn new(all: Option<Range<u32>>) -> Self {
        Self { all, taken: HashSet::new(), next: 0 }
    }

    /// An id nobody has, where there is more than one.
    pub(super) fn take(&mut self) -> Option<u32> {
        let Some(all) = &self.all else { return Some(OWNER_ID) };
        let count = all.end - all.start;
        let mut candidates = (0..count).map(|step| all.start + (self.next + step) % count);
        let id = candidates.find(|id| !self.taken.contains(id))?;
        self.next = (id - all.start + 1) % count;
        self.taken.insert(id);
        Some(id)
    }

    /// Nobody has it any more.
    pub(super) fn give_back(&mut self, id: u32) {
        self.taken.remove(&id);
    }
}
