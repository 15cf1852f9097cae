//! Joining a control group at once, instead of after every processor has been heard of.
//!
//! Whoever moves a process between groups keeps all others from forking for that moment. The kernel
//! makes that cheap for those who fork and dear for the one who moves: after a quiet period he waits
//! until every processor has passed through a quiet state (RCU), 7 to 20 ms. Since Linux 6.0 it can be
//! had the other way round (`favordynmods`): moving takes 70 µs, and a fork one memory barrier more.
//!
//! That is an option of a mounted hierarchy and works for all of them. It is given here to a hierarchy
//! that has no controllers and no groups, is attached nowhere, and ends with the descriptor that holds
//! it: no mount of the host's is changed. What can be seen of it is its name, in every process's
//! `/proc/PID/cgroup`. A kernel of 6.18 that has been told so once stays so until it is booted.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;

use crate::sys::mount::{self, Attributes};

/// How often the end of another's is waited for, and how long each time: half a second in all, of which
/// 10 ms were seen to be enough.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(5);

/// Keeps it so.
#[derive(Debug)]
pub struct Swift {
    _hierarchy: OwnedFd,
}

// === impl Swift ===

impl Swift {
    /// From now on, for as long as this is held.
    ///
    /// # Errors
    /// What the mount calls return: `EINVAL` before Linux 6.0, `EPERM` in a user namespace, `EBUSY` if another
    /// is not gone in time.
    pub fn new() -> nix::Result<Self> {
        // The same name for all spawners of a machine: they share one.
        let options = [(c"none", c""), (c"name", c"hearth"), (c"favordynmods", c"")];
        let mut tries = 0;
        loop {
            match mount::new_filesystem(c"cgroup", &options, Attributes::default()) {
                Ok(hierarchy) => return Ok(Self { _hierarchy: hierarchy }),
                // That of a spawner that has just ended is not quite gone.
                Err(Errno::EBUSY) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(errno) => return Err(errno),
            }
        }
    }
}
