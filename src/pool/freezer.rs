//! An instance that nobody calls is stopped where it stands, and goes on when somebody does.
//!
//! ```text
//!             seen idle       grace over             still idle
//!   ┌───────┐ ────────► ┌──────┐ ───► ┌──────────┐ ─────────► ┌────────┐
//!   │ awake │           │ seen │      │ freezing │            │ frozen │
//!   └───────┘ ◄──────── └──────┘      └────┬─────┘            └───┬────┘
//!       ▲       an event                   │ an event             │ an event: one write, by the
//!       │                                  ▼                      │ task that delivers it
//!       ├──────────────────── let go again by who froze it        │
//!       └─────────────────────────────────────────────────────────┘
//! ```
//!
//! One task freezes ([`governor`](crate::governor)); any task may have an event. Neither waits for the
//! other: the state is one number, how many events are in hand and how far freezing has come, and
//! whoever finds the other half-way leaves the rest to him. On the path of an invocation that is one
//! addition if the instance is awake, and one write more if it is frozen.
//!
//! Version 2's freezer only: what it holds can still be killed, and its memory looked at. An instance
//! whose cell came without one stays awake.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How long an instance has to be idle before it is frozen. Stopping and letting go cost up to 0.1 ms
/// together, so that a function called twice a second pays nothing; what goes on in a second after an
/// answer is little beside what runs for minutes.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// How far freezing has come; the bits beneath count events.
const SEEN: u32 = 1 << 29;
const FREEZING: u32 = 1 << 30;
const FROZEN: u32 = 1 << 31;
const EVENTS: u32 = SEEN - 1;

/// Whether one instance may run.
#[derive(Debug)]
pub(crate) struct Freezer {
    /// `cgroup.freeze` of its cell.
    file: Option<OwnedFd>,
    state: AtomicU32,
    /// When it was first seen idle, nanoseconds of the pool's time; the governor's.
    since: AtomicU64,
}

/// What the governor is to do about an idle instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: it has an event, or cannot be frozen.
    None,
    /// Look again then.
    Until(Duration),
    /// Freeze it.
    Due,
    /// It is frozen.
    Frozen,
}

// === impl Freezer ===

impl Freezer {
    pub(crate) fn new(file: Option<OwnedFd>) -> Self {
        Self { file, state: AtomicU32::new(0), since: AtomicU64::new(0) }
    }

    /// An event is about to be delivered: the instance runs from here on. Whether it was frozen.
    pub(crate) fn hold(&self) -> bool {
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        if before & !EVENTS == 0 {
            return false;
        }
        // Who freezes sees the event when he is done, and lets it go himself.
        self.state.fetch_and(!(SEEN | FROZEN), Ordering::AcqRel);
        if before & FROZEN != 0 {
            self.write(b"0");
        }
        before & FROZEN != 0
    }

    /// The event was answered, to the end.
    pub(crate) fn release(&self) {
        self.state.fetch_sub(1, Ordering::AcqRel);
    }

    /// Looks at an instance that seems idle. The governor's alone.
    pub(crate) fn look(&self, now: Duration) -> Rest {
        if self.file.is_none() {
            return Rest::None;
        }
        match self.state.load(Ordering::Acquire) {
            0 => {
                let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
                self.since.store(nanos, Ordering::Relaxed);
                match self.step(0, SEEN) {
                    true => Rest::Until(now + GRACE),
                    false => Rest::None,
                }
            }
            SEEN => {
                let until = Duration::from_nanos(self.since.load(Ordering::Relaxed)) + GRACE;
                if until <= now { Rest::Due } else { Rest::Until(until) }
            }
            FROZEN => Rest::Frozen,
            _ => Rest::None,
        }
    }

    /// Stops an instance that was found due; whether it now stands still. The governor's alone.
    pub(crate) fn freeze(&self) -> bool {
        if !self.step(SEEN, FREEZING) {
            return false;
        }
        let written = self.write(b"1");
        if written && self.step(FREEZING, FROZEN) {
            return true;
        }
        // An event came meanwhile, or the kernel would not.
        self.write(b"0");
        self.state.fetch_and(!FREEZING, Ordering::AcqRel);
        false
    }

    /// Whether it stands still.
    #[cfg(test)]
    pub(crate) fn is_frozen(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FROZEN
    }

    fn step(&self, from: u32, to: u32) -> bool {
        let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        self.state.compare_exchange(from, to, acquire, relaxed).is_ok()
    }

    fn write(&self, state: &[u8]) -> bool {
        let Some(file) = &self.file else { return false };
        match rustix::io::write(file, state) {
            Ok(_) => true,
            // The cell is gone: it has neither to be stopped nor to be let go.
            Err(rustix::io::Errno::NODEV) => false,
            Err(err) => {
                tracing::warn!(%err, "an instance could not be frozen or let go");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
