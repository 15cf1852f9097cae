//! The outer process: takes a part of the machine, starts the spawner proper, waits, cleans up.
//!
//! It stays in the host's pid namespace, because PID 1 of a pid namespace cannot clean up after its
//! own death. It never reads the control socket and never touches a cell.
//!
//! ```text
//!   arguments ─► checks ─► slot ─► sweep ─► control groups ─► clone ─► wait ─► sweep ─► exit
//!       64          69       73       73           73           71             with its status
//! ```

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::geteuid;
use sandbox::capability;
use sandbox::cgroup::{self, Claim, Controller, Instance, InstanceError, Layout};
use sandbox::checks::{self, Need};
use sandbox::failpoint::{Point, reach};
use sandbox::perform::explain;
use sandbox::seccomp::Policy;
use sandbox::sys::process::{self, Child, Ending, Reaped, SingleThreaded, clone_process};

use crate::arguments::{Arguments, ArgumentsError};
use crate::exit::Exit;
use crate::inner::{self, Charge};
use crate::limits::{self, LimitError};
use crate::log;
use crate::machine::{Ids, IdsError};
use crate::readiness;
use crate::slot::{Slot, SlotError};
use crate::sweeper::Sweeper;

/// The control plane's socket.
const CONTROL: i32 = 3;
/// Slots that are left out, for what is in them, before giving up.
const SLOT_TRIES: usize = 64;
/// The runner must not change any more, in any way, not even its seals.
const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);
/// Why the spawner did not start.
#[derive(Debug, thiserror::Error)]
enum OuterError {
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    #[error("descriptor {number} ({what}): {errno}")]
    Descriptor { number: i32, what: &'static str, errno: Errno },
    #[error("descriptor {number} is not a sealed memory file")]
    NotSealed { number: i32 },
    #[error("{need} cannot be enforced: {what}; {remedy}")]
    Unenforceable { need: Need, what: String, remedy: String },
    #[error(transparent)]
    Slot(#[from] SlotError),
    #[error(transparent)]
    Ids(#[from] IdsError),
    #[error("record the slot")]
    Record(#[source] std::io::Error),
    #[error("control groups")]
    Groups(#[source] InstanceError),
    #[error("read the control groups of this process")]
    Layout(#[source] std::io::Error),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("{step}")]
    Call {
        step: &'static str,
        #[source]
        source: Errno,
    },
    #[error("give up capabilities")]
    Confine(#[from] capability::ConfineError),
}

/// Runs the program with these arguments; returns its exit status.
pub fn run(arguments: &[OsString]) -> u8 {
    // It was executed by the number of a descriptor; people look for it by its name. Only a name.
    let _the_number_stays = nix::sys::prctl::set_name(c"hearth-spawner");
    match start(arguments) {
        Ok(status) => status,
        Err(err) => {
            log::line(&explain(&err));
            err.exit().into()
        }
    }
}

fn start(arguments: &[OsString]) -> Result<u8, OuterError> {
    let at = |step| move |source| OuterError::Call { step, source };
    let arguments = Arguments::parse(arguments)?;
    let (control, runner) = descriptors(arguments.runner)?;
    let proof = SingleThreaded::check().map_err(at("check for threads"))?;
    // A terminal's Ctrl-C is for the control plane, which then closes the socket. Already leading a
    // session is as good.
    match nix::unistd::setsid() {
        Ok(_) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(at("setsid")(errno)),
    }
    let enforced = enforceable(&arguments.unenforced)?;
    let Share { slot, ids, groups, claim } = allocate(&arguments, &enforced)?;
    limits::take()?;
    // Before there is a child, so that its end cannot be missed. The child inherits the mask: it
    // reads the same signals through a descriptor.
    let signals = signals();
    signals.thread_block().map_err(at("block signals"))?;
    let (life, ours) = std::io::pipe()
        .map_err(|err| at("pipe")(err.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
    let charge = Charge {
        arguments: &arguments,
        first_id: slot.first_id(),
        groups: &groups,
        enforced: &enforced,
        signals,
    };
    let mut handed_over = Some((control, runner, life, ours));
    let child = clone_process(&proof, namespaces(), || {
        let Some((control, runner, life, ours)) = handed_over.take() else {
            return Exit::Internal as i32;
        };
        // Ours is the outer process's copy: while only that one is open, it lives.
        drop(ours);
        inner::run(&proof, &charge, control, runner, life) as i32
    })
    .map_err(at("clone the spawner"))?;
    if let Some(manager) = &arguments.notify {
        let status = format!("slot {}, up to {} sandboxes", slot.number, arguments.capacity);
        if let Err(err) = readiness::tell(manager, &status) {
            log::line(&format!("the service manager cannot be told: {err}"));
        }
    }
    reach(Point::Cloned);
    // The control plane must see its socket close when the spawner proper ends, not later.
    let mut life = handed_over.map(|(_, _, _, ours)| ours);
    let mut claim = Some(claim);
    let sweeper = Sweeper::start(&proof, &mut claim, &mut life).map_err(at("clone the sweeper"))?;
    let status = attend(&child, &signals, claim, sweeper);
    drop(life);
    drop((ids, slot));
    status
}

/// What of the host's the spawner proper is cloned away from.
fn namespaces() -> CloneFlags {
    CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
}

fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD].into_iter().collect()
}

/// Takes the two descriptors we were started with and closes whatever else was left open.
fn descriptors(runner: i32) -> Result<(OwnedFd, OwnedFd), OuterError> {
    let number = runner;
    let own = |number, what| {
        process::inherited(number).map_err(|errno| OuterError::Descriptor { number, what, errno })
    };
    let close = |errno| OuterError::Call { step: "close descriptors", source: errno };
    process::close_between(CONTROL, number).map_err(close)?;
    process::close_from(number.cast_unsigned() + 1).map_err(close)?;
    let control = own(CONTROL, "the control plane's socket")?;
    let runner = own(number, "the runner")?;
    let seals = fcntl(&runner, FcntlArg::F_GET_SEALS).unwrap_or(0);
    if !SealFlag::from_bits_truncate(seals).contains(SEALS) {
        return Err(OuterError::NotSealed { number });
    }
    Ok((control, runner))
}

/// The controllers to use, after refusing what is missing and not waived.
fn enforceable(waived: &[Need]) -> Result<Vec<Controller>, OuterError> {
    let mut enforced = Controller::ALL.to_vec();
    for finding in checks::findings(&cgroup::ours()) {
        let Some(missing) = finding.missing else { continue };
        let need = finding.need;
        if !waived.contains(&need) {
            let mut remedy = missing.remedy;
            if need.may_be_missing() {
                remedy.push_str(&format!("; or go without: --allow-unenforced={need}"));
            }
            return Err(OuterError::Unenforceable { need, what: missing.what, remedy });
        }
        log::line(&format!("{need} is not enforced: {}", missing.what));
        enforced.retain(|controller| Need::of(*controller) != need);
    }
    Ok(enforced)
}

/// What of the machine is ours. The locks in it are held by the spawner proper too, which was cloned
/// with them, so that they outlive a killed outer process for as long as there is anything to lock.
struct Share {
    slot: Slot,
    /// None for an ordinary user, whose ids are not the machine's.
    ids: Option<Ids>,
    groups: Instance,
    claim: Claim,
}

/// A slot without leftovers, with its control groups made.
fn allocate(arguments: &Arguments, enforced: &[Controller]) -> Result<Share, OuterError> {
    let layout = Layout::read().map_err(OuterError::Layout)?;
    let mut occupied = Vec::new();
    loop {
        let mut slot = Slot::take(&arguments.state, &arguments.instance, &occupied)?;
        let ids = if geteuid().is_root() {
            let Some(ids) = Ids::lock(slot.number)? else {
                occupied.push(slot.number);
                continue;
            };
            Some(ids)
        } else {
            None
        };
        reach(Point::SlotTaken);
        let groups = Instance::plan(&layout, slot.number, enforced).map_err(OuterError::Groups)?;
        match Claim::new(&groups, &slot.left_behind) {
            Ok(claim) => {
                reach(Point::GroupsMade);
                if claim.swept > 0 {
                    let count = claim.swept;
                    log::line(&format!("swept {count} control groups of an earlier run"));
                }
                slot.record(&arguments.instance, &groups.paths()).map_err(OuterError::Record)?;
                reach(Point::SlotRecorded);
                // Whatever was to be swept is gone. Who runs with these ids now has them from a
                // spawner that keeps its slots elsewhere, or cannot die.
                match slot.stranger() {
                    None => return Ok(Share { slot, ids, groups, claim }),
                    Some(pid) => {
                        let number = slot.number;
                        log::line(&format!("slot {number} is left out: process {pid} has its ids"));
                        occupied.push(number);
                        claim.release().map_err(OuterError::Groups)?;
                    }
                }
            }
            Err(err @ (InstanceError::Occupied { .. } | InstanceError::Held { .. }))
                if occupied.len() < SLOT_TRIES =>
            {
                // Its ids may still be somebody's: nobody gets them.
                log::line(&format!("slot {} is left out: {}", slot.number, explain(&err)));
                occupied.push(slot.number);
            }
            Err(err) => return Err(OuterError::Groups(err)),
        }
        if occupied.len() > SLOT_TRIES {
            return Err(OuterError::Slot(SlotError::AllTaken));
        }
    }
}

/// Waits for the spawner proper, passing on what ends it, and removes what it cannot.
fn attend(
    child: &Child,
    signals: &SigSet,
    claim: Option<Claim>,
    sweeper: Sweeper,
) -> Result<u8, OuterError> {
    let at = |step| move |source| OuterError::Call { step, source };
    capability::confine(&capability::OUTER)?;
    capability::seal(&Policy::outer())?;
    let ending = loop {
        match signals.wait().map_err(at("wait for signals"))? {
            Signal::SIGCHLD => {
                match process::reap(child.pidfd.as_fd()).map_err(at("wait for the spawner"))? {
                    Reaped::Now(ending) => break ending,
                    // Without it nobody would clean up after us: this is the moment to do it.
                    Reaped::NotYet if sweeper.is_gone() => end(child)?,
                    Reaped::NotYet => {}
                    Reaped::Before => break Ending::Exited(Exit::Internal as i32),
                }
            }
            _ => end(child)?,
        }
    };
    reach(Point::InnerEnded);
    // The kernel has ended everything beneath it before it could be reaped.
    if let Some(Err(err)) = claim.map(Claim::release) {
        log::line(&explain(&err));
    }
    reach(Point::GroupsRemoved);
    sweeper.dismiss();
    Ok(match ending {
        Ending::Exited(status) => u8::try_from(status).unwrap_or(Exit::Internal.into()),
        Ending::Killed(signal) => {
            let filtered = match signal == Signal::SIGSYS as i32 {
                // The kernel says which one, as `type=1326 … syscall=<number>`.
                true => {
                    ", for a system call that is not on its list; the kernel's log has its number"
                }
                false => "",
            };
            log::line(&format!("the spawner was killed by signal {signal}{filtered}"));
            u8::try_from(128 + signal).unwrap_or(Exit::Internal.into())
        }
    })
}

/// Asks the spawner proper to end. PID 1 of a pid namespace ignores what it has no handler for; it
/// reads this one.
fn end(child: &Child) -> Result<(), OuterError> {
    match process::send_signal(child.pidfd.as_fd(), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(source) => Err(OuterError::Call { step: "pass SIGTERM on", source }),
    }
}

// === impl OuterError ===

impl OuterError {
    fn exit(&self) -> Exit {
        match self {
            Self::Arguments(_) | Self::Descriptor { .. } | Self::NotSealed { .. } => Exit::Usage,
            Self::Unenforceable { .. } => Exit::Unavailable,
            Self::Groups(InstanceError::NoUnifiedTree | InstanceError::NotDelegated { .. }) => {
                Exit::Unavailable
            }
            Self::Slot(_) | Self::Ids(_) | Self::Record(_) | Self::Groups(_) => Exit::NoSlot,
            Self::Layout(_) | Self::Limit(_) | Self::Call { .. } | Self::Confine(_) => Exit::System,
        }
    }
}
