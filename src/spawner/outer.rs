//! The outer process: takes a part of the machine, starts the spawner proper, waits, cleans up.
//!
//! It stays in the host's pid namespace, because PID 1 of a pid namespace cannot clean up after its
//! own death. It never reads the control socket and never touches a cell.
//!
//! Whoever is not root clones into a user namespace as well, and gives it ids before the spawner proper
//! does anything.
//!
//! ```text
//!   arguments ─► checks ─► slot ─► sweep ─► control groups ─► clone ─► ids ─► wait ─► sweep ─► exit
//!       64          69       73       73           73           71       71            with its status
//! ```

use std::ffi::OsString;
use std::io::{PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getegid, geteuid};
use sandbox::Identity;
use sandbox::capability;
use sandbox::cgroup::{self, Claim, Controller, Instance, InstanceError, Layout, Swift};
use sandbox::checks::{self, Missing, Need};
use sandbox::failpoint::{Point, reach};
use sandbox::identity::{Own, Source};
use sandbox::perform::explain;
use sandbox::seccomp::Policy;
use sandbox::sys::process::{self, Child, Ending, Reaped, SingleThreaded, clone_process};

use crate::arguments::{Arguments, ArgumentsError};
use crate::exit::Exit;
use crate::inner::{self, Charge};
use crate::limits::{self, LimitError};
use crate::log;
use crate::machine::{Ids, IdsError};
use crate::mapping::{self, MappingError};
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
    #[error("{}", refusal(.0))]
    Unenforceable(Vec<(Need, Missing)>),
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
    #[error("make a pipe, or copy a descriptor")]
    Pipe {
        #[source]
        source: std::io::Error,
    },
    #[error("{step}")]
    Call {
        step: &'static str,
        #[source]
        source: Errno,
    },
    #[error(transparent)]
    Mapping(#[from] MappingError),
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
    let source = source(&arguments);
    let Share { slot, ids, groups, claim } = allocate(&arguments, &enforced, &source)?;
    // The spawner proper holds it too; nothing is slower without than it has always been.
    let swift = (source == Source::Machine).then(Swift::new).transpose().unwrap_or_else(|errno| {
        log::line(&format!("joining control groups takes milliseconds: {}", errno.desc()));
        None
    });
    limits::take()?;
    // Before there is a child, so that its end cannot be missed. The child inherits the mask: it
    // reads the same signals through a descriptor.
    let signals = signals();
    signals.thread_block().map_err(at("block signals"))?;
    let mut handover = Some((control, runner));
    let identity = source.slot(slot.number);
    let charge = |identity| Charge {
        arguments: &arguments,
        identity,
        groups: &groups,
        enforced: &enforced,
        signals,
    };
    let (child, life) = match found(&proof, &charge(identity), &mut handover) {
        // Somebody gave the user ids and somebody else does not let him have them: walls that need
        // none stand as well, and the operator is told which does not.
        Err(OuterError::Mapping(err)) if identity.can_drop_groups() => {
            log::line(&format!("all sandboxes share one user id: {}", explain(&err)));
            found(&proof, &charge(Source::Single(own()).slot(slot.number)), &mut handover)?
        }
        done => done?,
    };
    if let Some(manager) = &arguments.notify {
        let status = format!("slot {}, up to {} sandboxes", slot.number, arguments.capacity);
        if let Err(err) = readiness::tell(manager, &status) {
            log::line(&format!("the service manager cannot be told: {err}"));
        }
    }
    reach(Point::Cloned);
    // The control plane must see its socket close when the spawner proper ends, not later.
    drop(handover);
    let (mut life, mut claim) = (Some(life), Some(claim));
    let sweeper = Sweeper::start(&proof, &mut claim, &mut life).map_err(at("clone the sweeper"))?;
    let status = attend(&child, &signals, claim, sweeper);
    drop(life);
    drop((ids, slot, swift));
    status
}

/// Clones the spawner proper, gives it its ids, and lets it go; returns it and the pipe by which it
/// knows that we live.
fn found(
    proof: &SingleThreaded,
    charge: &Charge<'_>,
    handover: &mut Option<(OwnedFd, OwnedFd)>,
) -> Result<(Child, PipeWriter), OuterError> {
    let pipe = || std::io::pipe().map_err(|source| OuterError::Pipe { source });
    let ((life, ours), (waiter, starter)) = (pipe()?, pipe()?);
    let (mut ours, mut starter) = (Some(ours), Some(starter));
    let (mut life, mut waiter) = (Some(life), Some(waiter));
    let child = clone_process(proof, namespaces(&charge.identity), || {
        // Or our end would not be seen: by these two pipes, and by the control plane.
        drop((ours.take(), starter.take()));
        // Taken here, they stay with the parent, whose memory this is a copy of.
        let (Some((control, runner)), Some(life), Some(mut waiter)) =
            (handover.take(), life.take(), waiter.take())
        else {
            return Exit::Internal as i32;
        };
        let released = matches!(waiter.read(&mut [0]), Ok(1));
        drop(waiter);
        match released {
            true => inner::run(proof, charge, control, runner, life) as i32,
            false => Exit::System as i32,
        }
    })
    .map_err(|source| OuterError::Call { step: "clone the spawner", source })?;
    if let Err(err) = mapping::give(child.pid, &charge.identity) {
        // It reads the end of its pipe and ends; nobody else is waited for yet.
        drop(starter);
        let _no_other_child = process::wait_for_any();
        return Err(err.into());
    }
    let started = starter.map(|mut starter| starter.write_all(&[1]));
    match (started, ours) {
        (Some(Ok(())), Some(ours)) => Ok((child, ours)),
        _ => Err(OuterError::Call { step: "release the spawner", source: Errno::EPIPE }),
    }
}

/// Whose ids cells have.
fn source(arguments: &Arguments) -> Source {
    match (geteuid().is_root(), arguments.subordinate) {
        (true, _) => Source::Machine,
        (false, Some(allotment)) => Source::Subordinate { own: own(), allotment },
        (false, None) => Source::Single(own()),
    }
}

fn own() -> Own {
    Own { user: geteuid().as_raw(), group: getegid().as_raw() }
}

/// What of the host's the spawner proper is cloned away from.
fn namespaces(identity: &Identity) -> CloneFlags {
    let user = match identity.is_machine() {
        true => CloneFlags::empty(),
        false => CloneFlags::CLONE_NEWUSER,
    };
    user | CloneFlags::CLONE_NEWPID
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

/// The controllers to use, after refusing what is missing and not waived, all of it at once.
fn enforceable(waived: &[Need]) -> Result<Vec<Controller>, OuterError> {
    let mut enforced = Controller::ALL.to_vec();
    let mut refused = Vec::new();
    for finding in checks::findings(&cgroup::ours()) {
        let Some(missing) = finding.missing else { continue };
        let need = finding.need;
        if waived.contains(&need) {
            log::line(&format!("{need} is not enforced: {}", missing.what));
            enforced.retain(|controller| Need::of(*controller) != need);
        } else {
            refused.push((need, missing));
        }
    }
    if refused.is_empty() { Ok(enforced) } else { Err(OuterError::Unenforceable(refused)) }
}

/// What is missing, each with its remedy, and how to go without what can be gone without.
fn refusal(refused: &[(Need, Missing)]) -> String {
    let each = refused.iter().map(|(need, Missing { what, remedy })| {
        format!("{need} cannot be enforced: {what} ({remedy})")
    });
    let mut text = each.collect::<Vec<_>>().join("; ");
    let needs = || refused.iter().map(|(need, _)| *need);
    if needs().all(Need::may_be_missing) {
        let names: Vec<&str> = needs().map(Need::name).collect();
        text.push_str(&format!("; or go without: --allow-unenforced={}", names.join(",")));
    }
    text
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
fn allocate(
    arguments: &Arguments,
    enforced: &[Controller],
    source: &Source,
) -> Result<Share, OuterError> {
    let layout = Layout::read().map_err(OuterError::Layout)?;
    let plan = |slot| match source {
        Source::Machine => Instance::plan(&layout, slot, enforced),
        _ => Instance::plan_delegated(&layout.clone().delegated(), slot, enforced),
    };
    let mut occupied = Vec::new();
    loop {
        let mut slot =
            Slot::take(&arguments.state, &arguments.instance, &occupied, source.slots())?;
        // An ordinary user's are his own: nobody else can take them.
        let ids = if source == &Source::Machine {
            let Some(ids) = Ids::lock(slot.number)? else {
                occupied.push(slot.number);
                continue;
            };
            Some(ids)
        } else {
            None
        };
        reach(Point::SlotTaken);
        let groups = plan(slot.number).map_err(OuterError::Groups)?;
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
                match Slot::stranger(&source.slot(slot.number).exclusive()) {
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
            return Err(OuterError::Slot(SlotError::AllTaken { slots: source.slots() }));
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
    capability::confine_outer()?;
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
            Self::Unenforceable(_) => Exit::Unavailable,
            Self::Groups(InstanceError::NoUnifiedTree | InstanceError::NotDelegated { .. }) => {
                Exit::Unavailable
            }
            Self::Slot(_) | Self::Ids(_) | Self::Record(_) | Self::Groups(_) => Exit::NoSlot,
            Self::Layout(_)
            | Self::Limit(_)
            | Self::Pipe { .. }
            | Self::Call { .. }
            | Self::Mapping(_)
            | Self::Confine(_) => Exit::System,
        }
    }
}
