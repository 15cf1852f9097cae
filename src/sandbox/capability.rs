//! What the privileged processes keep once everything is set up.
//!
//! Found by experiment, by removing one at a time from everything a spawner does. `CAP_SYS_ADMIN`
//! keeps it root-like; the small set limits accidents, while the wall around the spawner is its size
//! and its closed set of operations.

use caps::CapsHashSet;
use nix::sys::prctl;

pub use caps::Capability;

use crate::seccomp::Policy;
use crate::sys::privilege::{
    CapabilityError, bound_capabilities, lock_securebits, reduce_capabilities,
};

/// What is needed beside [`SPAWNER`] and [`OUTER`] to get that far, from the first directory to the
/// maker: the bounding set of the spawner's service is these three together.
pub const START: [(Capability, &str); 9] = [
    (Capability::CAP_CHOWN, "giving the data directory to the control plane"),
    (Capability::CAP_FOWNER, "closing the data directory to others"),
    (
        Capability::CAP_SETUID,
        "acting with the control plane's rights; writing the nursery's uid_map",
    ),
    (
        Capability::CAP_SETGID,
        "acting with the control plane's rights; writing the nursery's gid_map",
    ),
    (Capability::CAP_SETFCAP, "mapping an id that is root in the nursery"),
    (Capability::CAP_SETPCAP, "emptying the bounding set"),
    (Capability::CAP_MKNOD, "the devices of every cell"),
    (Capability::CAP_NET_ADMIN, "namespaces of the network"),
    (Capability::CAP_SYS_RESOURCE, "raising limits, where the unit has not"),
];

/// What the spawner proper keeps, and for what.
pub const SPAWNER: [(Capability, &str); 5] = [
    (Capability::CAP_SYS_ADMIN, "open_tree, mount_setattr, entering a cell's namespaces"),
    (Capability::CAP_SYS_CHROOT, "entering a cell's mount namespace"),
    (Capability::CAP_SYS_PTRACE, "naming a cell's namespaces by its pidfd: it has another id"),
    (Capability::CAP_KILL, "ending a process that has not joined its control groups yet"),
    (Capability::CAP_DAC_READ_SEARCH, "finding code in the control plane's private directory"),
];

/// What the maker keeps, in the nursery; it has none outside. Over cells it has every capability
/// whatever it keeps, because it is their owner.
pub const MAKER: [(Capability, &str); 4] = [
    (Capability::CAP_SETUID, "writing uid_map; a template's id"),
    (Capability::CAP_SETGID, "writing gid_map; a template's group"),
    (Capability::CAP_SYS_ADMIN, "the namespaces and mounts of a template"),
    (Capability::CAP_SETPCAP, "emptying a template's bounding set"),
];

/// What the outer process keeps while it waits. It passes SIGTERM on to a process of its own id, which
/// takes none.
pub const OUTER: [(Capability, &str); 1] =
    [(Capability::CAP_DAC_OVERRIDE, "removing control groups beneath a delegated group")];

/// Why a process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// A capability set.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// The securebits.
    #[error("lock the securebits: {0}")]
    Securebits(nix::errno::Errno),
    /// Setting no_new_privs.
    #[error("set no_new_privs: {0}")]
    NoNewPrivileges(nix::errno::Errno),
    /// Setting the process undumpable.
    #[error("set undumpable: {0}")]
    Dumpable(nix::errno::Errno),
    /// Loading the filter.
    #[error("load the system-call filter: {0}")]
    Filter(nix::errno::Errno),
}

/// Gives up all that the outer process does not need while it waits.
///
/// An ordinary user's never had any capability. It keeps what it cannot be rid of, a bounding set, and
/// gives up the ways by which that could ever matter.
///
/// # Errors
/// Whatever could not be given up; the process must not go on.
pub fn confine_outer() -> Result<(), ConfineError> {
    if nix::unistd::geteuid().is_root() {
        return confine(&OUTER);
    }
    reduce_capabilities(&CapsHashSet::new())?;
    prctl::set_no_new_privs().map_err(ConfineError::NoNewPrivileges)
}

/// Gives up every capability but these, for ever.
///
/// # Errors
/// Whatever could not be given up; the process must not go on.
pub fn confine(keep: &[(Capability, &str)]) -> Result<(), ConfineError> {
    let keep: CapsHashSet = keep.iter().map(|(capability, _)| *capability).collect();
    bound_capabilities(&keep)?;
    lock_securebits().map_err(ConfineError::Securebits)?;
    reduce_capabilities(&keep)?;
    prctl::set_no_new_privs().map_err(ConfineError::NoNewPrivileges)
}

/// Closes the last door: nobody with our id can trace us or read our memory, a crash leaves none of
/// it behind, and what the policy forbids is forbidden for ever. After [`confine`], or wherever
/// no_new_privs is set otherwise.
///
/// # Errors
/// Whatever could not be done; the process must not go on.
pub fn seal(policy: &Policy) -> Result<(), ConfineError> {
    prctl::set_dumpable(false).map_err(ConfineError::Dumpable)?;
    policy.load().map_err(ConfineError::Filter)
}
