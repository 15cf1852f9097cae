//! Snapshots of initialised functions, from which their instances are restored.
//!
//! ```text
//!   published ──► Taking ──► Kept ──────────────────────────────► restored, again and again
//!                   ▲  │      │ fails to be restored, again and again ──► gone: instances initialise
//!    the first call │  │      │ others need the room
//!                Expected ◄───┘
//!                   ▲
//!                   └── a version that had one, in a process that has ended
//! ```
//!
//! A snapshot is bytes: what one process of one version's was made of when it had initialised. It was
//! written by that process, in a sandbox like any other, and is read by programs in sandboxes of the same
//! version, and by nobody else: nothing here, nor in the spawner, looks into it. It lies in memory that
//! has no name, and is sealed before the first sandbox gets to see it. It goes with its version, and
//! whatever happens with this process.
//!
//! Memory that instances do not change is the snapshot's own, once for all of them.

mod restore;
mod take;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Generation;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::sync::Semaphore;

pub(crate) use restore::{RestoreError, restore};
pub(crate) use take::{retake, take};

/// How many are taken at a time: each is an initialisation, which may use a processor or two.
const AT_A_TIME: usize = 2;
/// What all of them may hold together, as a part of what the machine has to give at the time: a quarter.
const SHARE: u64 = 4;
/// How often one may fail to be restored in a row. One failure may be its cell's fault.
const PATIENCE: u32 = 3;

/// Why there is no snapshot of a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It initialises, and could not be restored from what it is then.
    #[error("no snapshot can be taken: {reason}")]
    Unfit {
        /// What stands in the way, for its owner.
        reason: String,
    },
    /// It does not initialise.
    #[error("it does not initialise: {reason}")]
    Failed {
        /// In the runtime's words.
        reason: String,
    },
    /// It had not initialised in time.
    #[error("it did not initialise within {} s", limit.as_secs())]
    TimedOut {
        /// What it had.
        limit: Duration,
    },
    /// There was no room, now.
    #[error("no snapshot could be taken: {detail}")]
    Unavailable {
        /// Which step failed and why; for the operator.
        detail: String,
    },
    /// The spawner is gone, or the pool stops.
    #[error("the service is stopping")]
    Closed,
}

/// All there are.
#[derive(Debug)]
pub(crate) struct Snapshots {
    kept: Mutex<Kept>,
    /// Whose turn it is to take one.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct Kept {
    states: HashMap<Generation, State>,
    /// Counts uses, to know which was not used for the longest time.
    clock: u64,
}

#[derive(Debug)]
enum State {
    /// It is to be taken as soon as somebody calls its version.
    Expected,
    /// It is being taken.
    Taking,
    /// There it is, and when it was last used.
    Kept(Arc<Snapshot>, u64),
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Snapshot {
    memory: OwnedFd,
    bytes: u64,
    /// How often it could not be restored, in a row.
    failures: AtomicU32,
}

/// One that is being written.
#[derive(Debug)]
struct Draft {
    memory: OwnedFd,
    bytes: u64,
}

// === impl Snapshots ===

impl Snapshots {
    /// None.
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), turn: Semaphore::new(AT_A_TIME) }
    }

    /// That of a version, to be restored.
    pub(crate) fn get(&self, generation: Generation) -> Option<Arc<Snapshot>> {
        let mut kept = self.kept();
        kept.clock += 1;
        let now = kept.clock;
        match kept.states.get_mut(&generation) {
            Some(State::Kept(snapshot, used)) => {
                *used = now;
                Some(Arc::clone(snapshot))
            }
            _ => None,
        }
    }

    /// There is to be one as soon as somebody calls the version.
    pub(crate) fn expect(&self, generation: Generation) {
        self.kept().states.entry(generation).or_insert(State::Expected);
    }

    /// Whether one that is expected is to be taken now, by whoever asks.
    pub(crate) fn is_due(&self, generation: Generation) -> bool {
        let mut kept = self.kept();
        match kept.states.get_mut(&generation) {
            Some(state @ State::Expected) => {
                *state = State::Taking;
                true
            }
            _ => false,
        }
    }

    /// Its version is gone.
    pub(crate) fn forget(&self, generation: Generation) {
        self.kept().states.remove(&generation);
    }

    /// Somebody takes one.
    fn begin(&self, generation: Generation) {
        self.kept().states.insert(generation, State::Taking);
    }

    /// It was taken; those that were not used for the longest time make room for it. False if it is not
    /// kept, because its version is gone meanwhile.
    fn keep(&self, generation: Generation, snapshot: Arc<Snapshot>, room: u64) -> bool {
        let mut kept = self.kept();
        if !matches!(kept.states.get(&generation), Some(State::Taking)) {
            return false;
        }
        while kept.bytes() + snapshot.bytes > room {
            let Some(oldest) = kept.oldest() else { break };
            kept.states.insert(oldest, State::Expected);
        }
        let now = kept.clock;
        kept.states.insert(generation, State::Kept(snapshot, now));
        true
    }

    /// It was not. If it was expected, it is no longer.
    fn give_up(&self, generation: Generation) {
        let mut kept = self.kept();
        if let Some(State::Taking) = kept.states.get(&generation) {
            kept.states.remove(&generation);
        }
    }

    /// One could not be restored; after some times it is not tried again.
    pub(crate) fn failed(&self, generation: Generation, snapshot: &Arc<Snapshot>) {
        if snapshot.failures.fetch_add(1, Ordering::Relaxed) + 1 < PATIENCE {
            return;
        }
        let mut kept = self.kept();
        if let Some(State::Kept(current, _)) = kept.states.get(&generation)
            && Arc::ptr_eq(current, snapshot)
        {
            kept.states.remove(&generation);
            tracing::warn!(
                generation = generation.0,
                "a snapshot is given up: it cannot be restored"
            );
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn bytes(&self) -> u64 {
        let bytes = |state: &State| match state {
            State::Kept(snapshot, _) => snapshot.bytes,
            State::Expected | State::Taking => 0,
        };
        self.states.values().map(bytes).sum()
    }

    fn oldest(&self) -> Option<Generation> {
        let used = self.states.iter().filter_map(|(generation, state)| match state {
            State::Kept(_, used) => Some((*used, *generation)),
            State::Expected | State::Taking => None,
        });
        used.min().map(|(_, generation)| generation)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// It was restored.
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }
}

impl AsFd for Snapshot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

// === impl Draft ===

impl Draft {
    fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = match memfd_create("snapshot", flags | MemfdFlags::NOEXEC_SEAL) {
            // Before Linux 6.3 nobody could say that it is not to be executed.
            Err(rustix::io::Errno::INVAL) => memfd_create("snapshot", flags)?,
            other => other?,
        };
        Ok(Self { memory, bytes: 0 })
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = rustix::io::write(&self.memory, bytes)?;
            self.bytes += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Nobody changes it any more, whoever gets it.
    fn seal(self) -> io::Result<Snapshot> {
        let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&self.memory, all)?;
        Ok(Snapshot { memory: self.memory, bytes: self.bytes, failures: AtomicU32::new(0) })
    }
}

#[cfg(test)]
mod tests;
