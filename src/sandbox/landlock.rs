//! A second layer beneath the mounts: which of what it can reach a process may touch at all.
//!
//! The mounts of a cell decide what there is, and are the wall. Landlock says once more, in other
//! words and in another part of the kernel, what may be done with it: a mount that is writable by
//! mistake, a directory of the host that leaks in as a descriptor, a device node too many are each
//! refused although the mounts would let them pass. A domain is for ever and for all descendants,
//! and takes mounting away along with the rest.
//!
//! ```text
//!   /                                    read, list, execute     with what is mounted beneath, also later
//!   /tmp                                 everything but device nodes
//!   /dev/{null,zero,full,random,urandom} read, write
//!   signals, abstract sockets            only within the cell
//! ```
//!
//! A template has a domain of its own, which its forks inherit beneath theirs: it must grant whatever a
//! cell's does. It takes away what no rule can give back: mounting, and looking into whoever is in
//! another domain, which is everybody.
//!
//! What is handled depends on the kernel: see [`Abi`]. TCP ports are not handled: a rule names one
//! port, a function may use them all, and the network namespace holds nothing but its own loopback.
//!
//! A rule pins the object it was made for, and `/tmp` is each cell's own, so a ruleset cannot be made
//! once for all: each cell makes its own, in the time of a few dozen system calls.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use ::landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::sys::privilege;

/// How much of Landlock a kernel has; `0` where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abi(u8);

/// What a domain allows beneath one file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Read, list, execute.
    Use,
    /// Read and write, but no `ioctl`.
    Device,
    /// Everything but making and controlling devices.
    Own,
}

/// What a cell may touch.
pub const CELL: [(&str, Grant); 7] = [
    ("/", Grant::Use),
    ("/tmp", Grant::Own),
    ("/dev/null", Grant::Device),
    ("/dev/zero", Grant::Device),
    ("/dev/full", Grant::Device),
    ("/dev/random", Grant::Device),
    ("/dev/urandom", Grant::Device),
];

/// What a template may touch. It has no file system that could be written to; its forks have `/tmp`,
/// which did not exist when this domain was made, and which lies beneath the same root.
pub const TEMPLATE: [(&str, Grant); 1] = [("/", Grant::Own)];

/// A domain in the kernel's own numbers, for a program that makes it without this library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// `handled_access_fs`.
    pub handled: u64,
    /// `scoped`.
    pub scoped: u64,
    /// Paths, and what is allowed beneath each.
    pub rules: Vec<(&'static str, u64)>,
}

/// The oldest of use: the first one refuses every rename between two directories, also in `/tmp`.
const OLDEST: Abi = Abi(2);
/// The newest that has been tried, on Linux 6.18. What a later one adds is not handled.
const NEWEST: Abi = Abi(7);

/// What each step brought that cells use: from which ABI on, what, and with which kernel.
const BROUGHT: [(Abi, &str, &str); 4] = [
    (OLDEST, "reading, writing and executing files", "5.19"),
    (Abi(3), "truncating files", "6.2"),
    (Abi(5), "controlling devices", "6.10"),
    (Abi(6), "signals and abstract sockets", "6.12"),
];

/// Puts this thread, and whatever comes from it, into a new domain; needs no_new_privs.
///
/// # Errors
/// What opening a path or one of Landlock's three calls returned. Nothing is restricted then.
pub fn enter(abi: Abi, rules: &[(&str, Grant)]) -> nix::Result<()> {
    let paths: Vec<(OwnedFd, Grant)> = rules
        .iter()
        .map(|(path, grant)| {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            Ok((open(Path::new(path), flags, Mode::empty())?, *grant))
        })
        .collect::<nix::Result<_>>()?;
    restrict(abi, paths).map_err(|err| errno(&err))
}

/// What [`enter`] would do; `None` where there is no Landlock.
pub fn recipe(abi: Abi, rules: &[(&'static str, Grant)]) -> Option<Recipe> {
    let version = ABI::from(i32::from(abi.0));
    abi.is_there().then(|| Recipe {
        handled: AccessFs::from_all(version).bits(),
        scoped: Scope::from_all(version).bits(),
        rules: rules.iter().map(|(path, grant)| (*path, grant.access(version).bits())).collect(),
    })
}

fn restrict(abi: Abi, paths: Vec<(OwnedFd, Grant)>) -> Result<(), RulesetError> {
    let version = ABI::from(i32::from(abi.0));
    // All there is in this ABI, or an error: whatever is less has been decided by then.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(version))?;
    let scopes = Scope::from_all(version);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    let mut created = ruleset.create()?.no_new_privs(false);
    for (path, grant) in paths {
        created = created.add_rule(PathBeneath::new(path, grant.access(version)))?;
    }
    created.restrict_self().map(drop)
}

/// The `errno` at the bottom of an error of the library's.
fn errno(error: &RulesetError) -> Errno {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let call = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if let Some(number) = call {
            return Errno::from_raw(number);
        }
        next = error.source();
    }
    // Not a call of the kernel's: a rule that the library itself finds wanting.
    Errno::EINVAL
}

// === impl Abi ===

impl Abi {
    /// No Landlock.
    pub const NONE: Self = Self(0);

    /// What the running kernel has, as far as it is used.
    pub fn of_kernel() -> Self {
        Self::usable(privilege::landlock_version())
    }

    /// As the kernel numbers it, brought into the range that is used.
    pub(crate) fn usable(version: u8) -> Self {
        let abi = Self(version).min(NEWEST);
        if abi < OLDEST { Self::NONE } else { abi }
    }

    /// Whether there is any.
    pub fn is_there(self) -> bool {
        self != Self::NONE
    }

    /// Whether a domain ends what a process may signal, and which abstract sockets it may reach.
    pub fn has_scopes(self) -> bool {
        self >= Self(6)
    }

    /// What it restricts, in words.
    pub fn covers(self) -> Vec<&'static str> {
        let brought = BROUGHT.iter().filter(|(since, ..)| *since <= self);
        brought.map(|(_, what, _)| *what).collect()
    }

    /// What a later kernel would restrict as well, and the first that does.
    pub fn lacks(self) -> Vec<(&'static str, &'static str)> {
        let missing = BROUGHT.iter().filter(|(since, ..)| *since > self);
        missing.map(|(_, what, kernel)| (*what, *kernel)).collect()
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ABI {}", self.0)
    }
}

// === impl Grant ===

impl Grant {
    fn access(self, version: ABI) -> BitFlags<AccessFs> {
        let devices = make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
        match self {
            Self::Use => AccessFs::from_read(version),
            Self::Device => make_bitflags!(AccessFs::{ReadFile | WriteFile}),
            Self::Own => AccessFs::from_all(version) & !devices,
        }
    }
}

#[cfg(test)]
mod tests;
