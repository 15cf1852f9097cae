//! The steps of everybody but the cell itself.

use super::{
    Describe, FIRST_CELL_ID, OWNER_ID, RUNTIME_API_BACKLOG, RUNTIME_API_PORT, Spec, TMP_MIB,
};

/// The spawner builds what every cell is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartStep {
    /// Nothing mounted here shows outside, nor the other way round.
    PrivateMounts,
    /// The directories everything is taken from, before anything can hide them.
    OpenSources,
    /// A small file system that becomes the spawner's root.
    NewRoot,
    /// The images and the code, and nothing else of the host's files.
    BindSources,
    /// This instance's directory of each control group hierarchy.
    BindControlGroups,
    /// A complete `proc` of the spawner's own pid namespace.
    MountProc,
    /// The device nodes all cells share.
    MakeDevices,
    /// The same, the host's own: only its root can make some.
    BindDevices,
    /// Enter the new root, let go of the host's.
    Pivot,
    /// Descriptors of the own namespaces.
    RememberNamespaces,
}

/// The spawner makes what belongs to one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrepareStep {
    /// Directories with limits in each hierarchy.
    CreateLeaves,
    /// The image, as a mount of its own.
    CloneImage,
    /// The device nodes, as a mount of their own.
    CloneDevices,
    /// A socket between the control plane and the runner.
    ConnectRunner,
    /// A socket between the spawner and a template.
    ConnectTemplate,
}

/// The maker bears the cell's first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearStep {
    /// All namespaces but the cgroup namespace, at once.
    Clone,
    /// The same for a template, which stays in the maker's user and pid namespaces.
    CloneTemplate,
    /// The pidfd goes to the spawner.
    HandBack,
    /// `gid_map`: one id.
    MapGroup {
        /// As the function sees it.
        inside: u32,
    },
    /// `uid_map`: one id.
    MapUser {
        /// As the function sees it.
        inside: u32,
    },
    /// The process may go on.
    Release,
}

/// The spawner completes a cell whose runner runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishStep {
    /// The Runtime API's address, inside.
    OpenListener {
        /// On 127.0.0.1.
        port: u16,
        /// Connections that may wait.
        backlog: i32,
    },
    /// What its memory is used for.
    OpenStatistics,
    /// What it is stopped with while idle.
    OpenFreezer,
    /// Open the count of its memory kills, where the kernel ends single processes.
    OpenKills,
}

/// The spawner gives a cell to one function version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignStep {
    /// The code and what else the function has, each as a mount of its own.
    CloneTrees,
    /// `/tmp` gets its size, and the trees appear at their places.
    MountTrees {
        /// A `/tmp` of this many MiB is there already.
        usual_tmp_mib: u32,
    },
    /// Memory, pids, CPU weight.
    SetLimits,
}

/// Where in a cell a tree of its function can appear; each is a directory of every image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The deployment package.
    Code,
    /// The layers, merged.
    Layers,
    /// What was compiled of the package for the cell's image, if anything was.
    Compiled,
}

/// The spawner takes a cell down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndStep {
    /// Everything in it, at once.
    Kill,
    /// Whoever entered it first, then its first process.
    Reap,
    /// What it used.
    ReadUsage,
    /// Its directories.
    RemoveLeaves,
}

pub(super) fn start(spec: &Spec) -> Vec<StartStep> {
    vec![
        StartStep::PrivateMounts,
        StartStep::OpenSources,
        StartStep::NewRoot,
        StartStep::BindSources,
        StartStep::BindControlGroups,
        StartStep::MountProc,
        if spec.as_root { StartStep::MakeDevices } else { StartStep::BindDevices },
        StartStep::Pivot,
        StartStep::RememberNamespaces,
    ]
}

pub(super) fn prepare() -> Vec<PrepareStep> {
    vec![
        PrepareStep::CreateLeaves,
        PrepareStep::CloneImage,
        PrepareStep::CloneDevices,
        PrepareStep::ConnectRunner,
    ]
}

pub(super) fn bear(spec: &Spec) -> Vec<BearStep> {
    vec![
        BearStep::Clone,
        // Before anything of it can fail: the spawner then waits for every process there ever is, and
        // gives its id to nobody before it is gone.
        BearStep::HandBack,
        BearStep::MapGroup { inside: spec.inside_id },
        BearStep::MapUser { inside: spec.inside_id },
        BearStep::Release,
    ]
}

pub(super) fn prepare_template() -> Vec<PrepareStep> {
    vec![
        PrepareStep::CreateLeaves,
        PrepareStep::CloneImage,
        PrepareStep::CloneDevices,
        PrepareStep::ConnectTemplate,
    ]
}

pub(super) fn bear_template() -> Vec<BearStep> {
    vec![BearStep::CloneTemplate, BearStep::HandBack, BearStep::Release]
}

pub(super) fn finish() -> Vec<FinishStep> {
    vec![
        FinishStep::OpenListener { port: RUNTIME_API_PORT, backlog: RUNTIME_API_BACKLOG },
        FinishStep::OpenStatistics,
        FinishStep::OpenFreezer,
        FinishStep::OpenKills,
    ]
}

pub(super) fn assign() -> Vec<AssignStep> {
    vec![
        // A tree that is not attached yet vanishes by itself; what is mounted could not be taken back
        // if the limits failed.
        AssignStep::CloneTrees,
        AssignStep::SetLimits,
        AssignStep::MountTrees { usual_tmp_mib: TMP_MIB },
    ]
}

pub(super) fn end() -> Vec<EndStep> {
    vec![EndStep::Kill, EndStep::Reap, EndStep::ReadUsage, EndStep::RemoveLeaves]
}

// === impl Place ===

impl Place {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Code, Self::Layers, Self::Compiled];

    /// Where that is, inside; AWS's, as far as AWS has it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Code => "/var/task",
            Self::Layers => "/opt",
            Self::Compiled => "/var/lang/compiled",
        }
    }
}

// === impl Describe ===

impl Describe for StartStep {
    fn what(&self) -> String {
        match self {
            Self::PrivateMounts => "mount / private, recursively",
            Self::OpenSources => "open the directories of images, code and control groups",
            Self::NewRoot => "mount a tmpfs as root to be",
            Self::BindSources => "bind /images and /code, read-only, nosuid, nodev",
            Self::BindControlGroups => "bind this instance's directory of each hierarchy",
            Self::MountProc => "mount /proc, complete",
            Self::MakeDevices => "mount /dev: null zero full random urandom, links; read-only",
            Self::BindDevices => "mount /dev: the host's five nodes, bound; links; read-only",
            Self::Pivot => "pivot_root, detach the old root",
            Self::RememberNamespaces => "open own mount and network namespaces",
        }
        .to_owned()
    }

    fn why(&self) -> &'static str {
        match self {
            Self::PrivateMounts => "no mount of ours reaches the host",
            Self::OpenSources => "whatever is mounted next cannot hide them",
            Self::NewRoot => "a short mount table is copied fast, and holds nothing of the host",
            Self::BindSources => "what cells are made from; the rest of the host is out of reach",
            Self::BindControlGroups => "leaves of this instance, and of no other",
            Self::MountProc => "a cell may mount its own proc only where a complete one is visible",
            Self::MakeDevices => "made once: mknod is given up afterwards",
            Self::BindDevices => "whoever is not the host's root cannot make any",
            Self::Pivot => "the host's files are gone from this process and all it makes",
            Self::RememberNamespaces => "the way back after stepping into a cell",
        }
    }
}

impl Describe for PrepareStep {
    fn what(&self) -> String {
        match self {
            Self::CreateLeaves => "create cgroup leaves with limits of what will be in them",
            Self::CloneImage => "clone the image tree, read-only, nosuid, nodev",
            Self::CloneDevices => "clone /dev, read-only, nosuid, noexec",
            Self::ConnectRunner => "connect the runner's socket",
            Self::ConnectTemplate => "connect the template's socket",
        }
        .to_owned()
    }

    fn why(&self) -> &'static str {
        match self {
            Self::CreateLeaves => "no process of a cell ever runs without limits",
            Self::CloneImage => "the cell gets the tree as a descriptor, never as a path",
            Self::CloneDevices => "the cell's own view of five harmless nodes",
            Self::ConnectRunner => "one message each way starts and reports a program",
            Self::ConnectTemplate => "what it is handed beside an order is all it can reach",
        }
    }
}

impl Describe for BearStep {
    fn what(&self) -> String {
        match self {
            Self::Clone => {
                format!("clone into new user, pid, mnt, net, ipc, uts namespaces as id {OWNER_ID}")
            }
            Self::CloneTemplate => "clone into new mnt, net, ipc, uts namespaces".to_owned(),
            Self::MapGroup { inside } => format!("write gid_map: {inside} <id> 1"),
            Self::MapUser { inside } => format!("write uid_map: {inside} <id> 1"),
            Self::HandBack => "send the pidfd to the spawner".to_owned(),
            Self::Release => "release the process".to_owned(),
        }
    }

    fn why(&self) -> &'static str {
        const _: () = assert!(FIRST_CELL_ID > OWNER_ID);
        match self {
            Self::Clone => "its parent is the spawner; its owner an id no function runs as",
            Self::CloneTemplate => "in the nursery, where whoever has the owner's id owns cells",
            Self::MapGroup { .. } => "one group, unique among all living cells of the host",
            Self::MapUser { .. } => "one user, unique among all living cells of the host",
            Self::HandBack => "the spawner can end it before it has done anything",
            Self::Release => "it waited for its identity",
        }
    }
}

impl Describe for FinishStep {
    fn what(&self) -> String {
        match self {
            Self::OpenListener { port, .. } => {
                format!("listen on 127.0.0.1:{port} inside, step back")
            }
            Self::OpenStatistics => "open its memory.stat, or its directory in /proc".to_owned(),
            Self::OpenFreezer => "open its cgroup.freeze, where version 2 is".to_owned(),
            Self::OpenKills => "open its memory.oom_control, where version 1 is".to_owned(),
        }
    }

    fn why(&self) -> &'static str {
        match self {
            Self::OpenListener { .. } => "taken before the function could take it",
            Self::OpenStatistics => "what the control plane looks at while it runs",
            Self::OpenFreezer => "what the control plane stops it with while nobody calls it",
            Self::OpenKills => "version 1 ends one process; the rest is then ended for it",
        }
    }
}

impl Describe for AssignStep {
    fn what(&self) -> String {
        match self {
            Self::CloneTrees => {
                "clone code, layers, what is compiled: ro, nosuid, nodev".to_owned()
            }
            Self::MountTrees { usual_tmp_mib } => {
                let places: Vec<&str> = Place::ALL.iter().map(|place| place.path()).collect();
                let places = places.join(", ");
                format!("inside: /tmp unless {usual_tmp_mib} MiB, mount {places}; step back")
            }
            Self::SetLimits => "set memory, pids and CPU weight".to_owned(),
        }
    }

    fn why(&self) -> &'static str {
        match self {
            Self::CloneTrees => "by digest, from the store; no path crosses the socket",
            Self::MountTrees { .. } => "nothing of the function has run yet",
            Self::SetLimits => "before the code: a cell whose limits fail gets none",
        }
    }
}

impl Describe for EndStep {
    fn what(&self) -> String {
        match self {
            Self::Kill => "write cgroup.kill",
            Self::Reap => "reap entered processes, then PID 1",
            Self::ReadUsage => "read memory kills and peak",
            Self::RemoveLeaves => "remove the leaves",
        }
        .to_owned()
    }

    fn why(&self) -> &'static str {
        match self {
            Self::Kill => "catches what forks, ignores signals or is frozen",
            Self::Reap => "PID 1 cannot finish dying before those whose parent is outside",
            Self::ReadUsage => "final only when nothing runs",
            Self::RemoveLeaves => "only then is its id free for another cell",
        }
    }
}
