//! What the processes of a daemon use, as `/proc` of the host tells it.
//!
//! A daemon's processes are those that descend from the one that was started. Which of them stand in a
//! sandbox is told by the control group they are in, which is `hearth-<slot>/c<cell>` in every layout.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// One process of a daemon.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number on the host.
    pub pid: u32,
    /// As it calls itself.
    pub name: String,
    /// Whether it is in a sandbox.
    pub inside: bool,
    /// Whether that sandbox has a function's code in it: it is somebody's, and not one that stands ready.
    pub serves: bool,
}

/// What a set of processes uses.
#[derive(Debug, Default, Clone, Copy)]
pub struct Use {
    /// Proportional memory, KiB: what is shared counts in parts.
    pub pss_kib: u64,
    /// Time on a processor since each began.
    pub cpu: Duration,
}

/// A process and everything that descends from it.
pub fn of(root: u32) -> Result<Vec<Process>> {
    let mut children: BTreeMap<u32, Vec<(u32, String)>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some((parent, name)) = parent_and_name(pid) {
            children.entry(parent).or_default().push((pid, name));
        }
    }
    let (_, name) = parent_and_name(root).context("the daemon has ended")?;
    let mut found = Vec::new();
    let mut waiting = vec![(root, name)];
    while let Some((pid, name)) = waiting.pop() {
        waiting.extend(children.remove(&pid).unwrap_or_default());
        let inside = is_inside(pid);
        found.push(Process { pid, name, inside, serves: inside && has_code(pid) });
    }
    Ok(found)
}

fn parent_and_name(pid: u32) -> Option<(u32, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, brackets too.
    let (before, after) = stat.rsplit_once(") ")?;
    let parent = after.split(' ').nth(1)?.parse().ok()?;
    Some((parent, before.split_once('(')?.1.to_owned()))
}

fn is_inside(pid: u32) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    groups.lines().any(|line| {
        let beneath = line.split_once("/hearth-").map(|(_, rest)| rest);
        let cell = beneath.and_then(|rest| rest.split('/').nth(1));
        cell.is_some_and(|name| name.starts_with('c'))
    })
}

fn has_code(pid: u32) -> bool {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(4) == Some("/var/task"))
}

/// What these processes use together. One that has ended meanwhile uses nothing.
pub fn sum<'p>(processes: impl IntoIterator<Item = &'p Process>) -> Use {
    let mut all = Use::default();
    for process in processes {
        all.pss_kib += line(process.pid, "smaps_rollup", "Pss:").unwrap_or(0);
        all.cpu += cpu(process.pid);
    }
    all
}

/// Processor time of all threads that a process has.
pub fn cpu(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Resident memory, KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    line(pid, "status", "VmRSS:").context("a living process has a resident size")
}

/// Open descriptors.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// What the machine could still give, MiB.
pub fn available_mib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    value(&text, "MemAvailable:").map(|kib| kib / 1024).context("the kernel says what it has left")
}

fn line(pid: u32, file: &str, key: &str) -> Option<u64> {
    value(&fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?, key)
}

/// The number behind a key, in KiB as all of them are.
pub fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
