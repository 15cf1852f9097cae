//! How the program ends, as a number.
//!
//! The numbers are those of `sysexits.h` where it has one. A process that was killed by signal *n*
//! counts as 128 + *n*.

use std::fmt;

/// Why the spawner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: the control plane closed its socket, or SIGTERM came.
    Finished = 0,
    /// 64: the arguments or inherited descriptors make no sense.
    Usage = 64,
    /// 69: the host cannot build a wall or limit, and the operator did not waive it.
    Unavailable = 69,
    /// 70: a part of the spawner ended that must not end.
    Internal = 70,
    /// 71: a system call failed while starting.
    System = 71,
    /// 73: no slot of the machine could be had, or its directories not be made.
    NoSlot = 73,
    /// 76: the control plane said something that is not in the protocol.
    Protocol = 76,
}

// === impl Exit ===

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as Self
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}
