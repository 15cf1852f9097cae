//! The loop of PID 1: requests in, reports out, the dead buried.
//!
//! Two descriptors are waited for: the socket, and a signal descriptor that says that some child
//! died. Nothing here waits for the function: it is executed by a `vfork` that ends with the
//! `execve`, reports are sent without blocking, and burying is done in portions, so that a function
//! which forks without end cannot keep its PID 1 from hearing that the socket closed.
//!
//! Started by hand instead of as PID 1, which is how it is tested, it adopts orphans as a subreaper
//! would, and kills the function's process group where PID 1 kills everything there is.

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
    /// A datagram that was cut, or that came with other descriptors than its message has.
    Misaddressed {
        /// How many descriptors came.
        descriptors: usize,
    },
}

struct Supervisor {
    life: Life,
    /// The control plane.
    socket: OwnedFd,
    /// Becomes readable when a child dies.
    deaths: OwnedFd,
    /// Whom to kill at the end: everybody for PID 1, else the function's process group, once there
    /// is one.
    others: Option<sys::Others>,
}

/// How far burying the dead has come.
enum Burial {
    /// Nobody lies unburied.
    Done,
    /// There may be more.
    Unfinished,
    /// There is no child at all, dead or alive.
    Childless,
}

/// Serves one sandbox, on [`RUNNER_FD`], until it is over.
///
/// The caller exits when this returns: as PID 1 it takes the sandbox with it.
///
/// # Errors
/// See [`Failure`].
pub fn supervise() -> Result<(), Failure> {
    let mut supervisor = Supervisor::new()?;
    let outcome = supervisor.serve();
    supervisor.kill_others();
    outcome
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |source| Failure::Kernel { step, source }
}

// === impl Supervisor ===

impl Supervisor {
    fn new() -> Result<Self, Failure> {
        let socket = sys::adopt(RUNNER_FD).map_err(failed("take the socket"))?;
        let deaths = sys::watch_children().map_err(failed("watch children"))?;
        // Somebody else's code may come to run beside this process, executed by it or forked in from
        // outside: nobody looks into it.
        sys::hide().map_err(failed("become undumpable"))?;
        let mut others = None;
        if sys::is_init() {
            others = Some(sys::Others::Everybody);
        } else {
            sys::adopt_orphans().map_err(failed("adopt orphans"))?;
        }
        Ok(Self { life: Life::Waiting, socket, deaths, others })
    }

    fn serve(&mut self) -> Result<(), Failure> {
        // Touched only as far as the kernel writes messages into it.
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut unburied = false;
        loop {
            let ready = sys::wait(self.socket.as_fd(), self.deaths.as_fd(), !unburied)
                .map_err(failed("wait"))?;
            if ready.deaths {
                sys::drain(self.deaths.as_fd()).map_err(failed("read signals"))?;
            }
            if ready.deaths || unburied {
                unburied = match self.bury()? {
                    Burial::Done => false,
                    Burial::Unfinished => true,
                    Burial::Childless if self.life.is_over() => return Ok(()),
                    Burial::Childless => false,
                };
            }
            if ready.socket && !self.hear(&mut buffer)? {
                return Ok(());
            }
        }
    }

    /// Receives one request and carries it out; `false` when the socket has closed.
    fn hear(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let received = sys::receive(self.socket.as_fd(), buffer).map_err(failed("receive"))?;
        let Some(mut datagram) = received else { return Ok(false) };
        let descriptors = datagram.descriptors.len();
        if !datagram.is_whole {
            return Err(Failure::Misaddressed { descriptors });
        }
        let request = Request::decode(&buffer[..datagram.length])
            .map_err(|source| Failure::Malformed { source })?;
        match (request, descriptors) {
            (Request::Execute { argv, env, cwd }, 1 | 2) => {
                let mut given = datagram.descriptors.drain(..);
                if let Some(log) = given.next() {
                    self.execute(Program { argv, env, cwd, log, link: given.next() })?;
                }
            }
            (Request::Signal { number }, 0) => {
                if let Some(pid) = self.life.function() {
                    sys::signal(pid, number.into()).map_err(failed("signal the function"))?;
                }
            }
            _ => return Err(Failure::Misaddressed { descriptors }),
        }
        Ok(true)
    }

    fn execute(&mut self, program: Program) -> Result<(), Failure> {
        if !self.life.is_waiting() {
            return self.tell(Report::Refused { errno: libc::EBUSY as u32 });
        }
        let outcome = sys::execute(program);
        if let (Ok(pid), None) = (outcome, &self.others) {
            self.others = Some(sys::Others::Group(pid));
        }
        let report = self.life.attempted(outcome);
        self.tell(report)
    }

    fn bury(&mut self) -> Result<Burial, Failure> {
        for _ in 0..PORTION {
            match sys::bury().map_err(failed("bury a child"))? {
                Child::Buried { pid, status } => {
                    if let Some(report) = self.life.buried(pid, status) {
                        self.tell(report)?;
                        self.kill_others();
                    }
                }
                Child::Alive => return Ok(Burial::Done),
                Child::None => return Ok(Burial::Childless),
            }
        }
        Ok(Burial::Unfinished)
    }

    fn tell(&self, report: Report) -> Result<(), Failure> {
        match sys::send(self.socket.as_fd(), &report.encode()) {
            // Nobody listens any more, and `hear` is about to find that out.
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(failed("report")),
        }
    }

    fn kill_others(&self) {
        if let Some(others) = &self.others {
            sys::kill(others);
        }
    }
}

// === impl Failure ===

impl Failure {
    /// What the program exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Kernel { .. } => 1,
            Self::Malformed { .. } | Self::Misaddressed { .. } => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel { step, source } => write!(out, "cannot {step}: {source}"),
            Self::Malformed { source } => write!(out, "not a message: {source}"),
            Self::Misaddressed { descriptors } => {
                write!(out, "a datagram was cut or had {descriptors} descriptors, not its own")
            }
        }
    }
}

impl std::error::Error for Failure {}
