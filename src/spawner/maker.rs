//! The maker: a process that does nothing but bear cells and templates, and the spawner's handle of it.
//!
//! It is cloned once, into the nursery user namespace, and lives as long as the spawner. Outside of
//! the nursery it has no privilege at all; in it, only what writes id maps and what gives a template
//! namespaces of its own. It is separate from the spawner because a user namespace's owner is whoever
//! made it: cells belong to the nursery's owner id, which a process outside of the nursery cannot be.
//!
//! ```text
//!   spawner                                   maker
//!      │── Order{…} + image, devices, … ───────► │   clone
//!      │ ◄──────────── Born{whose,pid} + pidfd ──│   the child still waits
//!      │                                         │   maps (of a cell), release
//!      │ ◄──────────── Failed{whose,detail} ─────│   instead, or after it
//! ```

use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use sandbox::failpoint::{Point, reach};
use sandbox::identity::Maps;
use sandbox::perform::{Becomes, Birth, bear, explain};
use sandbox::plan::{EnterStep, OWNER_ID, TemplatePlan};
use sandbox::seccomp::{Policy, Program, program};
use sandbox::sys::privilege::keep_capabilities_across_setuid;
use sandbox::sys::process::{self, Child, SingleThreaded, clone_process};
use sandbox::sys::socket::{self, ReceiveError};
use sandbox::{Identity, Plan, capability};

use crate::log;
use crate::order::{Answer, FIXED_DESCRIPTORS, MAX_MESSAGE, MOST_DESCRIPTORS, Order, Whose};

/// Where the maker's own descriptors lie, above the standard streams.
const SOCKET: i32 = 3;
const RUNNER: i32 = 4;
/// Above both: where they wait while the low numbers are taken.
const ASIDE: i32 = 16;
/// Exit status: it could not be set up, or was told nonsense.
const FAILED: i32 = 70;

/// The spawner's handle.
#[derive(Debug)]
pub(crate) struct Maker {
    socket: OwnedFd,
    child: Child,
}

/// Why the maker is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakerError {
    /// It could not be started.
    #[error("start the maker: {step}")]
    Start {
        step: &'static str,
        #[source]
        source: Errno,
    },
    /// It ended, or closed its socket.
    #[error("the maker ended")]
    Ended,
    /// It could not be talked to.
    #[error("talk to the maker")]
    Talk(#[source] ReceiveError),
    /// What it said is not an answer.
    #[error("the maker's answer")]
    Answer(#[source] wire::DecodeError),
    /// A birth without its pidfd.
    #[error("the maker sent no pidfd")]
    NoPidfd,
}

// === impl Maker ===

impl Maker {
    /// Clones the maker into a new nursery.
    pub(crate) fn start(
        proof: &SingleThreaded,
        plan: &Plan,
        runner: BorrowedFd<'_>,
        identity: &Identity,
    ) -> Result<Self, MakerError> {
        let at = |step| move |source| MakerError::Start { step, source };
        let (ours, theirs) = socket::pair().map_err(at("socketpair"))?;
        let (waiter, starter) = std::io::pipe().map_err(|_| at("pipe")(Errno::last()))?;
        let filters = Filters {
            cells: program(&EnterStep::policy()),
            templates: program(&EnterStep::policy_of_templates()),
        };
        let (mut starter, mut waiter) = (Some(starter), Some(waiter));
        let child = clone_process(proof, CloneFlags::CLONE_NEWUSER, || {
            drop(starter.take());
            let _only_a_name = nix::sys::prctl::set_name(c"hearth-maker");
            let released = waiter.take().is_some_and(released);
            if !released {
                return FAILED;
            }
            match settle(theirs.as_fd(), runner, identity) {
                Ok((socket, runner)) => {
                    work(proof, plan, identity, &filters, socket.as_fd(), runner)
                }
                Err(err) => {
                    log::line(&format!("maker: {}", explain(&err)));
                    FAILED
                }
            }
        })
        .map_err(at("clone"))?;
        let maps = identity.nursery_maps();
        for (file, map) in [("gid_map", &maps.groups), ("uid_map", &maps.users)] {
            let path = format!("/proc/{}/{file}", child.pid);
            std::fs::write(path, Maps::text(map)).map_err(|err| {
                let errno = err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                at("write its id map")(errno)
            })?;
        }
        if let Some(mut starter) = starter {
            starter.write_all(&[1]).map_err(|_| at("release it")(Errno::EPIPE))?;
        }
        Ok(Self { socket: ours, child })
    }

    /// Its number, to recognise its end.
    pub(crate) fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Asks for a process. Never waits: orders in flight are few and small.
    pub(crate) fn order(
        &self,
        order: Order,
        fixed: [BorrowedFd<'_>; FIXED_DESCRIPTORS],
        more: &[OwnedFd],
    ) -> nix::Result<()> {
        let mut beside = fixed.to_vec();
        beside.extend(more.iter().map(AsFd::as_fd));
        socket::send(self.socket.as_fd(), &order.encode(), &beside, false)
    }

    /// The next answer, if there is one, and the pidfd beside a birth.
    pub(crate) fn answer(&self) -> Result<Option<(Answer, Option<OwnedFd>)>, MakerError> {
        let mut buffer = [0; MAX_MESSAGE];
        let mut datagram = match socket::receive(self.socket.as_fd(), &mut buffer, 1, false) {
            Ok(datagram) if datagram.length == 0 => return Err(MakerError::Ended),
            Ok(datagram) => datagram,
            Err(ReceiveError::Failed(Errno::EAGAIN)) => return Ok(None),
            Err(ReceiveError::Failed(Errno::ECONNRESET)) => return Err(MakerError::Ended),
            Err(err) => return Err(MakerError::Talk(err)),
        };
        let answer = Answer::decode(&buffer[..datagram.length]).map_err(MakerError::Answer)?;
        let pidfd = datagram.descriptors.pop();
        if matches!(answer, Answer::Born { .. }) && pidfd.is_none() {
            return Err(MakerError::NoPidfd);
        }
        Ok(Some((answer, pidfd)))
    }
}

impl AsFd for Maker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What processes of each kind load on top of the maker's own.
struct Filters {
    cells: Program,
    templates: Program,
}

/// Why the maker could not become what it is.
#[derive(Debug, thiserror::Error)]
enum SettleError {
    #[error("{step}: {errno}")]
    Call { step: &'static str, errno: Errno },
    #[error("give up capabilities")]
    Confine(#[from] capability::ConfineError),
}

fn released(mut waiter: PipeReader) -> bool {
    matches!(waiter.read(&mut [0]), Ok(1))
}

/// From a copy of the spawner to the maker: its own descriptors, its identity, its two capabilities.
fn settle(
    socket: BorrowedFd<'_>,
    runner: BorrowedFd<'_>,
    identity: &Identity,
) -> Result<(OwnedFd, BorrowedFd<'static>), SettleError> {
    let at = |step| move |errno| SettleError::Call { step, errno };
    let socket = process::move_above(socket, ASIDE).map_err(at("move its socket"))?;
    let runner = process::move_above(runner, ASIDE).map_err(at("move the runner"))?;
    process::place(socket.as_fd(), SOCKET, false).map_err(at("place its socket"))?;
    process::place(runner.as_fd(), RUNNER, false).map_err(at("place the runner"))?;
    process::close_from(RUNNER.cast_unsigned() + 1).map_err(at("close descriptors"))?;
    // Closed by number just now.
    std::mem::forget((socket, runner));
    let socket = process::inherited(SOCKET).map_err(at("own its socket"))?;
    let runner = process::inherited(RUNNER).map_err(at("own the runner"))?;

    let (root, owner) = (Uid::from_raw(identity.maker_id()), Uid::from_raw(OWNER_ID));
    let group = Gid::from_raw(identity.maker_id());
    if identity.can_drop_groups() {
        setgroups(&[]).map_err(at("setgroups"))?;
    }
    keep_capabilities_across_setuid().map_err(at("keep capabilities"))?;
    setresgid(group, group, group).map_err(at("setresgid"))?;
    // The effective id decides who owns a user namespace. The real and saved ones stay the
    // nursery's root: whoever else runs as the owner may then neither signal nor trace the maker.
    setresuid(root, owner, root).map_err(at("setresuid"))?;
    capability::confine(&capability::MAKER)?;
    // Changing credentials cleared both. Children copy dumpability: without it their id maps belong
    // to the host's root, and cannot be written from here.
    prctl::set_dumpable(true).map_err(at("set dumpable"))?;
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(at("set the death signal"))?;
    // Cells inherit it: it refuses what neither a function may do nor making a cell takes.
    Policy::maker().load().map_err(at("load its filter"))?;
    Ok((socket, process::leak(runner)))
}

/// Bears what is ordered until the spawner is gone.
fn work(
    proof: &SingleThreaded,
    plan: &Plan,
    identity: &Identity,
    filters: &Filters,
    socket: BorrowedFd<'_>,
    runner: BorrowedFd<'static>,
) -> i32 {
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        let datagram = match socket::receive(socket, &mut buffer, MOST_DESCRIPTORS, true) {
            Ok(datagram) if datagram.length == 0 => return 0,
            Ok(datagram) => datagram,
            Err(err) => {
                log::line(&format!("maker: {err}"));
                return FAILED;
            }
        };
        let mut descriptors = datagram.descriptors.into_iter();
        let order = Order::decode(&buffer[..datagram.length], identity.bounds());
        let mut next = || descriptors.next();
        let fixed = (next(), next(), next(), next());
        let becomes = match order {
            Ok(Order::Cell { .. }) => Some(Becomes::Runner(runner)),
            Ok(Order::Template { index, .. }) => {
                next().map(|words| Becomes::Template { index, words })
            }
            Err(_) => None,
        };
        let (
            Ok(order),
            (Some(image), Some(devices), Some(process_end), Some(report)),
            Some(becomes),
        ) = (order, fixed, becomes)
        else {
            log::line("maker: the spawner sent something that is not an order");
            return FAILED;
        };
        let doors = descriptors.collect();
        let (whose, id, steps, then, filter) = match order {
            Order::Cell { cell, id } => {
                (Whose::Cell(cell), id, &plan.bear, &plan.enter, &filters.cells)
            }
            Order::Template { template, .. } => {
                let TemplatePlan { bear, settle, .. } = &plan.template;
                (Whose::Template(template), OWNER_ID, bear, settle, &filters.templates)
            }
        };
        let birth = Birth { id, image, devices, socket: process_end, report, doors, becomes };
        reach(Point::OrderTaken);
        let hand_back = |child: &Child| {
            let answer = Answer::Born { whose, pid: child.pid };
            socket::send(socket, &answer.encode(), &[child.pidfd.as_fd()], true)
        };
        let born = bear(steps, then, proof, filter, birth, hand_back);
        if let Err(err) = born {
            let answer = Answer::Failed { whose, detail: explain(&err) };
            if socket::send(socket, &answer.encode(), &[], true).is_err() {
                return FAILED;
            }
        }
    }
}
