//! The steps of the cell's first process: from a clone of the maker to the runner; and of a template's,
//! from such a clone to the program that its image names.
//!
//! A cell's starts with every capability in its own user namespace and none outside, in the spawner's
//! mount table, and ends with none at all. The order is what took experiments to find; each place
//! where another order fails says so. A template's stays in the nursery and in Hearth's pid namespace,
//! as the id that owns cells, with the maker's capabilities there until it gives them up.

use nix::sys::resource::Resource;

use super::{Describe, OWNER_ID, Spec, TMP_MIB, tmp_options};
use crate::cgroup::Controller;
use crate::landlock::{self, Abi, Grant};
use crate::seccomp::Policy;

/// One thing the cell's first process does to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnterStep {
    /// Write `0` into each door the spawner opened.
    JoinControlGroups,
    /// The joined groups become the roots of what it can see.
    NewCgroupNamespace,
    /// First candidate when the host runs out of memory.
    OutOfMemoryFirst,
    /// No supplementary groups.
    DropGroups,
    /// The one id that exists inside.
    BecomeUser {
        /// Its number inside.
        id: u32,
    },
    /// A limit of its own user namespace, below `/proc/sys/user`.
    UserLimit {
        /// File name.
        name: &'static str,
        /// What is written.
        value: u64,
    },
    /// `setrlimit`.
    ResourceLimit {
        /// Which.
        resource: Resource,
        /// What applies.
        soft: u64,
        /// What it may be raised to.
        hard: u64,
    },
    /// `lo` up.
    LoopbackUp,
    /// `sethostname`.
    Hostname {
        /// To what.
        name: String,
    },
    /// Mounts of the spawner's table stay the spawner's.
    PrivateMounts,
    /// The image becomes the root to be.
    MountImage,
    /// Device nodes.
    MountDevices,
    /// A tmpfs of its own.
    MountTmp {
        /// MiB; an inode for every 16 KiB of it.
        mib: u32,
    },
    /// Its own pid namespace's, and only processes.
    MountProc,
    /// Enter the new root, let go of the old.
    Pivot,
    /// The working directory has a path, so it is inside.
    CheckDirectory,
    /// Standard streams lead nowhere.
    NullStreams,
    /// A keyring of its own.
    NewKeyring,
    /// No terminal, no process group of ours.
    NewSession,
    /// Mode of new files.
    Umask {
        /// Bits that new files lack.
        mask: u32,
    },
    /// Every signal at its default, none blocked.
    ResetSignals,
    /// Speculation across processes is off, for ever, where the kernel can switch it by process.
    MitigateSpeculation,
    /// Its pages are never merged with equal ones of others.
    NoPageMerging,
    /// Nothing can be gained by executing anything.
    EmptyBoundingSet,
    /// Uid 0 means nothing, for ever.
    LockSecurebits,
    /// Ambient, inheritable, effective and permitted.
    EmptyCapabilities,
    /// Set-user-id and file capabilities are void.
    NoNewPrivileges,
    /// A Landlock domain; not there where the kernel has none.
    EnterDomain {
        /// What it covers.
        abi: Abi,
        /// What is allowed.
        rules: &'static [(&'static str, Grant)],
    },
    /// Everything but the runner's socket is closed.
    CloseDescriptors,
    /// The allowlist.
    LoadFilter,
    /// The runner takes over.
    Execute,
    /// What the template's image says that it executes.
    ReadProgram,
    /// Nothing to read, and a pipe for its last words.
    WordStreams,
    /// That program takes over.
    ExecuteProgram,
}

pub(super) fn enter(spec: &Spec) -> Vec<EnterStep> {
    let budget = &spec.budget;
    let user = |name, value| EnterStep::UserLimit { name, value };
    let mut steps = vec![
        // The score file belongs to the id it was born with until its credentials change.
        EnterStep::OutOfMemoryFirst,
        // Before the namespace: groups joined after it would show as `/../c7`.
        EnterStep::JoinControlGroups,
        EnterStep::NewCgroupNamespace,
        EnterStep::DropGroups,
        EnterStep::BecomeUser { id: spec.inside_id },
        // From inside: whoever writes these changes his own namespace's, and the host's from outside.
        user("max_user_namespaces", 0),
        user("max_inotify_instances", budget.inotify_instances),
        user("max_inotify_watches", budget.inotify_watches),
    ];
    steps.extend(resource_limits(spec));
    steps.extend([
        EnterStep::LoopbackUp,
        EnterStep::Hostname { name: spec.hostname.clone() },
        EnterStep::PrivateMounts,
        EnterStep::MountImage,
        EnterStep::MountDevices,
        EnterStep::MountTmp { mib: TMP_MIB },
        // While the spawner's complete proc is still visible: without it this is refused.
        EnterStep::MountProc,
        EnterStep::Pivot,
        EnterStep::CheckDirectory,
        EnterStep::NullStreams,
        EnterStep::NewKeyring,
        EnterStep::NewSession,
        EnterStep::Umask { mask: 0o022 },
        EnterStep::ResetSignals,
        EnterStep::MitigateSpeculation,
        EnterStep::NoPageMerging,
        // Entering the user namespace filled the bounding set again; emptying it needs SETPCAP.
        EnterStep::EmptyBoundingSet,
        EnterStep::LockSecurebits,
        EnterStep::EmptyCapabilities,
        EnterStep::NoNewPrivileges,
    ]);
    if spec.landlock.is_there() {
        // Behind the mounts, which it forbids; code is mounted later, by the spawner, outside of it.
        steps.push(EnterStep::EnterDomain { abi: spec.landlock, rules: &landlock::CELL });
    }
    steps.extend([EnterStep::CloseDescriptors, EnterStep::LoadFilter, EnterStep::Execute]);
    // Refused where the user mapped his own group himself.
    steps.retain(|step| spec.drops_groups || *step != EnterStep::DropGroups);
    steps
}

/// A template's steps. What its forks cannot change any more once they are in their cells, they
/// inherit: limits, mask, session rules, speculation.
pub(super) fn settle(spec: &Spec) -> Vec<EnterStep> {
    let mut steps = vec![
        EnterStep::OutOfMemoryFirst,
        EnterStep::JoinControlGroups,
        EnterStep::NewCgroupNamespace,
        EnterStep::DropGroups,
        // Not its effective id alone: nothing of the nursery's root is left in it.
        EnterStep::BecomeUser { id: OWNER_ID },
    ];
    steps.extend(resource_limits(spec));
    steps.extend([
        EnterStep::Hostname { name: spec.hostname.clone() },
        EnterStep::PrivateMounts,
        // No /tmp and no /proc: nothing to write to, nobody to look at.
        EnterStep::MountImage,
        EnterStep::MountDevices,
        EnterStep::Pivot,
        EnterStep::CheckDirectory,
        EnterStep::ReadProgram,
        EnterStep::WordStreams,
        EnterStep::NewKeyring,
        EnterStep::NewSession,
        EnterStep::Umask { mask: 0o022 },
        EnterStep::ResetSignals,
        EnterStep::MitigateSpeculation,
        EnterStep::NoPageMerging,
        // The securebits are locked already: by the maker.
        EnterStep::EmptyBoundingSet,
        EnterStep::EmptyCapabilities,
        EnterStep::NoNewPrivileges,
    ]);
    if spec.landlock.is_there() {
        steps.push(EnterStep::EnterDomain { abi: spec.landlock, rules: &landlock::TEMPLATE });
    }
    steps.extend([EnterStep::CloseDescriptors, EnterStep::LoadFilter, EnterStep::ExecuteProgram]);
    steps.retain(|step| spec.drops_groups || *step != EnterStep::DropGroups);
    steps
}

fn resource_limits(spec: &Spec) -> [EnterStep; 9] {
    let limit = |resource, soft, hard| EnterStep::ResourceLimit { resource, soft, hard };
    let same = |resource, value| limit(resource, value, value);
    // Of each user namespace by itself, so of each cell, even where many have one user. Where a leaf
    // bounds processes it is for tools that ask; where none does, it is all there is: AWS's number.
    let processes = if spec.enforced.contains(&Controller::Pids) { 4096 } else { 1024 };
    [
        // AWS's limit of descriptors.
        same(Resource::RLIMIT_NOFILE, 1024),
        same(Resource::RLIMIT_NPROC, processes),
        // 1, not 0: the kernel starts a piped core handler, as root on the host, unless it is 1.
        same(Resource::RLIMIT_CORE, 1),
        same(Resource::RLIMIT_MEMLOCK, 64 * 1024),
        limit(Resource::RLIMIT_STACK, 8 * 1024 * 1024, nix::libc::RLIM_INFINITY),
        same(Resource::RLIMIT_MSGQUEUE, 0),
        same(Resource::RLIMIT_RTPRIO, 0),
        same(Resource::RLIMIT_NICE, 0),
        same(Resource::RLIMIT_SIGPENDING, spec.budget.pending_signals),
    ]
}

// === impl EnterStep ===

impl EnterStep {
    /// The policy [`EnterStep::LoadFilter`] loads, in a process that was born under the maker's.
    pub fn policy() -> Policy {
        Policy::cell()
    }

    /// The same in a template.
    pub fn policy_of_templates() -> Policy {
        Policy::template()
    }
}

impl Describe for EnterStep {
    fn what(&self) -> String {
        let fixed = match self {
            Self::UserLimit { name, value } => return format!("write user.{name} = {value}"),
            Self::ResourceLimit { resource, soft, hard } => {
                return format!("setrlimit {resource:?} {} / {}", bound(*soft), bound(*hard));
            }
            Self::BecomeUser { id } => return format!("setresgid, setresuid {id}"),
            Self::Hostname { name } => return format!("sethostname {name}"),
            Self::MountTmp { mib } => {
                let (size, inodes) = tmp_options(*mib);
                return format!("mount /tmp: tmpfs, {size}, {inodes} inodes, nosuid, nodev");
            }
            Self::Umask { mask } => return format!("umask {mask:03o}"),
            Self::EnterDomain { abi, rules } => return domain(*abi, rules),
            Self::JoinControlGroups => "join the cgroup leaves",
            Self::NewCgroupNamespace => "unshare the cgroup namespace",
            Self::OutOfMemoryFirst => "write oom_score_adj = 1000",
            Self::DropGroups => "setgroups to none",
            Self::LoopbackUp => "bring lo up",
            Self::PrivateMounts => "mount / private, recursively",
            Self::MountImage => "mount the image as root to be",
            Self::MountDevices => "mount /dev",
            Self::MountProc => "mount /proc: subset=pid, hidepid=ptraceable, read-only",
            Self::Pivot => "pivot_root, detach the old root",
            Self::CheckDirectory => "check that the working directory is /",
            Self::NullStreams => "open /dev/null as 0, 1 and 2",
            Self::NewKeyring => "join a new session keyring",
            Self::NewSession => "setsid",
            Self::ResetSignals => "reset signal actions and mask",
            Self::MitigateSpeculation => "force speculation mitigations, where there are any",
            Self::NoPageMerging => "switch same-page merging off",
            Self::EmptyBoundingSet => "empty the bounding set",
            Self::LockSecurebits => "lock the securebits",
            Self::EmptyCapabilities => "empty the other four capability sets",
            Self::NoNewPrivileges => "set no_new_privs",
            Self::CloseDescriptors => "keep 0, 1, 2 and its socket at 3, close the rest",
            Self::LoadFilter => "load the system-call filter on top of the maker's",
            Self::Execute => "execute the runner from its sealed memory file",
            Self::ReadProgram => "read its program from /var/runtime/templates",
            Self::WordStreams => "open /dev/null as 0, its last words' pipe as 1 and 2",
            Self::ExecuteProgram => "execute that program, with that environment",
        };
        fixed.to_owned()
    }

    fn why(&self) -> &'static str {
        match self {
            Self::JoinControlGroups => "limits hold before anything else happens",
            Self::NewCgroupNamespace => "it sees `/` and not where it is on the host",
            Self::OutOfMemoryFirst => "the host's own processes come last",
            Self::DropGroups => "no group of the host's comes along",
            Self::BecomeUser { .. } => "no id inside is anybody outside",
            Self::UserLimit { name: "max_user_namespaces", .. } => {
                "no nested namespace, whatever the filter misses"
            }
            Self::UserLimit { .. } => "its share of what the host allows one user",
            Self::ResourceLimit { resource: Resource::RLIMIT_CORE, .. } => {
                "no core file, and no core handler of the host"
            }
            Self::ResourceLimit { .. } => "per process, on top of the leaf's limits",
            Self::LoopbackUp => "without it connect fails although listen works",
            Self::Hostname { .. } => "the host's name is not the function's business",
            Self::PrivateMounts => "no mount of the cell reaches the spawner",
            Self::MountImage => "read-only, shared with nothing privileged",
            Self::MountDevices => "five nodes; no kvm, no vsock, no disk",
            Self::MountTmp { .. } => "full means ENOSPC, never a memory kill",
            Self::MountProc => "own processes only: no sysrq, keys, kallsyms, sys",
            Self::Pivot => "nothing of the spawner's root is reachable by path",
            Self::CheckDirectory => "a directory outside would have no path here",
            Self::NullStreams => "no descriptor of the host's is inherited",
            Self::NewKeyring => "keys of whoever started Hearth stay there",
            Self::NewSession => "no terminal to type into",
            Self::Umask { .. } => "what AWS has",
            Self::ResetSignals => "ignored signals would survive execve",
            Self::MitigateSpeculation => "what others leave in the processor is not to be guessed",
            Self::NoPageMerging => "a service manager may have switched it on for all of us",
            Self::EmptyBoundingSet | Self::EmptyCapabilities => "none of 41, in none of five sets",
            Self::LockSecurebits => "for ever, over execve",
            Self::NoNewPrivileges => "also what lets a filter be loaded without privilege",
            Self::EnterDomain { .. } => "whatever the mounts above let through by mistake",
            Self::CloseDescriptors => "a directory of the host's would defeat every wall above",
            Self::LoadFilter => "nothing runs unfiltered, not even the runner",
            Self::Execute => "sealed: not even root inside could change it",
            Self::ReadProgram => "an index crosses from the control plane, never a path",
            Self::WordStreams => "what it says when it fails is for the operator",
            Self::ExecuteProgram => "nothing of the host's environment is in it",
        }
    }
}

fn domain(abi: Abi, rules: &[(&str, Grant)]) -> String {
    let paths = |grant: Grant| {
        let of = rules.iter().filter(|(_, other)| *other == grant);
        of.map(|(path, _)| *path).collect::<Vec<_>>().join(" ")
    };
    let mut out = format!(
        "enter a Landlock domain ({abi}): use {}; own {}; read and write {}",
        paths(Grant::Use),
        paths(Grant::Own),
        paths(Grant::Device)
    );
    if abi.has_scopes() {
        out.push_str("; signals and abstract sockets stay inside");
    }
    out
}

fn bound(value: u64) -> String {
    if value == nix::libc::RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() }
}
