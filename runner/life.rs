//! What a runner is in the middle of, without a system call in sight.
//!
//! ```text
//!               started               PID 2 ended            childless
//!   Waiting ───────────────► Running ─────────────► Clearing ──────────► exit 0
//!     │ ▲                       │                      │
//!     └─┘ not started           └──── socket closed ───┴───────────────► exit 0
//! ```
//!
//! One program is executed in a sandbox's life; an attempt the kernel refused leaves nothing behind
//! and may be followed by another. Signals reach the program only while it is known to exist, so a
//! number is never sent to a process id that has been buried and could be somebody else's.

use wire::runner::Report;

/// Where a runner stands; changed by [`crate::supervisor`] alone, as things happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Nothing has been executed; children there may be, of attempts that failed.
    Waiting,
    /// The function's process exists, or has ended and is not buried yet.
    Running {
        /// Its process id.
        pid: i32,
    },
    /// The function's process is buried; what it left behind is being killed and buried.
    Clearing,
}

// === impl Life ===

impl Life {
    /// Takes note of what became of an attempt to execute a program; the answer to send.
    pub(crate) fn attempted(&mut self, outcome: Result<i32, i32>) -> Report {
        match outcome {
            Ok(pid) => {
                *self = Self::Running { pid };
                Report::Executed { pid: pid.unsigned_abs() }
            }
            Err(errno) => Report::Refused { errno: errno.unsigned_abs() },
        }
    }

    /// Takes note of a buried child; a report if it was the function's process.
    pub(crate) fn buried(&mut self, child: i32, status: i32) -> Option<Report> {
        match *self {
            Self::Running { pid } if pid == child => {
                *self = Self::Clearing;
                Some(Report::Exited { status: status as u32 })
            }
            _ => None,
        }
    }

    /// Whether a program may be executed now.
    pub(crate) fn is_waiting(self) -> bool {
        self == Self::Waiting
    }

    /// The function's process, if a signal can reach it.
    pub(crate) fn function(self) -> Option<i32> {
        match self {
            Self::Running { pid } => Some(pid),
            Self::Waiting | Self::Clearing => None,
        }
    }

    /// Whether a runner without children has nothing left to do.
    pub(crate) fn is_over(self) -> bool {
        self == Self::Clearing
    }
}

#[cfg(test)]
mod tests;
