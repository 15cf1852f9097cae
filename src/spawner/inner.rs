//! The spawner proper, from the first moment to its event loop.
//!
//! ```text
//!   death signal ─► own root ─► plan ─► maker ─► capabilities ─► filter ─► Hello ─► loop
//! ```
//!
//! It is PID 1 of a pid namespace, so its end, however it comes, ends everything beneath it.

use std::io::PipeReader;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setgroups;
use sandbox::budget::{Budget, HostLimits};
use sandbox::capability::{self, ConfineError};
use sandbox::cgroup::{Controller, Instance};
use sandbox::failpoint::{Point, reach};
use sandbox::landlock::{self, Abi};
use sandbox::perform::{Sources, StepError, explain, start};
use sandbox::seccomp::{Policy, program};
use sandbox::sys::process::SingleThreaded;
use sandbox::{Identity, Plan, Spec};
use wire::template::{Domain, Recipe};

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::log;
use crate::maker::{Maker, MakerError};
use crate::service::{Blueprint, Service, ServiceError};

/// Descriptors of our own beside those of cells.
const OWN_DESCRIPTORS: u64 = 64;
/// Most descriptors a cell takes here at any time: while it is being made.
const DESCRIPTORS_PER_CELL: u64 = 4;

/// What the outer process decided.
#[derive(Debug)]
pub(crate) struct Charge<'a> {
    /// As checked.
    pub(crate) arguments: &'a Arguments,
    /// Whose ids the nursery's are.
    pub(crate) identity: Identity,
    /// Directories in the control group hierarchies.
    pub(crate) groups: &'a Instance,
    /// What is limited in them.
    pub(crate) enforced: &'a [Controller],
    /// Blocked signals, to be read through a descriptor.
    pub(crate) signals: SigSet,
}

/// Why the spawner proper did not start.
#[derive(Debug, thiserror::Error)]
enum InnerError {
    #[error("{step}")]
    Call {
        step: &'static str,
        #[source]
        source: Errno,
    },
    #[error("the outer process is gone")]
    Orphaned,
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Maker(#[from] MakerError),
    #[error("give up capabilities")]
    Confine(#[from] ConfineError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Runs the spawner proper to its end.
pub(crate) fn run(
    proof: &SingleThreaded,
    charge: &Charge<'_>,
    control: OwnedFd,
    runner: OwnedFd,
    life: PipeReader,
) -> Exit {
    match serve(proof, charge, control, runner, life) {
        Ok(exit) => exit,
        Err(err) => {
            log::line(&explain(&err));
            Exit::System
        }
    }
}

fn serve(
    proof: &SingleThreaded,
    charge: &Charge<'_>,
    control: OwnedFd,
    runner: OwnedFd,
    life: PipeReader,
) -> Result<Exit, InnerError> {
    let at = |step| move |source| InnerError::Call { step, source };
    die_with_outer(&life)?;
    reach(Point::InnerBorn);
    if charge.identity.can_drop_groups() {
        setgroups(&[]).map_err(at("setgroups"))?;
    }
    // Of the host, before its /proc is out of sight (the limits themselves stay the host's).
    let host = HostLimits::read();
    let asked = identifiable(charge.arguments.capacity, &charge.identity);
    let capacity = affordable(asked).map_err(at("read a limit"))?;
    // Where that leaves each cell little, `hearth doctor` names the sysctl.
    let budget = Budget::share(&host, capacity);
    let spec = Spec::new(budget, charge.enforced, Abi::of_kernel()).of(&charge.identity);
    let plan = Plan::new(&spec);
    let sources = Sources {
        images: charge.arguments.images.clone(),
        code: charge.arguments.code.clone(),
        control_groups: charge.groups.clone(),
        mount_point: charge.arguments.state.clone(),
    };
    let stage = start(&plan.start, &sources)?;
    reach(Point::RootMade);
    let maker = Maker::start(proof, &plan, runner.as_fd(), &charge.identity)?;
    reach(Point::MakerStarted);
    // Only the maker executes it.
    drop(runner);
    capability::confine(&capability::SPAWNER)?;
    die_with_outer(&life)?;
    // From here on it makes no process and executes nothing. Before it has read anything.
    capability::seal(&Policy::spawner())?;
    reach(Point::Settled);
    let (identity, signals) = (charge.identity, &charge.signals);
    let blueprint = Blueprint { recipe: recipe(&spec), plan };
    let service = Service::new(stage, blueprint, maker, control, identity, capacity, signals)?;
    Ok(service.run())
}

/// What a fork does to itself so that it is what a cell's process is, in the words of the program that
/// does it.
fn recipe(spec: &Spec) -> Recipe {
    let domain = landlock::recipe(spec.landlock, &landlock::CELL).map(|recipe| Domain {
        handled: recipe.handled,
        scoped: recipe.scoped,
        rules: recipe.rules.iter().map(|(path, access)| ((*path).to_owned(), *access)).collect(),
    });
    Recipe { id: spec.inside_id, domain, filter: program(&Policy::last()).bytes() }
}

/// If the outer process dies, so do we; if it did before we asked for that, we find out here.
fn die_with_outer(life: &PipeReader) -> Result<(), InnerError> {
    let at = |step| move |source| InnerError::Call { step, source };
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(at("set the death signal"))?;
    let mut pipe = [PollFd::new(life.as_fd(), PollFlags::empty())];
    match poll(&mut pipe, PollTimeout::ZERO).map_err(at("poll"))? {
        0 => Ok(()),
        _ => Err(InnerError::Orphaned),
    }
}

/// How many cells there are ids for, at most as many as asked.
fn identifiable(asked: u32, identity: &Identity) -> u32 {
    let Some(ids) = identity.cell_ids() else { return asked };
    let cells = (ids.end - ids.start).max(1);
    if cells < asked {
        log::line(&format!("room for {cells} cells instead of {asked}: each needs an id"));
    }
    cells.min(asked)
}

/// How many cells our descriptors are enough for, at most as many as asked.
fn affordable(asked: u32) -> nix::Result<u32> {
    let (descriptors, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let cells = descriptors.saturating_sub(OWN_DESCRIPTORS) / DESCRIPTORS_PER_CELL;
    let cells = u32::try_from(cells).unwrap_or(u32::MAX).max(1);
    if cells < asked {
        log::line(&format!(
            "room for {cells} cells instead of {asked}: the limit of open files is {descriptors}"
        ));
    }
    Ok(cells.min(asked))
}
