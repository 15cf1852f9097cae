//! The spawner's part of one cell: before it exists, when it runs, when a function moves in.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

use super::start::{Stage, device_attributes, tree_attributes};
use super::{Cause, StepError};
use crate::cgroup::{Leaf, LeafLimits};
use crate::failpoint;
use crate::plan::{AssignStep, FinishStep, Place, PrepareStep, tmp_options};
use crate::sys::process::Child;
use crate::sys::{mount, socket};

/// What belongs to a cell, or a template, whose first process does not exist yet.
#[derive(Debug)]
pub struct Draft {
    /// Its directories in the control group hierarchies.
    pub leaf: Leaf,
    /// `cgroup.procs` of each, for the process to let itself in.
    pub doors: Vec<OwnedFd>,
    /// The image, detached.
    pub image: OwnedFd,
    /// Device nodes, detached.
    pub devices: OwnedFd,
    /// The control plane's end of the runner's socket; the spawner's of a template's.
    pub control_end: OwnedFd,
    /// The process's end.
    pub process_end: OwnedFd,
}

/// What the control plane gets of a cell, beside its process and its socket.
#[derive(Debug)]
pub struct Finished {
    /// Listens on the Runtime API's address, inside; non-blocking.
    pub listener: OwnedFd,
    /// `memory.stat` of the leaf; where memory is not limited, the first process's directory in the
    /// spawner's `/proc`.
    pub statistics: OwnedFd,
    /// `cgroup.freeze` of the leaf, where the version-2 tree is ours.
    pub freezer: Option<OwnedFd>,
    /// `memory.oom_control` of the leaf, where memory is limited by version 1.
    pub kills: Option<OwnedFd>,
}

/// What a cell gets when it becomes a function's.
#[derive(Debug)]
pub struct Assignment<'a> {
    /// What is mounted where; each place at most once.
    pub trees: &'a [(Place, OwnedFd)],
    /// Size of `/tmp`, MiB.
    pub tmp_mib: u32,
    /// Memory, pids, CPU weight.
    pub limits: LeafLimits,
}

/// Why a cell did not become a function's.
#[derive(Debug, thiserror::Error)]
pub enum NotAssigned {
    /// Nothing of the cell has changed but its limits and, perhaps, the size of its `/tmp`.
    #[error(transparent)]
    AsItWas(StepError),
    /// Some of its trees are mounted: nothing else may come into it.
    #[error(transparent)]
    HalfDone(StepError),
}

/// Performs the prepare steps for a cell or template with this name, these limits and this image.
///
/// # Errors
/// The step that failed. Nothing is left behind.
pub fn prepare(
    steps: &[PrepareStep],
    stage: &Stage,
    name: &str,
    limits: &LeafLimits,
    image: BorrowedFd<'_>,
) -> Result<Draft, StepError> {
    let mut parts = Parts::default();
    for step in steps {
        if let Err(cause) = parts.perform(*step, stage, name, limits, image) {
            if let Some(mut leaf) = parts.leaf {
                // Nothing was ever in it; should removal fail too, the next start sweeps it.
                let _swept_later = leaf.remove();
            }
            return Err(StepError::at(step, cause));
        }
    }
    parts.whole().ok_or_else(|| StepError {
        step: "finish the prepare plan".to_owned(),
        cause: Errno::ENOTRECOVERABLE.into(),
    })
}

/// The parts of a [`Draft`], as the steps supply them.
#[derive(Default)]
struct Parts {
    leaf: Option<Leaf>,
    doors: Vec<OwnedFd>,
    image: Option<OwnedFd>,
    devices: Option<OwnedFd>,
    ends: Option<(OwnedFd, OwnedFd)>,
}

// === impl Parts ===

impl Parts {
    fn perform(
        &mut self,
        step: PrepareStep,
        stage: &Stage,
        name: &str,
        limits: &LeafLimits,
        image: BorrowedFd<'_>,
    ) -> Result<(), Cause> {
        match step {
            PrepareStep::CreateLeaves => {
                let leaf = Leaf::create(&stage.trees, name, limits)?;
                self.doors = self.leaf.insert(leaf).doors()?;
            }
            PrepareStep::CloneImage => {
                let tree = mount::clone_tree(image)?;
                mount::set_attributes(tree.as_fd(), tree_attributes())?;
                self.image = Some(tree);
            }
            PrepareStep::CloneDevices => {
                let tree = mount::clone_trees(stage.devices.as_fd())?;
                mount::set_attributes_of_all(tree.as_fd(), device_attributes())?;
                self.devices = Some(tree);
            }
            PrepareStep::ConnectRunner => {
                let (control_end, runner_end) = socket::pair()?;
                // Runners send no descriptors; where the kernel can, it refuses them for us. Where
                // it cannot, a receiver that provides no room for them drops them.
                let _kernel_helps = socket::refuse_descriptors(control_end.as_fd())?;
                self.ends = Some((control_end, runner_end));
            }
            // A template sends the descriptor of what it forked.
            PrepareStep::ConnectTemplate => self.ends = Some(socket::pair()?),
        }
        Ok(())
    }

    fn whole(self) -> Option<Draft> {
        let (control_end, process_end) = self.ends?;
        Some(Draft {
            leaf: self.leaf?,
            doors: self.doors,
            image: self.image?,
            devices: self.devices?,
            control_end,
            process_end,
        })
    }
}

/// Performs the finish steps for a cell whose runner runs.
///
/// # Errors
/// The step that failed; the cell is to be ended.
pub fn finish(
    steps: &[FinishStep],
    stage: &Stage,
    cell: &Child,
    leaf: &Leaf,
) -> Result<Finished, StepError> {
    let (mut listener, mut statistics) = (None, None);
    let (mut freezer, mut kills) = (None, None);
    for step in steps {
        let performed = match *step {
            FinishStep::OpenListener { port, backlog } => {
                let open = || socket::listen_on_loopback(port, backlog);
                within(
                    cell.pidfd.as_fd(),
                    CloneFlags::CLONE_NEWNET,
                    stage.own_network.as_fd(),
                    open,
                )
                .map(|opened| listener = Some(opened))
                .map_err(Cause::from)
            }
            FinishStep::OpenStatistics => {
                open_statistics(leaf, cell.pid).map(|opened| statistics = Some(opened))
            }
            FinishStep::OpenFreezer => {
                leaf.freezer().map(|opened| freezer = opened).map_err(Cause::from)
            }
            FinishStep::OpenKills => leaf.kills().map(|opened| kills = opened).map_err(Cause::from),
        };
        performed.map_err(|cause| StepError::at(step, cause))?;
    }
    match (listener, statistics) {
        (Some(listener), Some(statistics)) => Ok(Finished { listener, statistics, freezer, kills }),
        _ => Err(StepError {
            step: "finish the finish plan".to_owned(),
            cause: Errno::ENOTRECOVERABLE.into(),
        }),
    }
}

fn open_statistics(leaf: &Leaf, pid: i32) -> Result<OwnedFd, Cause> {
    if let Some(file) = leaf.statistics()? {
        return Ok(file);
    }
    // Nobody counts for us: what its processes say of themselves is all there is.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open(format!("/proc/{pid}").as_str(), flags, Mode::empty())?)
}

/// Performs the assign steps: these trees, these limits, into a cell in which nothing has run yet.
///
/// # Errors
/// The step that failed, and what it left of the cell.
pub fn assign(
    steps: &[AssignStep],
    stage: &Stage,
    cell: BorrowedFd<'_>,
    leaf: &Leaf,
    Assignment { trees, tmp_mib, limits }: &Assignment<'_>,
) -> Result<(), NotAssigned> {
    let mut clones = Vec::with_capacity(trees.len());
    let mut attached = 0;
    for step in steps {
        let performed: Result<(), Cause> = match *step {
            AssignStep::CloneTrees => trees.iter().try_for_each(|(place, tree)| {
                clones.push((*place, clone_tree(tree.as_fd())?));
                Ok(())
            }),
            AssignStep::SetLimits => leaf.change(limits).map_err(Cause::from),
            AssignStep::MountTrees { usual_tmp_mib } => {
                let own = stage.own_mounts.as_fd();
                let resize = (*tmp_mib != usual_tmp_mib).then_some(*tmp_mib);
                let mount = || mount_trees(&clones, resize, &mut attached);
                within(cell, CloneFlags::CLONE_NEWNS, own, mount).map_err(Cause::from)
            }
        };
        performed.map_err(|cause| match (attached, StepError::at(step, cause)) {
            (0, err) => NotAssigned::AsItWas(err),
            (_, err) => NotAssigned::HalfDone(err),
        })?;
        failpoint::after(step);
    }
    Ok(())
}

fn clone_tree(tree: BorrowedFd<'_>) -> Result<OwnedFd, Cause> {
    let tree = mount::clone_tree(tree)?;
    mount::set_attributes(tree.as_fd(), tree_attributes())?;
    Ok(tree)
}

/// Runs inside the cell's mount namespace, whose root is the image: read-only, and not the
/// function's. Links are refused all the same. Counts what it has attached: nothing, unless every
/// place is there.
fn mount_trees(
    trees: &[(Place, OwnedFd)],
    resize: Option<u32>,
    attached: &mut usize,
) -> nix::Result<()> {
    if let Some(mib) = resize {
        let (size, inodes) = tmp_options(mib);
        let (size, inodes) = (c_string(size)?, c_string(inodes)?);
        mount::reconfigure(c"/tmp", &[(c"size", &size), (c"nr_inodes", &inodes)])?;
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(c"/", flags, Mode::empty())?;
    let targets: Vec<OwnedFd> = trees
        .iter()
        .map(|(place, _)| {
            let path = Path::new(place.path().trim_start_matches('/'));
            mount::open_beneath(root.as_fd(), path)
        })
        .collect::<nix::Result<_>>()?;
    for ((_, tree), target) in trees.iter().zip(&targets) {
        mount::attach(tree.as_fd(), target.as_fd())?;
        *attached += 1;
    }
    Ok(())
}

pub(super) fn c_string(text: String) -> nix::Result<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

/// Steps into one namespace of a process, acts, and steps back.
fn within<T>(
    process: BorrowedFd<'_>,
    kind: CloneFlags,
    own: BorrowedFd<'_>,
    act: impl FnOnce() -> nix::Result<T>,
) -> nix::Result<T> {
    setns(process, kind)?;
    let result = act();
    if setns(own, kind).is_err() {
        // A spawner that stays in a cell's namespace would do the next cell's steps there. There is
        // no way on from here; the kernel ends everything beneath us.
        std::process::abort();
    }
    result
}
