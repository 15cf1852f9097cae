//! Which ids of the nursery are free.
//!
//! The next free one is looked for behind the last one taken, so that an id rests as long as possible
//! before it is somebody else's.

use std::collections::HashSet;

use sandbox::plan::{FIRST_CELL_ID, IDS_PER_SLOT};

/// Ids of living cells.
#[derive(Debug, Default)]
pub(super) struct Ids {
    taken: HashSet<u32>,
    /// Offset, from the first id a cell may have, of where the search begins.
    next: u32,
}

/// How many there are to give.
const COUNT: u32 = IDS_PER_SLOT - FIRST_CELL_ID;

// === impl Ids ===

impl Ids {
    /// An id nobody has.
    pub(super) fn take(&mut self) -> Option<u32> {
        let candidates = (0..COUNT).map(|step| FIRST_CELL_ID + (self.next + step) % COUNT);
        let id = candidates.into_iter().find(|id| !self.taken.contains(id))?;
        self.next = (id - FIRST_CELL_ID + 1) % COUNT;
        self.taken.insert(id);
        Some(id)
    }

    /// Nobody has it any more.
    pub(super) fn give_back(&mut self, id: u32) {
        self.taken.remove(&id);
    }
}
