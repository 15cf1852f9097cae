//! What a process may do, and giving it up: capabilities, securebits, keyring, system-call filter.
//!
//! Capability sets go through the `caps` crate; the calls it lacks are here.

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;

/// A system-call filter in the kernel's classic BPF.
pub type Instruction = libc::sock_filter;

/// Why capabilities could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// A set could not be written.
    #[error("capability set {set}: {source}")]
    Set {
        /// Which of the five.
        set: &'static str,
        /// What the call said.
        #[source]
        source: caps::errors::CapsError,
    },
    /// The locks could not be set.
    #[error("securebits: {0}")]
    Securebits(Errno),
}

/// Every securebit that takes something away from uid 0, and the locks that keep it so.
///
/// `NO_SETUID_FIXUP` only says that changing the uid does not change capabilities by itself: there
/// are none left to change.
const LOCKED: libc::c_int = libc::SECBIT_NOROOT
    | libc::SECBIT_NOROOT_LOCKED
    | libc::SECBIT_NO_SETUID_FIXUP
    | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
    | libc::SECBIT_KEEP_CAPS_LOCKED
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

/// Behind `CAP_CHECKPOINT_RESTORE`, the last the library knows.
const FIRST_UNKNOWN_CAPABILITY: libc::c_ulong = 41;

/// Lets credentials change without the kernel adjusting capabilities along with them.
///
/// # Errors
/// What `prctl` returns.
pub fn keep_capabilities_across_setuid() -> nix::Result<()> {
    set_securebits(libc::SECBIT_NO_SETUID_FIXUP)
}

/// Locks every securebit that takes something away; needs `CAP_SETPCAP`, and is for ever.
///
/// # Errors
/// What `prctl` returns.
pub fn lock_securebits() -> nix::Result<()> {
    set_securebits(LOCKED)
}

/// Whether [`lock_securebits`] has been here.
pub fn securebits_are_locked() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_GET_SECUREBITS, 0, 0, 0, 0) == LOCKED }
}

fn set_securebits(bits: libc::c_int) -> nix::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
    Errno::result(result).map(drop)
}

/// Removes everything but `keep` from the bounding set; needs `CAP_SETPCAP`.
///
/// # Errors
/// Fails unless the set is as asked afterwards.
pub fn bound_capabilities(keep: &CapsHashSet) -> Result<(), CapabilityError> {
    let failed = |source| CapabilityError::Set { set: "bounding", source };
    for capability in caps::runtime::thread_all_supported() {
        if !keep.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability).map_err(failed)?;
        }
    }
    bound_unknown_capabilities();
    Ok(())
}

/// Removes what the library does not know by name yet: the numbers behind its last one, as far as
/// the kernel has any.
fn bound_unknown_capabilities() {
    for number in FIRST_UNKNOWN_CAPABILITY..64 {
        // SAFETY: no pointers. EINVAL says that there is no such capability, nor any behind it.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } != 0 {
            break;
        }
    }
}

/// Reduces permitted and effective to `keep`, inheritable and ambient to nothing.
///
/// # Errors
/// Fails unless every set is as asked afterwards.
pub fn reduce_capabilities(keep: &CapsHashSet) -> Result<(), CapabilityError> {
    let none = CapsHashSet::new();
    caps::clear(None, CapSet::Ambient)
        .map_err(|source| CapabilityError::Set { set: "ambient", source })?;
    caps::set(None, CapSet::Inheritable, &none)
        .map_err(|source| CapabilityError::Set { set: "inheritable", source })?;
    // Effective first: it may never hold what permitted lacks.
    caps::set(None, CapSet::Effective, keep)
        .map_err(|source| CapabilityError::Set { set: "effective", source })?;
    caps::set(None, CapSet::Permitted, keep)
        .map_err(|source| CapabilityError::Set { set: "permitted", source })
}

/// Whether this process holds a capability.
pub fn holds(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// Leaves the session keyring that was inherited for a new, empty one.
///
/// # Errors
/// What `keyctl` returns; `ENOSYS` on a kernel without keyrings.
pub fn new_session_keyring() -> nix::Result<()> {
    let name = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::c_ulong::from(libc::KEYCTL_JOIN_SESSION_KEYRING),
            name,
        )
    };
    Errno::result(result).map(drop)
}

/// Speculation that other processes can be attacked through: past stores, through indirect branches.
const SPECULATION: [libc::c_ulong; 2] = [0, 1];
/// `PR_SPEC_FORCE_DISABLE`: nobody switches it on again, whatever is executed.
const FORCE_DISABLE: libc::c_ulong = 8;
/// Linux 6.4; the library does not know it yet.
const PR_SET_MEMORY_MERGE: libc::c_int = 67;

/// Switches off, for ever and for whatever comes from this process, the kinds of speculation that the
/// kernel can switch by process. Most hosts cannot: not this processor (`ENXIO`, `ENODEV`), not as it was
/// booted (`EPERM`); what holds there holds for all processes alike.
///
/// # Errors
/// What `prctl` returns beside these.
pub fn force_speculation_mitigations() -> nix::Result<()> {
    for kind in SPECULATION {
        // SAFETY: no pointers.
        let result =
            unsafe { libc::prctl(libc::PR_SET_SPECULATION_CTRL, kind, FORCE_DISABLE, 0, 0) };
        match Errno::result(result) {
            Ok(_) | Err(Errno::ENXIO | Errno::ENODEV | Errno::EPERM | Errno::EINVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Takes back what a service manager may have switched on for everything beneath it (`MemoryKSM=`).
///
/// # Errors
/// What `prctl` returns; a kernel that cannot merge by process is none.
pub fn switch_page_merging_off() -> nix::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Loads a system-call filter, for this process and whatever comes from it.
///
/// # Errors
/// What `seccomp` returns: `EACCES` without no_new_privs, `EINVAL` for a malformed program.
pub fn load_filter(program: &[Instruction]) -> nix::Result<()> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: `program` describes a live slice of that length, which the kernel copies and checks;
    // it is not written to, the pointer is mutable only by the structure's declaration.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER),
            0,
            &raw const program,
        )
    };
    Errno::result(result).map(drop)
}

/// The version of the kernel's Landlock; 0 where it has none, or this process may not ask.
pub fn landlock_version() -> u8 {
    /// `LANDLOCK_CREATE_RULESET_VERSION`; `libc` does not name it.
    const VERSION: libc::c_ulong = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call reads no memory: pointer and size must be null and zero.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, VERSION) };
    u8::try_from(result.max(0)).unwrap_or(u8::MAX)
}

/// Whether the kernel can end a process for a system call its filter forbids.
pub fn filters_available() -> bool {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: `action` is the readable u32 this operation asks about.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::c_ulong::from(libc::SECCOMP_GET_ACTION_AVAIL),
            0,
            &raw const action,
        )
    };
    result == 0
}
