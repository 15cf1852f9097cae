//! System-call filters: what a sandbox may call, and what our own processes may.
//!
//! ```text
//!   table.rs   which call of a function, what is decided about it, why    ┐ the part to review
//!   own.rs     the same for the spawner, the maker and the control plane  ┘
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
//! `EPERM` to a function, and ends a spawner. Foreign architectures end the process: their numbers
//! mean other calls.
//!
//! What each policy decides about every number stands once more in `golden/`, where a change of the
//! tables shows as what it does.

mod arch;
mod emit;
mod own;
mod rules;
mod table;

use std::collections::BTreeMap;

use crate::sys::privilege::load_filter;

pub use emit::{Program, program};

/// What a filter decides about one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Always the same.
    Always(Verdict),
    /// Its arguments decide.
    Arguments(&'static [Rule]),
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through.
    Allow,
    /// It fails with this `errno` and does nothing.
    Refuse(i32),
    /// The process ends by `SIGSYS`, as if killed: it is not what it was any more.
    Kill,
}

/// The first rule whose conditions all hold decides; the last one of a list has no conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub when: &'static [Condition],
    /// What is decided.
    pub then: Verdict,
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
    /// The argument, a pointer, is null (both halves are).
    Absent(u8),
}

/// A line of a table.
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
    /// About a number that has a meaning and no entry.
    otherwise: Verdict,
}

// === impl Policy ===

impl Policy {
    /// What a program that was executed in a cell lives under, from its first instruction: this is what
    /// [`Policy::maker`] and [`Policy::cell`] come to together.
    pub fn complete() -> Self {
        Self::new(table::entries(), Verdict::Refuse(libc::EPERM))
    }

    /// The maker's, which every cell inherits: what a function may do, and what making cells takes.
    ///
    /// It ends nobody for a call it does not know: of two filters the sterner one decides, and to a
    /// function such a call is refused.
    pub fn maker() -> Self {
        let mut policy = Self::complete();
        policy.entries.extend(own::maker().map(|entry| (entry.number, entry.decision)));
        policy
    }

    /// What a cell loads on top of the maker's, which it has inherited: of the calls that making it
    /// took, each is again what it is to a function. About all others the maker's decides alike, and
    /// deciding them twice would double the time that loading takes.
    pub fn cell() -> Self {
        let function = Self::complete();
        let own = own::maker().map(|entry| (entry.number, function.decide(entry.number)));
        Self { entries: own.collect(), otherwise: Verdict::Allow }
    }

    /// A template's, on top of the maker's: what a function may do, and what forking into a cell takes.
    ///
    /// Its forks inherit it, and no filter can be taken back: it cannot refuse what a function may
    /// do, such as signals, however little a template needs them.
    pub fn template() -> Self {
        let mut policy = Self::complete();
        policy.entries.extend(own::template().map(|entry| (entry.number, entry.decision)));
        policy
    }

    /// What a template's fork loads on top of the template's, once it is in its cell: each call that
    /// getting there took is again what it is to a function. Together they are [`Policy::complete`].
    pub fn last() -> Self {
        let function = Self::complete();
        let own = own::template().map(|entry| (entry.number, function.decide(entry.number)));
        Self { entries: own.collect(), otherwise: Verdict::Allow }
    }

    /// The spawner proper's, once the maker is forked: no process, no program, no new code.
    pub fn spawner() -> Self {
        Self::new(own::spawner(), Verdict::Kill)
    }

    /// The outer process's, while it waits and cleans up.
    pub fn outer() -> Self {
        Self::new(own::outer(), Verdict::Kill)
    }

    /// The control plane's, once the root phase is over: a list of what it never does, because what
    /// it does depends on libraries above the privilege line.
    pub fn control_plane() -> Self {
        Self::new(own::control_plane(), Verdict::Allow)
    }

    fn new(entries: impl Iterator<Item = &'static Entry>, otherwise: Verdict) -> Self {
        let entries = entries.map(|entry| (entry.number, entry.decision)).collect();
        Self { entries, otherwise }
    }

    /// The same policy with another decision about one call.
    ///
    /// A process that is to fork into a cell needs a few calls more until it is inside; whoever
    /// builds that filter says so here, call by call.
    pub fn with(mut self, number: u32, decision: Decision) -> Self {
        self.entries.insert(number, decision);
        self
    }

    /// Loads it into this process, for ever.
    ///
    /// # Errors
    /// What `seccomp` returns: `EACCES` without no_new_privs.
    pub fn load(&self) -> nix::Result<()> {
        load_filter(program(self).instructions())
    }

    /// What is decided about a number of this architecture.
    pub fn decide(&self, number: u32) -> Decision {
        let (from, to) = arch::GAP;
        match self.entries.get(&number) {
            Some(decision) => *decision,
            None if number > arch::HIGHEST || (from..=to).contains(&number) => {
                Decision::Always(Verdict::Refuse(libc::ENOSYS))
            }
            None => Decision::Always(self.otherwise),
        }
    }
}

/// The table behind [`Policy::complete`], for printing.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    table::entries()
}

#[cfg(test)]
mod tests;
