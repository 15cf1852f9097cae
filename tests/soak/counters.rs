//! What the kernel counts: one sample of the whole machine and of some processes of ours.
//!
//! | what | where it is read |
//! |---|---|
//! | resident memory, descriptors, mounts | `/proc/<pid>` of each process that is watched |
//! | open files | `/proc/sys/fs/file-nr` |
//! | control groups, those that are dying too | `/proc/cgroups`; `cgroup.stat` of the version-2 root |
//! | processes, their users, namespaces, inotify instances | `/proc/*/{status,ns,fd}` |
//! | keys | `/proc/key-users` |
//! | kernel objects | `/proc/slabinfo` |

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// First of the user ids that Hearth gives away, and how many there are.
const IDS: std::ops::Range<u64> = 1_879_048_192..1_879_048_192 + 4_096 * 65_536;
/// Kinds of kernel objects of which every sandbox has some.
const OBJECTS: [&str; 6] =
    ["net_namespace", "user_namespace", "pid_namespace", "uts_namespace", "pid", "mnt_cache"];

/// How exactly something is counted, which is how much a line through its samples may rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exactness {
    /// A count of what is there.
    Exact,
    /// Freed by the kernel some time after its end.
    Lazy,
    /// The same, and counted in batches: a slab counts as a whole as long as a processor keeps it.
    Batched,
    /// Pages of memory: an allocator keeps some for later.
    Memory,
}

/// One number of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Count {
    pub name: String,
    pub exactness: Exactness,
    pub value: f64,
}

/// A process that is watched, under the name it has in the table.
#[derive(Debug, Clone)]
pub struct Watched {
    pub name: &'static str,
    pub pid: u32,
}

/// Everything that is counted, now.
pub fn sample(watched: &[Watched]) -> Vec<Count> {
    let mut counts = Vec::new();
    let mut put = |name: String, exactness, value: u64| {
        counts.push(Count { name, exactness, value: value as f64 });
    };
    for Watched { name, pid } in watched {
        let status = read(&format!("/proc/{pid}/status"));
        put(format!("{name}: resident KiB"), Exactness::Memory, field(&status, "VmRSS:"));
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        put(format!("{name}: descriptors"), Exactness::Exact, descriptors as u64);
        let mounts = read(&format!("/proc/{pid}/mountinfo")).lines().count();
        put(format!("{name}: mounts"), Exactness::Exact, mounts as u64);
    }
    let host = processes();
    put("processes of sandboxes".into(), Exactness::Exact, host.ours);
    put("namespaces in use".into(), Exactness::Exact, host.namespaces);
    put("inotify instances".into(), Exactness::Exact, host.inotify);
    let mounts = read("/proc/self/mountinfo").lines().count();
    put("mounts of the host".into(), Exactness::Exact, mounts as u64);
    let files = read("/proc/sys/fs/file-nr");
    put("open files".into(), Exactness::Batched, first(&files));
    put("keys".into(), Exactness::Lazy, keys());
    for (name, value) in groups() {
        put(name, Exactness::Lazy, value);
    }
    for (name, value) in objects() {
        put(format!("slab: {name}"), Exactness::Batched, value);
    }
    counts
}

/// What all processes of the machine have.
struct Host {
    /// How many of them run with an id of ours.
    ours: u64,
    namespaces: u64,
    inotify: u64,
}

fn processes() -> Host {
    let (mut ours, mut inotify, mut namespaces) = (0, 0, BTreeSet::new());
    for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        ours += u64::from(IDS.contains(&field(&status, "Uid:")));
        namespaces.extend(links(&path.join("ns")));
        inotify +=
            links(&path.join("fd")).filter(|link| link == "anon_inode:inotify").count() as u64;
    }
    Host { ours, namespaces: namespaces.len() as u64, inotify }
}

/// Processes that are in another namespace than this one, each with its name and those namespaces: who
/// to ask when their number rises.
pub fn elsewhere() -> Vec<String> {
    let own: BTreeSet<String> = links(Path::new("/proc/self/ns")).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid.parse::<u32>().is_err() {
            continue;
        }
        let theirs: BTreeSet<String> = links(&entry.path().join("ns")).collect();
        let others: Vec<&str> = theirs.difference(&own).map(String::as_str).collect();
        if !others.is_empty() {
            let name = read(&format!("/proc/{pid}/comm"));
            found.push(format!("{pid} {} {}", name.trim_end(), others.join(" ")));
        }
    }
    found
}

fn links(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
}

/// The number of groups each controller has: those that were removed count as long as something, a
/// page of the page cache for instance, is charged to them.
fn groups() -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for line in read("/proc/cgroups").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [name @ ("memory" | "pids" | "cpu"), _, count, _] = fields[..] {
            found.push((format!("groups of {name}"), count.parse().unwrap_or(0)));
        }
    }
    let mounts = read("/proc/self/mountinfo");
    let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    if let Some(at) = unified.and_then(|line| line.split(' ').nth(4)) {
        let table = read(&format!("{at}/cgroup.stat"));
        for name in ["nr_descendants", "nr_dying_descendants"] {
            found.push((format!("cgroup2: {name}"), field(&table, name)));
        }
    }
    found
}

/// Keys of all users together.
fn keys() -> u64 {
    // `uid: usage nkeys/nikeys …`
    let table = read("/proc/key-users");
    let of = |line: &str| line.split_whitespace().nth(2)?.split('/').next()?.parse::<u64>().ok();
    table.lines().filter_map(of).sum()
}

/// Kernel objects by kind, as far as the kernel lists them: kinds of equal size may share a list.
fn objects() -> Vec<(&'static str, u64)> {
    let table = read("/proc/slabinfo");
    let count = |kind: &str| {
        let line = table.lines().find(|line| line.split_whitespace().next() == Some(kind))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    OBJECTS.into_iter().filter_map(|kind| Some((kind, count(kind)?))).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first)
}

fn first(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
