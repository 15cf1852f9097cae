//! What is known about each cell, and what may happen to it next.
//!
//! ```text
//!                Make
//!                 ▼
//!   queued ─► Making ────────► Empty ───────► Assigned
//!                │   runner     │    Assign      │
//!                │   runs       │                │
//!     a step     │              │  End asked for, or PID 1 died
//!     failed, or ▼              ▼                ▼
//!     too slow  Ending: kill ─► reap ─► read usage ─► remove leaves ─► gone: Ended
//!                 │                                        ▲
//!                 └── not after 2 s: quarantined ──────────┘ tried again every second
//! ```
//!
//! An id belongs to a cell until everything of it is gone: a quarantined cell keeps its own for as
//! long as it takes. Cell numbers are never used twice.

mod ending;
mod ids;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Instant;

use sandbox::cgroup::Leaf;
use sandbox::sys::process::Child;
use wire::spawner::CellId;

pub(crate) use ending::{Ending, Progress};
use ids::Ids;

/// One cell.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Its id in the nursery, ours until it is gone.
    pub(crate) id: u32,
    /// Its control groups.
    pub(crate) leaf: Leaf,
    /// Whether the maker has yet to say if there is a process.
    pub(crate) ordered: bool,
    /// Its first process: from its birth until it is reaped.
    pub(crate) process: Option<Child>,
    /// Where it is in the diagram.
    pub(crate) phase: Phase,
}

/// Where a cell is in the diagram.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Between an order to the maker and a running runner.
    Making(Making),
    /// Nothing has run in it.
    Empty,
    /// It has code and limits; whatever runs in it is the control plane's business.
    Assigned,
    /// It is being taken down.
    Ending(Ending),
}

/// What is kept while a cell is made.
#[derive(Debug)]
pub(crate) struct Making {
    /// Whom to answer.
    pub(crate) ticket: u64,
    /// The control plane's end of the runner's socket.
    pub(crate) control_end: OwnedFd,
    /// Where its process says how far it got; non-blocking.
    pub(crate) report: File,
    /// What it has said.
    pub(crate) said: Vec<u8>,
    /// When it has taken too long.
    pub(crate) deadline: Instant,
}

/// All cells.
#[derive(Debug)]
pub(crate) struct Cells {
    first_id: u32,
    next: u32,
    ids: Ids,
    cells: HashMap<CellId, Cell>,
    by_pid: HashMap<i32, CellId>,
}

// === impl Cells ===

impl Cells {
    /// None yet; ids of the nursery are the host's from `first_id` on.
    pub(crate) fn new(first_id: u32) -> Self {
        Self {
            first_id,
            next: 1,
            ids: Ids::default(),
            cells: HashMap::new(),
            by_pid: HashMap::new(),
        }
    }

    /// A number never used before and an id nobody has, for a cell that is to be made.
    pub(crate) fn reserve(&mut self) -> Option<(CellId, u32)> {
        let number = CellId(self.next);
        // Four thousand million cells take longer than a kernel lives.
        self.next = self.next.checked_add(1)?;
        Some((number, self.ids.take()?))
    }

    /// Gives an id back whose cell did not come to be.
    pub(crate) fn give_back(&mut self, id: u32) {
        self.ids.give_back(id);
    }

    /// The host's user id of an id in the nursery.
    pub(crate) fn host_id(&self, id: u32) -> u32 {
        self.first_id + id
    }

    /// A cell that begins.
    pub(crate) fn insert(&mut self, number: CellId, cell: Cell) {
        self.cells.insert(number, cell);
    }

    /// A cell of this number.
    pub(crate) fn get_mut(&mut self, number: CellId) -> Option<&mut Cell> {
        self.cells.get_mut(&number)
    }

    /// Its first process exists.
    pub(crate) fn born(&mut self, number: CellId, process: Child) {
        if let Some(cell) = self.cells.get_mut(&number) {
            self.by_pid.insert(process.pid, number);
            cell.ordered = false;
            cell.process = Some(process);
        }
    }

    /// There will be no process.
    pub(crate) fn answered(&mut self, number: CellId) {
        if let Some(cell) = self.cells.get_mut(&number) {
            cell.ordered = false;
        }
    }

    /// A process with this number was reaped: whose first process it was, if any's.
    pub(crate) fn reaped(&mut self, pid: i32) -> Option<CellId> {
        let number = self.by_pid.remove(&pid)?;
        if let Some(cell) = self.cells.get_mut(&number) {
            cell.process = None;
        }
        Some(number)
    }

    /// Everything of it is gone: its id is free.
    pub(crate) fn remove(&mut self, number: CellId) {
        if let Some(cell) = self.cells.remove(&number) {
            self.by_pid.retain(|_, owner| *owner != number);
            self.ids.give_back(cell.id);
        }
    }

    /// How many there are, in whatever phase.
    pub(crate) fn count(&self) -> usize {
        self.cells.len()
    }

    /// How many there are that nobody has asked to end.
    pub(crate) fn living(&self) -> usize {
        self.cells.values().filter(|cell| !matches!(cell.phase, Phase::Ending(_))).count()
    }
}

#[cfg(test)]
mod tests;
