//! The system-call filter of a sandbox: an allowlist with a reason per entry, as a search tree.
//!
//! ```text
//!   table.rs   which call, what is decided about it, why        (the part to review)
//!   rules.rs   decisions that depend on arguments
//!      ▼
//!   Policy     one decision per number                          (pure)
//!      ▼
//!   emit.rs    ranges of equal decisions → balanced tree of BPF (pure)
//!      ▼
//!   sys::privilege::load_filter
//! ```
//!
//! A linear chain of comparisons, which is what the usual libraries emit, takes the kernel about
//! 0.3 ms to load, because it runs the filter once for every system call to find out which are always
//! allowed. The tree takes a tenth of that.
//!
//! A number that no kernel of this architecture had when the table was written answers `ENOSYS`, so
//! that programs that probe for something new fall back; what is known and not listed answers
//! `EPERM`. Foreign architectures end the process: their numbers mean other calls.

mod arch;
mod emit;
mod rules;
mod table;

use std::collections::BTreeMap;

pub use emit::{Program, program};

/// What a filter decides about one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It goes through.
    Allow,
    /// It fails with this `errno` and does nothing.
    Refuse(i32),
    /// Its arguments decide.
    Arguments(&'static [Rule]),
}

/// The first rule whose conditions all hold decides; the last one of a list has no conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub when: &'static [Condition],
    /// `None` allows, `Some(errno)` refuses.
    pub refuse: Option<i32>,
}

/// A condition on the low 32 bits of one argument.
///
/// All arguments that are looked at are `int`s or flags below bit 32: the kernel itself ignores the
/// upper half, so a filter that looked at it could be deceived by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The argument is this.
    Is(u8, u32),
    /// The argument, masked, is this.
    Masked(u8, u32, u32),
    /// The argument has at least one of these bits.
    Any(u8, u32),
    /// The argument, a pointer, is not null (either half is set).
    Given(u8),
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The call's name.
    pub name: &'static str,
    /// Its number on this architecture.
    pub number: u32,
    /// What is decided.
    pub decision: Decision,
    /// Why, for whoever reviews or prints it.
    pub why: &'static str,
}

/// One decision per system call.
#[derive(Debug, Clone)]
pub struct Policy {
    entries: BTreeMap<u32, Decision>,
}

// === impl Policy ===

impl Policy {
    /// What a program that was executed in a cell lives under, from its first instruction.
    pub fn complete() -> Self {
        let entries = table::entries().map(|entry| (entry.number, entry.decision)).collect();
        Self { entries }
    }

    /// The same policy with another decision about one call.
    ///
    /// A process that is to fork into a cell needs a few calls more until it is inside; whoever
    /// builds that filter says so here, call by call.
    pub fn with(mut self, number: u32, decision: Decision) -> Self {
        self.entries.insert(number, decision);
        self
    }

    /// What is decided about a number of this architecture.
    pub fn decide(&self, number: u32) -> Decision {
        match self.entries.get(&number) {
            Some(decision) => *decision,
            None if number > arch::HIGHEST => Decision::Refuse(libc::ENOSYS),
            None => Decision::Refuse(libc::EPERM),
        }
    }
}

/// The table behind [`Policy::complete`], for printing.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    table::entries()
}

#[cfg(test)]
mod tests;
