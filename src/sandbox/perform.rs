//! The interpreter of [`crate::plan`]: each list of steps, executed in order by whom it is for.
//!
//! ```text
//!   start.rs    spawner, once        → Stage     what every cell is made from
//!   cell.rs     spawner, per cell    → Draft, then Finished; Assign
//!   bear.rs     maker, per cell      → a process with an identity
//!   enter.rs    that process         → the runner, or a report of the step that failed
//!   program.rs  a template's process → what its image says it executes
//! ```
//!
//! A failure names its step with the plan's own words, so that what an operator reads in a log is
//! what `hearth doctor --plan` prints.

mod bear;
mod cell;
mod enter;
mod program;
mod start;

use std::error::Error;
use std::io;

use nix::errno::Errno;

pub use bear::{Becomes, Birth, bear};
pub use cell::{Assignment, Draft, Finished, NotAssigned, assign, finish, prepare};
pub use enter::{Outcome, read_outcome};
pub use start::{Sources, Stage, start};

use crate::cgroup::LeafError;
use crate::sys::privilege::CapabilityError;

/// What the kernel says when there is too little of something. It has the same word for a limit of
/// one user and for the end of a resource of all.
const SHORTAGES: [Errno; 8] = [
    Errno::EAGAIN,
    Errno::EDQUOT,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOBUFS,
    Errno::ENOMEM,
    Errno::ENOSPC,
    Errno::EUSERS,
];

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
pub struct StepError {
    /// The step, in the plan's words.
    pub step: String,
    /// Why.
    #[source]
    pub cause: Cause,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A system call.
    #[error(transparent)]
    Call(#[from] Errno),
    /// A control group.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// A capability set.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
}

// === impl StepError ===

impl StepError {
    fn at(step: &impl crate::plan::Describe, cause: impl Into<Cause>) -> Self {
        Self { step: step.what(), cause: cause.into() }
    }
}

/// An error and everything behind it, in one line.
pub fn explain(error: &dyn Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        out.push_str(": ");
        out.push_str(&source.to_string());
        next = source.source();
    }
    out
}

/// Whether something failed because the machine, or this process, has too little of something now:
/// files, memory, processes, room on a disk. The same may succeed a moment later.
pub fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    let errno_of = |err: &(dyn Error + 'static)| {
        let call = err.downcast_ref::<Errno>().copied();
        let call = call.or_else(|| match err.downcast_ref::<Cause>() {
            Some(Cause::Call(errno)) => Some(*errno),
            _ => None,
        });
        call.or_else(|| {
            let file = err.downcast_ref::<io::Error>()?;
            file.raw_os_error().map(Errno::from_raw)
        })
    };
    let chain = std::iter::successors(Some(error), |err| (*err).source());
    chain.filter_map(errno_of).any(|errno| SHORTAGES.contains(&errno))
}

#[cfg(test)]
mod tests;
