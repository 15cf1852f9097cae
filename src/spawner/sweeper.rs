//! What is left when the outer process is killed: somebody who removes the control groups.
//!
//! The outer process removes them when the spawner proper has ended, but cannot after its own death;
//! and they are in the way. A group that was made to hand controllers down can be joined by nobody,
//! so whoever keeps a service in a group of its own could not start it there again. The sweeper is
//! cloned from the outer process, keeps no more than that keeps, and does nothing but read from a pipe
//! whose other end only the outer process has:
//!
//! ```text
//!   waits ── a byte: the outer process has cleaned up ───────────────► ends
//!     └───── the end: it was killed ──► kills, removes, hands back ──► ends
//! ```
//!
//! It holds the outer process's locks until then, so that nobody takes what is still being swept. If
//! both are killed, the next start sweeps.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use sandbox::capability::{self, ConfineError};
use sandbox::cgroup::Claim;
use sandbox::perform::explain;
use sandbox::seccomp::Policy;
use sandbox::sys::process::{self, Child, Reaped, SingleThreaded, clone_process};

use crate::exit::Exit;
use crate::log;

/// The outer process's handle.
#[derive(Debug)]
pub(crate) struct Sweeper {
    child: Child,
    done: PipeWriter,
}

// === impl Sweeper ===

impl Sweeper {
    /// Clones it. `unwanted` is what the outer process holds and the sweeper must not: it is dropped
    /// there.
    pub(crate) fn start<T>(
        proof: &SingleThreaded,
        claim: &mut Option<Claim>,
        unwanted: &mut Option<T>,
    ) -> nix::Result<Self> {
        let (watched, done) = std::io::pipe()
            .map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        let (mut watched, mut done) = (Some(watched), Some(done));
        let child = clone_process(proof, CloneFlags::empty(), || {
            // Its own copies; with the second one open it would wait for itself.
            drop((unwanted.take(), done.take()));
            match (watched.take(), claim.take()) {
                (Some(watched), Some(claim)) => sweep(watched, claim) as i32,
                _ => Exit::Internal as i32,
            }
        })?;
        done.map(|done| Self { child, done }).ok_or(Errno::ENOTRECOVERABLE)
    }

    /// Whether it has ended, which it never does by itself.
    pub(crate) fn is_gone(&self) -> bool {
        !matches!(process::reap(self.child.pidfd.as_fd()), Ok(Reaped::NotYet))
    }

    /// Tells it that there is nothing left to do, and waits until it has let go of the locks.
    pub(crate) fn dismiss(mut self) {
        // One that was killed before does not hear it.
        if self.done.write_all(&[0]).is_ok() && !self.is_gone() {
            let _it_has_no_other_way = process::wait_for_any();
        }
    }
}

fn sweep(mut watched: PipeReader, claim: Claim) -> Exit {
    let _only_a_name = nix::sys::prctl::set_name(c"hearth-sweeper");
    if let Err(err) = confine() {
        log::line(&format!("sweeper: {}", explain(&err)));
        return Exit::System;
    }
    match watched.read(&mut [0]) {
        Ok(0) => {}
        _ => return Exit::Finished,
    }
    log::line("the outer process was killed: sweeping after it");
    match claim.release() {
        Ok(()) => Exit::Finished,
        Err(err) => {
            log::line(&explain(&err));
            Exit::System
        }
    }
}

fn confine() -> Result<(), ConfineError> {
    capability::confine_outer()?;
    capability::seal(&Policy::outer())
}
