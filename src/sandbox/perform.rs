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

use nix::errno::Errno;

pub use bear::{Becomes, Birth, bear};
pub use cell::{Draft, Finished, assign, finish, prepare};
pub use enter::{Outcome, read_outcome};
pub use start::{Sources, Stage, start};

use crate::cgroup::LeafError;
use crate::sys::privilege::CapabilityError;

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
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        out.push_str(": ");
        out.push_str(&source.to_string());
        next = source.source();
    }
    out
}

#[cfg(test)]
mod tests;
