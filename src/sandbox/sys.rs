//! The system calls nobody wraps, as safe functions over owned descriptors.
//!
//! The one place of this crate where `unsafe` may stand. Each function makes one call (or one that is
//! meaningless without its neighbour), takes borrowed descriptors, returns owned ones, and reports
//! the kernel's `errno`. Nothing here decides anything: order and purpose live in [`crate::plan`],
//! and whatever `nix` or `caps` already wrap safely is called through them.
//!
//! Every descriptor made here is close-on-exec.

#![allow(unsafe_code, reason = "the one module that makes the rule possible everywhere else")]

pub mod heap;
pub mod mount;
pub mod privilege;
pub mod process;
pub mod socket;

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Turns the result of a call that returns a new descriptor into its owner.
///
/// # Safety
/// `result` must come from a call that returns a new, otherwise unowned descriptor, or a negative
/// number with `errno` set.
unsafe fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let number = Errno::result(result)?;
    let number = i32::try_from(number).map_err(|_| Errno::EBADF)?;
    // SAFETY: the caller vouches that `number` was just made by the kernel for us and that nobody
    // else holds it; negative results left through `Errno::result`.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests;
