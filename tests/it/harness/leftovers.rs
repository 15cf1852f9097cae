//! What a daemon has on this machine, and what is left of it afterwards.
//!
//! A [`Trace`] is taken while the daemon lives; [`Trace::leftovers`] looks again later. Other daemons
//! come and go meanwhile and take over ids and names, so a process is told by id and start time, and a
//! cgroup by path and inode.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// First of the uids that Hearth gives to sandboxes.
const UIDS: u64 = 1_879_048_192;
/// Uids of one daemon.
const RANGE: u64 = 65_536;
/// Stands for the slot of a daemon that root did not start: no uid and no control group of the
/// machine's is its.
pub const NO_SLOT: u64 = u64::MAX >> 32;
/// The kinds of namespace a sandbox has of its own.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, clock ticks since boot.
    pub started: u64,
    parent: u32,
    uid: u64,
    /// How many pid namespaces it is in, seen from ours: the spawner's is the second, a cell's the
    /// third.
    depth: usize,
    name: String,
}

/// What one daemon had at one moment.
#[derive(Debug)]
pub struct Trace {
    slot: u64,
    processes: BTreeSet<Process>,
    cgroups: BTreeSet<(PathBuf, u64)>,
    namespaces: BTreeSet<String>,
    folders: Vec<PathBuf>,
}

// === impl Process ===

impl Process {
    /// The process of that number, if there is one that has not ended.
    pub fn find(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything; the last `)` ends it.
        let (head, tail) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        if fields.first() == Some(&"Z") {
            return None;
        }
        // Not the owner of the directory: a process that is not dumpable shows as root's there.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let uid = field("Uid:")?;
        Some(Self {
            pid,
            started: fields.get(19)?.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            uid: uid.split_whitespace().next()?.parse().ok()?,
            depth: field("NSpid:")?.split_whitespace().count(),
            name: head.split_once('(')?.1.to_owned(),
        })
    }

    /// Its user id on the host.
    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// All processes.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(Self::find).collect()
    }

    /// Itself and everything that descends from it, in `all`.
    pub fn family(pid: u32, all: &[Self]) -> BTreeSet<Self> {
        let mut family: BTreeSet<Self> = all.iter().filter(|one| one.pid == pid).cloned().collect();
        loop {
            let pids: BTreeSet<u32> = family.iter().map(|one| one.pid).collect();
            let children = all.iter().filter(|one| pids.contains(&one.parent)).cloned();
            let before = family.len();
            family.extend(children);
            if family.len() == before {
                return family;
            }
        }
    }

    /// Its parent, in `all`.
    pub fn parent_in<'a>(&self, all: &'a [Self]) -> Option<&'a Self> {
        all.iter().find(|one| one.pid == self.parent)
    }

    /// Whether it is in a pid namespace beneath the other's.
    pub fn is_deeper_than(&self, other: &Self) -> bool {
        self.depth > other.depth
    }

    /// Whether it is a template: a copy of it is what runs functions, and it can do no more than they,
    /// but get into sandboxes that nobody has yet.
    pub fn is_template(&self) -> bool {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).unwrap_or_default();
        let of_ours =
            groups.lines().filter_map(|line| line.split_once("/hearth-")?.1.split_once("/t"));
        let mut numbers = of_ours.map(|(_, number)| number.parse::<u32>());
        numbers.any(|number| number.is_ok())
    }

    /// The namespaces it is in, as `kind:[inode]`.
    fn namespaces(&self) -> BTreeSet<String> {
        let link = |kind| fs::read_link(format!("/proc/{}/ns/{kind}", self.pid)).ok();
        let links = NAMESPACES.into_iter().filter_map(link);
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }
}

// === impl Trace ===

impl Trace {
    /// Looks at what the daemon of `pids` and their descendants has: `slot` names its uids and cgroups,
    /// `folders` are its own.
    pub fn take(slot: u64, pids: &[u32], folders: &[&Path]) -> Self {
        let all = Process::all();
        let mut processes = BTreeSet::new();
        for pid in pids {
            processes.extend(Process::family(*pid, &all));
        }
        let own = Process::find(std::process::id()).map(|own| own.namespaces()).unwrap_or_default();
        let namespaces = processes.iter().flat_map(Process::namespaces);
        Self {
            slot,
            namespaces: namespaces.filter(|link| !own.contains(link)).collect(),
            processes,
            cgroups: cgroups(slot),
            folders: folders.iter().map(|folder| (*folder).to_owned()).collect(),
        }
    }

    /// The daemon's processes at that moment.
    pub fn processes(&self) -> &BTreeSet<Process> {
        &self.processes
    }

    /// The processes that ran in its sandboxes.
    pub fn sandboxed(&self) -> Vec<&Process> {
        let inside = |one: &&Process| {
            one.depth >= 3 && (self.slot == NO_SLOT || in_range(one.uid, self.slot))
        };
        self.processes.iter().filter(inside).collect()
    }

    /// The cgroup directories it had.
    pub fn cgroups(&self) -> &BTreeSet<(PathBuf, u64)> {
        &self.cgroups
    }

    /// The namespaces that only it had. Their numbers are given to others soon.
    pub fn namespaces(&self) -> &BTreeSet<String> {
        &self.namespaces
    }

    /// Processes and mounts that are still there, in words. A namespace lives as long as a process is
    /// in it or a mount keeps it: where neither is left, it is gone.
    pub fn leftovers(&self) -> Vec<String> {
        let all = Process::all();
        let mut found = Vec::new();
        for one in &all {
            if self.processes.contains(one) {
                found.push(format!("process {} ({}), uid {}", one.pid, one.name, one.uid));
            }
        }
        // Those that were born after the trace was taken: nothing of a sandbox is outside a cgroup.
        for path in self.unswept() {
            let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
            for pid in members.lines() {
                found.push(format!("process {pid} in cgroup {}", path.display()));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        for line in mounts.lines() {
            let ours = |folder: &PathBuf| line.contains(&*folder.to_string_lossy());
            if self.folders.iter().any(ours) || self.pins(line) {
                found.push(format!("mount {line}"));
            }
        }
        found
    }

    /// Cgroup directories that are still there; all of them must go with an orderly stop.
    pub fn remaining_cgroups(&self) -> Vec<String> {
        let now = cgroups(self.slot);
        let same = self.cgroups.intersection(&now);
        same.map(|(path, _)| format!("cgroup {}", path.display())).collect()
    }

    /// The same without a daemon's own directory, which the next one that is given its place takes
    /// over; what is beneath it must go.
    pub fn unswept_cgroups(&self) -> Vec<String> {
        self.unswept().iter().map(|path| format!("cgroup {}", path.display())).collect()
    }

    fn unswept(&self) -> Vec<PathBuf> {
        let now = cgroups(self.slot);
        let own = format!("hearth-{}", self.slot);
        let same = self.cgroups.intersection(&now).map(|(path, _)| path.clone());
        same.filter(|path| !path.ends_with(&own)).collect()
    }

    /// Whether a line of the mount table keeps one of the namespaces: such a mount is of type nsfs, and
    /// its root is the namespace.
    fn pins(&self, line: &str) -> bool {
        let root = line.split(' ').nth(3).unwrap_or_default();
        line.contains(" - nsfs ") && self.namespaces.contains(root)
    }
}

/// The place in the machine-wide allocation that a spawner has: its children's uids tell.
pub fn slot_of(spawner: u32) -> Option<u64> {
    let family = Process::family(spawner, &Process::all());
    family.iter().find_map(|one| Some(one.uid.checked_sub(UIDS)? / RANGE))
}

fn in_range(uid: u64, slot: u64) -> bool {
    let first = UIDS + slot * RANGE;
    (first..first + RANGE).contains(&uid)
}

/// The directories of one daemon in every hierarchy, with their inodes: beneath the cgroup we are in,
/// because a daemon makes its own beneath the one it was started in.
fn cgroups(slot: u64) -> BTreeSet<(PathBuf, u64)> {
    let mut found = BTreeSet::new();
    for (_, own) in own_groups() {
        collect(&own.join(format!("hearth-{slot}")), &mut found);
    }
    found
}

/// The controllers of each hierarchy, comma-separated and none for version 2, and our group in it.
pub fn own_groups() -> Vec<(String, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let ours = fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
    let group = |line: &str| {
        // `4:memory:/path`, and `0::/path` for version 2.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let is_mount = |line: &&str| {
            let options = line.rsplit(' ').next().unwrap_or_default();
            match controllers {
                "" => line.contains(" - cgroup2 "),
                some => {
                    line.contains(" - cgroup ") && some.split(',').all(|one| options.contains(one))
                }
            }
        };
        let mount = mounts.lines().find(is_mount)?.split(' ').nth(4)?;
        Some((controllers.to_owned(), Path::new(mount).join(path.trim_start_matches('/'))))
    };
    ours.lines().filter_map(group).collect()
}

/// A directory and everything beneath it; cgroups come and go while we look.
fn collect(folder: &Path, found: &mut BTreeSet<(PathBuf, u64)>) {
    let Ok(facts) = fs::metadata(folder) else { return };
    found.insert((folder.to_owned(), facts.ino()));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
    }
}
