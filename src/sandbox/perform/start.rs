//! The spawner's own world: a root with nothing of the host in it but what cells are made from.
//!
//! Everything is attached by descriptor into a tmpfs that is mounted over an existing directory of
//! the host, in a mount namespace nobody else is in. After the pivot the host's tree is gone.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat, umask};
use nix::unistd::symlinkat;

use super::{Cause, StepError};
use crate::cgroup::{Instance, Tree};
use crate::plan::StartStep;
use crate::sys::mount::{self, Attributes};

/// Device nodes of every cell: name, major, minor.
const NODES: [(&str, u64, u64); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];
/// Links of every cell's `/dev`, as POSIX programs expect them.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Where cells attach their root to be.
pub(super) const CELL_ROOT: &str = "/cell";

const TREE: Attributes =
    Attributes { read_only: true, no_suid: true, no_dev: true, no_exec: false };
const DEVICES: Attributes =
    Attributes { read_only: true, no_suid: true, no_dev: false, no_exec: true };
const NOTHING_SPECIAL: Attributes =
    Attributes { read_only: false, no_suid: true, no_dev: true, no_exec: true };

/// What of the host the spawner may see.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Runtime images: `sha256/<hex>/tree`.
    pub images: PathBuf,
    /// Functions' code, the same.
    pub code: PathBuf,
    /// This instance's control groups.
    pub control_groups: Instance,
    /// Any directory: the new root is mounted over it, unseen by others.
    pub mount_point: PathBuf,
}

/// What every cell is made from.
#[derive(Debug)]
pub struct Stage {
    /// The directory of images, in the spawner's mount namespace.
    pub images: OwnedFd,
    /// The directory of code, the same.
    pub code: OwnedFd,
    /// Where leaves are made, in the spawner's mount namespace.
    pub trees: Vec<Tree>,
    pub(super) devices: OwnedFd,
    pub(super) own_mounts: OwnedFd,
    pub(super) own_network: OwnedFd,
}

/// Flags of a tree of files that a cell sees.
pub(super) fn tree_attributes() -> Attributes {
    TREE
}

/// Flags of a cell's `/dev`.
pub(super) fn device_attributes() -> Attributes {
    DEVICES
}

/// Performs the start steps, in a process that was cloned into a mount namespace of its own.
///
/// # Errors
/// The step that failed; the process must not go on.
pub fn start(steps: &[StartStep], sources: &Sources) -> Result<Stage, StepError> {
    let mut builder = Builder::default();
    for step in steps {
        builder.perform(*step, sources).map_err(|errno| StepError::at(step, errno))?;
    }
    builder.stage.ok_or_else(|| StepError {
        step: "finish the start plan".to_owned(),
        cause: Cause::Call(Errno::ENOTRECOVERABLE),
    })
}

#[derive(Default)]
struct Builder {
    /// What is bound, and as what; set by `OpenSources`.
    files: Vec<(OwnedFd, &'static str)>,
    groups: Vec<OwnedFd>,
    /// The file system that becomes the root; set by `NewRoot`.
    root: Option<OwnedFd>,
    /// Set by `RememberNamespaces`, the last step.
    stage: Option<Stage>,
}

// === impl Builder ===

impl Builder {
    fn perform(&mut self, step: StartStep, sources: &Sources) -> nix::Result<()> {
        match step {
            StartStep::PrivateMounts => mount::make_all_private(),
            StartStep::OpenSources => self.open_sources(sources),
            StartStep::NewRoot => self.new_root(&sources.mount_point),
            StartStep::BindSources => {
                self.files.iter().try_for_each(|(from, name)| self.bind(from, name, TREE))
            }
            StartStep::BindControlGroups => {
                self.make_directory("cgroup")?;
                self.groups.iter().enumerate().try_for_each(|(number, group)| {
                    self.bind(group, &format!("cgroup/{number}"), NOTHING_SPECIAL)
                })
            }
            StartStep::MountProc => {
                let proc = mount::new_filesystem(c"proc", &[], NOTHING_SPECIAL)?;
                self.attach(proc, "proc")
            }
            StartStep::MakeDevices => self.devices(make_nodes),
            StartStep::BindDevices => self.bind_devices(),
            StartStep::Pivot => {
                self.make_directory(CELL_ROOT.trim_start_matches('/'))?;
                let root = self.root()?;
                mount::set_attributes(root, Attributes { read_only: true, ..NOTHING_SPECIAL })?;
                mount::pivot_into(root)
            }
            StartStep::RememberNamespaces => {
                let file =
                    |path: &str| open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
                let mut trees = sources.control_groups.trees.clone();
                for (number, tree) in trees.iter_mut().enumerate() {
                    tree.path = Path::new("/cgroup").join(number.to_string());
                }
                self.stage = Some(Stage {
                    images: directory(Path::new("/images"))?,
                    code: directory(Path::new("/code"))?,
                    devices: directory(Path::new("/dev"))?,
                    own_mounts: file("/proc/self/ns/mnt")?,
                    own_network: file("/proc/self/ns/net")?,
                    trees,
                });
                Ok(())
            }
        }
    }

    fn root(&self) -> nix::Result<std::os::fd::BorrowedFd<'_>> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::ENOTRECOVERABLE)
    }

    fn open_sources(&mut self, sources: &Sources) -> nix::Result<()> {
        self.files.push((mount::open_unlinked(&sources.images)?, "images"));
        self.files.push((mount::open_unlinked(&sources.code)?, "code"));
        let trees = &sources.control_groups.trees;
        self.groups = trees.iter().map(|tree| directory(&tree.path)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn new_root(&mut self, mount_point: &Path) -> nix::Result<()> {
        // A dozen directories; the size is a guard against our own mistakes.
        let options = [(c"size", c"256k"), (c"nr_inodes", c"64"), (c"mode", c"755")];
        let root = mount::new_filesystem(c"tmpfs", &options, NOTHING_SPECIAL)?;
        let over = directory(mount_point)?;
        mount::attach(root.as_fd(), over.as_fd())?;
        self.root = Some(root);
        Ok(())
    }

    fn make_directory(&self, name: &str) -> nix::Result<OwnedFd> {
        mkdirat(self.root()?, name, Mode::from_bits_truncate(0o755))?;
        mount::open_beneath(self.root()?, Path::new(name))
    }

    fn attach(&self, tree: OwnedFd, name: &str) -> nix::Result<()> {
        let target = self.make_directory(name)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    fn bind(&self, source: &OwnedFd, name: &str, attributes: Attributes) -> nix::Result<()> {
        let tree = mount::clone_tree(source.as_fd())?;
        mount::set_attributes(tree.as_fd(), attributes)?;
        self.attach(tree, name)
    }

    /// A small file system with something called after each device, and the links, at `/dev`.
    fn devices(&self, fill: fn(&OwnedFd) -> nix::Result<()>) -> nix::Result<()> {
        let options = [(c"size", c"64k"), (c"nr_inodes", c"32"), (c"mode", c"755")];
        let writable = Attributes { read_only: false, ..DEVICES };
        let dev = mount::new_filesystem(c"tmpfs", &options, writable)?;
        fill(&dev)?;
        LINKS.iter().try_for_each(|(name, to)| symlinkat(*to, &dev, *name))?;
        mount::set_attributes(dev.as_fd(), DEVICES)?;
        self.attach(dev, "dev")
    }

    /// The host's nodes, each checked to be what its name says, over empty files.
    fn bind_devices(&self) -> nix::Result<()> {
        let hosts = directory(Path::new("/dev"))?;
        let found: Vec<OwnedFd> =
            NODES.iter().map(|node| existing_node(&hosts, node)).collect::<nix::Result<_>>()?;
        self.devices(make_places)?;
        for (node, (name, ..)) in found.iter().zip(NODES) {
            let tree = mount::clone_tree(node.as_fd())?;
            mount::set_attributes(tree.as_fd(), DEVICES)?;
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let dev = mount::open_beneath(self.root()?, Path::new("dev"))?;
            let place = openat(&dev, name, flags, Mode::empty())?;
            mount::attach(tree.as_fd(), place.as_fd())?;
        }
        Ok(())
    }
}

fn make_nodes(dev: &OwnedFd) -> nix::Result<()> {
    let before = umask(Mode::empty());
    let made = NODES.iter().try_for_each(|(name, major, minor)| {
        let mode = Mode::from_bits_truncate(0o666);
        mknodat(dev, *name, SFlag::S_IFCHR, mode, makedev(*major, *minor))
    });
    umask(before);
    made
}

fn make_places(dev: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    NODES.iter().try_for_each(|(name, ..)| openat(dev, *name, flags, Mode::empty()).map(drop))
}

/// A node of the host's `/dev`: the device itself, and not something that took its name.
fn existing_node(dev: &OwnedFd, node: &(&str, u64, u64)) -> nix::Result<OwnedFd> {
    let (name, major, minor) = *node;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = openat(dev, name, flags, Mode::empty())?;
    if is_device(&found, major, minor)? { Ok(found) } else { Err(Errno::ENODEV) }
}

/// A directory by one of our own or the operator's own paths: links in those are his.
fn directory(path: &Path) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Checks that a descriptor is the null device, not something that took its name.
pub(super) fn is_null_device(file: &File) -> nix::Result<bool> {
    let (_, major, minor) = NODES[0];
    is_device(file, major, minor)
}

fn is_device(file: impl AsFd, major: u64, minor: u64) -> nix::Result<bool> {
    let stat = nix::sys::stat::fstat(file)?;
    let character = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    Ok(character && stat.st_rdev == makedev(major, minor))
}
