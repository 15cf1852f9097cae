//! What the spawner and everything beneath it may use of the host, in all.
//!
//! Limits of a process are inherited, and those of whoever makes a user namespace bound everybody in
//! it together: what is set here, before anything is made, holds for all cells at once.

use std::fs;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raised as far as may be: every cell's share is taken from ours.
const RAISED: [Resource; 3] =
    [Resource::RLIMIT_NOFILE, Resource::RLIMIT_SIGPENDING, Resource::RLIMIT_MEMLOCK];
/// `pid_max` of a kernel that nobody configured, on up to 32 processors.
const FEWEST_NUMBERS: u64 = 32_768;

/// Why a limit could not be set.
#[derive(Debug, thiserror::Error)]
#[error("limit {resource:?}: {errno}")]
pub(crate) struct LimitError {
    resource: Resource,
    errno: Errno,
}

/// Sets them, for this process and whatever it starts.
pub(crate) fn take() -> Result<(), LimitError> {
    let set = |resource, limit: fn(Resource) -> nix::Result<()>| {
        limit(resource).map_err(|errno| LimitError { resource, errno })
    };
    RAISED.into_iter().try_for_each(|resource| set(resource, raise))?;
    set(Resource::RLIMIT_NPROC, share_processes)?;
    set(Resource::RLIMIT_CORE, refuse_cores)
}

fn raise(resource: Resource) -> nix::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    setrlimit(resource, hard, hard)
}

/// Each cell has a limit of its own, but as many cells as there may be could together take every
/// number the kernel has for processes, and nobody could log in to end them.
fn share_processes(resource: Resource) -> nix::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(FEWEST_NUMBERS)
    };
    let most = share(hard, number("pid_max"), number("threads-max"));
    setrlimit(resource, most, most)
}

/// Three quarters of what the host has; the last quarter is its own.
fn share(hard: u64, pid_max: u64, threads_max: u64) -> u64 {
    hard.min(pid_max / 4 * 3).min(threads_max / 4 * 3)
}

/// Nothing of ours dumps core, and no cell can: 1, not 0, because the kernel starts a handler that
/// cores are piped into, as root on the host, for any other limit.
fn refuse_cores(resource: Resource) -> nix::Result<()> {
    match setrlimit(resource, 1, 1) {
        // The host's own limit is 0 and may not be raised: as good where no handler is started.
        Err(Errno::EPERM) if !cores_are_piped() => Ok(()),
        other => other,
    }
}

fn cores_are_piped() -> bool {
    // Whatever cannot be read is taken for the worse.
    fs::read_to_string("/proc/sys/kernel/core_pattern").map_or(true, |it| it.starts_with('|'))
}

#[cfg(test)]
mod tests;
