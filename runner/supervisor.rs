//! The loop of PID 1: requests in, reports out, the dead buried.
//!
//! Two descriptors are waited for: the socket, and a signal descriptor that says that some child
//! died. Nothing here waits for the function: it is executed by a `vfork` that ends with the
//! `execve`, reports are sent without blocking, and burying is done in portions, so that a function
//! which forks without end cannot keep its PID 1 from hearing that the socket closed.
//!
//! Started by hand instead of as PID 1, which is how it is tested, it adopts its orphans as a
//! subreaper, and kills the function's session where PID 1 would kill everything there is.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use wire::DecodeError;
use wire::runner::{MAX_MESSAGE, RUNNER_FD, Report, Request};

use crate::life::Life;
use crate::sys::{self, Child, Program};

/// Children buried in one turn of the loop, before the socket is looked at again.
const PORTION: usize = 64;

/// Why a runner ended before its time.
#[derive(Debug)]
pub enum Failure {
    /// The kernel refused a call that the runner cannot do without.
    Kernel {
        /// What was attempted.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A datagram that is not a message.
    Malformed {
        /// Why it is none.
        source: DecodeError,
    },
    /// A datagram that came in part, or with more or fewer descriptors than its message has.
    Misaddressed {
        /// How many descriptors came.
        descriptors: usize,
    },
}

struct Supervisor {
    life: Life,
    socket: OwnedFd,
    /// Becomes readable when a child dies.
    deaths: OwnedFd,
    /// Whether this is the first process of a namespace, which may kill all others.
    is_init: bool,
}

/// Serves one sandbox, on [`RUNNER_FD`], until it is over.
///
/// # Errors
/// See [`Failure`]. When it returns, the caller must exit: as PID 1 it takes the sandbox with it.
pub fn supervise() -> Result<(), Failure> {
    let mut supervisor = Supervisor::new()?;
    let outcome = supervisor.serve();
    supervisor.kill_others();
    outcome
}

// === impl Supervisor ===

impl Supervisor {
    fn new() -> Result<Self, Failure> {
        let socket = sys::adopt(RUNNER_FD).map_err(failed("take the socket"))?;
        let deaths = sys::watch_children().map_err(failed("watch children"))?;
        let is_init = sys::is_init();
        if !is_init {
            sys::adopt_orphans().map_err(failed("adopt orphans"))?;
        }
        Ok(Self { life: Life::Waiting, socket, deaths, is_init })
    }

    fn serve(&mut self) -> Result<(), Failure> {
        // Touched only as far as the kernel writes messages into it.
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut more_dead = false;
        loop {
            let ready = sys::wait(self.socket.as_fd(), self.deaths.as_fd(), !more_dead)
                .map_err(failed("wait"))?;
            if ready.deaths {
                sys::drain(self.deaths.as_fd()).map_err(failed("read signals"))?;
            }
            if ready.deaths || more_dead {
                match self.bury()? {
                    Portion::All => more_dead = false,
                    Portion::Some => more_dead = true,
                    Portion::Childless if self.life.is_over() => return Ok(()),
                    Portion::Childless => more_dead = false,
                }
            }
            if ready.socket && !self.hear(&mut buffer)? {
                return Ok(());
            }
        }
    }

    /// Receives one request and carries it out; `false` when the socket has closed.
    fn hear(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let Some(datagram) = sys::receive(self.socket.as_fd(), buffer).map_err(failed("receive"))?
        else {
            return Ok(false);
        };
        let descriptors = datagram.descriptors.len();
        if !datagram.whole {
            return Err(Failure::Misaddressed { descriptors });
        }
        let request = Request::decode(&buffer[..datagram.length])
            .map_err(|source| Failure::Malformed { source })?;
        let mut descriptors = datagram.descriptors.into_iter();
        match (request, descriptors.next(), descriptors.next(), descriptors.next()) {
            (Request::Execute { argv, env, cwd }, Some(log), link, None) => {
                self.execute(&Program::new(argv, env, cwd, log, link))?;
            }
            (Request::Signal { number }, None, _, _) => {
                if let Some(pid) = self.life.function() {
                    // It may be a zombie by now, which takes signals and ignores them.
                    sys::kill(pid, number.into()).map_err(failed("signal the function"))?;
                }
            }
            (Request::Execute { .. } | Request::Signal { .. }, ..) => {
                return Err(Failure::Misaddressed { descriptors: datagram_count });
            }
        }
        Ok(true)
    }
}
