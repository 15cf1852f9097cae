//! Where the time of a cold start went, and what stood ready for it.
//!
//! ```text
//!   event arrives     start begins                                    ready     answered
//!        │── queue ──────►│── acquire ──►│── process ─►│── assign ─►│── init ─►│──── answer ───►│
//!                           sandbox in     forked or     code and     handler    handler has
//!                           hand           executed      limits       loaded     run
//! ```
//!
//! The phases up to *init* belong to an instance and are known when it can serve. *Queue* and
//! *answer* belong to the first event it serves, so they are added when that one is answered. Which of
//! *process* and *assign* comes first depends on the rung; each is counted for itself.

use std::time::Duration;

use telemetry::metrics::Start;

/// What stood ready when an instance was started, from much to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rung {
    /// A sandbox with an interpreter in it that has run nothing of a user's.
    Spare,
    /// A sandbox, and a snapshot of the initialised function to be restored in it.
    Snapshot,
    /// A sandbox, and a template to fork into it.
    Fork,
    /// A sandbox; the program was executed in it.
    Exec,
    /// Nothing: the sandbox was made for this start, and the program executed in it.
    Make,
}

/// How long each part of one cold start took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// From the arrival of the first event until the start began.
    pub queue: Duration,
    /// Until a sandbox was in hand, with a process in it or without.
    pub acquire: Duration,
    /// Forking or executing the process; nothing where it was there already.
    pub process: Duration,
    /// Mounting the code and setting the limits.
    pub assign: Duration,
    /// From the process's environment until its handler could be called.
    pub init: Duration,
    /// From the delivery of the first event until its answer.
    pub answer: Duration,
}

/// One cold start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdStart {
    /// What stood ready.
    pub rung: Rung,
    /// Where the time went.
    pub phases: Phases,
}

// === impl Rung ===

impl Rung {
    /// Every rung, the quickest first.
    pub const ALL: [Self; 5] = [Self::Spare, Self::Snapshot, Self::Fork, Self::Exec, Self::Make];

    /// The word for it in metrics, descriptions and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spare => "spare",
            Self::Snapshot => "snapshot",
            Self::Fork => "fork",
            Self::Exec => "exec",
            Self::Make => "make",
        }
    }

    /// Under what it is counted.
    pub(crate) fn counted(self) -> Start {
        match self {
            Self::Spare => Start::Spare,
            Self::Snapshot => Start::Snapshot,
            Self::Fork => Start::Fork,
            Self::Exec => Start::Exec,
            Self::Make => Start::Make,
        }
    }
}
