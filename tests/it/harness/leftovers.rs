//! What a daemon has on this machine, and what is left of it afterwards.
//!
//! A [`Trace`] is taken while the daemon lives; [`Trace::leftovers`] looks again later. Everything is
//! told apart by what the kernel never reuses at once (process: id and start time; cgroup and
//! namespace: inode), because another daemon may have taken over the same uid range and names.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// First of the uids that Hearth gives to sandboxes.
const UIDS: u64 = 1_879_048_192;
/// Uids of one daemon.
const RANGE: u64 = 65_536;
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

    /// The namespaces it is in, as `kind:[inode]`.
    fn namespaces(&self) -> BTreeSet<String> {
        let link = |kind| fs::read_link(format!("/proc/{}/ns/{kind}", self.pid)).ok();
        let links = NAMESPACES.into_iter().filter_map(link);
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }
}

// === impl Trace ===

impl Trace {
    /// Looks at what the daemon of `pids` has: `slot` names its uids and cgroups, `folders` are its own.
    pub fn take(slot: u64, pids: &[u32], folders: &[&Path]) -> Self {
        let all = Process::all();
        let mut processes = BTreeSet::new();
        for pid in pids {
            processes.extend(Process::family(*pid, &all));
        }
        processes.extend(all.iter().filter(|one| in_range(one.uid, slot)).cloned());
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
        let inside = |one: &&Process| one.depth >= 3 && in_range(one.uid, self.slot);
        self.processes.iter().filter(inside).collect()
    }

    /// The cgroup directories it had.
    pub fn cgroups(&self) -> &BTreeSet<(PathBuf, u64)> {
        &self.cgroups
    }

    /// The namespaces that only it had.
    pub fn namespaces(&self) -> &BTreeSet<String> {
        &self.namespaces
    }

    /// Processes, mounts and namespaces that are still there, in words.
    pub fn leftovers(&self) -> Vec<String> {
        let all = Process::all();
        let mut found = Vec::new();
        for one in &all {
            if self.processes.contains(one) {
                found.push(format!("process {} ({}), uid {}", one.pid, one.name, one.uid));
            }
            let shared: Vec<_> = one.namespaces().intersection(&self.namespaces).cloned().collect();
            if !shared.is_empty() {
                found.push(format!("process {} ({}) is in {shared:?}", one.pid, one.name));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        for line in mounts.lines() {
            let ours = |folder: &PathBuf| line.contains(&*folder.to_string_lossy());
            let pins = |link: &String| line.contains(link.as_str());
            if self.folders.iter().any(ours) || self.namespaces.iter().any(pins) {
                found.push(format!("mount {line}"));
            }
        }
        found
    }

    /// Cgroup directories that are still there.
    pub fn remaining_cgroups(&self) -> Vec<String> {
        let now = cgroups(self.slot);
        let same = self.cgroups.intersection(&now);
        same.map(|(path, _)| format!("cgroup {}", path.display())).collect()
    }
}

fn in_range(uid: u64, slot: u64) -> bool {
    let first = UIDS + slot * RANGE;
    (first..first + RANGE).contains(&uid)
}

/// The directories of one daemon in every hierarchy, with their inodes.
fn cgroups(slot: u64) -> BTreeSet<(PathBuf, u64)> {
    let mut found = BTreeSet::new();
    let name = format!("hearth-{slot}");
    search(Path::new("/sys/fs/cgroup"), &name, 0, &mut found);
    found
}

fn search(folder: &Path, name: &str, depth: u32, found: &mut BTreeSet<(PathBuf, u64)>) {
    // Cgroups come and go while we look.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if !meta.is_dir() {
            continue;
        }
        if entry.file_name() == name {
            found.insert((entry.path(), meta.ino()));
        } else if depth < 8 {
            search(&entry.path(), name, depth + 1, found);
        }
    }
}
