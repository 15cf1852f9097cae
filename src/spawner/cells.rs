//! What is known about each cell, and what may happen to it next.
//!
//! ```text
//!                     Make: asked for, within capacity
//!                       ▼
//!                    RESERVED    a number and an id of its own                Cells::reserve
//!                       │ prepare: leaves with limits, trees, sockets
//!                    PREPARED    nothing of it runs                           sandbox::perform::Draft
//!                       │ the maker is sent the order
//!       ┌──────────  ORDERED     whether there is a process is not known      Phase::Ordered
//!       │               │ the maker says Born, with a pidfd
//!       ├──────────   BORN       its first process builds the walls           Phase::Born
//!       │               │ it says `ready` and becomes the runner
//!       ├──────────  WALLED      the runner runs; listener, statistics, …     Service::finish
//!   a step failed,      │ Made
//!   it died, or    ┌─ READY      nothing has run in it                        Phase::Ready
//!   10 s are over  │    │ Assign: limits, code; Assigned
//!       │          ├─ ASSIGNED   what runs in it is the control plane's       Phase::Assigned
//!       │          │    │        business
//!       │          │    │        meanwhile a template may be forked into it   Entered
//!       │   End asked for, or its first process ended
//!       ▼          ▼    ▼
//!     KILLED ◄──────────┘        everything in it was told to die; while the  Phase::Killed
//!       │ │                      maker's word is missing it stays here
//!       │ └─ not gone in 2 s ──► QUARANTINED   told once; tried again, at     Ending::is_quarantined
//!       │ reap, read usage           │         longest every second
//!     REAPED ◄───────────────────────┘         its leaves are removed
//!       │ Ended
//!      FREED                     its id is free: it rests before it is used again
//! ```
//!
//! RESERVED and PREPARED fail into FREED at once: nothing of them ever ran. Whoever of the spawner's
//! family dies in whatever state, the kernel ends every process, and the outer process or the next
//! start removes the control groups: see `outer` and `docs/architecture.md`.
//!
//! An id and a leaf belong to a cell until everything of it is gone: a quarantined cell keeps its own
//! for as long as it takes, and counts against the capacity. Cell numbers are never used twice.
//!
//! What was forked into a cell is our child too, and is reaped before the cell's first process, which
//! cannot finish dying before: nothing here waits for one particular child.
//!
//! ```text
//!   Nobody ── Fork ──► Awaited ── the template says Forked ──► Inside ── it ended: Exited ──► Gone
//!      ▲                  │                                                  the cell is ended
//!      └── it could not ──┤
//!                         └── the template died: the cell is ended, whatever is in it
//! ```
//!
//! A process is signalled and waited for by its pidfd, never by its number, which may be somebody
//! else's a moment after it was read.

mod ending;
mod ids;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::time::Instant;

use sandbox::Identity;
use sandbox::cgroup::Leaf;
use sandbox::sys::process::Child;
use wire::spawner::{CellId, Digest};

pub(crate) use ending::{Ending, Progress};
use ids::Ids;

/// One cell, from ORDERED on.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Its id in the nursery, ours until it is gone.
    pub(crate) id: u32,
    /// Its control groups.
    pub(crate) leaf: Leaf,
    /// Its first process: from BORN until it is reaped.
    pub(crate) process: Option<Child>,
    /// Where it is in the diagram.
    pub(crate) phase: Phase,
    /// Its root: a template of another has no business in it.
    pub(crate) image: Digest,
    /// Whether a template was forked into it.
    pub(crate) entered: Entered,
}

/// The process that entered a cell.
#[derive(Debug)]
pub(crate) enum Entered {
    /// There is none, and none is awaited.
    Nobody,
    /// A template was asked to fork into it.
    Awaited,
    /// It is there.
    Inside(Child),
    /// It was there and has ended.
    Gone,
}

/// Whose process was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A cell's first.
    First(CellId),
    /// One that entered a cell.
    Entered(CellId),
}

/// Where a cell is in the diagram.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The maker has yet to say if there is a process.
    Ordered(Making),
    /// There is one, on its way to the runner.
    Born(Making),
    /// Nothing has run in it.
    Ready,
    /// It has code and limits; whatever runs in it is the control plane's business.
    Assigned,
    /// It is being taken down.
    Killed(Ending),
}

/// What is kept while a cell is made.
#[derive(Debug)]
pub(crate) struct Making {
    /// Whom to answer.
    pub(crate) ticket: u64,
    /// The control plane's end of the runner's socket; the spawner's of a template's.
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
    identity: Identity,
    next: u32,
    ids: Ids,
    cells: HashMap<CellId, Cell>,
    by_pid: HashMap<i32, Ended>,
}

// === impl Cells ===

impl Cells {
    /// None yet; they will have ids of this identity.
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            next: 1,
            ids: Ids::new(identity.cell_ids()),
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
        self.identity.host_id(id)
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
    pub(crate) fn born(&mut self, number: CellId, process: Child) -> Option<&mut Cell> {
        let cell = self.cells.get_mut(&number)?;
        self.by_pid.insert(process.pid, Ended::First(number));
        cell.process = Some(process);
        // The phase in between is never seen.
        cell.phase = match std::mem::replace(&mut cell.phase, Phase::Ready) {
            Phase::Ordered(making) => Phase::Born(making),
            Phase::Killed(mut ending) => {
                ending.awaits_birth = false;
                Phase::Killed(ending)
            }
            other => other,
        };
        Some(cell)
    }

    /// There will be no process of a cell that was given up.
    pub(crate) fn stillborn(&mut self, number: CellId) {
        if let Some(Phase::Killed(ending)) = self.cells.get_mut(&number).map(|cell| &mut cell.phase)
        {
            ending.awaits_birth = false;
        }
    }

    /// A process has entered it.
    pub(crate) fn entered(&mut self, number: CellId, process: Child) -> Option<&mut Cell> {
        let cell = self.cells.get_mut(&number)?;
        self.by_pid.insert(process.pid, Ended::Entered(number));
        cell.entered = Entered::Inside(process);
        Some(cell)
    }

    /// The process that has entered it was reaped before it was known whose it is.
    pub(crate) fn forget_entered(&mut self, number: CellId) {
        if let Some(cell) = self.cells.get_mut(&number)
            && let Entered::Inside(child) = std::mem::replace(&mut cell.entered, Entered::Gone)
        {
            self.by_pid.remove(&child.pid);
        }
    }

    /// A process with this number was reaped: whose it was, if any's.
    pub(crate) fn reaped(&mut self, pid: i32) -> Option<Ended> {
        let whose = self.by_pid.remove(&pid)?;
        match whose {
            Ended::First(number) => self.cells.get_mut(&number)?.process = None,
            Ended::Entered(number) => self.cells.get_mut(&number)?.entered = Entered::Gone,
        }
        Some(whose)
    }

    /// Everything of it is gone: its id is free.
    pub(crate) fn remove(&mut self, number: CellId) {
        if let Some(cell) = self.cells.remove(&number) {
            self.by_pid.retain(|_, whose| whose.cell() != number);
            self.ids.give_back(cell.id);
        }
    }

    /// How many there are, in whatever phase.
    pub(crate) fn count(&self) -> usize {
        self.cells.len()
    }

    /// How many there are that nobody has asked to end.
    pub(crate) fn living(&self) -> usize {
        self.cells.values().filter(|cell| !matches!(cell.phase, Phase::Killed(_))).count()
    }
}

// === impl Ended ===

impl Ended {
    fn cell(self) -> CellId {
        match self {
            Self::First(number) | Self::Entered(number) => number,
        }
    }
}

// === impl Making ===

impl Making {
    /// Reads what its process has said since; whether that was the last.
    pub(crate) fn hear(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64];
        loop {
            match self.report.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(count) => self.said.extend_from_slice(&buffer[..count]),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
    }
}

// === impl Phase ===

impl Phase {
    /// What is kept of a cell that is being made.
    pub(crate) fn making(&mut self) -> Option<&mut Making> {
        match self {
            Self::Ordered(making) | Self::Born(making) => Some(making),
            Self::Ready | Self::Assigned | Self::Killed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
